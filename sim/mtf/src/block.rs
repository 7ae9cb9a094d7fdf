//! Descriptor blocks: one table of fields each.
//!
//! A block's record starts with the common header ([`BlockHeader`]), so that the offsets here are
//! those of the specification. Address, number, sizes and checksum of the header are computed when
//! a block is written.

use uuid::Uuid;

use crate::date::MediaDate;
use crate::header::BlockHeader;
use crate::lsn::Lsn;
use crate::record::{Field, Kind, Record, TextRef, TextTooLong, Unfit, Value};
use crate::tag::{Tag, block_type};

/// A [`Kind`] of record that is a descriptor block.
pub trait BlockKind: Kind {
    /// Its type.
    const TYPE: Tag;
    /// Attributes in the header that SQL Server writes.
    const ATTRIBUTES: u32 = 0;
    /// String type in the header that SQL Server writes.
    const STRING_TYPE: u8 = BlockHeader::UTF16;
}

impl<K: BlockKind> Record<K> {
    /// A block of `fixed` bytes that is zero but for its header.
    pub(crate) fn block(fixed: usize) -> Self {
        let mut block = Self::zeroed(fixed);
        block
            .set_header(BlockHeader::TYPE, K::TYPE.0)
            .set_header(BlockHeader::ATTRIBUTES, K::ATTRIBUTES)
            .set_header(BlockHeader::OS_ID, 14)
            .set_header(BlockHeader::OS_VERSION, 1)
            .set_header(BlockHeader::STRING_TYPE, K::STRING_TYPE);
        block
    }

    /// A field of the common header.
    pub fn header<T: Value>(&self, field: Field<BlockHeader, T>) -> T {
        field.read(self.bytes())
    }

    fn set_header<T: Value>(&mut self, field: Field<BlockHeader, T>, value: T) -> &mut Self {
        self.set(Field::at(field.offset()), value)
    }
}

/// Media header (spec: MTF 1.00a, `MTF_TAPE_BLK`).
#[derive(Debug)]
pub struct Tape;

impl Tape {
    /// [`Self::ATTRIBUTES`]: the media has soft filemarks.
    pub const SOFT_FILEMARKS: u32 = 1;
    /// [`Self::ATTRIBUTES`]: what SQL Server writes beside that.
    const SQL_SERVER: u32 = 4;
    /// [`Self::SOFTWARE_VENDOR`] of SQL Server.
    pub const MICROSOFT_SQL_SERVER: u16 = 0x1200;

    /// Random number of this family.
    pub const FAMILY_ID: Field<Self, u32> = Field::at(52);
    /// [`Self::SOFT_FILEMARKS`] and others.
    pub const ATTRIBUTES: Field<Self, u32> = Field::at(56);
    /// Volume of the family, from 1.
    pub const MEDIA_SEQUENCE: Field<Self, u16> = Field::at(60);
    /// Password encryption algorithm.
    pub const PASSWORD_ALGORITHM: Field<Self, u16> = Field::at(62);
    /// Size of a soft filemark in units of 512 bytes: the BLOCKSIZE of the backup.
    pub const FILEMARK_SIZE: Field<Self, u16> = Field::at(64);
    /// Type of the media-based catalog.
    pub const CATALOG_TYPE: Field<Self, u16> = Field::at(66);
    /// Media name.
    pub const NAME: Field<Self, TextRef> = Field::at(68);
    /// Media description.
    pub const DESCRIPTION: Field<Self, TextRef> = Field::at(72);
    /// Media password: 16 bytes, hashed.
    pub const PASSWORD: Field<Self, TextRef> = Field::at(76);
    /// Software that wrote the media.
    pub const SOFTWARE: Field<Self, TextRef> = Field::at(80);
    /// Format logical block size in bytes.
    pub const LOGICAL_BLOCK_SIZE: Field<Self, u16> = Field::at(84);
    /// Software vendor.
    pub const SOFTWARE_VENDOR: Field<Self, u16> = Field::at(86);
    /// When the media was written first.
    pub const DATE: Field<Self, MediaDate> = Field::at(88);
    /// Major version of the tape format.
    pub const FORMAT_VERSION: Field<Self, u8> = Field::at(93);
}

impl Kind for Tape {
    const NAME: &'static str = "TAPE";
    const FIXED: usize = 94;
    const TEXTS: &'static [Field<Self, TextRef>] =
        &[Self::NAME, Self::DESCRIPTION, Self::PASSWORD, Self::SOFTWARE];
}

