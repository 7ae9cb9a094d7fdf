//! Where a device's stream goes in a RESTORE.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use vdi_region::SharedSlice;

use super::expected::Expected;

/// What a stream's reader wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// One more Read of at most so many bytes.
    Read(u64),
    /// Nothing before an outstanding Read has come back.
    Wait,
    /// No more Reads: the stream is complete for the reader, whether it has ended or not.
    Enough,
}

/// Takes the stream that a RESTORE reads from one device, in order.
pub trait Sink: Send {
    /// What to do while `outstanding` bytes are asked for and not delivered. Not called once the
    /// device has reported the end of data.
    fn ask(&mut self, outstanding: u64) -> Ask;

    /// Takes the next bytes: all of `buffer`.
    fn accept(&mut self, buffer: &SharedSlice<'_>) -> Result<(), SinkError>;

    /// No more bytes come.
    fn finish(&mut self) -> Result<(), SinkError>;

    /// The stream's length in bytes, if it is known; for progress only.
    fn total(&self) -> Option<u64>;
}

/// A stream that was refused.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The file for it could not be written, or what to compare with could not be read.
    #[error("{what}: {error}")]
    Io {
        /// The file, or what was done.
        what: String,
        /// Why.
        error: io::Error,
    },
    /// A byte is another one than expected.
    #[error("byte {offset} is {found:#04x} and should be {expected:#04x}")]
    Differs {
        /// Which byte, from 0.
        offset: u64,
        /// What should have come.
        expected: u8,
        /// What came.
        found: u8,
    },
    /// The stream ended too early.
    #[error("the stream ended after {found} of {expected} bytes")]
    Short {
        /// Bytes that came.
        found: u64,
        /// Bytes that should have come.
        expected: u64,
    },
    /// The stream goes on behind its end.
    #[error("the stream goes on after the {expected} bytes that it should have")]
    Long {
        /// Bytes that should have come.
        expected: u64,
    },
    /// Any other failure, as a sentence without a full stop.
    #[error("{0}")]
    Other(String),
}

/// Bytes copied out of a shared buffer at a time: few enough to stay in the cache.
const CHUNK: usize = 64 * 1024;

/// Hands the bytes of a shared buffer on in private pieces.
fn in_pieces(
    buffer: &SharedSlice<'_>,
    piece: &mut [u8; CHUNK],
    mut take: impl FnMut(&[u8]) -> Result<(), SinkError>,
) -> Result<(), SinkError> {
    for start in (0..buffer.len()).step_by(CHUNK) {
        let piece = &mut piece[..CHUNK.min(buffer.len() - start)];
        buffer.copy_to(start, piece).map_err(|error| SinkError::Other(error.to_string()))?;
        take(piece)?;
    }
    Ok(())
}

/// Reads everything and keeps its length and SHA-256.
#[derive(Debug)]
pub struct DigestSink {
    digest: Sha256,
    bytes: u64,
    piece: Box<[u8; CHUNK]>,
}

impl Default for DigestSink {
    fn default() -> Self {
        DigestSink { digest: Sha256::new(), bytes: 0, piece: Box::new([0; CHUNK]) }
    }
}

impl DigestSink {
    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The SHA-256 of the bytes so far.
    pub fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }
}

impl Sink for DigestSink {
    fn ask(&mut self, _: u64) -> Ask {
        Ask::Read(u64::MAX)
    }

    fn accept(&mut self, buffer: &SharedSlice<'_>) -> Result<(), SinkError> {
        self.bytes += buffer.len() as u64;
        in_pieces(buffer, &mut self.piece, |piece| {
            self.digest.update(piece);
            Ok(())
        })
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn total(&self) -> Option<u64> {
        None
    }
}

/// Compares with bytes that are known, to their end and one Read more.
pub struct CompareSink<E> {
    expected: E,
    at: u64,
    probed: bool,
    piece: Box<[u8; CHUNK]>,
    wanted: Box<[u8; CHUNK]>,
}

impl<E> std::fmt::Debug for CompareSink<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompareSink").field("at", &self.at).finish_non_exhaustive()
    }
}

impl<E: Expected> CompareSink<E> {
    /// Compares with these bytes.
    pub fn new(expected: E) -> Self {
        let piece = || Box::new([0; CHUNK]);
        CompareSink { expected, at: 0, probed: false, piece: piece(), wanted: piece() }
    }

    /// Bytes that were the same so far.
    pub fn bytes(&self) -> u64 {
        self.at
    }
}

impl<E: Expected> Sink for CompareSink<E> {
    fn ask(&mut self, outstanding: u64) -> Ask {
        let len = self.expected.len();
        if self.at + outstanding < len {
            Ask::Read(u64::MAX)
        } else if outstanding > 0 {
            Ask::Wait
        } else if self.probed {
            Ask::Enough
        } else {
            self.probed = true;
            Ask::Read(u64::MAX)
        }
    }

    fn accept(&mut self, buffer: &SharedSlice<'_>) -> Result<(), SinkError> {
        let CompareSink { expected, at, piece, wanted, .. } = self;
        let len = expected.len();
        in_pieces(buffer, piece, |piece| {
            let known = piece.len().min(usize::try_from(len - *at).unwrap_or(usize::MAX));
            let wanted = &mut wanted[..known];
            expected.read_at(*at, wanted).map_err(|error| SinkError::Io {
                what: "reading what to compare with".into(),
                error,
            })?;
            if let Some(i) = (0..known).find(|&i| piece[i] != wanted[i]) {
                let (expected, found) = (wanted[i], piece[i]);
                return Err(SinkError::Differs { offset: *at + i as u64, expected, found });
            }
            *at += known as u64;
            if known < piece.len() { Err(SinkError::Long { expected: len }) } else { Ok(()) }
        })
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        let expected = self.expected.len();
        if self.at < expected { Err(SinkError::Short { found: self.at, expected }) } else { Ok(()) }
    }

    fn total(&self) -> Option<u64> {
        Some(self.expected.len())
    }
}

/// Writes the stream to a file, which is durable when the stream has ended.
#[derive(Debug)]
pub struct FileSink {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl FileSink {
    /// Creates the file, or empties it.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        let file = File::create(path)
            .map_err(|error| SinkError::Io { what: path.display().to_string(), error })?;
        Ok(FileSink { file, path: path.to_owned(), bytes: 0 })
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, error: io::Error) -> SinkError {
        SinkError::Io { what: self.path.display().to_string(), error }
    }
}

impl Sink for FileSink {
    fn ask(&mut self, _: u64) -> Ask {
        Ask::Read(u64::MAX)
    }

    fn accept(&mut self, buffer: &SharedSlice<'_>) -> Result<(), SinkError> {
        let mut done = 0;
        while done < buffer.len() {
            match buffer.write_to(done, buffer.len() - done, &self.file, None) {
                Ok(0) => return Err(self.failed(io::ErrorKind::WriteZero.into())),
                Ok(written) => done += written,
                Err(error) => return Err(self.failed(error)),
            }
        }
        self.bytes += done as u64;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.file.sync_all().map_err(|error| self.failed(error))
    }

    fn total(&self) -> Option<u64> {
        None
    }
}
