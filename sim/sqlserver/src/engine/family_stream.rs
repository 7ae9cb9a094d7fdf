//! The stream of one family of a backup, made as it is asked for.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jiff::civil::DateTime;
use mtf::{
    BackupWriter, EXTENT_PAGES, EXTENT_SIZE, Mstl, PAGE_SIZE, PageCheck, Record, Scin,
    VirtualLogFile, check_page, fill_with_filler,
};
use vdi_region::SharedSlice;

use super::context::{Context, Progress};
use super::set::SetWriter;
use crate::catalogue::{ExtentId, LogFile, Pages, StorageError};
use crate::messages::{Message, SeveralMessages};
use crate::transfer::{Source, SourceError, Step};

/// What all families of a backup share.
#[derive(Debug)]
pub(super) struct BackupJob<'j> {
    pub(super) context: &'j Context<'j>,
    pub(super) set: SetWriter<'j>,
    pub(super) pages: &'j Pages,
    pub(super) log: LogFile,
    /// The extents to back up; families take them as they get to them.
    pub(super) extents: &'j [ExtentId],
    pub(super) next: AtomicUsize,
    pub(super) progress: Progress,
    /// When the backup finished, once it is known.
    pub(super) finished: DateTime,
    /// Whether it holds damaged pages.
    pub(super) is_damaged: AtomicBool,
    /// What went wrong first.
    pub(super) failed: Mutex<Option<SeveralMessages>>,
}

impl BackupJob<'_> {
    fn families(&self) -> u64 {
        self.set.plan.devices.len() as u64
    }

    /// Extents of each family: all the same, the last ones filled up with filler.
    fn extents_of_family(&self) -> u64 {
        (self.extents.len() as u64).div_ceil(self.families())
    }

    pub(super) fn logs(&self) -> &[VirtualLogFile] {
        self.log.virtual_files()
    }

    pub(super) fn log_record(&self, file: &VirtualLogFile) -> Record<Mstl> {
        let facts = self.set.facts;
        self.set.release().log(file, facts.first, facts.last)
    }

    /// Bytes of log in the backup.
    pub(super) fn log_bytes(&self) -> u64 {
        self.logs().iter().map(|file| self.log_record(file).log_size()).sum()
    }

    /// Writes a family without its data, to learn its sizes: that of the set and of the stream.
    fn measure(&self, family: u16) -> Result<(u64, u64), SourceError> {
        let io = |error: std::io::Error| SourceError::Other(error.to_string());
        let text = |error: mtf::TextTooLong| SourceError::Other(error.to_string());
        let start = self.set.start(family).map_err(text)?;
        let configuration = start.configuration.clone();
        let mut writer = self.begin(Counter::default(), start, family).map_err(io)?;
        let begin = self.set.media(family).map_or(0, |media| media.end);
        let count = self.extents_of_family();
        if count > 0 {
            writer.begin_data().map_err(io)?;
            writer.begin_extents(count).map_err(io)?;
            writer.payload_unseen(count * EXTENT_SIZE as u64).map_err(io)?;
            writer.end_payload().map_err(io)?;
            writer.end_data().map_err(io)?;
        }
        for file in self.logs() {
            let record = self.log_record(file);
            if !carries_log(family) {
                writer.log_elsewhere(&record).map_err(io)?;
                continue;
            }
            writer.begin_log(&record).map_err(io)?;
            if record.log_size() > 0 {
                writer.payload_unseen(record.log_size()).map_err(io)?;
            }
            writer.end_log().map_err(io)?;
        }
        let size = writer.family_size();
        let end = writer.position();
        let before = writer.get_mut().0;
        let counter = writer.finish(&configuration, size).map_err(io)?;
        Ok((size, end - begin + counter.0 - before))
    }

    /// Begins a family: on media without sets, or behind what stands there.
    fn begin<W: std::io::Write>(
        &self,
        out: W,
        start: mtf::BackupStart,
        family: u16,
    ) -> std::io::Result<BackupWriter<W>> {
        match self.set.media(family) {
            Some(media) if media.sets > 0 => {
                BackupWriter::append(out, start, media.end, media.marks.clone())
            }
            _ => BackupWriter::begin(out, start),
        }
    }

    fn storage_failed(&self, error: &StorageError) -> SourceError {
        self.fail(self.context.storage_failed(error))
    }

    /// Checks those pages of an extent that have checksums: a page with a wrong one ends the backup
    /// (3043), or is noted down if it is to go on.
    fn check_pages(&self, id: ExtentId, extent: &[u8; EXTENT_SIZE]) -> Result<(), SourceError> {
        let database = self.set.database;
        for (page, number) in extent.as_chunks::<PAGE_SIZE>().0.iter().zip(id.first_page().page..) {
            if !matches!(check_page(page), PageCheck::Damaged { .. }) {
                continue;
            }
            let file = database.file(id.file).map_or("", |file| &file.physical_name);
            let message = Message::new(3043, &[&database.name, &id.file, &number, &file]);
            if !self.set.plan.transfer.continue_after_error {
                return Err(self.fail(message.into()));
            }
            self.context.instance.log("Backup", message);
            self.is_damaged.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn fail(&self, messages: SeveralMessages) -> SourceError {
        let text = messages.to_string();
        self.failed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get_or_insert(messages);
        SourceError::Other(text)
    }
}

/// The log goes to the first family; the others have only its blocks.
fn carries_log(family: u16) -> bool {
    family == 1
}

/// Counts bytes.
#[derive(Debug, Default)]
struct Counter(u64);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Where a stream is.
#[derive(Debug)]
enum Place {
    Start,
    /// Extents to come; none and the data end.
    Data {
        left: u64,
    },
    /// The next virtual log file, and how many bytes of its log are written.
    Log {
        next: usize,
        done: u64,
    },
    Finished,
}

/// The stream of one family.
pub(super) struct FamilyStream<'j> {
    job: &'j BackupJob<'j>,
    family: u16,
    place: Place,
    writer: Option<BackupWriter<Vec<u8>>>,
    /// What is made: these bytes, or the extent if there is one; and how much of it is taken.
    made: Vec<u8>,
    extent: Box<[u8; EXTENT_SIZE]>,
    has_extent: bool,
    taken: usize,
    /// Size of the whole backup.
    backup_size: u64,
    /// Bytes not yet taken.
    left: u64,
}

