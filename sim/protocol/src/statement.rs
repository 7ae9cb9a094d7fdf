//! The limits that BACKUP and RESTORE put on a statement's device options, with the message that
//! SQL Server answers a value beyond them.
//!
//! Source: VDI, "Glossary" and "Configuration" (limits); SQL Server's documentation of BACKUP and
//! of its messages (texts). That 3253 belongs to a block size that is no power of two is plain
//! from its text; for the other mistakes the message is chosen by its wording.

use crate::config::{
    MAX_BLOCK_SIZE, MAX_DEVICES, MAX_TRANSFER_SIZE, MIN_BLOCK_SIZE, TRANSFER_UNIT,
};

/// A value that a statement cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum StatementError {
    /// A value outside the range of its option.
    #[error("{option} is {value}, but it must lie from {min} to {max}; change the statement.")]
    OutOfRange {
        /// BLOCKSIZE, BUFFERCOUNT or MAXTRANSFERSIZE.
        option: &'static str,
        /// What the statement says.
        value: i64,
        /// The smallest legal value.
        min: u32,
        /// The largest legal value.
        max: u32,
    },
    /// A block size between the limits that is no power of two.
    #[error(
        "BLOCKSIZE is {value}, but it must be a power of two from 512 to 65536; change the statement."
    )]
    NotPowerOfTwo {
        /// What the statement says.
        value: i64,
    },
    /// A transfer size between the limits that is no multiple of 64 KiB.
    #[error("{option} is {value}, but it must be a multiple of {unit}; change the statement.")]
    NotMultiple {
        /// MAXTRANSFERSIZE.
        option: &'static str,
        /// What the statement says.
        value: i64,
        /// What it must be a multiple of.
        unit: u32,
    },
    /// No device at all.
    #[error("the statement names no device; add VIRTUAL_DEVICE='name'.")]
    NoDevice,
    /// More devices than a set can have.
    #[error("the statement names {value} devices, but a set has at most {max}; name fewer.")]
    TooManyDevices {
        /// How many the statement names.
        value: usize,
        /// How many there may be.
        max: u32,
    },
}

impl StatementError {
    /// The number of SQL Server's message.
    pub const fn number(&self) -> u32 {
        match self {
            Self::OutOfRange { .. } => 3250,
            Self::NotPowerOfTwo { .. } => 3253,
            Self::NotMultiple { .. } => 3217,
            Self::NoDevice => 3207,
            Self::TooManyDevices { .. } => 3205,
        }
    }

    /// SQL Server's message, filled in.
    pub fn message(&self) -> String {
        match *self {
            Self::OutOfRange { option, value, .. } => {
                format!("The value '{value}' is not within range for the {option} parameter.")
            }
            Self::NotPowerOfTwo { .. } => {
                "The block size parameter must supply a value that is a power of 2.".to_owned()
            }
            Self::NotMultiple { option, .. } => {
                format!("Invalid value specified for {option} parameter.")
            }
            Self::NoDevice => "Backup or restore requires at least one backup device. Rerun your \
                               statement specifying a backup device."
                .to_owned(),
            Self::TooManyDevices { max, .. } => format!(
                "Too many backup devices specified for backup or restore; only {max} are allowed."
            ),
        }
    }
}

fn in_range(option: &'static str, value: i64, min: u32, max: u32) -> Result<u32, StatementError> {
    u32::try_from(value)
        .ok()
        .filter(|value| (min..=max).contains(value))
        .ok_or(StatementError::OutOfRange { option, value, min, max })
}

/// Checks BLOCKSIZE, in bytes: a power of two from 512 to 64 KiB.
pub fn check_block_size(value: i64) -> Result<u32, StatementError> {
    let size = in_range("BLOCKSIZE", value, MIN_BLOCK_SIZE, MAX_BLOCK_SIZE)?;
    if size.is_power_of_two() { Ok(size) } else { Err(StatementError::NotPowerOfTwo { value }) }
}

/// Checks MAXTRANSFERSIZE, in bytes: a multiple of 64 KiB up to 4 MiB.
pub fn check_max_transfer_size(value: i64) -> Result<u32, StatementError> {
    let option = "MAXTRANSFERSIZE";
    let size = in_range(option, value, TRANSFER_UNIT, MAX_TRANSFER_SIZE)?;
    if size.is_multiple_of(TRANSFER_UNIT) {
        Ok(size)
    } else {
        Err(StatementError::NotMultiple { option, value, unit: TRANSFER_UNIT })
    }
}

/// Checks BUFFERCOUNT: at least one. What memory allows is found out when the buffers are made.
pub fn check_buffer_count(value: i64) -> Result<u32, StatementError> {
    in_range("BUFFERCOUNT", value, 1, i32::MAX.unsigned_abs())
}

/// Checks the number of VIRTUAL_DEVICE clauses: 1 to 64.
pub fn check_device_count(value: usize) -> Result<u32, StatementError> {
    match u32::try_from(value) {
        Ok(0) => Err(StatementError::NoDevice),
        Ok(count) if count <= MAX_DEVICES => Ok(count),
        _ => Err(StatementError::TooManyDevices { value, max: MAX_DEVICES }),
    }
}
