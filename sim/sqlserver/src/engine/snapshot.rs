//! BACKUP and RESTORE WITH SNAPSHOT: only metadata goes through the device; the client copies the
//! database's files while they do not change, and brings them back.
//!
//! What SQL Server writes of such a set is not known: the stream here is that of a full backup
//! without data and log, with the flag that HEADERONLY shows; unconfirmed. Source of the order of
//! commands: VDI, "Creation of a Snapshot", "Media Recovery Using the Snapshot".

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use mtf::{BackupWriter, EXTENT_PAGES, EXTENT_SIZE, PAGE_SIZE, PageCheck, PageId, Scin};
use uuid::Uuid;
use vdi_region::SharedSlice;

use super::arrival::{remove_files, take_in};
use super::context::{Answer, Context};
use super::facts::{check_release, date_time, facts};
use super::families::read_families;
use super::family_sink::{Destination, Extent, Gate, Head, Heads};
use super::family_stream::BackupJob;
use super::password;
use super::restore::RestoreJob;
use crate::catalogue::{
    BackupFacts, Content, Database, DatabaseState, FileKind, Pages, Progress, Server, check_target,
};
use crate::messages::{Message, SeveralMessages, success};
use crate::session::{RestorePlan, SequenceEnd, now};
use crate::transfer::{Source, SourceError, Step};

/// Gives a database real files that a client can copy, and tells where they are by their physical
/// names.
pub(super) fn materialize(context: &Context<'_>, name: &str) -> Result<(), SeveralMessages> {
    let failed = |error| context.storage_failed(&error);
    take_in(context, name)?;
    loop {
        let catalogue = context.instance.catalogue()?;
        // The statement itself tells of a database that is not there, or cannot be used.
        let Some(before) = catalogue.database(name) else { return Ok(()) };
        if before.state != DatabaseState::Online {
            return Ok(());
        }
        let after = with_files(before, &context.instance.server);
        if after.files.iter().any(|file| matches!(file.content, Content::Memory(_))) {
            return Err(Message::new(3015, &[&"SNAPSHOT of a database in memory"]).into());
        }
        if after == *before {
            return Ok(());
        }
        write_files(before, &after).map_err(failed)?;
        let is_current = context.instance.update(|catalogue| {
            let is_same = catalogue.database(name) == Some(before);
            if is_same {
                catalogue.put(after.clone());
            }
            Ok(is_same)
        })?;
        if is_current {
            return Ok(());
        }
        // It changed meanwhile: the files are of no use.
        let mut made = after;
        made.files.retain(|file| !stands_in(before, file));
        remove_files(&made.files);
    }
}

/// The same database with a file for every data file.
fn with_files(database: &Database, server: &Server) -> Database {
    let mut database = database.clone();
    let run = Uuid::new_v4().simple().to_string();
    for file in &mut database.files {
        if let Content::Generated(_) = file.content {
            file.content = server.place_file(&database.name, &format!("{run}-{}.mdf", file.id));
        }
        if let Content::Stored(path) = &file.content {
            file.physical_name = path.display().to_string();
        }
    }
    database
}

fn write_files(before: &Database, after: &Database) -> Result<(), crate::catalogue::StorageError> {
    let mut new = after.clone();
    let is_made = |id| matches!(before.file(id).map(|f| &f.content), Some(Content::Generated(_)));
    new.files.retain(|file| is_made(file.id));
    Pages::create_files(&new.files)?;
    let (from, to) = (Pages::open(before)?, Pages::open(&new)?);
    let mut extents = from.allocated()?;
    extents.retain(|id| is_made(id.file));
    from.copy_extents(&extents, &to)
}

/// The stream: its header, then, when the database is frozen, what describes it.
pub(super) struct SnapshotStream<'j> {
    job: &'j BackupJob<'j>,
    bytes: Vec<u8>,
    taken: usize,
    /// Where the media header ends.
    header: usize,
    stage: Stage,
}

#[derive(Debug, PartialEq)]
enum Stage {
    Header,
    Asked,
    Frozen,
}

impl<'j> SnapshotStream<'j> {
    /// The stream, and the size of the backup in bytes.
    pub(super) fn new(job: &'j BackupJob<'j>) -> Result<(Self, u64), SourceError> {
        let io = |error: std::io::Error| SourceError::Other(error.to_string());
        let start = job.set.start(1).map_err(|error| SourceError::Other(error.to_string()))?;
        let configuration = start.configuration.clone();
        let mut writer = BackupWriter::begin(Vec::new(), start).map_err(io)?;
        let header = writer.set_position() as usize;
        for log in job.logs() {
            writer.log_elsewhere(&job.log_record(log)).map_err(io)?;
        }
        let size = writer.family_size();
        let configuration = job.set.finished(configuration, job.finished, size, 0);
        let bytes = writer.finish(&configuration, size).map_err(io)?;
        Ok((SnapshotStream { job, bytes, taken: 0, header, stage: Stage::Header }, size))
    }
}