impl BlockKind for Tape {
    const TYPE: Tag = block_type::TAPE;
    const ATTRIBUTES: u32 = BlockHeader::TAPE_ATTRIBUTES;
}

/// What a new media header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaLabel<'a> {
    /// Random number of this family.
    pub family_id: u32,
    /// BLOCKSIZE of the backup in bytes: a power of two from 512 to 65536. The media gets soft
    /// filemarks up to 32768; a filemark of 65536 bytes cannot be expressed.
    pub block_size: u32,
    /// Media name, up to 128 characters.
    pub name: &'a str,
    /// Media description, up to 255 characters.
    pub description: &'a str,
    /// Hash of the media password.
    pub password: Option<[u8; 16]>,
    /// Local time.
    pub date: MediaDate,
}

impl Record<Tape> {
    /// The media header of a new family.
    ///
    /// # Errors
    ///
    /// When the strings do not fit.
    pub fn new(label: &MediaLabel<'_>) -> Result<Self, TextTooLong> {
        let mut tape = Self::block(Tape::FIXED);
        let filemarks = if label.block_size < 65536 { Tape::SOFT_FILEMARKS } else { 0 };
        tape.set(Tape::FAMILY_ID, label.family_id)
            .set(Tape::ATTRIBUTES, Tape::SQL_SERVER | filemarks)
            .set(Tape::MEDIA_SEQUENCE, 1)
            .set(Tape::FILEMARK_SIZE, (label.block_size / 512) as u16)
            .set(Tape::CATALOG_TYPE, 3)
            .set(Tape::LOGICAL_BLOCK_SIZE, 1024)
            .set(Tape::SOFTWARE_VENDOR, Tape::MICROSOFT_SQL_SERVER)
            .set(Tape::DATE, label.date)
            .set(Tape::FORMAT_VERSION, 1);
        tape.append_text(Tape::NAME, label.name)?;
        tape.append_text(Tape::DESCRIPTION, label.description)?;
        tape.append_bytes(Tape::PASSWORD, label.password.as_ref().map_or(&[], |hash| &hash[..]))?;
        tape.append_text(Tape::SOFTWARE, "Microsoft SQL Server\0\0")?;
        Ok(tape)
    }

    /// BLOCKSIZE of the backup in bytes; 512 where the media has no filemarks and names no size.
    pub fn block_size(&self) -> u32 {
        (u32::from(self.get(Tape::FILEMARK_SIZE)) * 512).max(512)
    }

    /// Whether the media has soft filemarks.
    pub fn has_filemarks(&self) -> bool {
        self.get(Tape::ATTRIBUTES) & Tape::SOFT_FILEMARKS != 0
    }
}

/// Soft filemark (SQL Server's layout since 2008: byte offsets of 64 bits).
#[derive(Debug)]
pub struct Sfmb;

impl Sfmb {
    /// Where the array of earlier filemarks starts.
    pub(crate) const ARRAY: usize = 72;

    /// Entries that the array has room for.
    pub const CAPACITY: Field<Self, u32> = Field::at(52);
    /// Entries used.
    pub const USED: Field<Self, u32> = Field::at(56);
    /// Offset of the array in the block.
    pub const ARRAY_OFFSET: Field<Self, u32> = Field::at(60);
}

impl Kind for Sfmb {
    const NAME: &'static str = "SFMB";
    const FIXED: usize = 64;
}

impl BlockKind for Sfmb {
    const TYPE: Tag = block_type::SFMB;
    const ATTRIBUTES: u32 = BlockHeader::FILEMARK_ATTRIBUTES;
    const STRING_TYPE: u8 = 0;
}

impl Record<Sfmb> {
    /// A filemark of `size` bytes after those at the byte offsets `earlier`, in stream order.
    pub(crate) fn after(earlier: &[u64], size: usize) -> Self {
        let capacity = (size - Sfmb::ARRAY) / 8;
        let mut mark = Self::block(size);
        mark.set(Sfmb::CAPACITY, capacity as u32)
            .set(Sfmb::USED, earlier.len().min(capacity) as u32)
            .set(Sfmb::ARRAY_OFFSET, Sfmb::ARRAY as u32);
        for (index, at) in earlier.iter().rev().take(capacity).enumerate() {
            mark.set(Field::at(Sfmb::ARRAY + 8 * index), *at);
        }
        mark
    }

    /// Whether this is the older layout, up to SQL Server 2005, whose body is not interpreted.
    pub fn is_legacy(&self) -> bool {
        self.header(BlockHeader::ATTRIBUTES) & BlockHeader::FILEMARK_ATTRIBUTES == 0
    }

