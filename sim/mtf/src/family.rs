//! The families of a media set, taken together.

use uuid::Uuid;

use crate::block::{Sset, Tape};
use crate::record::Record;
use crate::set_map::Raid;

/// What identifies one family of a backup: the stream of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Random number of the family.
    pub id: u32,
    /// Media set that it belongs to.
    pub media_set: Uuid,
    /// Its number in the media set, from 1.
    pub number: u16,
    /// Families of the media set.
    pub count: u16,
    /// Backup set that it holds a part of.
    pub backup_set: Uuid,
}

impl Family {
    /// The family that these records of a stream describe.
    pub fn of(tape: &Record<Tape>, raid: &Record<Raid>, set: &Record<Sset>) -> Self {
        Self {
            id: tape.get(Tape::FAMILY_ID),
            media_set: raid.get(Raid::MEDIA_SET),
            number: raid.get(Raid::FAMILY),
            count: raid.get(Raid::FAMILY_COUNT),
            backup_set: set.get(Sset::BACKUP_SET),
        }
    }
}