impl Source for SnapshotStream<'_> {
    fn step(&mut self) -> Result<Step, SourceError> {
        let SnapshotStream { taken, header, .. } = *self;
        if taken < header {
            return Ok(Step::Data((header - taken) as u64));
        }
        if self.stage == Stage::Header {
            self.stage = Stage::Asked;
            return Ok(Step::PrepareToFreeze);
        }
        if self.stage == Stage::Asked {
            self.stage = Stage::Frozen;
            let name = &self.job.set.database.name;
            self.job.context.instance.log("Backup", Message::new(3197, &[name]));
        }
        Ok(match self.bytes.len() - taken {
            0 => Step::End,
            left => Step::Data(left as u64),
        })
    }

    fn fill(&mut self, buffer: &SharedSlice<'_>) -> Result<(), SourceError> {
        let piece = &self.bytes[self.taken..self.taken + buffer.len()];
        buffer.copy_from(0, piece).map_err(|error| SourceError::Other(error.to_string()))?;
        self.taken += buffer.len();
        Ok(())
    }

    fn total(&self) -> Option<u64> {
        Some(self.bytes.len() as u64)
    }
}

/// The files may be changed again, however the statement has ended.
impl Drop for SnapshotStream<'_> {
    fn drop(&mut self) {
        if self.stage == Stage::Frozen {
            let name = &self.job.set.database.name;
            self.job.context.instance.log("Backup", Message::new(3198, &[name]));
        }
    }
}

/// Decides about the set, and keeps what the files have to be.
struct SnapshotGate<'j> {
    job: &'j RestoreJob<'j>,
    heads: Heads,
    settled: Mutex<Option<(BackupFacts, Progress, Database)>>,
}

impl Gate for SnapshotGate<'_> {
    fn admit(
        &self,
        device: usize,
        head: &Head,
    ) -> Result<Option<Destination<'_>>, SeveralMessages> {
        let RestoreJob { plan, context, names, existing, .. } = self.job;
        password::check(&plan.transfer, head)?;
        self.heads.add(device, head, names)?;
        let scin = head.configuration.set();
        if scin.get(Scin::FLAGS) & Scin::SNAPSHOT == 0 {
            return Err(Message::new(3276, &[]).into());
        }
        check_release(context, head)?;
        let facts = facts(&head.set, &head.configuration);
        let started = date_time(scin.get(Scin::STARTED)).unwrap_or_else(now);
        let (name, stops) = (&plan.database, plan.stop_at.is_some());
        let progress = check_target(name, existing.as_ref(), &facts, started, plan.replace, stops)?;
        let mut database = self.job.new_database(head, &facts)?;
        for file in &mut database.files {
            if file.kind == FileKind::Data {
                file.content = Content::Stored(PathBuf::from(&file.physical_name));
            }
        }
        let catalogue = context.instance.catalogue()?;
        let others = catalogue.databases.iter().filter(|other| other.name != database.name);
        for other in others {
            if let Some(file) = other.data_files().find(|file| stands_in(&database, file)) {
                return Err(Message::new(1834, &[&file.physical_name, &other.name]).into());
            }
        }
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        *settled = Some((facts, progress, database));
        Ok(None)
    }
}

/// Whether a file lies where one of the database lies.
fn stands_in(database: &Database, file: &crate::catalogue::DatabaseFile) -> bool {
    matches!(file.content, Content::Stored(_))
        && database.files.iter().any(|own| own.content == file.content)
}

/// RESTORE … WITH SNAPSHOT. The client has brought the files back when the transfer is over.
pub(super) fn restore(
    context: &Context<'_>,
    plan: &RestorePlan,
) -> Result<Answer, SeveralMessages> {
    let clock = Instant::now();
    let job = RestoreJob::new(context, plan)?;
    let (heads, settled) = Default::default();
    let gate = SnapshotGate { job: &job, heads, settled };
    read_families(context, plan, &gate, Extent::Whole)?;
    let settled = gate.settled.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Some((facts, progress, mut database)) = settled else {
        return Err(Message::new(3241, &[&plan.devices[0].name]).into());
    };
    let pages = check_files(context, &database)?;
    database.fork = progress.fork;
    database.state = match plan.end {
        SequenceEnd::Standby => DatabaseState::Standby(progress),
        _ => DatabaseState::Restoring(progress),
    };
    if plan.end == SequenceEnd::Recovery {
        database.recover();
    }
    job.keep(&facts, database)?;
    let messages = vec![success("RESTORE DATABASE", pages, clock.elapsed())];
    Ok(Answer { messages, rows: None })
}

/// Reads every allocated page of the files that were brought back. Returns their number.
fn check_files(context: &Context<'_>, database: &Database) -> Result<u64, SeveralMessages> {
    let failed = |error| context.storage_failed(&error);
    let pages = Pages::open(database).map_err(failed)?;
    let extents = pages.allocated().map_err(failed)?;
    let mut bytes = Box::new([0; EXTENT_SIZE]);
    for id in &extents {
        context.check_cancelled()?;
        pages.read_extent(*id, &mut bytes).map_err(failed)?;
        let first = id.first_page();
        for (page, number) in bytes.as_chunks::<PAGE_SIZE>().0.iter().zip(first.page..) {
            let own = PageId { page: number, ..first };
            let is_written = mtf::PageHeader::VERSION.read(page) == 1;
            let is_own = !is_written || mtf::page_id(page) == own;
            let is_whole = !matches!(mtf::check_page(page), PageCheck::Damaged { .. });
            if !is_own || (is_written && !is_whole) {
                return Err(Message::new(3183, &[&own.file, &own.page, &database.name]).into());
            }
        }
    }
    Ok((extents.len() * EXTENT_PAGES) as u64)
}
