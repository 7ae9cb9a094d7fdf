//! What is measured: every combination of four lists.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vdi_protocol::statement::{
    StatementError, check_buffer_count, check_device_count, check_max_transfer_size,
};

pub use crate::conformance::Operation;

/// Bytes of the small buffer that each device has for the head of its stream.
const HEAD: u64 = 4096;
/// What a set's control segment takes at most.
const CONTROL: u64 = 1 << 20;

/// The lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sweep {
    /// Which ways.
    pub operations: Vec<Operation>,
    /// MAXTRANSFERSIZE, in bytes.
    pub max_transfer_sizes: Vec<u32>,
    /// BUFFERCOUNT: buffers of all devices together.
    pub buffer_counts: Vec<u32>,
    /// Devices of the set.
    pub devices: Vec<u32>,
}

impl Default for Sweep {
    fn default() -> Self {
        Sweep {
            operations: vec![Operation::Backup, Operation::Restore],
            max_transfer_sizes: vec![64 << 10, 256 << 10, 1 << 20, 4 << 20],
            buffer_counts: vec![4, 16],
            devices: vec![1, 2, 4],
        }
    }
}

/// One combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// Which way.
    pub operation: Operation,
    /// MAXTRANSFERSIZE, in bytes.
    pub max_transfer_size: u32,
    /// BUFFERCOUNT.
    pub buffer_count: u32,
    /// Devices of the set.
    pub devices: u32,
}

impl Sweep {
    /// Whether SQL Server would take every value; each once, and in order.
    pub fn checked(mut self) -> Result<Sweep, StatementError> {
        for size in &self.max_transfer_sizes {
            check_max_transfer_size(i64::from(*size))?;
        }
        for count in &self.buffer_counts {
            check_buffer_count(i64::from(*count))?;
        }
        for devices in &self.devices {
            check_device_count(*devices as usize)?;
        }
        for list in [&mut self.max_transfer_sizes, &mut self.buffer_counts, &mut self.devices] {
            list.sort_unstable();
            list.dedup();
        }
        self.operations.sort_unstable_by_key(|operation| *operation as u8);
        self.operations.dedup();
        Ok(self)
    }

    /// Every combination.
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &operation in &self.operations {
            for &devices in &self.devices {
                for &max_transfer_size in &self.max_transfer_sizes {
                    for &buffer_count in &self.buffer_counts {
                        cells.push(Cell { operation, max_transfer_size, buffer_count, devices });
                    }
                }
            }
        }
        cells
    }
}

impl Cell {
    /// Bytes of shared memory that its set takes.
    pub fn shared_memory(&self) -> u64 {
        let buffers = u64::from(self.buffer_count) * u64::from(self.max_transfer_size);
        buffers + u64::from(self.devices) * HEAD + CONTROL
    }

    /// Bytes that a run moves if `least` are asked for: buffers are touched for the first time only
    /// once, and that must not be all there is to see.
    pub(crate) fn bytes(&self, least: u64) -> u64 {
        least.max(4 * u64::from(self.buffer_count) * u64::from(self.max_transfer_size))
    }

    /// Its devices' names, as `--client` gets them.
    pub(crate) fn device_names(&self) -> Vec<String> {
        let name = |device| match device {
            0 => "bench".to_owned(),
            device => format!("bench{device}"),
        };
        (0..self.devices).map(name).collect()
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count| if count == 1 { "" } else { "s" };
        write!(
            f,
            "{}, {} × {}, {} device{}",
            self.operation,
            self.buffer_count,
            bytes_text(u64::from(self.max_transfer_size)),
            self.devices,
            plural(self.devices),
        )
    }
}

/// A number of bytes as people write it: 65536, 64K, 1M, 2GiB.
pub fn bytes(given: &str) -> Result<u64, String> {
    let digits = given.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match given[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(format!("'{given}' is no number of bytes; write 65536, 64K, 1M or 2G")),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    number.ok_or_else(|| format!("'{given}' is no number of bytes; write 65536, 64K, 1M or 2G"))
}

/// The same the other way round.
pub fn bytes_text(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = |(shift, _): &&(u32, &str)| bytes > 0 && bytes.is_multiple_of(1 << shift);
    match units.iter().find(whole) {
        Some((shift, unit)) => format!("{} {unit}", bytes >> shift),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: a unit taken for another, an overflow that wraps, and text that is taken for 0.
    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(bytes("65536"), Ok(65536));
        assert_eq!(bytes("64K"), Ok(65536));
        assert_eq!(bytes("1MiB"), Ok(1 << 20));
        assert_eq!(bytes("2g"), Ok(2 << 30));
        for wrong in ["", "K", "1T", "-1", "1.5M", "99999999999G"] {
            assert!(bytes(wrong).unwrap_err().contains("64K"), "{wrong}");
        }
        assert_eq!(bytes_text(65536), "64 KiB");
        assert_eq!(bytes_text(3 << 20), "3 MiB");
        assert_eq!(bytes_text(1000), "1000 B");
    }

    // Catches: a value twice, which would be measured and compared twice; a list out of order.
    #[test]
    fn a_sweep_has_every_combination_once() {
        let sweep = Sweep {
            operations: vec![Operation::Restore, Operation::Backup, Operation::Restore],
            max_transfer_sizes: vec![1 << 20, 64 << 10, 1 << 20],
            buffer_counts: vec![8],
            devices: vec![2, 1],
        };
        let cells = sweep.checked().unwrap().cells();
        assert_eq!(cells.len(), 8);
        assert_eq!(cells[0].to_string(), "backup, 8 × 64 KiB, 1 device");
        assert_eq!(cells[7].to_string(), "restore, 8 × 1 MiB, 2 devices");
    }
}