    /// Byte offsets of the earlier filemarks, newest first; none in the older layout.
    pub fn earlier(&self) -> Vec<u64> {
        let used = if self.is_legacy() { 0 } else { self.get(Sfmb::USED) as usize };
        let array = self.bytes().get(Sfmb::ARRAY..).unwrap_or_default();
        array.as_chunks().0.iter().take(used).map(|at| u64::from_le_bytes(*at)).collect()
    }
}

/// Start of a backup set (spec: MTF 1.00a, `MTF_SSET_BLK`).
#[derive(Debug)]
pub struct Sset;

impl Sset {
    /// [`Self::ATTRIBUTES`] of a full backup and of a log backup.
    pub const NORMAL: u32 = 4;
    /// [`Self::ATTRIBUTES`] of a differential backup.
    pub const DIFFERENTIAL: u32 = 8;
    /// Time zone byte: unknown.
    pub const UNKNOWN_ZONE: i8 = 127;

    /// [`Self::NORMAL`] or [`Self::DIFFERENTIAL`].
    pub const ATTRIBUTES: Field<Self, u32> = Field::at(52);
    /// Password encryption algorithm.
    pub const PASSWORD_ALGORITHM: Field<Self, u16> = Field::at(56);
    /// Software compression algorithm.
    pub const COMPRESSION_ALGORITHM: Field<Self, u16> = Field::at(58);
    /// Software vendor.
    pub const SOFTWARE_VENDOR: Field<Self, u16> = Field::at(60);
    /// Position of the set on the media, from 1.
    pub const DATA_SET_NUMBER: Field<Self, u16> = Field::at(62);
    /// Backup name.
    pub const NAME: Field<Self, TextRef> = Field::at(64);
    /// Backup description.
    pub const DESCRIPTION: Field<Self, TextRef> = Field::at(68);
    /// Password of the set.
    pub const PASSWORD: Field<Self, TextRef> = Field::at(72);
    /// User who made the backup.
    pub const USER: Field<Self, TextRef> = Field::at(76);
    /// Byte offset of this block; computed when written.
    pub const PHYSICAL_ADDRESS: Field<Self, u64> = Field::at(80);
    /// When the backup started, local time.
    pub const DATE: Field<Self, MediaDate> = Field::at(88);
    /// Server's major version.
    pub const SOFTWARE_MAJOR: Field<Self, u8> = Field::at(93);
    /// Server's minor version.
    pub const SOFTWARE_MINOR: Field<Self, u8> = Field::at(94);
    /// Offset from UTC in quarters of an hour, or [`Self::UNKNOWN_ZONE`].
    pub const TIME_ZONE: Field<Self, i8> = Field::at(95);
    /// Minor version of the tape format.
    pub const FORMAT_MINOR: Field<Self, u8> = Field::at(96);
    /// Version of the media-based catalog.
    pub const CATALOG_VERSION: Field<Self, u8> = Field::at(97);
    /// GUID of the backup set, the same on every family.
    pub const BACKUP_SET: Field<Self, Uuid> = Field::at(100);
    /// When the backup expires; inferred, it is unknown in every sample.
    pub const EXPIRATION: Field<Self, MediaDate> = Field::at(116);
}

impl Kind for Sset {
    const NAME: &'static str = "SSET";
    const FIXED: usize = 122;
    const TEXTS: &'static [Field<Self, TextRef>] =
        &[Self::NAME, Self::DESCRIPTION, Self::PASSWORD, Self::USER];
}

impl BlockKind for Sset {
    const TYPE: Tag = block_type::SSET;
}

/// What the start of a new backup set says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetLabel<'a> {
    /// [`Sset::NORMAL`] or [`Sset::DIFFERENTIAL`].
    pub attributes: u32,
    /// GUID of the backup set.
    pub backup_set: Uuid,
    /// Backup name, up to 128 characters.
    pub name: &'a str,
    /// Backup description, up to 255 characters.
    pub description: &'a str,
    /// User who makes the backup.
    pub user: &'a str,
    /// When the backup starts, local time.
    pub date: MediaDate,
    /// Offset from UTC in quarters of an hour.
    pub time_zone: i8,
    /// When it expires.
    pub expiration: MediaDate,
    /// Server's major and minor version.
    pub software: (u8, u8),
}

