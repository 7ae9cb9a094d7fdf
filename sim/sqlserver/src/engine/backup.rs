//! BACKUP.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mtf::{EXTENT_PAGES, Raid};
use uuid::Uuid;
use vdi_protocol::Direction;

use super::backup_files::BackupFiles;
use super::context::{Answer, Context, Progress};
use super::device;
use super::family_stream::{BackupJob, FamilyStream};
use super::log_words::{LogWords, log_lsn};
use super::set::SetWriter;
use super::snapshot::{self, SnapshotStream};
use crate::catalogue::{
    BackupFacts, BackupFileRow, BackupSetRow, Database, DatabaseFile, ExtentId, FileKind, LogFile,
    MediaFamilyRow, Pages, SetKind,
};
use crate::messages::{Message, SeveralMessages, success};
use crate::session::{BackupPlan, now};
use crate::sql::DeviceKind;
use crate::transfer::{Source, SourceError};

/// Bytes of a block unless the statement says otherwise.
const BLOCK_SIZE: u32 = 512;

/// Executes a BACKUP. The catalogue notes it down, and the log is truncated, only after the last
/// device has acknowledged everything.
pub(crate) fn backup(context: &Context<'_>, plan: &BackupPlan) -> Result<Answer, SeveralMessages> {
    let server = &context.instance.server;
    let reserved = match plan.options.kind {
        SetKind::Log => server.reserve_log(&plan.database),
        _ => server.reserve(&plan.database),
    };
    let _reserved = reserved.ok_or_else(|| Message::new(3023, &[]))?;
    let _alone = match plan.options.tail {
        true => Some(server.reserve(&plan.database).ok_or_else(|| Message::new(3101, &[]))?),
        false => None,
    };
    if plan.transfer.snapshot {
        snapshot::materialize(context, &plan.database)?;
    }
    let (database, facts) = context.instance.update(|catalogue| begin(catalogue, plan))?;
    carry_out(context, plan, &database, &facts).map_err(|mut failed| {
        if plan.options.tail {
            let given_up = context.instance.update(|catalogue| {
                let database = catalogue.database_mut(&plan.database);
                database.into_iter().for_each(|database| database.give_tail_up(&facts));
                Ok(())
            });
            failed.0.extend(given_up.err().into_iter().flat_map(|messages| messages.0));
        }
        failed
    })
}

/// Makes the backup that has begun.
fn carry_out(
    context: &Context<'_>,
    plan: &BackupPlan,
    database: &Database,
    facts: &BackupFacts,
) -> Result<Answer, SeveralMessages> {
    let failed = |error| context.storage_failed(&error);
    let pages = Pages::open(database).map_err(failed)?;
    let log = LogFile::open(database, (facts.first, facts.last)).map_err(failed)?;
    let extents = match plan.options.kind {
        _ if plan.transfer.snapshot => Vec::new(),
        SetKind::Full => pages.allocated().map_err(failed)?,
        SetKind::Differential => pages.differential(),
        SetKind::Log => Vec::new(),
    };
    let counts = counts(&extents);
    for option in &plan.missed {
        let text = format!(
            "{} has no effect: the backup is in the clear and not compressed.",
            option.keyword()
        );
        context.tell(Message::user(0, 10, 1, text));
    }
    let (files, media) = match plan.devices[0].kind {
        DeviceKind::Disk => BackupFiles::open(context, plan)?,
        _ => (BackupFiles::default(), Vec::new()),
    };
    let (started, clock) = (now(), Instant::now());
    let begun = media.first().map(|media| media.raid.get(Raid::MEDIA_SET));
    let media_set = begun.unwrap_or_else(Uuid::new_v4);
    let job = BackupJob {
        context,
        set: SetWriter {
            plan,
            database,
            facts,
            profile: context.instance.profile,
            server: &context.instance.name,
            user: &context.login.name,
            media_set,
            started,
            block_size: plan.transfer.block_size.unwrap_or(BLOCK_SIZE),
            media: &media,
            pages: &counts,
        },
        pages: &pages,
        log,
        extents: &extents,
        next: AtomicUsize::new(0),
        progress: Progress::new((extents.len() * EXTENT_PAGES) as u64, plan.transfer.stats),
        finished: started,
        is_damaged: AtomicBool::new(false),
        failed: Mutex::new(None),
    };
    let size = send(context, plan, &job, files)?;
    let elapsed = clock.elapsed();
    let row = history_row(&job, size);
    context.instance.update(|catalogue| {
        let missing = || Message::new(911, &[&plan.database]);
        let database = catalogue.database_mut(&plan.database).ok_or_else(missing)?;
        database.finish_backup(facts, started);
        let id = i32::try_from(catalogue.history.backup_sets.len() + 1).unwrap_or(i32::MAX);
        catalogue.history.backup_sets.push(BackupSetRow { id, ..row });
        Ok(())
    })?;
    log_success(context, &job);
    Ok(Answer { messages: messages(&job, elapsed), rows: None })
}

