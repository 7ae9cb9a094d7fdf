//! The log of a database as bytes: on their way out of a restore, and into a backup.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use mtf::{Lsn, VirtualLogFile};

use super::database::{BackupFacts, Content, Database, FileKind};
use super::kept_log::{KeptLog, KeptPart, LOG_LIMIT, NotKept, is_whole, join};
use super::log::Log;
use super::log_blocks::{BLOCK, encode_log};
use super::storage::{PageFile, StorageError};
use super::store::remove_stored;

/// Bytes of kept log that are read at once at most.
const PIECE: u64 = 65536;

/// Takes the log of a real server in that a backup set brings.
#[derive(Debug)]
pub struct LogKeeper {
    /// The log that this one goes on, in the same file; none if it starts anew.
    before: Option<KeptLog>,
    content: Content,
    /// Opened with the first bytes: most sets bring none.
    file: Mutex<Option<PageFile>>,
    /// Where the next part goes.
    next: AtomicU64,
}

impl LogKeeper {
    /// For the set with these facts, behind what the database has kept so far; new files are `placed`.
    pub fn new(before: Option<&KeptLog>, set: &BackupFacts, placed: Content) -> LogKeeper {
        let before = before.filter(|before| before.is_continued_by(set)).cloned();
        let content = before.as_ref().map_or(placed, |before| before.content.clone());
        let next = before.as_ref().map_or(0, |before| before.size);
        LogKeeper { before, content, file: Mutex::default(), next: next.into() }
    }

    /// Says where `bytes` of log have their place.
    pub fn reserve(&self, bytes: u64) -> u64 {
        // A stream may claim any sizes; no file reaches so far.
        let end = |at: u64| Some(at.saturating_add(bytes).min(i64::MAX as u64));
        let moved = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, end);
        moved.unwrap_or_else(|at| at)
    }

    /// Writes log to its place.
    ///
    /// # Errors
    ///
    /// The file that could not be written.
    pub fn write(&self, bytes: &[u8], at: u64) -> Result<(), StorageError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.is_none() {
            if let (None, Content::Stored(path)) = (&self.before, &self.content) {
                PageFile::create(path, 0)?;
            }
            let size = self.before.as_ref().map_or(0, |before| before.size);
            *file = PageFile::open_whole(&self.content, size)?;
        }
        file.as_ref().map_or(Ok(()), |file| file.write(bytes, at))
    }

    /// The log that the database keeps from now on, safe on its disk: `parts` of the set with these
    /// facts, behind what they go on. The inner error says why it cannot be kept.
    ///
    /// # Errors
    ///
    /// The file that could not be written.
    pub fn finish(
        &self,
        set: &BackupFacts,
        mut parts: Vec<KeptPart>,
    ) -> Result<Result<KeptLog, NotKept>, StorageError> {
        parts.sort_by_key(|part| part.vlf);
        // Behind the fork all of it is on the present path.
        if set.first_fork != set.fork && set.fork_point > set.first {
            return Ok(Err(NotKept::Fork));
        }
        if !is_whole(&parts, set.first, set.last) {
            return Ok(Err(NotKept::Gap));
        }
        if let Some(file) = self.file.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            file.sync()?;
        }
        let before = self.before.clone();
        let start = before.as_ref().map_or(set.first, |before| before.start);
        let earlier = before.map(|before| before.parts).unwrap_or_default();
        Ok(Ok(KeptLog {
            start,
            end: set.last,
            fork: set.fork,
            content: self.content.clone(),
            size: self.next.load(Ordering::Relaxed),
            parts: join(earlier, parts),
        }))
    }

    /// Deletes the file made for the set: its log is not kept.
    pub fn discard(&self) {
        if let (None, Content::Stored(path)) = (&self.before, &self.content) {
            remove_stored(path);
        }
    }
}

/// The log of a database from one LSN to another, as it was when this was made.
#[derive(Debug)]
pub struct LogFile {
    log: Log,
    first: Lsn,
    last: Lsn,
    files: Vec<VirtualLogFile>,
    kept: Option<PageFile>,
}

impl LogFile {
    /// Opens the log from `first` to `last`.
    ///
    /// # Errors
    ///
    /// The file of kept log that could not be opened, or that does not hold what it should.
    pub fn open(database: &Database, (first, last): (Lsn, Lsn)) -> Result<LogFile, StorageError> {
        let mut log = database.log.clone();
        log.kept.take_if(|kept| kept.end <= first);
        let kept = match &log.kept {
            Some(kept) => PageFile::open_whole(&kept.content, kept.size)?,
            None => None,
        };
        let sizes = database.files.iter().filter(|file| file.kind == FileKind::Log);
        let size = sizes.map(|file| file.size.min(LOG_LIMIT)).max().unwrap_or(0);
        let files = log.virtual_files(first, last, size);
        Ok(LogFile { log, first, last, files, kept })
    }

    /// The virtual log files that hold it.
    pub fn virtual_files(&self) -> &[VirtualLogFile] {
        &self.files
    }

    /// The bytes of a virtual log file's log from the one numbered `done` on: as many as are at hand,
    /// none if there are no more.
    ///
    /// # Errors
    ///
    /// The file of kept log that could not be read.
    pub fn read(&self, file: &VirtualLogFile, done: u64) -> Result<Vec<u8>, StorageError> {
        let (Some(log), Some(kept)) = (&self.log.kept, &self.kept) else {
            return Ok(self.encode(file, done));
        };
        if log.parts.last().is_none_or(|last| file.sequence > last.vlf) {
            return Ok(self.encode(file, done));
        }
        let range = file.range(self.first, self.last).unwrap_or_default();
        let block = (range.start.saturating_sub(file.start) + done) / BLOCK as u64;
        let block = u32::try_from(block).unwrap_or(u32::MAX);
        let Some(part) = log.part_with(file.sequence, block) else { return Ok(Vec::new()) };
        let left = part.log_size() - (part.place_of(block) - part.at);
        let mut bytes = vec![0; left.min(PIECE) as usize];
        kept.read(&mut bytes, part.place_of(block))?;
        Ok(bytes)
    }

    /// The same of this server's own log.
    fn encode(&self, file: &VirtualLogFile, done: u64) -> Vec<u8> {
        let mut bytes = encode_log(&self.log.records, file.sequence, self.first, self.last);
        bytes.drain(..bytes.len().min(done as usize));
        bytes
    }
}
