//! The bytes that are moved: a pattern in memory, over and over, and how the server half sends and
//! receives it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use fake_sqlserver::transfer::{Ask, Sink, SinkError, Source, SourceError, Step};
use vdi_region::SharedSlice;

/// Bytes taken out of a shared buffer at a time: few enough to stay in the cache.
const PIECE: usize = 64 << 10;

/// Bytes that repeat: more than the caches hold, and of no pattern that anything could compress.
#[derive(Debug)]
pub(crate) struct Pattern {
    bytes: Vec<u8>,
}

impl Pattern {
    /// Its length.
    pub(crate) const LEN: usize = 64 << 20;

    pub(crate) fn new() -> Pattern {
        let mut bytes = vec![0; Self::LEN];
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for word in bytes.as_chunks_mut::<8>().0 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *word = state.to_le_bytes();
        }
        Pattern { bytes }
    }

    /// Writes it once to a file.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        File::create(path)?.write_all(&self.bytes)
    }

    /// The bytes from `at` of the endless stream on.
    pub(crate) fn copy_to(&self, at: u64, target: &mut [u8]) {
        let mut done = 0;
        while done < target.len() {
            let piece = self.piece(at + done as u64, target.len() - done);
            target[done..done + piece.len()].copy_from_slice(piece);
            done += piece.len();
        }
    }

    /// At most `most` bytes that lie together.
    fn piece(&self, at: u64, most: usize) -> &[u8] {
        let from = (at % Self::LEN as u64) as usize;
        &self.bytes[from..Self::LEN.min(from.saturating_add(most))]
    }

    /// The sum of the 64-bit words of the first `len` bytes.
    pub(crate) fn sum(&self, len: u64) -> u64 {
        let whole = sum(&self.bytes).wrapping_mul(len / Self::LEN as u64);
        whole.wrapping_add(sum(&self.bytes[..(len % Self::LEN as u64) as usize]))
    }
}

/// The wrapping sum of 64-bit words.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.as_chunks::<8>().0.iter();
    words.fold(0, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)))
}

/// Sends the first bytes of the pattern.
#[derive(Debug)]
pub(crate) struct PatternSource<'p> {
    pattern: &'p Pattern,
    at: u64,
    len: u64,
    marked: bool,
}

impl<'p> PatternSource<'p> {
    pub(crate) fn new(pattern: &'p Pattern, len: u64) -> Self {
        PatternSource { pattern, at: 0, len, marked: false }
    }
}

impl Source for PatternSource<'_> {
    fn step(&mut self) -> Result<Step, SourceError> {
        Ok(if self.at < self.len {
            Step::Data(self.len - self.at)
        } else if std::mem::replace(&mut self.marked, true) {
            Step::End
        } else {
            Step::FileMark
        })
    }

    fn fill(&mut self, buffer: &SharedSlice<'_>) -> Result<(), SourceError> {
        let mut done = 0;
        while done < buffer.len() {
            let piece = self.pattern.piece(self.at, buffer.len() - done);
            let copied = buffer.copy_from(done, piece);
            copied.map_err(|error| SourceError::Other(error.to_string()))?;
            done += piece.len();
            self.at += piece.len() as u64;
        }
        Ok(())
    }

    fn total(&self) -> Option<u64> {
        Some(self.len)
    }
}

/// Reads every byte, and expects the first bytes of the pattern.
#[derive(Debug)]
pub(crate) struct PatternSink {
    left: u64,
    sum: u64,
    expected: u64,
    piece: Vec<u8>,
}

impl PatternSink {
    pub(crate) fn new(pattern: &Pattern, len: u64) -> Self {
        PatternSink { left: len, sum: 0, expected: pattern.sum(len), piece: vec![0; PIECE] }
    }
}

impl Sink for PatternSink {
    fn ask(&mut self, outstanding: u64) -> Ask {
        match self.left.saturating_sub(outstanding) {
            0 if outstanding > 0 => Ask::Wait,
            0 => Ask::Enough,
            more => Ask::Read(more),
        }
    }

    fn accept(&mut self, buffer: &SharedSlice<'_>) -> Result<(), SinkError> {
        for start in (0..buffer.len()).step_by(PIECE) {
            let piece = &mut self.piece[..PIECE.min(buffer.len() - start)];
            buffer.copy_to(start, piece).map_err(|error| SinkError::Other(error.to_string()))?;
            self.sum = self.sum.wrapping_add(sum(piece));
        }
        self.left = self.left.saturating_sub(buffer.len() as u64);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        if self.left > 0 {
            return Err(SinkError::Other(format!(
                "the client's stream ended {} bytes before the end of what it was sent",
                self.left
            )));
        }
        if self.sum != self.expected {
            return Err(SinkError::Other(
                "the client returned other bytes than it was sent".to_owned(),
            ));
        }
        Ok(())
    }

    fn total(&self) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: a seam where the pattern begins again, and a sum of other bytes than are sent.
    #[test]
    fn the_stream_goes_round() {
        let pattern = Pattern::new();
        let len = Pattern::LEN as u64 + 4096;
        let mut all = vec![0; len as usize];
        pattern.copy_to(0, &mut all);
        assert_eq!(sum(&all), pattern.sum(len));
        assert_eq!(all[..4096], all[Pattern::LEN..]);
        assert_ne!(all[..4096], all[4096..8192]);
        let mut part = vec![0; 8192];
        pattern.copy_to(len - 8192, &mut part);
        assert_eq!(part, all[len as usize - 8192..]);
    }
}
