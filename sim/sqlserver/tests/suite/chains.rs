//! Chains of backups, against a model that knows no log sequence numbers.

use std::collections::BTreeMap;

use fake_sqlserver::catalogue::{
    BackupFacts, BackupOptions, Content, Database, DatabaseState, ExtentId, LogRecord, Progress,
    RecoveryModel, Server, SetKind, SyntheticDatabase, check_target,
};
use fake_sqlserver::messages::Message;
use jiff::civil::{DateTime, date};
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

fn now() -> DateTime {
    date(2024, 5, 6).at(7, 8, 9, 0)
}

fn database(recovery_model: RecoveryModel) -> Database {
    let size = 8 << 20;
    SyntheticDatabase { name: "sales".to_owned(), size, seed: 3, recovery_model }.build(9, now())
}

fn change(database: &mut Database, count: u32, seed: u64) -> Result<(), Message> {
    let allocated: Vec<_> = (0..112).map(|extent| ExtentId { file: 1, extent }).collect();
    database.change(&allocated, count, seed, now()).map(|_| ())
}

/// Changed pages and their seeds: what a user sees of a database.
type Seen = BTreeMap<u32, u64>;

fn seen(database: &Database) -> Seen {
    let file = database.data_files().next().unwrap();
    let Content::Generated(generated) = &file.content else { panic!("{file:?}") };
    generated.changes.iter().map(|(page, change)| (*page, change.seed)).collect()
}

/// A backup set: what is on the media.
struct Tape {
    facts: BackupFacts,
    /// All changed pages at that time, or those since the base.
    pages: Seen,
    log: Vec<LogRecord>,
    /// The model's: places in the sequence of all that was logged.
    first: usize,
    last: usize,
    base: Option<usize>,
}

#[derive(Clone, Debug)]
enum Step {
    Change(u32, u64),
    Backup(SetKind, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kinds = vec![SetKind::Full, SetKind::Differential, SetKind::Log, SetKind::Log];
    let kind = proptest::sample::select(kinds);
    let step = prop_oneof![
        (1_u32..30, any::<u64>()).prop_map(|(count, seed)| Step::Change(count, seed)),
        (kind, proptest::bool::weighted(0.2)).prop_map(|(kind, copy)| Step::Backup(kind, copy)),
    ];
    vec(step, 4..24)
}

/// The server's side: a database that is changed and backed up.
struct History {
    database: Database,
    /// What the database was after so many log events.
    versions: Vec<Seen>,
    tapes: Vec<Tape>,
    /// Where the log chain continues, and number of the base's tape.
    chain: Option<usize>,
    base: Option<usize>,
}

impl History {
    fn run(steps: &[Step]) -> History {
        let database = database(RecoveryModel::Full);
        let versions = vec![seen(&database)];
        let mut history =
            History { database, versions, tapes: Vec::new(), chain: None, base: None };
        for step in steps {
            match *step {
                Step::Change(count, seed) => {
                    change(&mut history.database, count, seed).unwrap();
                    history.versions.push(seen(&history.database));
                }
                Step::Backup(kind, copy_only) => history.backup(kind, copy_only),
            }
        }
        history
    }

    fn backup(&mut self, kind: SetKind, copy_only: bool) {
        let options = BackupOptions { kind, copy_only, tail: false };
        let begun = self.database.begin_backup(options, Uuid::new_v4());
        let allowed = match kind {
            SetKind::Full => true,
            SetKind::Differential => self.base.is_some(),
            SetKind::Log => self.chain.is_some(),
        };
        assert_eq!(begun.is_ok(), allowed, "{kind:?} {begun:?}");
        let Ok(facts) = begun else { return };
        let before = self.versions.len() - 1;
        if kind != SetKind::Log {
            self.versions.push(seen(&self.database));
        }
        let last = self.versions.len() - 1;
        let first = if kind == SetKind::Log { self.chain.unwrap() } else { before };
        let in_backup = |extent| match kind {
            SetKind::Differential => {
                self.database.changed.iter().any(|changed| changed.extent == extent)
            }
            _ => true,
        };
        let pages =
            seen(&self.database).into_iter().filter(|(page, _)| in_backup(page / 8)).collect();
        let log = self.database.log.records.iter();
        let log = log.filter(|r| r.lsn >= facts.first && r.lsn < facts.last).copied().collect();
        self.database.finish_backup(&facts, now());
        let base = match kind {
            SetKind::Full if !copy_only => Some(self.tapes.len()),
            _ => self.base,
        };
        self.tapes.push(Tape { facts, pages, log, first, last, base });
        if kind == SetKind::Full && !copy_only {
            self.base = base;
            self.chain = self.chain.or(Some(first));
        }
        if kind == SetKind::Log && !copy_only {
            self.chain = Some(last);
        }
    }
}

/// The restored side.
#[derive(Default)]
struct Restored {
    database: Option<Database>,
    pages: Seen,
    /// The model's: up to which event, and on which base.
    place: Option<(usize, Option<usize>)>,
}

impl Restored {
    fn allows(&self, tape: &Tape) -> Option<usize> {
        match (tape.facts.kind, self.place) {
            (SetKind::Full, _) => Some(tape.last),
            (SetKind::Differential, Some((place, base))) => {
                (tape.base == base && tape.last >= place).then_some(tape.last)
            }
            (SetKind::Log, Some((place, _))) => {
                (tape.first <= place && place <= tape.last).then_some(tape.last)
            }
            _ => None,
        }
    }

