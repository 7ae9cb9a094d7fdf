//! The configuration stream (MQCI): what is backed up.
//!
//! A configuration is a row of chunks: SCIN (the backup set), one SFGI a filegroup, one SFIN a
//! file. MSCI holds it with what is known before the data, MSLS with the final values. Fields from
//! SQL Server 2014 on read as zero in older chunks.

use uuid::Uuid;

use crate::date::MediaDate;
use crate::lsn::Lsn;
use crate::record::{Field, Kind, Record, TextRef, Unfit};
use crate::tag::Tag;

/// The chunk about the backup set.
#[derive(Debug)]
pub struct Scin;

impl Scin {
    /// [`Self::FLAGS`]: set in every backup.
    pub const ALWAYS: u32 = 0x200;
    /// [`Self::FLAGS`]: holds bulk-logged data.
    pub const BULK_LOGGED: u32 = 0x1;
    /// [`Self::FLAGS`]: made WITH SNAPSHOT. The value is the one that HEADERONLY shows; no such
    /// backup has been seen.
    pub const SNAPSHOT: u32 = 0x2;
    /// [`Self::FLAGS`]: the database was read-only.
    pub const READ_ONLY: u32 = 0x4;
    /// [`Self::FLAGS`]: the database was in single-user mode.
    pub const SINGLE_USER: u32 = 0x8;
    /// [`Self::FLAGS`]: made WITH CHECKSUM.
    pub const CHECKSUM: u32 = 0x10;
    /// [`Self::FLAGS`]: the database was damaged, and the backup continued after the error.
    pub const DAMAGED: u32 = 0x20;
    /// [`Self::FLAGS`]: a tail-log backup.
    pub const TAIL_LOG: u32 = 0x40;
    /// [`Self::FLAGS`]: a tail-log backup without all metadata.
    pub const INCOMPLETE_METADATA: u32 = 0x80;
    /// [`Self::FLAGS`]: a tail-log backup made WITH NORECOVERY.
    pub const FORCE_OFFLINE: u32 = 0x100;
    /// [`Self::FLAGS`]: made WITH COPY_ONLY.
    pub const COPY_ONLY: u32 = 0x400;
    /// [`Self::FLAGS`]: a differential backup.
    pub const DIFFERENTIAL: u32 = 0x800;

    /// Tag and size of the chunk.
    pub(crate) const TAG: Tag = Tag(*b"SCIN");

