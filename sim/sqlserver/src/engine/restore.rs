//! RESTORE.
//!
//! A full backup is restored into new files, which take the place of the old ones only when
//! everything has been read and checked; until then the old database stands. The pages of a
//! differential backup, and those that log changes, wait in files beside the database's own until
//! the same is true. They are the database's with one write of the catalogue, and are copied into
//! its files only then: whenever the process is killed, the database is the old or the new one.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use jiff::civil::DateTime;
use mtf::{Configuration, PageId, Scin, Sfgi, Sfin};
use uuid::Uuid;
use vdi_protocol::Direction;

use super::arrival::take_in;
use super::context::{Answer, Context, Progress as Told};
use super::device;
use super::facts::{
    check_release, check_supported, check_undamaged, date_time, facts, has_checksums, is_read_only,
    page_count, recovery_model,
};
use super::families::{Families, read_families};
use super::family_sink::{BroughtLog, Destination, Extent, Gate, Head, Heads};
use super::inspect;
use super::log_words::LogWords;
use super::password;
use super::placement::Places;
use super::snapshot;
use super::target::Target;
use super::whole::check_whole;
use crate::catalogue::{
    Access, BackupFacts, ChangedExtent, Content, Database, DatabaseFile, DatabaseState, ExtentId,
    FileKind, Filegroup, Log, LogKeeper, LogRecord, NotKept, PageChange, Pages, RecoveryModel,
    RestoreRow, SetKind, StorageError, check_base, check_target,
};
use crate::messages::{Message, SeveralMessages, success};
use crate::session::{RestorePlan, SequenceEnd, now};
use crate::sql::RestoreKind;

/// Executes a RESTORE.
pub(crate) fn restore(
    context: &Context<'_>,
    plan: &RestorePlan,
) -> Result<Answer, SeveralMessages> {
    if plan.kind == RestoreKind::RewindOnly {
        return Err(Message::new(3216, &[]).into());
    }
    if !matches!(plan.kind, RestoreKind::Database | RestoreKind::Log) {
        return inspect::inspect(context, plan);
    }
    if plan.database.eq_ignore_ascii_case("master") {
        if plan.transfer.snapshot {
            return Err(Message::new(3196, &[]).into());
        }
        return Err(Message::new(3108, &[]).into());
    }
    if plan.database.eq_ignore_ascii_case("tempdb") {
        return Err(Message::new(3147, &[]).into());
    }
    let server = &context.instance.server;
    let in_use = || Message::new(3101, &[]);
    let _pages = server.reserve(&plan.database).ok_or_else(in_use)?;
    let _log = server.reserve_log(&plan.database).ok_or_else(in_use)?;
    if plan.devices.is_empty() {
        return recover_only(context, plan);
    }
    let clock = Instant::now();
    if let Some(done) = device::perform(context, Direction::Restore, &plan.devices, &plan.transfer)
    {
        // What came back went to whoever performed; no database is changed.
        let verb = plan.kind.verb();
        return done
            .map(|()| Answer { messages: vec![success(verb, 0, clock.elapsed())], rows: None });
    }
    if plan.transfer.snapshot {
        return snapshot::restore(context, plan);
    }
    take_in(context, &plan.database)?;
    server.remove_strays(&context.instance.catalogue()?, &plan.database);
    let mut job = RestoreJob::new(context, plan)?;
    let result = read_families(context, plan, &job, Extent::Whole).and_then(|families| {
        job.take_final_facts(&families)?;
        let is_damaged = families.iter().any(|(_, brought)| brought.is_damaged);
        job.complete(families).map(|(pages, kind)| (pages, kind, is_damaged))
    });
    match result {
        Ok((pages, kind, is_damaged)) => {
            let mut messages = job.processed(&pages);
            let total = pages.iter().map(|(_, count)| count).sum();
            let verb = match kind {
                SetKind::Log => "RESTORE LOG",
                _ => "RESTORE DATABASE",
            };
            messages.push(success(verb, total, clock.elapsed()));
            messages.extend(is_damaged.then(|| Message::new(3184, &[])));
            job.log_success();
            Ok(Answer { messages, rows: None })
        }
        Err(failed) => {
            job.give_up();
            Err(failed)
        }
    }
}

