//! A database.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use mtf::{EXTENT_PAGES, Lsn, PAGE_SIZE, PageId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::log::{ChainPoint, Log};
use super::lsn_text;
use super::memory_file::MemoryFile;
use super::pages::{GeneratedFile, PageChange, is_data_page, mix};
use super::restore_rules::Progress;
use super::storage::ExtentId;
use crate::messages::Message;

/// A database's recovery model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the model of that name")]
pub enum RecoveryModel {
    Full,
    BulkLogged,
    Simple,
}

impl RecoveryModel {
    /// As catalogue views show it.
    pub fn description(self) -> &'static str {
        match self {
            RecoveryModel::Full => "FULL",
            RecoveryModel::BulkLogged => "BULK_LOGGED",
            RecoveryModel::Simple => "SIMPLE",
        }
    }

    /// As `sys.databases` numbers it.
    pub fn number(self) -> u8 {
        match self {
            RecoveryModel::Full => 1,
            RecoveryModel::BulkLogged => 2,
            RecoveryModel::Simple => 3,
        }
    }
}

/// Whether a database can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DatabaseState {
    /// It can.
    Online,
    /// It waits for more backups.
    Restoring(Progress),
    /// It can be read, and waits for more backups: RESTORE … WITH STANDBY.
    Standby(Progress),
    /// ALTER DATABASE … SET OFFLINE.
    Offline,
}

/// Who may use a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the mode of that name")]
pub enum Access {
    MultiUser,
    SingleUser,
    RestrictedUser,
}

/// What a file of a database is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "data and log")]
pub enum FileKind {
    Data,
    Log,
}

/// Where the pages of a file come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// They are made.
    Generated(GeneratedFile),
    /// They stand in this file, each at its number times the page size.
    Stored(PathBuf),
    /// They are in memory, for as long as the server lives.
    #[serde(skip)]
    Memory(MemoryFile),
    /// A log file: its records are in the catalogue, or in files of their own.
    Log,
}

/// A filegroup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Filegroup {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
}

/// PRIMARY, which every database has.
impl Default for Filegroup {
    fn default() -> Self {
        Filegroup { id: 1, name: "PRIMARY".to_owned() }
    }
}

/// A file of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseFile {
    /// Its id in the database.
    pub id: u16,
    /// Data or log.
    pub kind: FileKind,
    /// The filegroup of a data file.
    #[serde(default)]
    pub filegroup: Filegroup,
    /// Its logical name.
    pub logical_name: String,
    /// Its path, as the server tells it.
    pub physical_name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its GUID.
    pub unique_id: Uuid,
    /// Its pages.
    pub content: Content,
}

impl DatabaseFile {
    /// Pages that it has room for.
    pub fn page_count(&self) -> u32 {
        u32::try_from(self.size / PAGE_SIZE as u64).unwrap_or(u32::MAX)
    }
}

/// The full backup that differential backups refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferentialBase {
    /// Its checkpoint.
    #[serde(with = "lsn_text")]
    pub lsn: Lsn,
    /// Its GUID.
    pub set: Uuid,
    /// When it was made, local time.
    pub time: DateTime,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its id.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// When it was created, local time.
    pub created: DateTime,
    /// Its recovery model.
    pub recovery_model: RecoveryModel,
    /// Whether it can be used.
    pub state: DatabaseState,
    /// Who may use it.
    pub access: Access,
    /// READ_ONLY.
    pub read_only: bool,
    /// Its compatibility level.
    pub compatibility_level: u8,
    /// What all copies of it have in common.
    pub family: Uuid,
    /// Its recovery path.
    pub fork: Uuid,
    /// Its files, data files in the order of their ids, the log last.
    pub files: Vec<DatabaseFile>,
    /// Its log.
    pub log: Log,
    /// The last full backup that is no copy.
    pub base: Option<DifferentialBase>,
    /// Changed extents since the base, by file and number: where their last change stands.
    pub changed: Vec<ChangedExtent>,
    /// What the last restore has brought, until it stands in the files.
    #[serde(default)]
    pub arrived: Option<Arrived>,
    /// Extents that backup sets brought though the allocation maps in them call them free: pages at
    /// fixed places, and what was allocated while the backup ran.
    #[serde(default)]
    pub unmapped: Vec<ExtentId>,
}