fn begin(
    catalogue: &mut crate::catalogue::Catalogue,
    plan: &BackupPlan,
) -> Result<(Database, BackupFacts), Message> {
    if plan.database.eq_ignore_ascii_case("tempdb") {
        return Err(Message::new(3147, &[]));
    }
    let missing = || Message::new(911, &[&plan.database]).with_state(11);
    let database = catalogue.database_mut(&plan.database).ok_or_else(missing)?;
    let facts = database.begin_backup(plan.options, Uuid::new_v4())?;
    let before = database.clone();
    if plan.options.tail {
        database.begin_tail(&facts, plan.standby);
    }
    Ok((before, facts))
}

/// Pages of each file.
fn counts(extents: &[ExtentId]) -> Vec<(u16, u64)> {
    let mut counts = BTreeMap::new();
    for extent in extents {
        *counts.entry(extent.file).or_insert(0) += EXTENT_PAGES as u64;
    }
    counts.into_iter().collect()
}

/// Sends every family to its device. Returns the size of the backup in bytes.
///
/// `files` are those of DISK devices; others have none.
fn send(
    context: &Context<'_>,
    plan: &BackupPlan,
    job: &BackupJob<'_>,
    files: BackupFiles<'_>,
) -> Result<u64, SeveralMessages> {
    if plan.devices[0].kind == DeviceKind::Disk {
        return send_to_files(plan, job, files);
    }
    if let Some(done) = device::perform(context, Direction::Backup, &plan.devices, &plan.transfer) {
        return done.map(|()| 0);
    }
    if plan.devices[0].kind != DeviceKind::VirtualDevice {
        let error = std::io::Error::from(std::io::ErrorKind::NotFound);
        let os_error = device::os_error(&error);
        return Err(Message::new(3201, &[&plan.devices[0].name, &os_error]).into());
    }
    let other = |error| stream_failed(job, &error);
    let set = device::attach(context, Direction::Backup, &plan.devices, &plan.transfer)?;
    let (done, size) = if plan.transfer.snapshot {
        let (mut stream, size) = SnapshotStream::new(job).map_err(other)?;
        (set.backup(vec![&mut stream]), size)
    } else {
        let (mut streams, size) = FamilyStream::all(job).map_err(other)?;
        let sources = streams.iter_mut().map(|stream| stream as &mut dyn Source).collect();
        (set.backup(sources), size)
    };
    match done {
        Ok(_) => Ok(size),
        Err(error) => {
            let mut failed = device::transfer_failed(context, &error);
            failed.0.extend(own_failure(job).into_iter().flat_map(|messages| messages.0));
            Err(failed)
        }
    }
}

/// Writes every family to its file.
fn send_to_files(
    plan: &BackupPlan,
    job: &BackupJob<'_>,
    mut files: BackupFiles<'_>,
) -> Result<u64, SeveralMessages> {
    let (streams, size) = FamilyStream::all(job).map_err(|error| stream_failed(job, &error))?;
    let mut buffer = vec![0; device::disk_transfer(&plan.transfer)];
    files.begin()?;
    for (mut stream, file) in streams.into_iter().zip(files.iter_mut()) {
        let (device, file) = file.target();
        loop {
            let count = stream.read(&mut buffer).map_err(|error| stream_failed(job, &error))?;
            if count == 0 {
                break;
            }
            device::write(device, file, &buffer[..count])?;
        }
        device::sync(device, file)?;
    }
    files.keep();
    Ok(size)
}