/// RESTORE DATABASE … WITH RECOVERY without devices.
fn recover_only(context: &Context<'_>, plan: &RestorePlan) -> Result<Answer, SeveralMessages> {
    let clock = Instant::now();
    context.instance.update(|catalogue| {
        let missing = || Message::new(911, &[&plan.database]);
        let database = catalogue.database_mut(&plan.database).ok_or_else(missing)?;
        match database.state {
            DatabaseState::Restoring(_) | DatabaseState::Standby(_) => {
                database.recover();
                Ok(())
            }
            _ => Err(Message::new(3153, &[])),
        }
    })?;
    Ok(Answer { messages: vec![success("RESTORE DATABASE", 0, clock.elapsed())], rows: None })
}

pub(super) struct RestoreJob<'j> {
    pub(super) context: &'j Context<'j>,
    pub(super) plan: &'j RestorePlan,
    pub(super) names: Vec<&'j str>,
    /// What stands under the database's name.
    pub(super) existing: Option<Database>,
    /// Where the files of the other databases lie.
    places: Places,
    heads: Heads,
    target: OnceLock<Target>,
    /// Keeps two heads from settling it at once.
    settling: Mutex<()>,
}

impl Gate for RestoreJob<'_> {
    fn admit(
        &self,
        device: usize,
        head: &Head,
    ) -> Result<Option<Destination<'_>>, SeveralMessages> {
        password::check(&self.plan.transfer, head)?;
        self.heads.add(device, head, &self.names)?;
        let _settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        if self.target.get().is_none() {
            let target = self.settle(head)?;
            let _ = self.target.set(target);
        }
        Ok(self.target.get().map(|target| Destination {
            pages: target.waiting.as_ref().unwrap_or(&target.pages),
            log: target.log.as_ref().ok(),
        }))
    }

    fn placed(&self, pages: u64) {
        if let Some(target) = self.target.get() {
            target.told.advance(self.context, pages);
        }
    }
}

impl<'j> RestoreJob<'j> {
    pub(super) fn new(
        context: &'j Context<'j>,
        plan: &'j RestorePlan,
    ) -> Result<Self, SeveralMessages> {
        let catalogue = context.instance.catalogue()?;
        Ok(RestoreJob {
            context,
            plan,
            names: plan.devices.iter().map(|device| device.name.as_str()).collect(),
            existing: catalogue.database(&plan.database).cloned(),
            places: Places::of_others(&catalogue, &plan.database),
            heads: Heads::default(),
            target: OnceLock::new(),
            settling: Mutex::new(()),
        })
    }

    /// Checks the set against the rules and makes the files ready.
    fn settle(&self, head: &Head) -> Result<Target, SeveralMessages> {
        let (plan, context) = (self.plan, self.context);
        let facts = facts(&head.set, &head.configuration);
        let is_log = facts.kind == SetKind::Log;
        if is_log != (plan.kind == RestoreKind::Log) {
            let command = if is_log { "BACKUP LOG" } else { "BACKUP DATABASE" };
            return Err(Message::new(3135, &[&plan.position, &command]).into());
        }
        let started = started(&head.configuration);
        let existing = self.existing.as_ref();
        check_release(context, head)?;
        check_supported(head)?;
        check_undamaged(head, plan.transfer.continue_after_error)?;
        if plan.transfer.checksum && !has_checksums(head) {
            return Err(Message::new(3187, &[]).into());
        }
        if head.configuration.set().get(Scin::FLAGS) & Scin::SNAPSHOT != 0 {
            let text = "The backup set was made WITH SNAPSHOT and holds no data. Restore it WITH \
                        SNAPSHOT, with the client that has the files.";
            context.tell(Message::user(0, 10, 1, text.to_owned()));
            return Err(Message::new(3119, &[]).into());
        }
        let stops = plan.stop_at.is_some();
        if stops && recovery_model(head.configuration.set()) == RecoveryModel::Simple {
            return Err(Message::new(3145, &[]).into());
        }
        let name = &plan.database;
        let progress = check_target(name, existing, &facts, started, plan.replace, stops)?;
        let told = Told::new(page_count(head), plan.transfer.stats);
        let failed = |error| context.storage_failed(&error);
        match (facts.kind, existing) {
            (SetKind::Full, _) | (_, None) => {
                let database = self.new_database(head, &facts)?;
                Pages::create_files(&database.files).map_err(failed)?;
                let pages = Pages::open(&database).map_err(failed)?;
                let redo = facts.first;
                let made = database.files.clone();
                let (waiting, log) = (None, self.log_keeper(&database, &facts));
                Ok(Target { facts, progress, redo, database, pages, waiting, made, log, told })
            }
            (kind, Some(existing)) => {
                let generated = existing
                    .data_files()
                    .find(|file| matches!(file.content, Content::Generated(_)));
                if let (SetKind::Differential, Some(file)) = (kind, generated) {
                    return Err(Message::new(3178, &[&file.logical_name]).into());
                }
                let redo = match &existing.state {
                    DatabaseState::Restoring(old) | DatabaseState::Standby(old) => old.redo,
                    _ => facts.first,
                };
                let mut database = grown(existing.clone(), head);
                let made = self.new_files(head, &database)?;
                Pages::create_files(&made).map_err(failed)?;
                database.files.extend(made.iter().cloned());
                database.files.sort_by_key(|file| (file.kind == FileKind::Log, file.id));
                let pages = Pages::open(&database).map_err(failed)?;
                let waiting = self.beside(database.clone());
                Pages::create_files(&waiting.files).map_err(failed)?;
                let waiting = Some(Pages::open(&waiting).map_err(failed)?);
                let log = self.log_keeper(&database, &facts);
                Ok(Target { facts, progress, redo, database, pages, waiting, made, log, told })
            }
        }
    }

