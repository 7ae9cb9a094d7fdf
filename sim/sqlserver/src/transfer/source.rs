//! Where a device's stream comes from in a BACKUP.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use vdi_region::SharedSlice;

use super::expected::{Expected, SeededBytes};

/// What a stream wants to happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// At least one byte and at most so many are ready for one Write; the engine may take fewer.
    Data(u64),
    /// A filemark, on devices that have them; elsewhere nothing.
    FileMark,
    /// What was sent so far must be durable before anything else is sent.
    Flush,
    /// The client is to get ready for the freeze of the database, if it has asked to be told.
    PrepareToFreeze,
    /// The stream has ended.
    End,
}

/// A stream that a BACKUP sends to one device.
///
/// The engine asks for a step and carries it out; after [`Step::Data`] it calls
/// [`Source::fill`] once with a part of a shared buffer, so that a byte is stored once.
pub trait Source: Send {
    /// What comes next.
    fn step(&mut self) -> Result<Step, SourceError>;

    /// Puts the next bytes into all of `buffer`, which is no longer than the last
    /// [`Step::Data`] allowed.
    fn fill(&mut self, buffer: &SharedSlice<'_>) -> Result<(), SourceError>;

    /// The stream's length in bytes, if it is known; for progress only.
    fn total(&self) -> Option<u64>;
}

/// A stream that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The operating system refused.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is no whole number of blocks.
    #[error(
        "{} has {len} bytes, which is no multiple of the block size {block_size}; give the block \
         size it was written with, or say that its bytes are raw",
        .path.display()
    )]
    Blocks {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        len: u64,
        /// The block size.
        block_size: u32,
    },
    /// The file became shorter while it was sent.
    #[error("{} ended at byte {at}, though it had {len} bytes at first", .path.display())]
    Shrunk {
        /// The file.
        path: PathBuf,
        /// Where it ended.
        at: u64,
        /// Its bytes when it was opened.
        len: u64,
    },
    /// Any other failure, as a sentence without a full stop.
    #[error("{0}")]
    Other(String),
}

/// The steps of a stream of known length: its bytes, one filemark behind them, the end.
#[derive(Debug)]
struct Course {
    at: u64,
    len: u64,
    marked: bool,
}

impl Course {
    fn new(len: u64) -> Self {
        Course { at: 0, len, marked: false }
    }

    fn step(&mut self) -> Step {
        if self.at < self.len {
            Step::Data(self.len - self.at)
        } else if std::mem::replace(&mut self.marked, true) {
            Step::End
        } else {
            Step::FileMark
        }
    }
}

/// Exactly the bytes of a file.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    path: PathBuf,
    course: Course,
}

impl FileSource {
    /// Any file.
    pub fn raw(path: &Path) -> Result<Self, SourceError> {
        let failed = |error| SourceError::Io { path: path.to_owned(), error };
        let file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        Ok(FileSource { file, path: path.to_owned(), course: Course::new(len) })
    }

    /// A file of whole blocks, as every backup is.
    pub fn blocks(path: &Path, block_size: u32) -> Result<Self, SourceError> {
        let source = Self::raw(path)?;
        let len = source.course.len;
        if len.is_multiple_of(u64::from(block_size)) {
            Ok(source)
        } else {
            Err(SourceError::Blocks { path: source.path, len, block_size })
        }
    }
}

impl Source for FileSource {
    fn step(&mut self) -> Result<Step, SourceError> {
        Ok(self.course.step())
    }

    fn fill(&mut self, buffer: &SharedSlice<'_>) -> Result<(), SourceError> {
        let mut done = 0;
        while done < buffer.len() {
            let offset = self.course.at + done as u64;
            match buffer.read_from(done, buffer.len() - done, &self.file, Some(offset)) {
                Ok(0) => {
                    let (path, len) = (self.path.clone(), self.course.len);
                    return Err(SourceError::Shrunk { path, at: offset, len });
                }
                Ok(read) => done += read,
                Err(error) => return Err(SourceError::Io { path: self.path.clone(), error }),
            }
        }
        self.course.at += done as u64;
        Ok(())
    }

    fn total(&self) -> Option<u64> {
        Some(self.course.len)
    }
}

/// Bytes made on the spot from a seed.
#[derive(Debug)]
pub struct SeededSource {
    bytes: SeededBytes,
    course: Course,
    chunk: Box<[u8; SeededSource::CHUNK]>,
}

impl SeededSource {
    /// Bytes made at a time: few enough to stay in the cache on their way to the buffer.
    const CHUNK: usize = 64 * 1024;

    /// A source of these bytes.
    pub fn new(bytes: SeededBytes) -> Self {
        SeededSource { course: Course::new(bytes.len()), bytes, chunk: Box::new([0; Self::CHUNK]) }
    }
}

impl Source for SeededSource {
    fn step(&mut self) -> Result<Step, SourceError> {
        Ok(self.course.step())
    }

    fn fill(&mut self, buffer: &SharedSlice<'_>) -> Result<(), SourceError> {
        let other = |error: &dyn std::fmt::Display| SourceError::Other(error.to_string());
        for start in (0..buffer.len()).step_by(Self::CHUNK) {
            let chunk = &mut self.chunk[..Self::CHUNK.min(buffer.len() - start)];
            self.bytes.read_at(self.course.at, chunk).map_err(|error| other(&error))?;
            buffer.copy_from(start, chunk).map_err(|error| other(&error))?;
            self.course.at += chunk.len() as u64;
        }
        Ok(())
    }

    fn total(&self) -> Option<u64> {
        Some(self.course.len)
    }
}
