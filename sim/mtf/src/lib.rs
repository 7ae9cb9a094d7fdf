//! Reads and writes SQL Server's Microsoft Tape Format streams, incrementally.
//!
//! A native backup is one stream a device, called a media family: descriptor blocks of the
//! Microsoft Tape Format, each with streams of data, some of them SQL Server's own.
//!
//! * [`Reader`] is pushed: it takes bytes in whatever pieces the device delivers, checks them and
//!   tells an [`Events`] receiver what they are. It knows where the set ends.
//! * [`BackupWriter`] writes a whole family; [`Writer`] writes single blocks and streams;
//!   [`Rewriter`] writes what a reader reads.
//! * [`describe()`] tells the structure of a backup, for people and for programs.
//! * Blocks, configuration chunks and page headers are tables of fields over their bytes: see
//!   [`Record`]. [`Release`] knows what the releases of SQL Server write differently.
//!
//! (spec: Microsoft Tape Format Specification 1.00a; what is SQL Server's own is known from real
//! backups of SQL Server 2005 to 2019)

#![forbid(unsafe_code)]

mod backup_writer;
mod block;
mod checksum;
mod configuration;
mod date;
mod describe;
mod error;
mod family;
mod header;
mod lsn;
mod page;
mod reader;
mod record;
mod release;
mod rewriter;
mod set_map;
mod tag;
mod writer;

pub use backup_writer::{BackupStart, BackupWriter};
pub use block::{
    Block, BlockKind, Eset, MediaLabel, Msci, Msda, Msls, Mstl, SetLabel, Sfmb, Sset, Tape,
    Unknown, VirtualLogFile, Volb,
};
pub use checksum::{BackupChecksum, SECTOR_SIZE};
pub use configuration::{Chunk, Configuration, Scin, Sfgi, Sfin};
pub use date::MediaDate;
pub use describe::{Description, describe};
pub use error::{MtfError, TruncatedPart};
pub use family::Family;
pub use header::{BlockHeader, StreamHeader};
pub use lsn::Lsn;
pub use page::{
    EXTENT_PAGES, EXTENT_SIZE, PAGE_SIZE, PageCheck, PageHeader, PageId, check_page,
    fill_with_filler, is_filler, page_checksum, page_id, stamp_page,
};
pub use reader::{Checks, Events, Reader};
pub use record::{Field, Kind, Record, TextRef, TextTooLong, Value};
pub use release::{BackupFile, Release};
pub use rewriter::{RewriteError, Rewriter};
pub use set_map::{Raid, SetMap};
pub use tag::{Tag, block_type, stream_id};
pub use writer::Writer;