    /// The flags above, and those of `RESTORE HEADERONLY`'s column Flags.
    pub const FLAGS: Field<Self, u32> = Field::at(0x08);
    /// Number of filegroups.
    pub const FILEGROUP_COUNT: Field<Self, u32> = Field::at(0x0c);
    pub(crate) const CONSTANT_10: Field<Self, u32> = Field::at(0x10);
    /// Server's build number.
    pub const SOFTWARE_BUILD: Field<Self, u16> = Field::at(0x18);
    /// Server's minor version.
    pub const SOFTWARE_MINOR: Field<Self, u8> = Field::at(0x1a);
    /// Server's major version.
    pub const SOFTWARE_MAJOR: Field<Self, u8> = Field::at(0x1b);
    pub(crate) const CONSTANT_1C: Field<Self, u32> = Field::at(0x1c);
    /// First LSN.
    pub const FIRST_LSN: Field<Self, Lsn> = Field::at(0x20);
    /// Last LSN: that of the first record after the backup.
    pub const LAST_LSN: Field<Self, Lsn> = Field::at(0x2a);
    /// LSN of the checkpoint.
    pub const CHECKPOINT_LSN: Field<Self, Lsn> = Field::at(0x34);
    /// Checkpoint LSN of the last full backup.
    pub const DATABASE_BACKUP_LSN: Field<Self, Lsn> = Field::at(0x3e);
    /// When the database was created.
    pub const DATABASE_CREATED: Field<Self, MediaDate> = Field::at(0x48);
    /// When the backup started.
    pub const STARTED: Field<Self, MediaDate> = Field::at(0x4d);
    /// When the backup finished; unknown in MSCI.
    pub const FINISHED: Field<Self, MediaDate> = Field::at(0x52);
    /// `D` full, `I` differential, `L` log.
    pub const BACKUP_TYPE: Field<Self, u8> = Field::at(0x57);
    /// Sort order.
    pub const SORT_ORDER: Field<Self, u8> = Field::at(0x58);
    pub(crate) const CONSTANT_59: Field<Self, u16> = Field::at(0x59);
    /// Compatibility level of the database.
    pub const COMPATIBILITY_LEVEL: Field<Self, u8> = Field::at(0x5b);
    /// Id of the database on its server.
    pub const DATABASE_ID: Field<Self, u16> = Field::at(0x5c);
    /// Version of the database's structure.
    pub const DATABASE_VERSION: Field<Self, u16> = Field::at(0x5e);
    /// Size of the backup in bytes over all families; in MSCI the bytes of data and log only.
    pub const BACKUP_SIZE: Field<Self, u64> = Field::at(0x60);
    /// Name of the database.
    pub const DATABASE_NAME: Field<Self, TextRef> = Field::at(0x68);
    /// Name of the server.
    pub const SERVER_NAME: Field<Self, TextRef> = Field::at(0x6c);
    /// Windows locale id.
    pub const LOCALE_ID: Field<Self, u32> = Field::at(0x74);
    /// Unicode comparison style.
    pub const COMPARISON_STYLE: Field<Self, u32> = Field::at(0x78);
    /// Binding id of the database.
    pub const BINDING_ID: Field<Self, Uuid> = Field::at(0x7c);
    /// A copy of [`Self::LAST_LSN`].
    pub const LAST_LSN_COPY: Field<Self, Lsn> = Field::at(0x90);
    /// Current recovery fork.
    pub const RECOVERY_FORK: Field<Self, Uuid> = Field::at(0x9c);
    /// Where the fork starts.
    pub const FORK_POINT_LSN: Field<Self, Lsn> = Field::at(0xac);
    /// First recovery fork; zero if there is no fork.
    pub const FIRST_RECOVERY_FORK: Field<Self, Uuid> = Field::at(0xb8);
    /// GUID of the base full backup, in log and differential backups.
    pub const BASE_BACKUP: Field<Self, Uuid> = Field::at(0xc8);
    /// Collation as in TDS.
    pub const COLLATION: Field<Self, [u8; 5]> = Field::at(0xd8);
    /// Family of the database.
    pub const FAMILY_GUID: Field<Self, Uuid> = Field::at(0xe0);
    /// Status of the database.
    pub const STATUS: Field<Self, u32> = Field::at(0xf0);
    /// Options of the database: 1 auto-close, 8 simple recovery, 16 torn-page detection.
    pub const DATABASE_OPTIONS: Field<Self, u16> = Field::at(0xf4);
    pub(crate) const CONSTANT_F6: Field<Self, u16> = Field::at(0xf6);
    /// An LSN whose meaning is not known: the first full backup's, where that was seen.
    pub const CHAIN_LSN: Field<Self, Lsn> = Field::at(0xf8);
    /// Differential backups: checkpoint LSN of the base.
    pub const DIFFERENTIAL_BASE_LSN: Field<Self, Lsn> = Field::at(0x104);
    /// Differential backups: GUID of the base.
    pub const DIFFERENTIAL_BASE: Field<Self, Uuid> = Field::at(0x110);
    /// Start of the log chain (from SQL Server 2014).
    pub const LOG_CHAIN_LSN: Field<Self, Lsn> = Field::at(0x14c);
    /// A copy of [`Self::BACKUP_SIZE`] (from SQL Server 2008).
    pub const BACKUP_SIZE_COPY: Field<Self, u64> = Field::at(0x158);
    pub(crate) const CONSTANT_174: Field<Self, u32> = Field::at(0x174);
}

impl Kind for Scin {
    const NAME: &'static str = "SCIN";
    const FIXED: usize = 0x102;
    const TEXTS: &'static [Field<Self, TextRef>] = &[Self::DATABASE_NAME, Self::SERVER_NAME];
}