/// What went wrong in the streams, if they know.
fn own_failure(job: &BackupJob<'_>) -> Option<SeveralMessages> {
    job.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// What a stream that could not be made answers.
fn stream_failed(job: &BackupJob<'_>, error: &SourceError) -> SeveralMessages {
    own_failure(job).unwrap_or_else(|| {
        let text = format!("The stream could not be made: {error}");
        job.context.instance.log("Backup", Message::user(0, 16, 1, text));
        Message::new(3270, &[]).into()
    })
}

fn history_row(job: &BackupJob<'_>, size: u64) -> BackupSetRow {
    let SetWriter { plan, database, facts, user, media_set, started, .. } = &job.set;
    let family = |device: &crate::session::DevicePlan| MediaFamilyRow {
        device_type: match device.kind {
            DeviceKind::Disk => 2,
            DeviceKind::Tape => 5,
            DeviceKind::VirtualDevice => 7,
            DeviceKind::Url => 9,
        },
        device: device.name.clone(),
    };
    let pages = |file: &DatabaseFile| match file.kind {
        FileKind::Log => log_pages(job),
        FileKind::Data => {
            let count = job.set.pages.iter().find(|(id, _)| *id == file.id);
            count.map_or(0, |(_, count)| *count)
        }
    };
    let file = |file: &DatabaseFile| BackupFileRow {
        id: file.id,
        kind: file.kind,
        filegroup: file.filegroup.name.clone(),
        logical_name: file.logical_name.clone(),
        physical_name: file.physical_name.clone(),
        unique_id: file.unique_id,
        size: file.size,
        pages: pages(file),
    };
    BackupSetRow {
        id: 0,
        guid: facts.set,
        media_set: *media_set,
        position: job.set.position(),
        name: plan.name.clone(),
        description: plan.description.clone(),
        user: (*user).to_owned(),
        database: database.name.clone(),
        kind: facts.kind,
        recovery_model: database.recovery_model,
        copy_only: facts.copy_only,
        checksums: plan.transfer.checksum,
        snapshot: plan.transfer.snapshot,
        first_lsn: facts.first,
        last_lsn: facts.last,
        checkpoint_lsn: facts.checkpoint,
        database_backup_lsn: facts.database_backup,
        base: facts.base.filter(|_| facts.kind == SetKind::Differential),
        started: *started,
        finished: now(),
        database_created: database.created,
        size,
        families: plan.devices.iter().map(family).collect(),
        files: database.files.iter().map(file).collect(),
    }
}

/// Pages of log in the backup.
fn log_pages(job: &BackupJob<'_>) -> u64 {
    job.log_bytes().div_ceil(mtf::PAGE_SIZE as u64)
}

/// 4035 for each file, then 3014.
fn messages(job: &BackupJob<'_>, elapsed: Duration) -> Vec<Message> {
    let database = job.set.database;
    let processed = |count: u64, file: &str| {
        Message::new(4035, &[&count, &database.name, &file, &job.set.position()])
    };
    let mut messages = Vec::new();
    let mut total = log_pages(job);
    for (id, count) in job.set.pages {
        if let Some(file) = database.file(*id) {
            messages.push(processed(*count, &file.logical_name));
            total += count;
        }
    }
    for file in &database.files {
        if file.kind == FileKind::Log {
            messages.push(processed(log_pages(job), &file.logical_name));
        }
    }
    if job.is_damaged.load(Ordering::Relaxed) {
        messages.push(Message::new(3042, &[]));
    }
    let verb = match job.set.facts.kind {
        SetKind::Full => "BACKUP DATABASE",
        SetKind::Differential => "BACKUP DATABASE WITH DIFFERENTIAL",
        SetKind::Log => "BACKUP LOG",
    };
    messages.push(success(verb, total, elapsed));
    messages
}

/// 18264, 18265 or 18270.
fn log_success(context: &Context<'_>, job: &BackupJob<'_>) {
    let (database, facts) = (job.set.database, job.set.facts);
    let words = LogWords::new(database, facts, &job.set.plan.devices, job.set.position().into());
    let LogWords { name, date, time, first, last, count, list } = &words;
    let pages = job.set.pages.iter().map(|(_, count)| count).sum::<u64>() + log_pages(job);
    let message = match facts.kind {
        SetKind::Full => Message::new(18264, &[name, date, time, &pages, first, last, count, list]),
        SetKind::Log => Message::new(18265, &[name, date, time, first, last, count, list]),
        SetKind::Differential => {
            let full = log_lsn(facts.database_backup);
            let arguments: [&dyn std::fmt::Display; 9] =
                [name, date, time, &pages, first, last, &full, count, list];
            Message::new(18270, &arguments)
        }
    };
    context.instance.log("Backup", message);
}
