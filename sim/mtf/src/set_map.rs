//! Small metadata streams: media set numbers (RAID) and set map (TSMP).

use uuid::Uuid;

use crate::block::{Sset, Tape, Volb};
use crate::header::BlockHeader;
use crate::record::{Field, Kind, Record, TextRef};
use crate::tag::block_type;

/// SQL Server's stream of media set and family numbers (RAID).
#[derive(Debug)]
pub struct Raid;

impl Raid {
    const SIZE: usize = 32;
    /// A constant whose meaning is not known.
    const CONSTANT_16: Field<Self, [u8; 4]> = Field::at(16);
    const CONSTANT_22: Field<Self, u16> = Field::at(22);
    const CONSTANT_30: Field<Self, u16> = Field::at(30);

    /// GUID of the media set, the same on every family.
    pub const MEDIA_SET: Field<Self, Uuid> = Field::at(0);
    /// Families of the media set: the devices of the backup.
    pub const FAMILY_COUNT: Field<Self, u16> = Field::at(20);
    /// Number of this family, from 1.
    pub const FAMILY: Field<Self, u16> = Field::at(24);
}

impl Kind for Raid {
    const NAME: &'static str = "RAID";
    const FIXED: usize = Self::SIZE;
}

impl Record<Raid> {
    /// The numbers of family `family`, from 1, of `family_count`.
    pub fn new(media_set: Uuid, family_count: u16, family: u16) -> Self {
        let mut raid = Self::zeroed(Raid::SIZE);
        raid.set(Raid::MEDIA_SET, media_set)
            .set(Raid::CONSTANT_16, [0xad, 0x00, 0x00, 0xf0])
            .set(Raid::FAMILY_COUNT, family_count)
            .set(Raid::CONSTANT_22, 1)
            .set(Raid::FAMILY, family)
            .set(Raid::CONSTANT_30, 1);
        raid
    }
}

/// The set map of the media (spec: MTF 1.00a, type 1 media-based catalog): one entry a set.
#[derive(Debug)]
pub struct SetMap;

impl SetMap {
    const HEADER: usize = 8;

    /// Number of this family.
    pub const FAMILY_ID: Field<Self, u32> = Field::at(0);
    /// Number of entries.
    pub const ENTRY_COUNT: Field<Self, u32> = Field::at(4);
    /// First entry: position of its set.
    pub const DATA_SET_NUMBER: Field<Self, u16> = Field::at(Self::HEADER + 30);
    /// First entry: byte offset of its SSET block.
    pub const SET_ADDRESS: Field<Self, u64> = Field::at(Self::HEADER + 12);
    /// First entry: size of the backup over all families.
    pub const BACKUP_SIZE: Field<Self, u64> = Field::at(Self::HEADER + 52);
}

impl Kind for SetMap {
    const NAME: &'static str = "TSMP";
    const FIXED: usize = Self::HEADER;
}

/// An entry for a set; its strings are those of the SSET block.
struct SetEntry;

impl SetEntry {
    const STRINGS: usize = 92;
    const SIZE: Field<Self, u16> = Field::at(0);
    const MEDIA_SEQUENCE: Field<Self, u16> = Field::at(2);
    const SET_ATTRIBUTES: Field<Self, u32> = Field::at(8);
    const SET_ADDRESS: Field<Self, u64> = Field::at(12);
    const DATA_SET_NUMBER: Field<Self, u16> = Field::at(30);
    const BACKUP_SIZE: Field<Self, u64> = Field::at(52);
    const VOLUME_COUNT: Field<Self, u16> = Field::at(60);
    const NAME: Field<Self, TextRef> = Field::at(64);
    const DESCRIPTION: Field<Self, TextRef> = Field::at(68);
    const USER: Field<Self, TextRef> = Field::at(76);
    const DATE: Field<Self, crate::date::MediaDate> = Field::at(80);
    const TIME_ZONE: Field<Self, i8> = Field::at(85);
    const OS_ID: Field<Self, u8> = Field::at(86);
    const OS_VERSION: Field<Self, u8> = Field::at(87);
    const STRING_TYPE: Field<Self, u8> = Field::at(88);
    const CATALOG_VERSION: Field<Self, u8> = Field::at(90);
}

impl Kind for SetEntry {
    const NAME: &'static str = "set map entry";
    const FIXED: usize = Self::STRINGS;
}

/// An entry for the volume of a set; its strings are those of the VOLB block.
struct VolumeEntry;