impl Record<Sset> {
    /// The start of a new backup set at position 1.
    ///
    /// # Errors
    ///
    /// When the strings do not fit.
    pub fn new(label: &SetLabel<'_>) -> Result<Self, TextTooLong> {
        let mut set = Self::block(Sset::FIXED);
        let os_data = TextRef { size: 21, offset: Sset::BACKUP_SET.offset() as u16 };
        set.set_header(BlockHeader::OS_DATA, os_data)
            .set(Sset::ATTRIBUTES, label.attributes)
            .set(Sset::SOFTWARE_VENDOR, Tape::MICROSOFT_SQL_SERVER)
            .set(Sset::DATA_SET_NUMBER, 1)
            .set(Sset::DATE, label.date)
            .set(Sset::SOFTWARE_MAJOR, label.software.0)
            .set(Sset::SOFTWARE_MINOR, label.software.1)
            .set(Sset::TIME_ZONE, label.time_zone)
            .set(Sset::CATALOG_VERSION, 2)
            .set(Sset::BACKUP_SET, label.backup_set)
            .set(Sset::EXPIRATION, label.expiration);
        set.append_text(Sset::NAME, label.name)?;
        set.append_text(Sset::DESCRIPTION, label.description)?;
        set.append_text(Sset::USER, label.user)?;
        Ok(set)
    }
}

/// Volume (spec: MTF 1.00a, `MTF_VOLB_BLK`).
#[derive(Debug)]
pub struct Volb;

impl Volb {
    /// [`Self::ATTRIBUTES`] that SQL Server writes.
    const NON_VOLUME: u32 = 2;

    /// Attributes.
    pub const ATTRIBUTES: Field<Self, u32> = Field::at(52);
    /// Device name, `C:`.
    pub const DEVICE: Field<Self, TextRef> = Field::at(56);
    /// Volume label.
    pub const VOLUME: Field<Self, TextRef> = Field::at(60);
    /// Machine name.
    pub const MACHINE: Field<Self, TextRef> = Field::at(64);
    /// When the backup started, local time.
    pub const DATE: Field<Self, MediaDate> = Field::at(68);
}

impl Kind for Volb {
    const NAME: &'static str = "VOLB";
    const FIXED: usize = 73;
    const TEXTS: &'static [Field<Self, TextRef>] = &[Self::DEVICE, Self::VOLUME, Self::MACHINE];
    const EMPTY_TEXT_HAS_OFFSET: bool = true;
}

impl BlockKind for Volb {
    const TYPE: Tag = block_type::VOLB;
}

impl Record<Volb> {
    /// The volume block of a new backup set.
    ///
    /// # Errors
    ///
    /// When the strings do not fit.
    pub fn new(
        device: &str,
        volume: &str,
        machine: &str,
        date: MediaDate,
    ) -> Result<Self, TextTooLong> {
        let mut block = Self::block(Volb::FIXED);
        block.set(Volb::ATTRIBUTES, Volb::NON_VOLUME).set(Volb::DATE, date);
        block.append_text(Volb::DEVICE, device)?;
        block.append_text(Volb::VOLUME, volume)?;
        block.append_text(Volb::MACHINE, machine)?;
        Ok(block)
    }
}

/// SQL Server's configuration block, before the data.
#[derive(Debug)]
pub struct Msci;

impl Kind for Msci {
    const NAME: &'static str = "MSCI";
    const FIXED: usize = 56;
}

impl BlockKind for Msci {
    const TYPE: Tag = block_type::MSCI;
}

/// SQL Server's summary block: the configuration with final values.
#[derive(Debug)]
pub struct Msls;

impl Kind for Msls {
    const NAME: &'static str = "MSLS";
    const FIXED: usize = 56;
}

impl BlockKind for Msls {
    const TYPE: Tag = block_type::MSLS;
}

/// SQL Server's block of data pages.
#[derive(Debug)]
pub struct Msda;

impl Msda {
    /// Always 1; its meaning is not known.
    const CONSTANT: Field<Self, u16> = Field::at(58);
}

impl Kind for Msda {
    const NAME: &'static str = "MSDA";
    const FIXED: usize = 60;
}

impl BlockKind for Msda {
    const TYPE: Tag = block_type::MSDA;
    const STRING_TYPE: u8 = 0;
}

impl Record<Msci> {
    /// A new configuration block.
    pub fn new() -> Self {
        Self::block(Msci::FIXED)
    }
}

impl Record<Msls> {
    /// A new summary block.
    pub fn new() -> Self {
        Self::block(Msls::FIXED)
    }
}

