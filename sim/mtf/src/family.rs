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

/// Families that cannot be restored together. Devices are counted from 0 in the order given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FamilyError {
    /// Families are missing.
    #[error(
        "the media set has {expected} media families but only {given} are provided; give one \
         device for each family"
    )]
    Missing {
        /// Families of the media set.
        expected: u16,
        /// Devices given.
        given: usize,
    },
    /// There are more devices than families.
    #[error(
        "the media has {expected} media families, but {given} devices are given; give one device \
         for each family"
    )]
    TooMany {
        /// Families of the media set.
        expected: u16,
        /// Devices given.
        given: usize,
    },
    /// Two devices hold the same family.
    #[error(
        "devices {device} and {other} both hold media family {number}; give one device for each \
         family"
    )]
    Twice {
        /// Number of the family.
        number: u16,
        /// The device.
        device: usize,
        /// The device before it with the same family.
        other: usize,
    },
    /// A device holds a family of another media set.
    #[error(
        "device {device} belongs to media set {found} and not to {expected}; give devices of one \
         backup"
    )]
    OtherMediaSet {
        /// The device.
        device: usize,
        /// Its media set.
        found: Uuid,
        /// Media set of the first device.
        expected: Uuid,
    },
    /// A device holds a part of another backup set.
    #[error(
        "device {device} holds backup set {found} and not {expected}; it was overwritten by a \
         later backup, or not by this one"
    )]
    OtherBackupSet {
        /// The device.
        device: usize,
        /// Its backup set.
        found: Uuid,
        /// Backup set of the first device.
        expected: Uuid,
    },
}

impl FamilyError {
    /// Number of SQL Server's message for this.
    pub fn sql_message(&self) -> u32 {
        match self {
            Self::Missing { .. } => 3132,
            Self::Twice { .. } => 3227,
            Self::TooMany { .. } => 3231,
            Self::OtherBackupSet { .. } => 3232,
            Self::OtherMediaSet { .. } => 3258,
        }
    }
}

/// Checks that the families, one a device, are one whole backup. Their order does not matter.
///
/// # Errors
///
/// The first reason against it.
pub fn check_families(families: &[Family]) -> Result<(), FamilyError> {
    let Some(first) = families.first() else {
        return Err(FamilyError::Missing { expected: 1, given: 0 });
    };
    for (device, family) in families.iter().enumerate() {
        if family.media_set != first.media_set {
            let (found, expected) = (family.media_set, first.media_set);
            return Err(FamilyError::OtherMediaSet { device, found, expected });
        }
        if family.backup_set != first.backup_set {
            let (found, expected) = (family.backup_set, first.backup_set);
            return Err(FamilyError::OtherBackupSet { device, found, expected });
        }
        let earlier = families[..device].iter();
        if let Some(other) = earlier.into_iter().position(|one| one.number == family.number) {
            return Err(FamilyError::Twice { number: family.number, device, other });
        }
    }
    let (expected, given) = (first.count, families.len());
    match given.cmp(&expected.into()) {
        std::cmp::Ordering::Less => Err(FamilyError::Missing { expected, given }),
        std::cmp::Ordering::Greater => Err(FamilyError::TooMany { expected, given }),
        std::cmp::Ordering::Equal => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn family(set: u128, backup: u128, number: u16, count: u16) -> Family {
        let (media_set, backup_set) = (Uuid::from_u128(set), Uuid::from_u128(backup));
        Family { id: number.into(), media_set, number, count, backup_set }
    }

    #[rstest]
    #[case::whole(&[family(1, 2, 1, 2), family(1, 2, 2, 2)], None)]
    #[case::swapped(&[family(1, 2, 2, 2), family(1, 2, 1, 2)], None)]
    #[case::none(&[], Some(3132))]
    #[case::one_missing(&[family(1, 2, 2, 2)], Some(3132))]
    #[case::twice(&[family(1, 2, 2, 2), family(1, 2, 2, 2)], Some(3227))]
    #[case::one_too_many(&[family(1, 2, 1, 1), family(1, 2, 2, 1)], Some(3231))]
    #[case::overwritten(&[family(1, 2, 1, 2), family(1, 3, 2, 2)], Some(3232))]
    #[case::of_two_sets(&[family(1, 2, 1, 2), family(4, 2, 2, 2)], Some(3258))]
    fn families_that_do_not_belong_together_get_the_servers_message(
        #[case] families: &[Family],
        #[case] message: Option<u32>,
    ) {
        assert_eq!(check_families(families).err().map(|error| error.sql_message()), message);
    }
}
