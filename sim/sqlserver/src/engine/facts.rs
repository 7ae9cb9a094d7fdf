//! The facts of a backup set between the catalogue and its records on the media.

use jiff::civil::DateTime;
use mtf::{Configuration, MediaDate, Record, Scin, Sfin, Sset};

use super::context::Context;
use super::family_sink::Head;
use crate::catalogue::{BackupFacts, DifferentialBase, RecoveryModel, SetKind};
use crate::messages::Message;

/// Bits of [`Scin::DATABASE_OPTIONS`], those of sysdatabases.status: `select into/bulkcopy` and
/// `trunc. log on chkpt.`, which the recovery models replaced.
const BULK_LOGGED: u16 = 4;
const SIMPLE: u16 = 8;

/// A recovery model as options of the database.
pub(super) fn recovery_options(model: RecoveryModel) -> u16 {
    match model {
        RecoveryModel::Full => 0,
        RecoveryModel::BulkLogged => BULK_LOGGED,
        RecoveryModel::Simple => SIMPLE,
    }
}

/// The recovery model that a set's record says.
pub(super) fn recovery_model(set: &Record<Scin>) -> RecoveryModel {
    match set.get(Scin::DATABASE_OPTIONS) {
        options if options & SIMPLE != 0 => RecoveryModel::Simple,
        options if options & BULK_LOGGED != 0 => RecoveryModel::BulkLogged,
        _ => RecoveryModel::Full,
    }
}

/// Whether a set's record says that the database was READ_ONLY.
pub(super) fn is_read_only(set: &Record<Scin>) -> bool {
    set.get(Scin::FLAGS) & Scin::READ_ONLY != 0
}

/// A time as the media has it.
pub(super) fn media_date(time: DateTime) -> MediaDate {
    let part = |part: i8| u8::try_from(part).unwrap_or(0);
    let year = u16::try_from(time.year()).unwrap_or(0);
    MediaDate::new(
        year,
        part(time.month()),
        part(time.day()),
        part(time.hour()),
        part(time.minute()),
        part(time.second()),
    )
    .unwrap_or(MediaDate::UNKNOWN)
}

/// A time of the media; none if it is unknown or no time.
pub(super) fn date_time(date: MediaDate) -> Option<DateTime> {
    let part = |part: u8| i8::try_from(part).ok();
    DateTime::new(
        i16::try_from(date.year()).ok()?,
        part(date.month())?,
        part(date.day())?,
        part(date.hour())?,
        part(date.minute())?,
        part(date.second())?,
        0,
    )
    .ok()
}

/// What a set's records say.
pub(super) fn facts(set: &Record<Sset>, configuration: &Configuration) -> BackupFacts {
    let scin = configuration.set();
    let kind = match scin.get(Scin::BACKUP_TYPE) {
        b'L' => SetKind::Log,
        b'I' => SetKind::Differential,
        _ => SetKind::Full,
    };
    let file_base = configuration
        .files()
        .find(|file| !file.is_log())
        .map(|file| (file.get(Sfin::DIFFERENTIAL_BASE_LSN), file.get(Sfin::DIFFERENTIAL_BASE)));
    let base = file_base.filter(|(_, set)| !set.is_nil()).map(|(lsn, set)| DifferentialBase {
        lsn,
        set,
        time: DateTime::ZERO,
    });
    let fork = scin.get(Scin::RECOVERY_FORK);
    let first = scin.get(Scin::FIRST_RECOVERY_FORK);
    let fork_point = scin.get(Scin::FORK_POINT_LSN);
    BackupFacts {
        kind,
        copy_only: scin.get(Scin::FLAGS) & Scin::COPY_ONLY != 0,
        set: set.get(Sset::BACKUP_SET),
        database: scin.text(Scin::DATABASE_NAME),
        family: scin.get(Scin::FAMILY_GUID),
        // A fork before the set's log is history: the set lies on one path.
        first_fork: match !first.is_nil() && fork_point >= scin.get(Scin::FIRST_LSN) {
            true => first,
            false => fork,
        },
        fork,
        fork_point,
        first: scin.get(Scin::FIRST_LSN),
        last: scin.get(Scin::LAST_LSN),
        checkpoint: scin.get(Scin::CHECKPOINT_LSN),
        database_backup: scin.get(Scin::DATABASE_BACKUP_LSN),
        base,
    }
}