    /// What keeps a real server's log for `database`, which is restored from the set with these facts.
    fn log_keeper(&self, database: &Database, facts: &BackupFacts) -> Result<LogKeeper, NotKept> {
        if database.recovery_model == RecoveryModel::Simple {
            return Err(NotKept::Simple);
        }
        if self.plan.stop_at.is_some() {
            return Err(NotKept::Stop);
        }
        let name = format!("{}.log", Uuid::new_v4().simple());
        let placed = self.context.instance.server.place_file(&database.name, &name);
        Ok(LogKeeper::new(database.log.kept.as_ref(), facts, placed))
    }

    /// A database whose files take the pages for `database` until all have come.
    fn beside(&self, mut database: Database) -> Database {
        let run = Uuid::new_v4().simple().to_string();
        for file in &mut database.files {
            if file.kind == FileKind::Data {
                let name = format!("{run}-{}.waiting", file.id);
                file.content = self.context.instance.server.place_file(&database.name, &name);
                // It grows with what comes.
                file.size = 0;
            }
        }
        database
    }

    /// The database that a full backup describes, with files of its own.
    pub(super) fn new_database(
        &self,
        head: &Head,
        facts: &BackupFacts,
    ) -> Result<Database, SeveralMessages> {
        let (plan, set) = (self.plan, head.configuration.set());
        let logical: Vec<_> =
            head.configuration.files().map(|file| file.text(Sfin::LOGICAL_NAME)).collect();
        for (name, _) in &plan.moves {
            if !logical.iter().any(|logical| logical.eq_ignore_ascii_case(name)) {
                let message = Message::new(3234, &[name, &plan.database]);
                return Err(message.with_state(2).into());
            }
        }
        let run = Uuid::new_v4().simple().to_string();
        let file = |record| self.new_file(head, record, &run);
        let mut files: Vec<_> = head.configuration.files().map(file).collect();
        self.places.settle(self.context, plan, &mut files)?;
        Ok(Database {
            id: self.existing.as_ref().map_or(0, |existing| existing.id),
            name: self.existing.as_ref().map_or(&plan.database, |existing| &existing.name).clone(),
            created: date_time(set.get(Scin::DATABASE_CREATED)).unwrap_or_else(now),
            recovery_model: recovery_model(set),
            state: DatabaseState::Offline,
            access: Access::MultiUser,
            read_only: is_read_only(set),
            compatibility_level: set.get(Scin::COMPATIBILITY_LEVEL),
            family: facts.family,
            fork: facts.fork,
            files,
            log: Log::new(),
            base: None,
            changed: Vec::new(),
            arrived: None,
            unmapped: Vec::new(),
        })
    }

