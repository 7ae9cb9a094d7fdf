//! Blocks that frame a backup set: start, volume, end.

use uuid::Uuid;

use crate::date::MediaDate;
use crate::header::BlockHeader;
use crate::record::{Field, Kind, Record, TextRef, TextTooLong};
use crate::tag::{Tag, block_type};

use super::{BlockKind, Tape};

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
    /// Hash of the set's password.
    pub password: Option<[u8; 16]>,
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
        set.append_bytes(Sset::PASSWORD, label.password.as_ref().map_or(&[], |hash| &hash[..]))?;
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