/// The chunk about a filegroup.
#[derive(Debug)]
pub struct Sfgi;

impl Sfgi {
    pub(crate) const TAG: Tag = Tag(*b"SFGI");

    pub(crate) const CONSTANT_08: Field<Self, u32> = Field::at(0x08);
    /// Filegroup id.
    pub const FILEGROUP_ID: Field<Self, u32> = Field::at(0x0c);
    /// Name of the filegroup.
    pub const NAME: Field<Self, TextRef> = Field::at(0x10);
    pub(crate) const CONSTANT_14: Field<Self, u32> = Field::at(0x14);
    pub(crate) const CONSTANT_28: Field<Self, u8> = Field::at(0x28);
    /// First LSN of the backup; the checkpoint's in a differential one (from SQL Server 2014).
    pub const FIRST_LSN: Field<Self, Lsn> = Field::at(0x34);
    /// Last LSN of the backup (from SQL Server 2014).
    pub const LAST_LSN: Field<Self, Lsn> = Field::at(0x40);
    /// Checkpoint LSN of the backup (from SQL Server 2014).
    pub const CHECKPOINT_LSN: Field<Self, Lsn> = Field::at(0x4c);
    /// As [`Scin::CHAIN_LSN`] (from SQL Server 2014).
    pub const CHAIN_LSN: Field<Self, Lsn> = Field::at(0x64);
    /// As [`Scin::LOG_CHAIN_LSN`] (from SQL Server 2014).
    pub const LOG_CHAIN_LSN: Field<Self, Lsn> = Field::at(0x70);
    /// Last LSN again (from SQL Server 2014).
    pub const LAST_LSN_COPY: Field<Self, Lsn> = Field::at(0x80);
    /// Current recovery fork (from SQL Server 2014).
    pub const RECOVERY_FORK: Field<Self, Uuid> = Field::at(0x8c);
}

impl Kind for Sfgi {
    const NAME: &'static str = "SFGI";
    const FIXED: usize = 0x14;
    const TEXTS: &'static [Field<Self, TextRef>] = &[Self::NAME];
}

/// The chunk about a file.
#[derive(Debug)]
pub struct Sfin;

impl Sfin {
    /// [`Self::FLAGS`] of a file.
    pub const PRESENT: u32 = 0x04;
    /// [`Self::FLAGS`] of a file that grows by percent.
    pub const PERCENT_GROWTH: u32 = 0x08;
    /// [`Self::FLAGS`] of a data file in a full backup.
    pub const FULL: u32 = 0x80;
    /// [`Self::FILEGROUP_ID`] of a log file.
    pub const LOG_FILEGROUP: u32 = 2;

    pub(crate) const TAG: Tag = Tag(*b"SFIN");