    /// A file that a set describes, empty, named after the `run` of the restore.
    fn new_file(&self, head: &Head, record: &mtf::Record<Sfin>, run: &str) -> DatabaseFile {
        let logical_name = record.text(Sfin::LOGICAL_NAME);
        let mut moves = self.plan.moves.iter();
        let moved = moves.find(|(name, _)| name.eq_ignore_ascii_case(&logical_name));
        let id = u16::try_from(record.get(Sfin::FILE_ID)).unwrap_or(0);
        let kind = if record.is_log() { FileKind::Log } else { FileKind::Data };
        DatabaseFile {
            id,
            kind,
            filegroup: filegroup(&head.configuration, record.get(Sfin::FILEGROUP_ID)),
            physical_name: match moved {
                Some((_, physical)) => physical.clone(),
                None => record.text(Sfin::PHYSICAL_NAME),
            },
            logical_name,
            size: record.get(Sfin::FILE_SIZE),
            unique_id: record.get(Sfin::UNIQUE_ID),
            content: match kind {
                FileKind::Data => self
                    .context
                    .instance
                    .server
                    .place_file(&self.plan.database, &format!("{run}-{id}.mdf")),
                FileKind::Log => Content::Log,
            },
        }
    }

    /// The files that a set describes and the database does not have yet: it has grown since.
    fn new_files(
        &self,
        head: &Head,
        database: &Database,
    ) -> Result<Vec<DatabaseFile>, SeveralMessages> {
        let run = Uuid::new_v4().simple().to_string();
        let described = head.configuration.files().map(|file| self.new_file(head, file, &run));
        let mut files: Vec<_> = described.filter(|file| database.file(file.id).is_none()).collect();
        self.places.settle(self.context, self.plan, &mut files)?;
        Ok(files)
    }

    /// Takes the facts of a full set from behind its data: SQL Server 2019 takes log until then.
    fn take_final_facts(&mut self, families: &Families) -> Result<(), SeveralMessages> {
        let set = families.first().and_then(|(_, brought)| brought.sets.first());
        let (Some(target), Some((head, Some(last)))) = (self.target.get_mut(), set) else {
            return Ok(());
        };
        if target.facts.kind == SetKind::Full {
            target.facts = facts(&head.set, last);
            target.progress = check_base(&target.facts, started(last))?;
        }
        Ok(())
    }

    /// Replays the log and puts the database into the catalogue. Returns the pages of each file.
    fn complete(&self, families: Families) -> Result<(Vec<(u16, u64)>, SetKind), SeveralMessages> {
        let Some(target) = self.target.get() else {
            return Err(Message::new(3241, &[&self.names[0]]).into());
        };
        if !self.plan.transfer.continue_after_error {
            check_whole(self.context, &families)?;
        }
        let mut database = target.database.clone();
        let mut records: Vec<LogRecord> = Vec::new();
        let mut extents = Vec::new();
        let (mut log_bytes, mut foreign) = (0, BroughtLog::default());
        for (_, brought) in families {
            records.extend(brought.records);
            extents.extend(brought.rounds.into_iter().flat_map(|round| round.extents));
            // Every family tells of the log; one carries it.
            log_bytes = log_bytes.max(brought.log_bytes);
            foreign.parts.extend(brought.foreign.parts);
            foreign.is_damaged |= brought.foreign.is_damaged;
        }
        extents.sort_unstable();
        extents.dedup();
        let failed = |error| self.context.storage_failed(&error);
        if target.facts.kind == SetKind::Differential {
            let lsn = target.facts.checkpoint;
            // The first extent is in every differential backup, changed or not: it has the maps,
            // and no page of it is ever changed.
            database.changed = extents
                .iter()
                .filter(|id| id.extent > 0)
                .map(|id| ChangedExtent { file: id.file, extent: id.extent, lsn })
                .collect();
        }
        let progress = target.redo_until(&mut records, self.plan.stop_at)?;
        let changes: Vec<_> = records
            .iter()
            .map(|record| (record.page_id(), PageChange { seed: record.seed, lsn: record.lsn }))
            .filter(|(id, _)| in_file(&database, *id))
            .collect();
        database.arrived = target.write_changes(extents.clone(), &changes).map_err(failed)?;
        database.apply(&changes);
        note_unmapped(&mut database, &extents).map_err(failed)?;
        target.keep_log(self.context, &mut database, foreign).map_err(failed)?;
        if database.fork != progress.fork {
            // The log that was left belongs to another recovery path, wherever it ends.
            (database.log.chain, database.log.began) = (None, None);
        }
        database.fork = progress.fork;
        database.state = match self.plan.end {
            SequenceEnd::Standby => DatabaseState::Standby(progress),
            _ => DatabaseState::Restoring(progress),
        };
        if self.plan.end == SequenceEnd::Recovery {
            database.recover();
        }
        self.keep(&target.facts, database)?;
        if let Err(failed) = take_in(self.context, &self.plan.database) {
            // The database is whole without it: the next restore does it.
            failed.0.into_iter().for_each(|message| self.context.instance.log("Backup", message));
        }
        let mut counts: Vec<(u16, u64)> = Vec::new();
        for file in &target.database.files {
            let pages = match file.kind {
                FileKind::Data => 8 * extents.iter().filter(|id| id.file == file.id).count() as u64,
                FileKind::Log => u64::div_ceil(log_bytes, mtf::PAGE_SIZE as u64),
            };
            counts.push((file.id, pages));
        }
        Ok((counts, target.facts.kind))
    }

