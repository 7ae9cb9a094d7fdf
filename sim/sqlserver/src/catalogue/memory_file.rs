//! A file of pages in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use mtf::EXTENT_SIZE;

/// Extents that were written, by number.
type Extents = BTreeMap<u64, Box<[u8; EXTENT_SIZE]>>;

/// A file that a server without a data folder keeps. Copies of this are one file, which is gone with
/// the last of them; what was never written reads as zeros.
#[derive(Clone, Default)]
pub struct MemoryFile(Arc<RwLock<Extents>>);

impl MemoryFile {
    pub(super) fn read(&self, bytes: &mut [u8], at: u64) {
        let extents = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for (number, place, range) in parts(bytes.len(), at) {
            let part = &mut bytes[range];
            match extents.get(&number) {
                Some(extent) => part.copy_from_slice(&extent[place..place + part.len()]),
                None => part.fill(0),
            }
        }
    }

    pub(super) fn write(&self, bytes: &[u8], at: u64) {
        let mut extents = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (number, place, range) in parts(bytes.len(), at) {
            let part = &bytes[range];
            let extent = extents.entry(number).or_insert_with(|| Box::new([0; EXTENT_SIZE]));
            extent[place..place + part.len()].copy_from_slice(part);
        }
    }
}

/// Which extents `len` bytes at `at` lie in: number, place in the extent, range of the bytes.
fn parts(len: usize, at: u64) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let from = at + done as u64;
        let place = (from % EXTENT_SIZE as u64) as usize;
        let end = len.min(done + EXTENT_SIZE - place);
        let range = done..end;
        done = end;
        Some((from / EXTENT_SIZE as u64, place, range))
    })
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryFile")
    }
}

/// Two are equal if they are one file.
impl PartialEq for MemoryFile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for MemoryFile {}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: bytes at the wrong side of an extent's end, remains of another write.
    #[test]
    fn what_was_written_is_read_across_extents() {
        let file = MemoryFile::default();
        let bytes: Vec<u8> = (0..2 * EXTENT_SIZE + 10).map(|n| (n % 251) as u8 + 1).collect();
        let at = EXTENT_SIZE as u64 - 5;
        file.write(&bytes, at);
        let mut read = vec![9; bytes.len() + 20];
        file.clone().read(&mut read, at - 10);
        assert_eq!(read[..10], [0; 10]);
        assert!(read[10..10 + bytes.len()] == bytes);
        assert_eq!(read[10 + bytes.len()..], [0; 10]);
    }
}