/// Extents that a restore of a differential or log backup has brought. They are the database's from
/// the moment the catalogue says so, though they stand in files of their own: so a restore is done
/// whole or not at all, whenever its process is killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// The files they stand in, by the id of the file that they are for.
    pub files: Vec<(u16, Content)>,
    /// Which they are.
    pub extents: Vec<ExtentId>,
}

/// An extent that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedExtent {
    /// File.
    pub file: u16,
    /// Number in the file.
    pub extent: u32,
    /// Last change.
    #[serde(with = "lsn_text")]
    pub lsn: Lsn,
}

/// What a backup set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the kind of that name")]
pub enum SetKind {
    Full,
    Differential,
    Log,
}

impl SetKind {
    /// As `msdb.dbo.backupset` has it.
    pub fn letter(self) -> char {
        match self {
            SetKind::Full => 'D',
            SetKind::Differential => 'I',
            SetKind::Log => 'L',
        }
    }
}

/// What decides about the log sequence numbers of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupOptions {
    /// Full, differential or log.
    pub kind: SetKind,
    /// WITH COPY_ONLY.
    pub copy_only: bool,
    /// BACKUP LOG … WITH NORECOVERY or STANDBY: the database waits for backups afterwards.
    pub tail: bool,
}

/// The log sequence numbers and identities of a backup set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFacts {
    /// Full, differential or log.
    pub kind: SetKind,
    /// WITH COPY_ONLY.
    pub copy_only: bool,
    /// GUID of the set.
    pub set: Uuid,
    /// Name of the database.
    pub database: String,
    /// What all copies of the database have in common.
    pub family: Uuid,
    /// Its recovery path where the set starts.
    pub first_fork: Uuid,
    /// And where it ends.
    pub fork: Uuid,
    /// Where the second left the first, if they are two.
    pub fork_point: Lsn,
    /// First LSN.
    pub first: Lsn,
    /// Where the log of the set ends: the first record that is not in it.
    pub last: Lsn,
    /// The checkpoint.
    pub checkpoint: Lsn,
    /// Checkpoint of the last full backup; zero before the first.
    pub database_backup: Lsn,
    /// The base of a differential set; for a full set that is a copy, the base at that time.
    pub base: Option<DifferentialBase>,
}

impl Database {
    /// The file of this id.
    pub fn file(&self, id: u16) -> Option<&DatabaseFile> {
        self.files.iter().find(|file| file.id == id)
    }

    /// Its data files.
    pub fn data_files(&self) -> impl Iterator<Item = &DatabaseFile> {
        self.files.iter().filter(|file| file.kind == FileKind::Data)
    }

    /// The files on disk that hold pages or log of it.
    pub(crate) fn stored(&self) -> impl Iterator<Item = &Path> {
        let arrived = self.arrived.iter().flat_map(|arrived| &arrived.files);
        let contents = self.files.iter().map(|file| &file.content);
        let log = self.log.kept.iter().map(|kept| &kept.content);
        contents.chain(arrived.map(|(_, content)| content)).chain(log).filter_map(|content| {
            match content {
                Content::Stored(path) => Some(path.as_path()),
                _ => None,
            }
        })
    }

    /// The filegroups that have files, by id.
    pub fn filegroups(&self) -> BTreeSet<&Filegroup> {
        self.data_files().map(|file| &file.filegroup).collect()
    }

    /// Checks that the database can be read.
    ///
    /// # Errors
    ///
    /// 927 while it waits for backups, 942 offline.
    pub fn check_open(&self) -> Result<(), Message> {
        match self.state {
            DatabaseState::Online | DatabaseState::Standby(_) => Ok(()),
            DatabaseState::Restoring(_) => Err(Message::new(927, &[&self.name]).with_state(2)),
            DatabaseState::Offline => Err(Message::new(942, &[&self.name]).with_state(4)),
        }
    }