    fn restore(&mut self, tape: &Tape) -> Result<Progress, u32> {
        let progress =
            check_target("sales", self.database.as_ref(), &tape.facts, now(), false, false)
                .map_err(|message| message.number)?;
        match tape.facts.kind {
            SetKind::Full => self.pages = tape.pages.clone(),
            SetKind::Differential => self.pages.extend(&tape.pages),
            SetKind::Log => {
                self.pages.extend(tape.log.iter().map(|record| (record.page, record.seed)));
            }
        }
        let base = if tape.facts.kind == SetKind::Full { tape.base } else { self.place.unwrap().1 };
        self.place = Some((tape.last, base));
        let database = self.database.get_or_insert_with(|| database(RecoveryModel::Full));
        database.state = DatabaseState::Restoring(progress);
        Ok(progress)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    // Catches: an LSN that is off by one at either end of a log backup, a chain that a copy moves
    // on, a differential that misses a change or takes another base, a sequence accepted out of
    // order, log truncated that no backup holds.
    #[test]
    fn what_is_restored_is_what_was_there(
        steps in steps(),
        order in vec(any::<proptest::sample::Index>(), 1..16),
    ) {
        let history = History::run(&steps);
        prop_assume!(!history.tapes.is_empty());
        let mut restored = Restored::default();
        for index in order {
            let tape = &history.tapes[index.index(history.tapes.len())];
            let allowed = restored.allows(tape);
            let result = restored.restore(tape);
            prop_assert_eq!(result.is_ok(), allowed.is_some(), "{:?} {:?}", tape.facts, result);
            match (result, allowed) {
                (Ok(_), Some(place)) => {
                    prop_assert_eq!(&restored.pages, &history.versions[place]);
                }
                (Err(number), _) => prop_assert!(
                    [3117, 3118, 3120, 3136, 4305, 4326].contains(&number), "{number}"
                ),
                _ => {}
            }
        }
    }

    // Catches: a chain of all logs since a full backup that does not lead to the present.
    #[test]
    fn a_full_backup_and_all_logs_after_it_lead_to_the_end(steps in steps()) {
        let mut history = History::run(&steps);
        history.backup(SetKind::Full, false);
        change(&mut history.database, 5, 77).unwrap();
        history.versions.push(seen(&history.database));
        let from = history.tapes.len() - 1;
        history.backup(SetKind::Log, false);
        let mut restored = Restored::default();
        for tape in &history.tapes[from..] {
            prop_assert!(restored.restore(tape).is_ok());
        }
        prop_assert_eq!(&restored.pages, &seen(&history.database));
    }
}

fn number<T>(result: Result<T, Message>) -> u32 {
    result.err().map_or(0, |message| message.number)
}

// Catches: another message than SQL Server's for a backup that cannot be made.
#[test]
fn backups_that_cannot_be_made_have_their_messages() {
    let options = |kind| BackupOptions { kind, copy_only: false, tail: false };
    let begin = |database: &mut Database, kind| {
        number(database.begin_backup(options(kind), Uuid::new_v4()))
    };
    let mut sales = database(RecoveryModel::Full);
    assert_eq!(begin(&mut sales, SetKind::Differential), 3035);
    assert_eq!(begin(&mut sales, SetKind::Log), 4214);
    assert_eq!(begin(&mut database(RecoveryModel::Simple), SetKind::Log), 4208);
    let mut master = database(RecoveryModel::Simple);
    master.name = "master".to_owned();
    assert_eq!(begin(&mut master, SetKind::Differential), 3024);
    sales.state = DatabaseState::Offline;
    assert_eq!(begin(&mut sales, SetKind::Full), 942);
}

// Catches: an existing database overwritten without being asked to, work in the log lost.
#[test]
fn existing_databases_are_protected() {
    let full = BackupOptions { kind: SetKind::Full, copy_only: false, tail: false };
    let mut sales = database(RecoveryModel::Full);
    let facts = sales.begin_backup(full, Uuid::new_v4()).unwrap();
    sales.finish_backup(&facts, now());
    let check = |existing: &Database, replace| {
        number(check_target("sales", Some(existing), &facts, now(), replace, false))
    };
    assert_eq!(check(&sales, false), 0);
    change(&mut sales, 3, 1).unwrap();
    assert_eq!((check(&sales, false), check(&sales, true)), (3159, 0));
    let mut other = database(RecoveryModel::Simple);
    other.family = Uuid::new_v4();
    assert_eq!((check(&other, false), check(&other, true)), (3154, 0));
}

// Catches: a recovered database that continues the old path, so that logs of both mix.
#[test]
fn recovery_starts_a_path_of_its_own() {
    let backup = |database: &mut Database, kind| {
        let options = BackupOptions { kind, copy_only: false, tail: false };
        let facts = database.begin_backup(options, Uuid::new_v4()).unwrap();
        database.finish_backup(&facts, now());
        facts
    };
    let mut sales = database(RecoveryModel::Full);
    let full = backup(&mut sales, SetKind::Full);
    let mut copy = sales.clone();
    let progress = check_target("sales", None, &full, now(), false, false).unwrap();
    copy.state = DatabaseState::Restoring(progress);
    let restoring = copy.clone();
    copy.recover();
    change(&mut copy, 1, 1).unwrap();
    change(&mut sales, 1, 2).unwrap();
    let (old, new) = (backup(&mut sales, SetKind::Log), backup(&mut copy, SetKind::Log));
    let next =
        |state: &Database, facts| check_target("sales", Some(state), facts, now(), false, false);
    let mut on_old = restoring.clone();
    on_old.state = DatabaseState::Restoring(next(&restoring, &old).unwrap());
    assert_eq!(number(next(&restoring, &new)), 0, "the fork lies in the log");
    change(&mut copy, 1, 3).unwrap();
    let later = backup(&mut copy, SetKind::Log);
    assert!(number(next(&on_old, &later)) != 0, "log of another path");
}

// Catches: a chain that has ended, with its log, and goes on where a log backup of it ends later.
#[test]
fn a_chain_that_has_ended_stays_so() {
    let mut database = database(RecoveryModel::Full);
    let options = |kind| BackupOptions { kind, copy_only: false, tail: false };
    let begin = |database: &mut Database, kind| {
        database.begin_backup(options(kind), Uuid::new_v4()).unwrap()
    };
    let full = begin(&mut database, SetKind::Full);
    database.finish_backup(&full, now());
    change(&mut database, 5, 1).unwrap();
    let log = begin(&mut database, SetKind::Log);
    database.log.end_chain();
    let after_end = database.clone();
    database.finish_backup(&log, now());
    assert_eq!(database, after_end);
    change(&mut database, 5, 2).unwrap();
    let full = begin(&mut database, SetKind::Full);
    database.finish_backup(&full, now());
    let anew = database.clone();
    database.finish_backup(&log, now());
    assert_eq!(database, anew);

    // A full backup begins no chain over log that is gone.
    database.log.end_chain();
    let full = begin(&mut database, SetKind::Full);
    database.recovery_model = RecoveryModel::Simple;
    change(&mut database, 5, 3).unwrap();
    database.recovery_model = RecoveryModel::Full;
    database.finish_backup(&full, now());
    assert_eq!(database.log.chain, None);
}

// Catches: a change lost between two processes, or a state that does not come back.
#[test]
fn two_servers_of_a_folder_see_one_catalogue() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (Server::open(folder.path()).unwrap(), Server::open(folder.path()).unwrap());
    let changed = one.update(|catalogue| {
        let pubs = catalogue.database_mut("PUBS").unwrap();
        let options = BackupOptions { kind: SetKind::Full, copy_only: false, tail: false };
        let facts = pubs.begin_backup(options, Uuid::new_v4())?;
        change(pubs, 40, 1)?;
        pubs.begin_tail(&facts, false);
        pubs.finish_backup(&facts, now());
        Ok::<_, Message>(pubs.clone())
    });
    let changed = changed.unwrap().unwrap();
    assert_eq!(two.read().unwrap().database("pubs"), Some(&changed));
    let refused = two.update(|catalogue| {
        catalogue.databases.clear();
        Err::<(), _>(())
    });
    assert_eq!(refused.unwrap(), Err(()));
    assert_eq!(one.read().unwrap().databases.len(), 7);
}
