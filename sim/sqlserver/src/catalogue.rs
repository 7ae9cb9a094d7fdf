//! The server's databases: names, files, pages, log, history, and the rules of restoring.
//!
//! A database's pages are generated from a seed, or lie in files of the data folder. Its log holds
//! records of this server's own: which page was changed to what. The log is what makes chains of
//! full, differential and log backups restore to a certain state, so its sequence numbers follow
//! SQL Server's rules. A real server's log is kept as bytes.

mod database;
mod default;
mod history;
mod kept_log;
mod log;
mod log_blocks;
mod log_file;
mod lsn_text;
mod memory_file;
mod pages;
mod restore_rules;
mod storage;
mod store;

pub use database::{
    Access, Arrived, BackupFacts, BackupOptions, ChangedExtent, Content, Database, DatabaseFile,
    DatabaseState, DifferentialBase, FileKind, Filegroup, RecoveryModel, SetKind,
};
pub use default::{SyntheticDatabase, default_databases};
pub use history::{BackupFileRow, BackupSetRow, History, MediaFamilyRow, RestoreRow};
pub use kept_log::{KeptLog, KeptPart, NotKept};
pub use log::{ChainPoint, Log, LogRecord};
pub use log_blocks::{LogDamage, LogPart, LogReader};
pub use log_file::{LogFile, LogKeeper};
pub use memory_file::MemoryFile;
pub use pages::{GeneratedFile, PageChange, fill_data_page};
pub use restore_rules::{Progress, check_base, check_next, check_target};
pub use storage::{ExtentId, Pages, StorageError};
pub use store::{Catalogue, Reservation, Server, StoreError};
pub(crate) use store::{place_key, remove_stored};