/// What `RESTORE HEADERONLY` says of a set's type, and whether a database can be restored from it
/// alone. The letters are those of `msdb.dbo.backupset`; of the last four no backup has been seen.
pub(super) fn backup_type(set: &Record<Scin>) -> (u8, &'static str, bool) {
    match set.get(Scin::BACKUP_TYPE) {
        b'L' => (2, "Transaction Log", true),
        b'I' => (5, "Database Differential", true),
        b'F' => (4, "File", false),
        b'G' => (6, "File Differential", false),
        b'P' => (7, "Partial", false),
        b'Q' => (8, "Partial Differential", false),
        _ => (1, "Database", true),
    }
}

/// Whether a file is one of pages or log. FILESTREAM and memory-optimized data have containers, whose
/// ids begin behind those of files.
pub(super) fn is_container(file: &Record<Sfin>) -> bool {
    file.get(Sfin::FILE_ID) > u16::MAX.into()
}

/// Checks that a set holds nothing that this server cannot restore.
///
/// # Errors
///
/// 3015 that names it.
pub(super) fn check_supported(head: &Head) -> Result<(), Message> {
    let refuse = |what: &str| Err(Message::new(3015, &[&what]));
    let (_, description, is_whole) = backup_type(head.configuration.set());
    if !is_whole {
        return refuse(&format!("RESTORE of a backup set of type {description}"));
    }
    for file in head.configuration.files() {
        let name = file.text(Sfin::LOGICAL_NAME);
        if is_container(file) {
            return refuse(&format!("RESTORE of the FILESTREAM or memory-optimized data '{name}'"));
        }
        if file.get(Sfin::FLAGS) & Sfin::PRESENT == 0 && file.get(Sfin::PAGE_COUNT) == 0 {
            return refuse(&format!("RESTORE of a backup set without the file '{name}'"));
        }
    }
    Ok(())
}

/// Checks that a set was not made in spite of damage in the database, unless the statement goes on all
/// the same.
///
/// # Errors
///
/// 3182.
pub(super) fn check_undamaged(head: &Head, go_on: bool) -> Result<(), Message> {
    if go_on || !is_damaged(head) {
        return Ok(());
    }
    Err(Message::new(3182, &[]))
}

/// Pages that a set says it holds, over all families.
pub(super) fn page_count(head: &Head) -> u64 {
    let files = head.configuration.files().filter(|file| !file.is_log());
    files.map(|file| u64::from(file.get(Sfin::PAGE_COUNT))).sum()
}

/// Whether a set was made WITH CHECKSUM.
pub(super) fn has_checksums(head: &Head) -> bool {
    head.configuration.set().get(Scin::FLAGS) & Scin::CHECKSUM != 0
}

/// Whether a set was made WITH CONTINUE_AFTER_ERROR and met an error.
pub(super) fn is_damaged(head: &Head) -> bool {
    head.configuration.set().get(Scin::FLAGS) & Scin::DAMAGED != 0
}

/// Checks that the server is new enough for a backup.
///
/// # Errors
///
/// 3169 for a backup of a newer server's database.
pub(super) fn check_release(context: &Context<'_>, head: &Head) -> Result<(), Message> {
    let (scin, profile) = (head.configuration.set(), context.instance.profile);
    if scin.get(Scin::DATABASE_VERSION) <= profile.restores_up_to {
        return Ok(());
    }
    let text = |(major, minor, build): (u8, u8, u16)| format!("{major:02}.{minor:02}.{build:04}");
    let theirs = (
        scin.get(Scin::SOFTWARE_MAJOR),
        scin.get(Scin::SOFTWARE_MINOR),
        scin.get(Scin::SOFTWARE_BUILD),
    );
    let version = profile.version;
    let ours = (version.major, version.minor, version.build);
    Err(Message::new(3169, &[&text(theirs), &text(ours)]))
}