impl VolumeEntry {
    const STRINGS: usize = 62;
    const SIZE: Field<Self, u16> = Field::at(0);
    const TYPE: Field<Self, [u8; 4]> = Field::at(2);
    const MEDIA_SEQUENCE: Field<Self, u16> = Field::at(6);
    const FORMAT_LOGICAL_ADDRESS: Field<Self, u64> = Field::at(12);
    const OS_ID: Field<Self, u8> = Field::at(32);
    const OS_VERSION: Field<Self, u8> = Field::at(33);
    const STRING_TYPE: Field<Self, u8> = Field::at(34);
    const VOLUME_ATTRIBUTES: Field<Self, u32> = Field::at(36);
    const DEVICE: Field<Self, TextRef> = Field::at(40);
    const VOLUME: Field<Self, TextRef> = Field::at(44);
    const MACHINE: Field<Self, TextRef> = Field::at(48);
    const DATE: Field<Self, crate::date::MediaDate> = Field::at(56);
}

impl Kind for VolumeEntry {
    const NAME: &'static str = "set map entry of a volume";
    const FIXED: usize = Self::STRINGS;
}

impl Record<SetMap> {
    /// The map of a media with one set, whose SSET block stands at byte `set_address`.
    pub(crate) fn of(
        tape: &Record<Tape>,
        set: &Record<Sset>,
        set_address: u64,
        volume: &Record<Volb>,
        backup_size: u64,
    ) -> Self {
        let mut bytes = vec![0; SetMap::HEADER];
        SetMap::FAMILY_ID.write(&mut bytes, tape.get(Tape::FAMILY_ID));
        SetMap::ENTRY_COUNT.write(&mut bytes, 1);
        bytes.extend(set_entry(set, set_address, backup_size));
        bytes.extend(volume_entry(volume));
        let fits = Self::parse(bytes);
        fits.expect("the map is longer than its header and has no references of its own")
    }
}

fn set_entry(set: &Record<Sset>, set_address: u64, backup_size: u64) -> Vec<u8> {
    let mut entry = Record::<SetEntry>::zeroed(SetEntry::STRINGS);
    entry
        .set(SetEntry::MEDIA_SEQUENCE, 1)
        .set(SetEntry::SET_ATTRIBUTES, set.get(Sset::ATTRIBUTES))
        .set(SetEntry::SET_ADDRESS, set_address)
        .set(SetEntry::DATA_SET_NUMBER, set.get(Sset::DATA_SET_NUMBER))
        .set(SetEntry::BACKUP_SIZE, backup_size)
        .set(SetEntry::VOLUME_COUNT, 1)
        .set(SetEntry::DATE, set.get(Sset::DATE))
        .set(SetEntry::TIME_ZONE, set.get(Sset::TIME_ZONE))
        .set(SetEntry::OS_ID, set.header(BlockHeader::OS_ID))
        .set(SetEntry::OS_VERSION, set.header(BlockHeader::OS_VERSION))
        .set(SetEntry::STRING_TYPE, BlockHeader::UTF16)
        .set(SetEntry::CATALOG_VERSION, set.get(Sset::CATALOG_VERSION));
    for (to, from) in [
        (SetEntry::NAME, Sset::NAME),
        (SetEntry::DESCRIPTION, Sset::DESCRIPTION),
        (SetEntry::USER, Sset::USER),
    ] {
        let fits = entry.append_bytes(to, set.referenced(from));
        fits.expect("the entry is shorter than the SSET block that the strings fit");
    }
    let size = entry.bytes().len() as u16;
    entry.set(SetEntry::SIZE, size);
    entry.bytes().to_vec()
}

fn volume_entry(volume: &Record<Volb>) -> Vec<u8> {
    let mut entry = Record::<VolumeEntry>::zeroed(VolumeEntry::STRINGS);
    entry
        .set(VolumeEntry::TYPE, block_type::VOLB.0)
        .set(VolumeEntry::MEDIA_SEQUENCE, 1)
        .set(VolumeEntry::FORMAT_LOGICAL_ADDRESS, 1)
        .set(VolumeEntry::OS_ID, volume.header(BlockHeader::OS_ID))
        .set(VolumeEntry::OS_VERSION, volume.header(BlockHeader::OS_VERSION))
        .set(VolumeEntry::STRING_TYPE, BlockHeader::UTF16)
        .set(VolumeEntry::VOLUME_ATTRIBUTES, volume.get(Volb::ATTRIBUTES))
        .set(VolumeEntry::DATE, volume.get(Volb::DATE));
    for (to, from) in [
        (VolumeEntry::DEVICE, Volb::DEVICE),
        (VolumeEntry::VOLUME, Volb::VOLUME),
        (VolumeEntry::MACHINE, Volb::MACHINE),
    ] {
        let fits = entry.append_bytes(to, volume.referenced(from));
        fits.expect("the entry is shorter than the VOLB block that the strings fit");
    }
    let size = entry.bytes().len() as u16;
    entry.set(VolumeEntry::SIZE, size);
    entry.bytes().to_vec()
}