    /// Checks that a backup can be made, and says what will be in it. The checkpoint is written
    /// to the log here; [`Self::finish_backup`] notes down what has come of it.
    ///
    /// # Errors
    ///
    /// SQL Server's message why not.
    pub fn begin_backup(
        &mut self,
        options: BackupOptions,
        set: Uuid,
    ) -> Result<BackupFacts, Message> {
        self.check_backup(options)?;
        let old_checkpoint = self.log.checkpoint;
        let (first, first_fork, checkpoint) = match (options.kind, self.log.chain) {
            (SetKind::Log, Some(chain)) => (chain.lsn, chain.fork, old_checkpoint),
            _ => {
                let checkpoint = self.log.write_checkpoint();
                (checkpoint, self.fork, checkpoint)
            }
        };
        Ok(BackupFacts {
            kind: options.kind,
            copy_only: options.copy_only,
            set,
            database: self.name.clone(),
            family: self.family,
            first_fork,
            fork: self.fork,
            fork_point: self.log.forked.max(first),
            first,
            last: self.log.next,
            checkpoint,
            database_backup: self.base.map_or_else(Lsn::default, |base| base.lsn),
            base: self.base,
        })
    }

    fn check_backup(&self, options: BackupOptions) -> Result<(), Message> {
        match self.state {
            DatabaseState::Online => {}
            DatabaseState::Standby(_) => return Err(Message::new(3036, &[&self.name])),
            DatabaseState::Restoring(_) | DatabaseState::Offline => self.check_open()?,
        }
        let is_master = self.name.eq_ignore_ascii_case("master");
        match options.kind {
            SetKind::Full => Ok(()),
            SetKind::Log if is_master => Err(Message::new(4212, &[])),
            SetKind::Differential if is_master => Err(Message::new(3024, &[])),
            SetKind::Differential if self.base.is_none() => Err(Message::new(3035, &[&self.name])),
            SetKind::Differential => Ok(()),
            SetKind::Log if self.recovery_model == RecoveryModel::Simple => {
                Err(Message::new(4208, &[&"BACKUP LOG"]))
            }
            SetKind::Log if self.log.chain.is_none() => Err(Message::new(4214, &[])),
            SetKind::Log => Ok(()),
        }
    }

    /// Notes down that the backup is safe: the differential base, the log chain and the log that
    /// is no longer needed.
    pub fn finish_backup(&mut self, facts: &BackupFacts, time: DateTime) {
        let simple = self.recovery_model == RecoveryModel::Simple;
        match facts.kind {
            SetKind::Full if !facts.copy_only => {
                self.base = Some(DifferentialBase { lsn: facts.checkpoint, set: facts.set, time });
                self.changed.retain(|extent| extent.lsn >= facts.checkpoint);
                self.begin_chain(facts);
            }
            SetKind::Differential => self.begin_chain(facts),
            // A chain that has ended meanwhile, or begun anew, is not this backup's.
            SetKind::Log if !facts.copy_only && self.log.chain_starts(facts.first) => {
                self.log.chain = Some(ChainPoint { lsn: facts.last, fork: facts.fork });
                self.log.truncate(facts.last);
            }
            _ => {}
        }
        if simple {
            self.log.end_chain();
            self.log.truncate(facts.last);
        }
    }

    /// Begins a log chain with a full or differential backup where there is none.
    fn begin_chain(&mut self, facts: &BackupFacts) {
        // The log since must be there: the recovery model may have been another meanwhile.
        let is_there = facts.first >= self.log.truncated;
        let is_chained = self.recovery_model != RecoveryModel::Simple;
        if is_chained && self.log.chain.is_none() && is_there {
            self.log.truncate(facts.first);
            let start = ChainPoint { lsn: facts.first, fork: facts.fork };
            (self.log.chain, self.log.began) = (Some(start), Some(start));
        }
    }

    /// Lets nobody use the database from now on, as this backup takes the tail of its log, or, for
    /// `standby`, nobody change it. A server that is killed meanwhile leaves it so: RESTORE … WITH
    /// RECOVERY makes it usable, and nothing is lost.
    pub fn begin_tail(&mut self, facts: &BackupFacts, standby: bool) {
        let Database { base, fork, .. } = *self;
        let progress = Progress { redo: facts.last, base, fork };
        self.state = match standby {
            true => DatabaseState::Standby(progress),
            false => DatabaseState::Restoring(progress),
        };
    }