    /// Puts a restored database into the catalogue.
    pub(super) fn keep(
        &self,
        facts: &BackupFacts,
        database: Database,
    ) -> Result<(), SeveralMessages> {
        let (plan, user) = (self.plan, &self.context.login.name);
        self.context.instance.update(|catalogue| {
            if facts.kind == SetKind::Full {
                Places::of_others(catalogue, &plan.database).check(&database.files)?;
            }
            let id = if database.id == 0 { catalogue.free_id() } else { database.id };
            catalogue.put(Database { id, ..database });
            let sets = &catalogue.history.backup_sets;
            let known = sets.iter().find(|set| set.guid == facts.set).map(|set| set.id);
            catalogue.history.restores.push(RestoreRow {
                finished: now(),
                database: plan.database.clone(),
                user: user.clone(),
                backup_set: known,
                kind: facts.kind,
                replace: plan.replace,
                recovery: plan.end == SequenceEnd::Recovery,
            });
            Ok(())
        })
    }

    /// Removes what a failed restore has made.
    fn give_up(&self) {
        if let Some(target) = self.target.get() {
            target.remove();
        }
    }

    /// 18267 or 18268.
    fn log_success(&self) {
        let Some(Target { database, facts, .. }) = self.target.get() else { return };
        let words = LogWords::new(database, facts, &self.plan.devices, self.plan.position);
        let LogWords { name, date, time, first, last, count, list } = &words;
        let number = if facts.kind == SetKind::Log { 18268 } else { 18267 };
        let message = Message::new(number, &[name, date, time, first, last, count, list]);
        self.context.instance.log("Backup", message);
    }

    /// 4035 for each file.
    fn processed(&self, counts: &[(u16, u64)]) -> Vec<Message> {
        let Some(target) = self.target.get() else { return Vec::new() };
        let message = |(id, count): &(u16, u64)| {
            let file = target.database.file(*id)?;
            let name = &self.plan.database;
            Some(Message::new(4035, &[count, name, &file.logical_name, &self.plan.position]))
        };
        counts.iter().filter_map(message).collect()
    }
}

/// When a set was made.
fn started(configuration: &Configuration) -> DateTime {
    date_time(configuration.set().get(Scin::STARTED)).unwrap_or_else(now)
}

/// The filegroup of this id in a set; PRIMARY where the set tells of none.
fn filegroup(configuration: &Configuration, id: u32) -> Filegroup {
    let mut groups = configuration.filegroups();
    match groups.find(|group| group.get(Sfgi::FILEGROUP_ID) == id) {
        Some(group) => Filegroup { id, name: group.text(Sfgi::NAME) },
        None => Filegroup::default(),
    }
}

/// The database with its files as large as they were when the set was made, and its recovery model and
/// READ_ONLY.
fn grown(mut database: Database, head: &Head) -> Database {
    for described in head.configuration.files() {
        let same = |file: &&mut DatabaseFile| u32::from(file.id) == described.get(Sfin::FILE_ID);
        if let Some(file) = database.files.iter_mut().find(same) {
            file.size = file.size.max(described.get(Sfin::FILE_SIZE));
        }
    }
    let set = head.configuration.set();
    database.recovery_model = recovery_model(set);
    database.read_only = is_read_only(set);
    database
}

/// Notes down which of the `extents` that a set brought are free by the allocation maps in it.
fn note_unmapped(database: &mut Database, extents: &[ExtentId]) -> Result<(), StorageError> {
    if extents.is_empty() {
        return Ok(());
    }
    let mapped = Pages::open(database)?.mapped()?;
    let free = extents.iter().filter(|id| mapped.binary_search(id).is_err());
    database.unmapped.extend(free);
    database.unmapped.sort_unstable();
    database.unmapped.dedup();
    Ok(())
}

fn in_file(database: &Database, id: PageId) -> bool {
    database.file(id.file).is_some_and(|file| id.page < file.page_count())
}
