//! The structure of a backup, for people and for programs.

mod collect;
mod display;

pub use collect::describe;

use serde::Serialize;
use uuid::Uuid;

use crate::date::MediaDate;
use crate::lsn::Lsn;
use crate::page::PageId;
use crate::tag::Tag;

/// What a stream holds, as far as it could be read. Prints as text for people; serializes for
/// programs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Description {
    /// Bytes read.
    pub size: u64,
    /// Whether at least one whole backup set was read, and nothing that cannot be read follows.
    pub complete: bool,
    /// Why reading ended early.
    pub problem: Option<Problem>,
    /// What is wrong without keeping the stream from being read; the first hundred.
    pub damage: Vec<Problem>,
    /// How many things were found wrong without keeping the stream from being read.
    pub damage_count: u64,
    /// The media, from its header.
    pub media: Option<Media>,
    /// The backup sets, in order.
    pub sets: Vec<BackupSet>,
    /// All blocks, in order.
    pub blocks: Vec<BlockSummary>,
}

/// Something wrong with a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What, where and what to do.
    pub message: String,
    /// Number of SQL Server's message; none when the file could not be read.
    pub sql_message: Option<u32>,
    /// Byte offset.
    pub at: Option<u64>,
}

/// A media header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Media {
    /// Random number of the family.
    pub family_id: u32,
    /// GUID of the media set.
    pub media_set: Option<Uuid>,
    /// Number of this family, from 1.
    pub family: Option<u16>,
    /// Families of the media set.
    pub family_count: Option<u16>,
    /// Media name.
    pub name: String,
    /// Media description.
    pub description: String,
    /// Whether the media has a password.
    pub has_password: bool,
    /// Software that wrote it.
    pub software: String,
    /// Its vendor.
    pub software_vendor: u16,
    /// When it was written first.
    pub date: MediaDate,
    /// BLOCKSIZE in bytes.
    pub block_size: u32,
    /// Whether the media has soft filemarks.
    pub filemarks: bool,
}

/// Kind of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupKind {
    /// Full.
    Full,
    /// Differential.
    Differential,
    /// Log.
    Log,
    /// A type that is not known.
    Unknown,
}

/// A backup set, or this family's part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupSet {
    /// Byte offset.
    pub at: u64,
    /// Position on the media, from 1.
    pub position: u16,
    /// Backup name.
    pub name: String,
    /// Backup description.
    pub description: String,
    /// User who made it.
    pub user: String,
    /// GUID.
    pub backup_set: Uuid,
    /// When it started.
    pub date: MediaDate,
    /// When it expires.
    pub expiration: MediaDate,
    /// Offset from UTC in quarters of an hour; none if unknown.
    pub time_zone: Option<i8>,
    /// Machine that it was made on.
    pub machine: String,
    /// What is backed up, by the configuration before the data.
    pub configuration: Option<Contents>,
    /// The same by the summary, with final values. SQL Server 2019 counts only the last block of
    /// data in the sizes of its files.
    pub summary: Option<Contents>,
    /// Pages of this family.
    pub pages: Pages,
    /// Log that this family carries.
    pub log: Vec<LogRange>,
    /// Backup checksums, all right unless listed as damage.
    pub checksum_count: u64,
}

/// What a configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// Kind of backup.
    pub kind: BackupKind,
    /// Made WITH COPY_ONLY.
    pub copy_only: bool,
    /// Made WITH CHECKSUM.
    pub checksum: bool,
    /// Flags, raw.
    pub flags: u32,
    /// Database.
    pub database: String,
    /// Server.
    pub server: String,
    /// Server's version: major, minor, build.
    pub server_version: (u8, u8, u16),
    /// Version of the database's structure.
    pub database_version: u16,
    /// Compatibility level.
    pub compatibility_level: u8,
    /// When the database was created.
    pub database_created: MediaDate,
    /// When the backup started.
    pub started: MediaDate,
    /// When it finished.
    pub finished: MediaDate,
    /// Size over all families in bytes.
    pub backup_size: u64,
    /// First LSN.
    pub first_lsn: Lsn,
    /// Last LSN.
    pub last_lsn: Lsn,
    /// LSN of the checkpoint.
    pub checkpoint_lsn: Lsn,
    /// Checkpoint LSN of the last full backup.
    pub database_backup_lsn: Lsn,
    /// Recovery fork.
    pub recovery_fork: Uuid,
    /// Base full backup of a log or differential backup.
    pub base_backup: Option<Uuid>,
    /// Filegroups.
    pub filegroups: Vec<Filegroup>,
    /// Files.
    pub files: Vec<File>,
}

/// A filegroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Filegroup {
    /// Id.
    pub id: u32,
    /// Name.
    pub name: String,
}

/// A file of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// Id.
    pub id: u32,
    /// Whether it is a log file.
    pub is_log: bool,
    /// Filegroup.
    pub filegroup: u32,
    /// Logical name.
    pub logical_name: String,
    /// Path on the server.
    pub physical_name: String,
    /// Size in bytes.
    pub size: u64,
    /// Largest size in bytes.
    pub max_size: u64,
    /// Pages in the backup, over all families.
    pub page_count: u32,
    /// Bytes in the backup, over all families.
    pub backup_size: u64,
    /// Sector size in bytes.
    pub sector_size: u32,
    /// GUID.
    pub unique_id: Uuid,
}

/// The pages of a family.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pages {
    /// All.
    pub count: u64,
    /// Pseudo-pages that fill it up.
    pub fillers: u64,
    /// With a checksum, right or wrong.
    pub protected: u64,
    /// With a wrong checksum.
    pub damaged: u64,
    /// Runs of extents in the order of the stream; the first thousand.
    pub runs: Vec<PageRun>,
}

/// Extents that follow each other in a file and in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PageRun {
    /// Number of the first page.
    pub first: PageId,
    /// Number of pages.
    pub count: u32,
}

/// Log that a virtual log file contributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LogRange {
    /// File id of the log file.
    pub file: u16,
    /// Sequence number of the virtual log file.
    pub vlf: u32,
    /// Byte offset in the log file.
    pub start: u64,
    /// Byte offset of its end.
    pub end: u64,
}

/// A descriptor block and its streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockSummary {
    /// Byte offset.
    pub at: u64,
    /// Type.
    #[serde(rename = "type")]
    pub block_type: Tag,
    /// Size of the descriptor in bytes.
    pub size: u16,
    /// Attributes.
    pub attributes: u32,
    /// Its streams.
    pub streams: Vec<StreamSummary>,
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamSummary {
    /// Byte offset of its header.
    pub at: u64,
    /// Id.
    pub id: Tag,
    /// Media-format attributes.
    pub attributes: u16,
    /// Bytes of data.
    pub length: u64,
}