    /// Makes the database usable again if the backup of the tail has failed.
    pub fn give_tail_up(&mut self, facts: &BackupFacts) {
        if let DatabaseState::Restoring(progress) | DatabaseState::Standby(progress) = self.state
            && progress.redo == facts.last
        {
            self.state = DatabaseState::Online;
        }
    }

    /// Changes `count` data pages of the extents `allocated`, chosen by `seed`, and writes the log of
    /// it. What stands in files is changed by whoever has them open: the records say how.
    ///
    /// # Errors
    ///
    /// SQL Server's message if the database cannot be written to.
    pub fn change(
        &mut self,
        allocated: &[ExtentId],
        count: u32,
        seed: u64,
        time: DateTime,
    ) -> Result<Vec<(PageId, PageChange)>, Message> {
        match self.state {
            DatabaseState::Standby(_) => {
                return Err(Message::new(927, &[&self.name]).with_state(2));
            }
            _ => self.check_open()?,
        }
        let pages = allocated.len() as u64 * EXTENT_PAGES as u64;
        if pages == 0 {
            return Ok(Vec::new());
        }
        let chosen =
            (0..u64::from(count)).map(|n| mix(seed.wrapping_mul(0x9e37_79b9).wrapping_add(n)));
        let changes: Vec<_> = chosen
            .map(|number| {
                let (place, extents) = (number % pages, EXTENT_PAGES as u64);
                let first = allocated[(place / extents) as usize].first_page();
                (PageId { page: first.page + (place % extents) as u32, ..first }, number)
            })
            .filter(|(page, _)| is_data_page(*page))
            .collect();
        let places = self.log.append(time, changes.iter().copied());
        let changed: Vec<_> = changes
            .into_iter()
            .zip(places)
            .map(|((id, seed), lsn)| (id, PageChange { seed, lsn }))
            .collect();
        self.apply(&changed);
        if self.recovery_model == RecoveryModel::Simple {
            self.log.write_checkpoint();
            self.log.truncate(self.log.next);
        }
        Ok(changed)
    }

    /// Takes changes over into the content and the map of changed extents.
    pub fn apply(&mut self, changes: &[(PageId, PageChange)]) {
        let mut extents: BTreeMap<(u16, u32), Lsn> =
            self.changed.iter().map(|extent| ((extent.file, extent.extent), extent.lsn)).collect();
        for (id, change) in changes {
            extents.insert((id.file, id.page / EXTENT_PAGES as u32), change.lsn);
            let file = self.files.iter_mut().find(|file| file.id == id.file);
            if let Some(Content::Generated(generated)) = file.map(|file| &mut file.content) {
                generated.changes.insert(id.page, *change);
            }
        }
        self.changed = extents
            .into_iter()
            .map(|((file, extent), lsn)| ChangedExtent { file, extent, lsn })
            .collect();
    }

    /// Whether there is log that no backup holds, so that overwriting the database loses work.
    pub fn has_unsaved_log(&self) -> bool {
        self.log
            .chain
            .is_some_and(|chain| self.log.records.iter().any(|record| record.lsn >= chain.lsn))
    }

    /// Whether its log waits for a backup before it can be used anew.
    pub fn waits_for_log_backup(&self) -> bool {
        self.recovery_model != RecoveryModel::Simple && self.has_unsaved_log()
    }

    /// Makes a restored database usable. It starts a recovery path of its own.
    pub fn recover(&mut self) {
        if let DatabaseState::Restoring(progress) | DatabaseState::Standby(progress) = &self.state {
            let Progress { redo, base, fork } = *progress;
            self.base = base;
            if self.log.chain.is_some() && self.log.next == redo {
                // Nothing that is new has been restored since the backup of its tail.
                self.log.fork_off(self.fork);
            } else {
                let chained = self.recovery_model != RecoveryModel::Simple;
                let fork = chained.then_some(fork);
                self.log = Log::continued(redo, fork, self.log.kept.take());
            }
            self.fork = Uuid::new_v4();
        }
        self.state = DatabaseState::Online;
    }
}
