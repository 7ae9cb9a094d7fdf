//! What a restore brings, on its way to its database.

use jiff::civil::DateTime;
use mtf::{Lsn, PageId};

use super::arrival::remove_files;
use super::context::{Context, Progress as Told};
use super::family_sink::BroughtLog;
use crate::catalogue::{
    Arrived, BackupFacts, Content, Database, DatabaseFile, ExtentId, LogKeeper, LogRecord, NotKept,
    PageChange, Pages, Progress, StorageError,
};
use crate::messages::Message;

/// What a restore has settled when it has seen the first head.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) facts: BackupFacts,
    /// How far the database gets.
    pub(super) progress: Progress,
    /// The first record to apply.
    pub(super) redo: Lsn,
    pub(super) database: Database,
    pub(super) pages: Pages,
    /// Where pages wait that are for files which stand already; none if the files are new.
    pub(super) waiting: Option<Pages>,
    /// The files that this restore has made.
    pub(super) made: Vec<DatabaseFile>,
    /// Where a real server's log goes, or why it is not kept.
    pub(super) log: Result<LogKeeper, NotKept>,
    /// What is told of the progress.
    pub(super) told: Told,
}

impl Target {
    /// Removes what a failed restore has made.
    pub(super) fn remove(&self) {
        if let Some(waiting) = &self.waiting {
            remove_files(&waiting.database().files);
        }
        remove_files(&self.made);
        self.log.iter().for_each(LogKeeper::discard);
    }

    /// Keeps the log of a real server that has come for `database`, and tells the client of it.
    pub(super) fn keep_log(
        &self,
        context: &Context<'_>,
        database: &mut Database,
        log: BroughtLog,
    ) -> Result<(), StorageError> {
        if log.parts.is_empty() {
            return Ok(());
        }
        if self.facts.last == self.redo {
            // A set that brings nothing new changes nothing of it.
            self.log.iter().for_each(LogKeeper::discard);
            return Ok(());
        }
        let kept = match &self.log {
            _ if log.is_damaged => Err(NotKept::Damaged),
            Ok(keeper) => keeper.finish(&self.facts, log.parts)?,
            Err(why) => Err(*why),
        };
        let fate = match &kept {
            Ok(_) => "but kept for the next log backup".to_owned(),
            Err(why) => format!("and not kept, {why}"),
        };
        let text = format!(
            "The log in this backup set was written by a real server. Its place in the log chain \
             was checked; its records are not replayed, {fate}."
        );
        context.tell(Message::user(0, 10, 1, text));
        if kept.is_err() {
            self.log.iter().for_each(LogKeeper::discard);
        }
        database.log.kept = kept.ok();
        Ok(())
    }

    /// Writes what the log has changed, and returns what of the database now waits beside its files:
    /// that, and the `extents` that came.
    pub(super) fn write_changes(
        &self,
        mut extents: Vec<ExtentId>,
        changes: &[(PageId, PageChange)],
    ) -> Result<Option<Arrived>, StorageError> {
        let Some(waiting) = &self.waiting else {
            self.pages.write_changes(changes)?;
            return Ok(None);
        };
        let is_generated = |id: u16| {
            let content = self.database.file(id).map(|file| &file.content);
            matches!(content, Some(Content::Generated(_)))
        };
        let mut touched: Vec<_> = changes.iter().map(|(page, _)| ExtentId::of(*page)).collect();
        touched.retain(|id| !is_generated(id.file) && extents.binary_search(id).is_err());
        touched.sort_unstable();
        touched.dedup();
        self.pages.copy_extents(&touched, waiting)?;
        waiting.write_changes(changes)?;
        extents.extend(touched);
        let files = waiting.database().data_files();
        let files = files.map(|file| (file.id, file.content.clone())).collect();
        Ok(Some(Arrived { files, extents }))
    }

    /// How far the database gets; `records` are then those to replay, in order.
    ///
    /// # Errors
    ///
    /// 4335 if it is beyond `stop` already.
    pub(super) fn redo_until(
        &self,
        records: &mut Vec<LogRecord>,
        stop: Option<DateTime>,
    ) -> Result<Progress, Message> {
        let mut progress = self.progress;
        records.sort_unstable_by_key(|record| record.lsn);
        let late = records.iter().find(|record| stop.is_some_and(|stop| record.time > stop));
        if let Some(late) = late {
            if late.lsn < self.redo {
                let text = "The specified STOPAT time is too early. All or part of the database is \
                            already rolled forward beyond that point.";
                return Err(Message::user(4335, 16, 1, text.to_owned()));
            }
            progress.redo = late.lsn;
        }
        records.retain(|record| record.lsn >= self.redo && record.lsn < progress.redo);
        Ok(progress)
    }
}
