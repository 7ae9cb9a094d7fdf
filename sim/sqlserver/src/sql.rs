//! T-SQL: from the text of a batch to statements.
//!
//! BACKUP and RESTORE are read in all their forms, and around them what clients and scripts send:
//! variables, SELECT over the catalogue, EXEC, PRINT, IF, SET, USE. What is not read is answered as
//! SQL Server answers a mistake, with number, state and line.
//!
//! The grammar of BACKUP and RESTORE is that of SQL Server's documentation and of Microsoft's
//! published parser (SqlScriptDOM), which also knows VIRTUAL_DEVICE.

//!
//! # Options of BACKUP and RESTORE
//!
//! All are read, and their values and combinations checked. These have their effect: BLOCKSIZE,
//! BUFFERCOUNT, MAXTRANSFERSIZE, CHECKSUM, NO_CHECKSUM (RESTORE, which checks without it whatever
//! checksums there are, also those of pages), CONTINUE_AFTER_ERROR, COPY_ONLY, DIFFERENTIAL, DESCRIPTION,
//! EXPIREDATE, FILE, FORMAT, INIT, MEDIADESCRIPTION, MEDIANAME (BACKUP), MEDIAPASSWORD, MOVE, NAME,
//! NORECOVERY, PASSWORD, RECOVERY, REPLACE, RETAINDAYS, SKIP, SNAPSHOT and METADATA_ONLY, which is the
//! same, STANDBY, STATS, STOPAT; and the opposites that are the default: NOFORMAT, NOINIT, NOSKIP,
//! STOP_ON_ERROR.
//!
//! These are read and change nothing ([`OptionName::is_without_effect`]):
//!
//! | options | because |
//! |---|---|
//! | COMPRESSION, NO_COMPRESSION, ENCRYPTION, ENHANCEDINTEGRITY, CREDENTIAL | the stream is always in the clear and uncompressed; BACKUP says so of COMPRESSION and ENCRYPTION |
//! | UNLOAD, NOUNLOAD, REWIND, NOREWIND, RESTART | there are no tapes |
//! | MEDIANAME (RESTORE) | media are not protected by name |
//! | NO_TRUNCATE, RESTRICTED_USER, PARTIAL, COMMIT_DIFFERENTIAL_BASE, SNAPSHOT_IMPORT | databases are whole, and open to all |
//! | ENABLE_BROKER, ERROR_BROKER_CONVERSATIONS, NEW_BROKER, KEEP_REPLICATION, KEEP_TEMPORAL_RETENTION, FILESTREAM | databases have no such parts |
//! | LOADHISTORY, ONLINE, VERBOSE | they change nothing that a client of VDI sees |
//!
//! These are read and refused: MIRROR TO (3218); BACKUP and RESTORE of FILE, FILEGROUP,
//! READ_WRITE_FILEGROUPS and PAGE, RESTORE FROM DATABASE_SNAPSHOT, STOPATMARK and STOPBEFOREMARK,
//! and SNAPSHOT of a database in memory (3015); TAPE and URL devices (3201).
//!
//! These are not known, as to any server since SQL Server 2008 (155): NO_LOG, TRUNCATE_ONLY.
//!
//! # SELECT
//!
//! It reads the catalogue's views and msdb's tables of backups: inner, LEFT and CROSS joins, WHERE, GROUP
//! BY, HAVING, ORDER BY, DISTINCT, TOP; COUNT, MIN, MAX and SUM; subqueries that name no column of the
//! query around them (4104). Other joins, UNION, subqueries in FROM, WITH, OVER and COUNT(DISTINCT) are
//! refused as mistakes (102, 156). Names that mean nothing and failed conversions end the batch.

mod ast;
mod expression;
mod keyword;
mod lexer;
mod option;
mod parse_backup;
mod parse_batch;
mod parse_execute;
mod parse_expression;
mod parse_select;
mod parser;
mod script;
mod token;

pub use ast::{
    AlterDatabase, Assignment, Backup, BackupKind, Batch, DatabaseOption, Declaration, Device,
    DeviceKind, Execute, ExecuteArgument, Executed, FileSelection, Operand, RecoveryModelName,
    Restore, RestoreKind, SetOption, Statement, StatementKind, TransactionControl,
};
pub use expression::{
    BinaryOperator, Column, Expression, Join, ObjectName, OrderBy, Select, SelectItem, Table,
};
pub use option::{OptionName, OptionValue, WithOption};
pub use parse_batch::{ParseOptions, parse};
pub use parse_execute::parse_declarations;
pub use script::{Inside, ScriptBatch, split_script};
