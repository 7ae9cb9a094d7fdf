//! Byte streams that are known beforehand: to send them, and to compare with them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// A stream of known bytes that can be read at any place.
pub trait Expected: Send {
    /// Its length in bytes.
    fn len(&self) -> u64;

    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `target` with the bytes from `offset` on; all of them lie within the stream.
    fn read_at(&mut self, offset: u64, target: &mut [u8]) -> io::Result<()>;
}

/// The bytes of a file, with the length it had when it was opened.
#[derive(Debug)]
pub struct ExpectedFile {
    file: File,
    len: u64,
    place: u64,
}

impl ExpectedFile {
    /// Opens the file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(ExpectedFile { file, len, place: 0 })
    }
}

impl Expected for ExpectedFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, target: &mut [u8]) -> io::Result<()> {
        if self.place != offset {
            self.file.seek(SeekFrom::Start(offset))?;
        }
        self.file.read_exact(target)?;
        self.place = offset + target.len() as u64;
        Ok(())
    }
}

/// Bytes that a seed determines: word `i` (little-endian, 8 bytes) is the `i`-th value of a
/// SplitMix64 generator that starts at the mixed seed and device.
#[derive(Clone, Copy, Debug)]
pub struct SeededBytes {
    start: u64,
    len: u64,
}

/// The increment of SplitMix64.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

impl SeededBytes {
    /// The stream of `len` bytes of a device.
    pub fn new(seed: u64, device: u32, len: u64) -> Self {
        SeededBytes { start: mix(seed ^ mix(u64::from(device).wrapping_add(GAMMA))), len }
    }

    fn word(&self, index: u64) -> [u8; 8] {
        mix(self.start.wrapping_add(index.wrapping_mul(GAMMA))).to_le_bytes()
    }
}

/// The output function of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Expected for SeededBytes {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, target: &mut [u8]) -> io::Result<()> {
        let skip = (offset % 8) as usize;
        let (head, rest) = target.split_at_mut(target.len().min((8 - skip) % 8));
        let mut index = offset / 8;
        if !head.is_empty() {
            head.copy_from_slice(&self.word(index)[skip..skip + head.len()]);
            index += 1;
        }
        let mut words = rest.chunks_exact_mut(8);
        for word in &mut words {
            word.copy_from_slice(&self.word(index));
            index += 1;
        }
        let tail = words.into_remainder();
        tail.copy_from_slice(&self.word(index)[..tail.len()]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: a stream that depends on how it is cut into transfers.
    #[test]
    fn seeded_bytes_do_not_depend_on_the_cuts() {
        let mut bytes = SeededBytes::new(7, 0, 1000);
        let mut whole = vec![0; 1000];
        bytes.read_at(0, &mut whole).unwrap();
        for (from, to) in [(0, 3), (3, 4), (5, 21), (8, 16), (9, 990), (999, 1000)] {
            let mut part = vec![0; to - from];
            bytes.read_at(from as u64, &mut part).unwrap();
            assert_eq!(part, whole[from..to], "{from}..{to}");
        }
    }

    // Catches: leaving the seed or the device out of the stream.
    #[test]
    fn seed_and_device_make_another_stream() {
        let first = |seed, device| {
            let mut word = [0; 8];
            SeededBytes::new(seed, device, 8).read_at(0, &mut word).unwrap();
            word
        };
        assert_ne!(first(1, 0), first(2, 0));
        assert_ne!(first(1, 0), first(1, 1));
        assert_eq!(first(1, 1), first(1, 1));
    }
}
