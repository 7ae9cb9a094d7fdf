//! Blocks of the media: media header and soft filemark.

use crate::date::MediaDate;
use crate::header::BlockHeader;
use crate::record::{Field, Kind, Record, TextRef, TextTooLong};
use crate::tag::{Tag, block_type};

use super::BlockKind;

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
    /// filemarks up to 32768; a filemark of 65536 bytes cannot be expressed. Real backups have been
    /// seen with 512 and 4096.
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
