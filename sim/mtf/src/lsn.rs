//! Log sequence numbers.

use std::fmt;

use serde::{Serialize, Serializer};

/// A position in a database's transaction log. Ordered as the log is.
///
/// Printed, and serialized, as the decimal number that `RESTORE HEADERONLY` shows: the three parts
/// with 10 digits for the block and 5 for the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn {
    /// Sequence number of the virtual log file.
    pub vlf: u32,
    /// Log block: its offset from the start of the virtual log file, in units of 512 bytes.
    pub block: u32,
    /// Record in the block.
    pub slot: u16,
}

impl Lsn {
    /// The number that SQL Server's `numeric(25,0)` columns hold.
    pub fn to_decimal(self) -> u128 {
        (u128::from(self.vlf) * 10_000_000_000 + u128::from(self.block)) * 100_000
            + u128::from(self.slot)
    }

    /// The reverse of [`Self::to_decimal`]; none for a number that no LSN has.
    pub fn from_decimal(number: u128) -> Option<Self> {
        Some(Self {
            vlf: u32::try_from(number / 1_000_000_000_000_000).ok()?,
            block: u32::try_from(number / 100_000 % 10_000_000_000).ok()?,
            slot: u16::try_from(number % 100_000).ok()?,
        })
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_decimal())
    }
}

impl Serialize for Lsn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_form_is_that_of_headeronly() {
        let lsn = Lsn { vlf: 37, block: 3288, slot: 178 };
        assert_eq!(lsn.to_string(), "37000000328800178");
        assert_eq!(Lsn::from_decimal(37_000_000_328_800_178), Some(lsn));
        assert_eq!(Lsn::default().to_string(), "0");
        assert_eq!(Lsn::from_decimal(70_000), None, "a slot has 16 bits");
    }
}