    /// The flags above.
    pub const FLAGS: Field<Self, u32> = Field::at(0x08);
    /// Page size in bytes.
    pub const PAGE_SIZE: Field<Self, u32> = Field::at(0x10);
    /// File id.
    pub const FILE_ID: Field<Self, u32> = Field::at(0x14);
    /// Pages of the file in the backup, over all families; in MSLS also of log, whole ones.
    pub const PAGE_COUNT: Field<Self, u32> = Field::at(0x18);
    /// Filegroup id, [`Self::LOG_FILEGROUP`] for log.
    pub const FILEGROUP_ID: Field<Self, u32> = Field::at(0x1c);
    /// Sector size of the disk in bytes.
    pub const SECTOR_SIZE: Field<Self, u32> = Field::at(0x20);
    /// [`Self::DATA_FILE`] or 0 for a log file.
    pub(crate) const FILE_TYPE: Field<Self, u32> = Field::at(0x24);
    pub(crate) const DATA_FILE: u32 = 1;
    /// Size of the file in bytes.
    pub const FILE_SIZE: Field<Self, u64> = Field::at(0x28);
    /// Logical name.
    pub const LOGICAL_NAME: Field<Self, TextRef> = Field::at(0x30);
    /// Path on the server.
    pub const PHYSICAL_NAME: Field<Self, TextRef> = Field::at(0x34);
    /// Largest size that the file may reach, in bytes.
    pub const MAX_SIZE: Field<Self, u64> = Field::at(0x56);
    /// Growth in bytes or percent.
    pub const GROWTH: Field<Self, u64> = Field::at(0x5e);
    /// Size at creation in bytes.
    pub const INITIAL_SIZE: Field<Self, u64> = Field::at(0x72);
    /// Largest size that any file may reach, in bytes.
    pub const SIZE_LIMIT: Field<Self, u64> = Field::at(0x7a);
    /// A copy of [`Self::FILE_SIZE`].
    pub const FILE_SIZE_COPY: Field<Self, u64> = Field::at(0x82);
    /// Base of differential backups: its checkpoint LSN.
    pub const DIFFERENTIAL_BASE_LSN: Field<Self, Lsn> = Field::at(0x9e);
    /// Base of differential backups: its backup set.
    pub const DIFFERENTIAL_BASE: Field<Self, Uuid> = Field::at(0xaa);
    /// GUID of the file.
    pub const UNIQUE_ID: Field<Self, Uuid> = Field::at(0xba);
    /// First LSN of the backup; the checkpoint's in a differential one.
    pub const FIRST_LSN: Field<Self, Lsn> = Field::at(0xca);
    /// Last LSN of the backup.
    pub const LAST_LSN: Field<Self, Lsn> = Field::at(0xda);
    /// Checkpoint LSN of the backup.
    pub const CHECKPOINT_LSN: Field<Self, Lsn> = Field::at(0xea);
    /// Bytes of the file in the backup, over all families; of log in MSLS.
    pub const BACKUP_SIZE: Field<Self, u64> = Field::at(0xfa);
    /// When the differential base was made, as a Windows FILETIME.
    pub const DIFFERENTIAL_BASE_TIME: Field<Self, u64> = Field::at(0x106);
    /// A byte that differs by release (from SQL Server 2012).
    pub(crate) const RELEASE_MARK: Field<Self, u8> = Field::at(0x402);
}

impl Kind for Sfin {
    const NAME: &'static str = "SFIN";
    const FIXED: usize = 0x102;
    const TEXTS: &'static [Field<Self, TextRef>] = &[Self::LOGICAL_NAME, Self::PHYSICAL_NAME];
}

impl Record<Sfin> {
    /// Whether this is a log file.
    pub fn is_log(&self) -> bool {
        self.get(Sfin::FILE_TYPE) != Sfin::DATA_FILE
    }
}

/// Every chunk starts with its tag and its size in bytes.
const CHUNK_HEADER: usize = 8;

impl<K: Kind> Record<K> {
    /// A chunk of `fixed` bytes that is zero but for its tag.
    pub(crate) fn chunk(tag: Tag, fixed: usize) -> Self {
        let mut chunk = Self::zeroed(fixed);
        chunk.set(Field::at(0), tag.0);
        chunk
    }

    /// Fills in the size; after the last string.
    pub(crate) fn seal_chunk(&mut self) {
        let size = self.bytes().len() as u32;
        self.set(Field::at(4), size);
    }
}

/// A chunk of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is documented at its record kind")]
pub enum Chunk {
    Scin(Record<Scin>),
    Sfgi(Record<Sfgi>),
    Sfin(Record<Sfin>),
    /// A chunk that is not known.
    Other(Vec<u8>),
}

impl Chunk {
    /// The chunk on the media.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Scin(record) => record.bytes(),
            Self::Sfgi(record) => record.bytes(),
            Self::Sfin(record) => record.bytes(),
            Self::Other(bytes) => bytes,
        }
    }

    fn parse(tag: Tag, bytes: Vec<u8>) -> Result<Self, Unfit> {
        Ok(match tag {
            Scin::TAG => Self::Scin(Record::parse(bytes)?),
            Sfgi::TAG => Self::Sfgi(Record::parse(bytes)?),
            Sfin::TAG => Self::Sfin(Record::parse(bytes)?),
            _ => Self::Other(bytes),
        })
    }
}