impl Record<Msda> {
    /// A new data block.
    pub fn new() -> Self {
        let mut block = Self::block(Msda::FIXED);
        block.set(Msda::CONSTANT, 1);
        block
    }
}

impl Default for Record<Msci> {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Record<Msls> {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Record<Msda> {
    fn default() -> Self {
        Self::new()
    }
}

/// SQL Server's block for one virtual log file.
#[derive(Debug)]
pub struct Mstl;

impl Mstl {
    /// First block of log records in a virtual log file, in bytes from its start.
    const FIRST_BLOCK: u64 = 8192;

    /// Always 1; its meaning is not known.
    const CONSTANT: Field<Self, u16> = Field::at(58);
    /// Byte offset in the log file where the log in the backup starts; 0 if there is none.
    pub const START: Field<Self, u64> = Field::at(60);
    /// Byte offset in the log file where it ends.
    pub const END: Field<Self, u64> = Field::at(68);
    /// File id of the log file.
    pub const FILE_ID: Field<Self, u16> = Field::at(76);
    /// The record of the virtual log file: the fields below and zeros.
    pub const VLF: Field<Self, TextRef> = Field::at(80);
    /// Its sequence number; 0 if it contributes no log.
    pub const VLF_SEQUENCE: Field<Self, u32> = Field::at(92);
    /// Its size in bytes.
    pub const VLF_SIZE: Field<Self, u64> = Field::at(96);
    /// Its byte offset in the log file.
    pub const VLF_START: Field<Self, u64> = Field::at(104);
    /// File id, again.
    pub const VLF_FILE_ID: Field<Self, u16> = Field::at(112);
    /// Parity: 0, 64 or 128.
    pub const VLF_PARITY: Field<Self, u16> = Field::at(114);
    /// LSN of its creation.
    pub const VLF_CREATE_LSN: Field<Self, Lsn> = Field::at(116);
    /// 4 or 5, by release.
    pub(crate) const VLF_VERSION: Field<Self, u16> = Field::at(126);
}

impl Kind for Mstl {
    const NAME: &'static str = "MSTL";
    const FIXED: usize = 128;
    const TEXTS: &'static [Field<Self, TextRef>] = &[];
}

impl BlockKind for Mstl {
    const TYPE: Tag = block_type::MSTL;
    const STRING_TYPE: u8 = 0;
}

/// One virtual log file of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtualLogFile {
    /// File id of the log file.
    pub file_id: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Byte offset in the log file.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// Parity: 0, 64 or 128.
    pub parity: u16,
    /// LSN of its creation.
    pub create_lsn: Lsn,
}

impl VirtualLogFile {
    /// The part of the log file that a backup from `first` to `last` takes from this virtual log
    /// file, in bytes; none if it holds none of that log.
    pub fn range(&self, first: Lsn, last: Lsn) -> Option<std::ops::Range<u64>> {
        if self.sequence < first.vlf || self.sequence > last.vlf {
            return None;
        }
        let at = |lsn: Lsn| self.start + 512 * u64::from(lsn.block);
        let start =
            if self.sequence == first.vlf { at(first) } else { self.start + Mstl::FIRST_BLOCK };
        let end = if self.sequence == last.vlf { at(last) } else { self.start + self.size };
        Some(start..end)
    }
}

impl Record<Mstl> {
    /// The block of a virtual log file: of `size` bytes, whose VLF record ends with `version`, as
    /// the release wants it; `range` is the log that follows.
    pub(crate) fn with_layout(
        size: usize,
        version: u16,
        vlf: &VirtualLogFile,
        range: Option<std::ops::Range<u64>>,
    ) -> Self {
        let mut block = Self::block(size);
        let record = TextRef {
            size: (size - Mstl::VLF_SEQUENCE.offset()) as u16,
            offset: Mstl::VLF_SEQUENCE.offset() as u16,
        };
        let sequence = if range.is_some() { vlf.sequence } else { 0 };
        let range = range.unwrap_or_default();
        block
            .set(Mstl::CONSTANT, 1)
            .set(Mstl::START, range.start)
            .set(Mstl::END, range.end)
            .set(Mstl::FILE_ID, vlf.file_id)
            .set(Mstl::VLF, record)
            .set(Mstl::VLF_SEQUENCE, sequence)
            .set(Mstl::VLF_SIZE, vlf.size)
            .set(Mstl::VLF_START, vlf.start)
            .set(Mstl::VLF_FILE_ID, vlf.file_id)
            .set(Mstl::VLF_PARITY, vlf.parity)
            .set(Mstl::VLF_CREATE_LSN, vlf.create_lsn)
            .set(Mstl::VLF_VERSION, version);
        block
    }