impl<'j> FamilyStream<'j> {
    /// The stream of family `family`, from 1.
    pub(super) fn new(
        job: &'j BackupJob<'j>,
        family: u16,
        backup_size: u64,
        left: u64,
    ) -> FamilyStream<'j> {
        FamilyStream {
            job,
            family,
            place: Place::Start,
            writer: None,
            made: Vec::new(),
            extent: Box::new([0; EXTENT_SIZE]),
            has_extent: false,
            taken: 0,
            backup_size,
            left,
        }
    }

    /// All families of a backup.
    pub(super) fn all(job: &'j BackupJob<'j>) -> Result<(Vec<FamilyStream<'j>>, u64), SourceError> {
        let families = 1..=u16::try_from(job.families()).unwrap_or(u16::MAX);
        let sizes = families.clone().map(|family| job.measure(family));
        let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
        let size = sizes.iter().map(|(size, _)| size).sum();
        let streams =
            families.zip(sizes).map(|(family, (_, left))| Self::new(job, family, size, left));
        Ok((streams.collect(), size))
    }

    /// Takes the next bytes, as many as fit; zero at the end.
    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, SourceError> {
        let mut filled = 0;
        while filled < out.len() {
            let piece = self.piece(out.len() - filled)?;
            if piece.is_empty() {
                break;
            }
            let count = piece.len();
            out[filled..filled + count].copy_from_slice(piece);
            filled += count;
        }
        Ok(filled)
    }

    /// Takes the next bytes, at most `most`; none at the end.
    fn piece(&mut self, most: usize) -> Result<&[u8], SourceError> {
        while self.taken == self.ready().len() {
            if matches!(self.place, Place::Finished) {
                return Ok(&[]);
            }
            self.made.clear();
            (self.has_extent, self.taken) = (false, 0);
            self.make()?;
        }
        let from = self.taken;
        self.taken = from.saturating_add(most).min(self.ready().len());
        Ok(&self.ready()[from..self.taken])
    }

    /// What is made: an extent, which goes its way without being written, or anything else.
    fn ready(&self) -> &[u8] {
        if self.has_extent { &self.extent[..] } else { &self.made }
    }

    fn make(&mut self) -> Result<(), SourceError> {
        let io = |error: std::io::Error| SourceError::Other(error.to_string());
        let job = self.job;
        job.context.check_cancelled().map_err(|message| job.fail(message.into()))?;
        let Some(mut writer) = self.writer.take() else {
            let start = job.set.start(self.family);
            let start = start.map_err(|error| SourceError::Other(error.to_string()))?;
            let buffer = std::mem::take(&mut self.made);
            let mut writer = job.begin(buffer, start, self.family).map_err(io)?;
            let left = job.extents_of_family();
            self.place = match left {
                0 => Place::Log { next: 0, done: 0 },
                left => {
                    writer.begin_data().map_err(io)?;
                    writer.begin_extents(left).map_err(io)?;
                    Place::Data { left }
                }
            };
            self.keep(writer);
            return Ok(());
        };
        *writer.get_mut() = std::mem::take(&mut self.made);
        match self.place {
            Place::Data { left: 0 } => {
                writer.end_payload().map_err(io)?;
                writer.end_data().map_err(io)?;
                self.place = Place::Log { next: 0, done: 0 };
            }
            Place::Data { left } => {
                self.next_extent()?;
                writer.payload_beside(&self.extent[..]).map_err(io)?;
                self.has_extent = true;
                self.place = Place::Data { left: left - 1 };
            }
            Place::Log { next, done } => match job.logs().get(next) {
                Some(file) => {
                    let done = self.log(&mut writer, file, done)?;
                    self.place = match done {
                        Some(done) => Place::Log { next, done },
                        None => Place::Log { next: next + 1, done: 0 },
                    };
                }
                None => {
                    let start = job.set.start(self.family);
                    let start = start.map_err(|error| SourceError::Other(error.to_string()))?;
                    let (size, log) = (self.backup_size, job.log_bytes());
                    let mut end = job.set.finished(start.configuration, job.finished, size, log);
                    if job.is_damaged.load(Ordering::Relaxed) {
                        // Families that have ended by now do not know.
                        let flags = end.set().get(Scin::FLAGS) | Scin::DAMAGED;
                        end.set_mut().set(Scin::FLAGS, flags);
                    }
                    self.made = writer.finish(&end, size).map_err(io)?;
                    self.place = Place::Finished;
                    return Ok(());
                }
            },
            Place::Start | Place::Finished => {}
        }
        self.keep(writer);
        Ok(())
    }

    fn keep(&mut self, mut writer: BackupWriter<Vec<u8>>) {
        self.made = std::mem::take(writer.get_mut());
        self.writer = Some(writer);
    }

    /// Writes the log of a virtual log file from byte `done` on, as much as is at hand. Returns how
    /// much is written then, and none when it is all.
    fn log(
        &self,
        writer: &mut BackupWriter<Vec<u8>>,
        file: &VirtualLogFile,
        done: u64,
    ) -> Result<Option<u64>, SourceError> {
        let io = |error: std::io::Error| SourceError::Other(error.to_string());
        let job = self.job;
        let record = job.log_record(file);
        if !carries_log(self.family) {
            writer.log_elsewhere(&record).map_err(io)?;
            return Ok(None);
        }
        if done == 0 {
            writer.begin_log(&record).map_err(io)?;
        }
        if done < record.log_size() {
            let bytes = job.log.read(file, done);
            let bytes = bytes.map_err(|error| job.storage_failed(&error))?;
            if bytes.is_empty() {
                return Err(SourceError::Other("the log is shorter than measured".to_owned()));
            }
            writer.payload(&bytes).map_err(io)?;
            return Ok(Some(done + bytes.len() as u64));
        }
        writer.end_log().map_err(io)?;
        Ok(None)
    }

    /// Reads the next extent that no other family has taken; filler when there is none.
    fn next_extent(&mut self) -> Result<(), SourceError> {
        let job = self.job;
        let Some(id) = job.extents.get(job.next.fetch_add(1, Ordering::Relaxed)) else {
            self.extent.as_chunks_mut::<PAGE_SIZE>().0.iter_mut().for_each(fill_with_filler);
            return Ok(());
        };
        let read = job.pages.read_extent(*id, &mut self.extent);
        read.map_err(|error| job.storage_failed(&error))?;
        if job.set.plan.transfer.checksum {
            job.check_pages(*id, &self.extent)?;
        }
        job.progress.advance(job.context, EXTENT_PAGES as u64);
        Ok(())
    }
}

impl Source for FamilyStream<'_> {
    fn step(&mut self) -> Result<Step, SourceError> {
        Ok(if self.left == 0 { Step::End } else { Step::Data(self.left) })
    }

    fn fill(&mut self, buffer: &SharedSlice<'_>) -> Result<(), SourceError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let piece = self.piece(buffer.len() - filled)?;
            if piece.is_empty() {
                return Err(SourceError::Other("the stream is shorter than measured".to_owned()));
            }
            buffer
                .copy_from(filled, piece)
                .map_err(|error| SourceError::Other(error.to_string()))?;
            filled += piece.len();
        }
        self.left -= filled as u64;
        Ok(())
    }

    fn total(&self) -> Option<u64> {
        Some(self.left)
    }
}
