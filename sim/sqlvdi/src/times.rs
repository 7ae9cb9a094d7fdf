//! When a client took and completed its commands: what the drop-in appends to the file that
//! `VDISIM_TIMES` names, a record of [`CommandTimes::BYTES`] bytes for each completed command.
//!
//! The drop-in gathers records in memory and appends whole ones, so that the processes of a client
//! can share a file and a command costs two looks at the clock more and no system call. What it has
//! gathered of a device is written when GetCommand says that the device ended.

/// The environment variable with the file's path.
pub const VARIABLE: &str = "VDISIM_TIMES";

/// One completed command. Times are nanoseconds since a moment of the process that took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandTimes {
    /// The process's id.
    pub process: u32,
    /// Which device of the process.
    pub device: u32,
    /// The command's code.
    pub code: u32,
    /// GetCommand was called that returned it.
    pub asked: u64,
    /// GetCommand returned it.
    pub given: u64,
    /// CompleteCommand was called.
    pub answered: u64,
    /// CompleteCommand returned.
    pub taken: u64,
}

impl CommandTimes {
    /// The size of a record.
    pub const BYTES: usize = 48;

    /// The record: process, device and code, four bytes of nothing, the times; little-endian.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        for (place, word) in [self.process, self.device, self.code].into_iter().enumerate() {
            bytes[place * 4..][..4].copy_from_slice(&word.to_le_bytes());
        }
        let times = [self.asked, self.given, self.answered, self.taken];
        for (place, time) in times.into_iter().enumerate() {
            bytes[16 + place * 8..][..8].copy_from_slice(&time.to_le_bytes());
        }
        bytes
    }

    /// Reads a record.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> CommandTimes {
        let word = |place: usize| {
            let at = place * 4;
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let time =
            |place: usize| u64::from(word(4 + place * 2)) | u64::from(word(5 + place * 2)) << 32;
        CommandTimes {
            process: word(0),
            device: word(1),
            code: word(2),
            asked: time(0),
            given: time(1),
            answered: time(2),
            taken: time(3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: fields that overlap, or that are read from another place than they are written to.
    #[test]
    fn a_record_reads_as_it_was_written() {
        let times = CommandTimes {
            process: 0x0102_0304,
            device: 5,
            code: 0x0607_0809,
            asked: u64::MAX - 1,
            given: 0x0a0b_0c0d_0e0f_1011,
            answered: 18,
            taken: 19 << 40,
        };
        assert_eq!(CommandTimes::from_bytes(&times.to_bytes()), times);
    }
}