    /// Bytes of log that the backup takes from this virtual log file. They follow on the family
    /// that carries the log, filled up with zeros to 64 KiB.
    pub fn log_size(&self) -> u64 {
        self.get(Mstl::END).saturating_sub(self.get(Mstl::START))
    }
}

/// End of a backup set (spec: MTF 1.00a, `MTF_ESET_BLK`). SQL Server writes two.
#[derive(Debug)]
pub struct Eset;

impl Eset {
    /// [`Sset::NORMAL`] or [`Sset::DIFFERENTIAL`].
    pub const ATTRIBUTES: Field<Self, u32> = Field::at(52);
    /// Corrupt objects.
    pub const CORRUPT_OBJECTS: Field<Self, u32> = Field::at(56);
    /// Byte offset of the first ESET, in the second one; computed when written.
    pub const CATALOG_ADDRESS: Field<Self, u64> = Field::at(60);
    /// Position of the set on the media, from 1.
    pub const DATA_SET_NUMBER: Field<Self, u16> = Field::at(78);
    /// When the backup started, local time.
    pub const DATE: Field<Self, MediaDate> = Field::at(80);
}

impl Kind for Eset {
    const NAME: &'static str = "ESET";
    const FIXED: usize = 88;
}

impl BlockKind for Eset {
    const TYPE: Tag = block_type::ESET;
    const STRING_TYPE: u8 = 0;
}

impl Record<Eset> {
    /// The end of the set that `set` starts.
    pub fn of(set: &Record<Sset>) -> Self {
        let mut end = Self::block(Eset::FIXED);
        end.set(Eset::ATTRIBUTES, set.get(Sset::ATTRIBUTES))
            .set(Eset::DATA_SET_NUMBER, set.get(Sset::DATA_SET_NUMBER))
            .set(Eset::DATE, set.get(Sset::DATE));
        end
    }
}

/// A block inside a set whose type is not known; its streams pass through.
#[derive(Debug)]
pub struct Unknown;

impl Kind for Unknown {
    const NAME: &'static str = "unknown block";
    const FIXED: usize = BlockHeader::SIZE;
}

/// A descriptor block.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is documented at its record kind")]
pub enum Block {
    Tape(Record<Tape>),
    Sfmb(Record<Sfmb>),
    Sset(Record<Sset>),
    Volb(Record<Volb>),
    Msci(Record<Msci>),
    Msda(Record<Msda>),
    Mstl(Record<Mstl>),
    Msls(Record<Msls>),
    Eset(Record<Eset>),
    Unknown(Record<Unknown>),
}

impl Block {
    /// Takes the bytes of a block whose header has been checked.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, Unfit> {
        Ok(match Tag(BlockHeader::TYPE.read(&bytes)) {
            block_type::TAPE => Self::Tape(Record::parse(bytes)?),
            block_type::SFMB => Self::Sfmb(Record::parse(bytes)?),
            block_type::SSET => Self::Sset(Record::parse(bytes)?),
            block_type::VOLB => Self::Volb(Record::parse(bytes)?),
            block_type::MSCI => Self::Msci(Record::parse(bytes)?),
            block_type::MSDA => Self::Msda(Record::parse(bytes)?),
            block_type::MSTL => Self::Mstl(Record::parse(bytes)?),
            block_type::MSLS => Self::Msls(Record::parse(bytes)?),
            block_type::ESET => Self::Eset(Record::parse(bytes)?),
            _ => Self::Unknown(Record::parse(bytes)?),
        })
    }

    /// The block from its header to its first stream.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Tape(record) => record.bytes(),
            Self::Sfmb(record) => record.bytes(),
            Self::Sset(record) => record.bytes(),
            Self::Volb(record) => record.bytes(),
            Self::Msci(record) => record.bytes(),
            Self::Msda(record) => record.bytes(),
            Self::Mstl(record) => record.bytes(),
            Self::Msls(record) => record.bytes(),
            Self::Eset(record) => record.bytes(),
            Self::Unknown(record) => record.bytes(),
        }
    }

    /// Its type.
    pub fn block_type(&self) -> Tag {
        Tag(self.header(BlockHeader::TYPE))
    }

    /// A field of the common header.
    pub fn header<T: Value>(&self, field: Field<BlockHeader, T>) -> T {
        field.read(self.bytes())
    }
}