/// The chunks of a configuration stream, in order. The first one is the [`Scin`] chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    chunks: Vec<Chunk>,
}

/// A chunk that could not be read: its place in the stream, its tag, and why.
pub(crate) type BadChunk = (usize, Tag, &'static str);

impl Configuration {
    /// A configuration of the given chunks.
    pub fn new(
        set: Record<Scin>,
        filegroups: impl IntoIterator<Item = Record<Sfgi>>,
        files: impl IntoIterator<Item = Record<Sfin>>,
    ) -> Self {
        let mut chunks = vec![Chunk::Scin(set)];
        chunks.extend(filegroups.into_iter().map(Chunk::Sfgi));
        chunks.extend(files.into_iter().map(Chunk::Sfin));
        Self { chunks }
    }

    pub(crate) fn parse(stream: &[u8]) -> Result<Self, BadChunk> {
        let mut chunks = Vec::new();
        let mut rest = stream;
        while !rest.is_empty() {
            let at = stream.len() - rest.len();
            let tag: Field<(), [u8; 4]> = Field::at(0);
            let size: Field<(), u32> = Field::at(4);
            let (tag, size) = (Tag(tag.read(rest)), size.read(rest) as usize);
            if size < CHUNK_HEADER || size > rest.len() {
                return Err((at, tag, "its size does not fit the stream"));
            }
            let (chunk, after) = rest.split_at(size);
            let chunk = Chunk::parse(tag, chunk.to_vec());
            chunks.push(chunk.map_err(|unfit| (at, tag, unfit.reason()))?);
            rest = after;
        }
        match chunks.first() {
            Some(Chunk::Scin(_)) => Ok(Self { chunks }),
            _ => Err((0, Scin::TAG, "the configuration does not start with it")),
        }
    }

    /// All chunks in order.
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// The chunk about the backup set.
    pub fn set(&self) -> &Record<Scin> {
        match &self.chunks[0] {
            Chunk::Scin(set) => set,
            _ => unreachable!("the constructors put it first"),
        }
    }

    /// The chunk about the backup set, to be changed.
    pub fn set_mut(&mut self) -> &mut Record<Scin> {
        match &mut self.chunks[0] {
            Chunk::Scin(set) => set,
            _ => unreachable!("the constructors put it first"),
        }
    }

    /// The chunks about filegroups.
    pub fn filegroups(&self) -> impl Iterator<Item = &Record<Sfgi>> {
        self.chunks.iter().filter_map(|chunk| match chunk {
            Chunk::Sfgi(filegroup) => Some(filegroup),
            _ => None,
        })
    }

    /// The chunks about filegroups, to be changed.
    pub fn filegroups_mut(&mut self) -> impl Iterator<Item = &mut Record<Sfgi>> {
        self.chunks.iter_mut().filter_map(|chunk| match chunk {
            Chunk::Sfgi(filegroup) => Some(filegroup),
            _ => None,
        })
    }

    /// The chunks about files.
    pub fn files(&self) -> impl Iterator<Item = &Record<Sfin>> {
        self.chunks.iter().filter_map(|chunk| match chunk {
            Chunk::Sfin(file) => Some(file),
            _ => None,
        })
    }

    /// The chunks about files, to be changed.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut Record<Sfin>> {
        self.chunks.iter_mut().filter_map(|chunk| match chunk {
            Chunk::Sfin(file) => Some(file),
            _ => None,
        })
    }

    /// Sets what MSLS knows and MSCI does not, and that every release changes: when the backup
    /// finished and its size over all families.
    pub fn finish(&mut self, finished: MediaDate, backup_size: u64) {
        self.set_mut()
            .set(Scin::FINISHED, finished)
            .set(Scin::BACKUP_SIZE, backup_size)
            .set(Scin::BACKUP_SIZE_COPY, backup_size);
    }

    /// The stream on the media.
    pub fn encode(&self) -> Vec<u8> {
        self.chunks.iter().flat_map(Chunk::bytes).copied().collect()
    }
}
