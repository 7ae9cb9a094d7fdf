//! From a BACKUP or RESTORE as it is written to what it asks for: values of variables, limits,
//! options that exclude each other.

use jiff::civil::DateTime;
use vdi_protocol::statement::{
    check_block_size, check_buffer_count, check_device_count, check_max_transfer_size,
};

use super::batch::Session;
use super::evaluate::{Evaluated, date_time};
use crate::catalogue::{BackupOptions, SetKind};
use crate::messages::{Message, SeveralMessages};
use crate::sql::{
    Backup, BackupKind, Device, DeviceKind, OptionName, OptionValue, Restore, RestoreKind,
    WithOption,
};

/// Default of STATS in percent.
const DEFAULT_STATS: u32 = 10;

/// Most characters of NAME and MEDIANAME, and of DESCRIPTION and MEDIADESCRIPTION.
const NAME_LIMIT: usize = 128;
const DESCRIPTION_LIMIT: usize = 255;

/// Most days of RETAINDAYS; 0 keeps nothing.
const MAX_RETAIN_DAYS: i32 = 99_999;

/// Most MIRROR TO clauses.
const MAX_MIRRORS: usize = 3;

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePlan {
    /// Its type.
    pub kind: DeviceKind,
    /// Its name.
    pub name: String,
}

/// Options that BACKUP and RESTORE have in common. Sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferPlan {
    /// BLOCKSIZE.
    pub block_size: Option<u32>,
    /// BUFFERCOUNT.
    pub buffer_count: Option<u32>,
    /// MAXTRANSFERSIZE.
    pub max_transfer_size: Option<u32>,
    /// STATS: a message every so many percent; none without STATS.
    pub stats: Option<u32>,
    /// CHECKSUM.
    pub checksum: bool,
    /// NO_CHECKSUM: a RESTORE looks at no checksums.
    pub no_checksum: bool,
    /// CONTINUE_AFTER_ERROR.
    pub continue_after_error: bool,
    /// SNAPSHOT.
    pub snapshot: bool,
    /// PASSWORD: of the backup set.
    pub password: Option<String>,
    /// MEDIAPASSWORD.
    pub media_password: Option<String>,
}

/// A BACKUP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupPlan {
    /// Name of the database.
    pub database: String,
    /// Full, differential or log.
    pub options: BackupOptions,
    /// Where to.
    pub devices: Vec<DevicePlan>,
    /// Sizes and the like.
    pub transfer: TransferPlan,
    /// NAME.
    pub name: Option<String>,
    /// DESCRIPTION.
    pub description: Option<String>,
    /// MEDIANAME.
    pub media_name: Option<String>,
    /// MEDIADESCRIPTION.
    pub media_description: Option<String>,
    /// Options without effect whose effect a user would miss: COMPRESSION and ENCRYPTION.
    pub missed: Vec<OptionName>,
    /// What of a disk device is overwritten.
    pub overwrite: Overwrite,
    /// SKIP: also sets that have not expired.
    pub skip: bool,
    /// How long the set is kept from being overwritten.
    pub retention: Option<Retention>,
    /// STANDBY: a database whose tail is taken can be read afterwards.
    pub standby: bool,
}

/// What of the media a BACKUP overwrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// Nothing (NOINIT): the set goes behind the others.
    Nothing,
    /// The sets (INIT); the media header stays.
    Sets,
    /// All (FORMAT), whatever it is.
    Media,
}

/// How long a backup set is kept from being overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// EXPIREDATE.
    Until(DateTime),
    /// RETAINDAYS, from the start of the backup.
    Days(i32),
}

impl Retention {
    /// When a set of a backup that has started then expires.
    pub fn expiration(self, started: DateTime) -> DateTime {
        match self {
            Retention::Until(time) => time,
            Retention::Days(days) => {
                started.checked_add(jiff::Span::new().days(days)).unwrap_or(DateTime::MAX)
            }
        }
    }
}

/// What becomes of a database after a RESTORE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceEnd {
    /// It can be used.
    Recovery,
    /// It waits for more backups.
    NoRecovery,
    /// It can be read and waits for more backups.
    Standby,
}

/// A RESTORE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestorePlan {
    /// Which of its forms.
    pub kind: RestoreKind,
    /// Name of the database; empty for the forms that only show something.
    pub database: String,
    /// Where from; empty to recover what is there.
    pub devices: Vec<DevicePlan>,
    /// Sizes and the like.
    pub transfer: TransferPlan,
    /// What becomes of the database.
    pub end: SequenceEnd,
    /// REPLACE.
    pub replace: bool,
    /// MOVE: logical and physical names.
    pub moves: Vec<(String, String)>,
    /// Whether files whose places other databases have get new ones, instead of being refused.
    pub relocate: bool,
    /// STOPAT.
    pub stop_at: Option<DateTime>,
    /// FILE: position on the media, from 1; 0 for all, which HEADERONLY shows.
    pub position: i64,
}

/// Options that exclude each other.
const EXCLUSIVE: [&[OptionName]; 9] = [
    &[OptionName::Snapshot, OptionName::Differential, OptionName::MetadataOnly],
    &[OptionName::Recovery, OptionName::NoRecovery, OptionName::Standby],
    &[OptionName::Checksum, OptionName::NoChecksum],
    &[OptionName::Init, OptionName::NoInit],
    &[OptionName::Format, OptionName::NoFormat],
    &[OptionName::Skip, OptionName::NoSkip],
    &[OptionName::Compression, OptionName::NoCompression],
    &[OptionName::StopOnError, OptionName::ContinueAfterError],
    &[OptionName::ExpireDate, OptionName::RetainDays],
];

impl Session {
    /// What a BACKUP asks for.
    pub(super) fn plan_backup(&self, backup: &Backup) -> Evaluated<BackupPlan> {
        use OptionName::*;
        let options = &backup.options;
        check_conflicts(options)?;
        let is_log = backup.kind == BackupKind::Log;
        let unfit: &[OptionName] = match is_log {
            true => &[Differential, Snapshot, MetadataOnly],
            false => &[NoRecovery, Standby, NoTruncate],
        };
        check_supported(options, unfit)?;
        if !backup.files.is_empty() {
            return Err(Message::new(3015, &[&"BACKUP DATABASE ... FILE"]).into());
        }
        let devices = self.devices(&backup.devices)?;
        for mirror in &backup.mirrors {
            if mirror.len() != devices.len() {
                return Err(Message::new(3010, &[]).into());
            }
            // Each a device of its own kind, and the one that it mirrors.
            if self.devices(mirror)?[0].kind != devices[0].kind {
                return Err(Message::new(3011, &[]).into());
            }
        }
        match backup.mirrors.len() {
            0 => {}
            count if count > MAX_MIRRORS => {
                return Err(Message::new(3214, &[&MAX_MIRRORS]).into());
            }
            _ => return Err(Message::new(3218, &[]).into()),
        }
        let has = |name| find(options, name).is_some();
        let kind = match (is_log, has(Differential)) {
            (true, _) => SetKind::Log,
            (false, true) => SetKind::Differential,
            (false, false) => SetKind::Full,
        };
        // DIFFERENTIAL outweighs COPY_ONLY.
        let copy_only = has(CopyOnly) && kind != SetKind::Differential;
        let tail = has(NoRecovery) || has(Standby);
        Ok(BackupPlan {
            database: self.operand_text(&backup.database)?,
            options: BackupOptions { kind, copy_only, tail },
            transfer: self.transfer(options, &devices)?,
            devices,
            name: self.label(options, Name, NAME_LIMIT)?,
            description: self.label(options, Description, DESCRIPTION_LIMIT)?,
            media_name: self.label(options, MediaName, NAME_LIMIT)?,
            media_description: self.label(options, MediaDescription, DESCRIPTION_LIMIT)?,
            missed: [Compression, Encryption].into_iter().filter(|name| has(*name)).collect(),
            standby: has(Standby),
            overwrite: match () {
                () if has(Format) => Overwrite::Media,
                () if has(Init) => Overwrite::Sets,
                () => Overwrite::Nothing,
            },
            skip: has(Skip),
            retention: self.retention(options)?,
        })
    }

    fn retention(&self, options: &[WithOption]) -> Evaluated<Option<Retention>> {
        if let Some(text) = self.text_option(options, OptionName::ExpireDate)? {
            let date = date_time(&text).filter(|date| date.year() > 0);
            let date = date.ok_or_else(|| Message::new(3217, &[&"EXPIREDATE"]))?;
            return Ok(Some(Retention::Until(date)));
        }
        match self.number_option(options, OptionName::RetainDays)? {
            None | Some(0) => Ok(None),
            Some(days) => {
                let most = i64::from(MAX_RETAIN_DAYS);
                let allowed = i32::try_from(days).ok().filter(|_| (1..=most).contains(&days));
                let out_of_range = || Message::new(3250, &[&days, &"RETAINDAYS"]);
                Ok(Some(Retention::Days(allowed.ok_or_else(out_of_range)?)))
            }
        }
    }

    /// What a RESTORE asks for.
    pub(super) fn plan_restore(&self, restore: &Restore) -> Evaluated<RestorePlan> {
        use OptionName::*;
        let options = &restore.options;
        check_conflicts(options)?;
        let restores = matches!(restore.kind, RestoreKind::Database | RestoreKind::Log);
        if !restores {
            let unfit = [Recovery, NoRecovery, Standby, Replace, Partial, StopAt, Snapshot];
            check_supported(options, &unfit)?;
        }
        if !restore.files.is_empty() || restore.pages.is_some() || restore.snapshot.is_some() {
            return Err(Message::new(3015, &[&"RESTORE of files, pages and snapshots"]).into());
        }
        if find(options, StopAtMark).or(find(options, StopBeforeMark)).is_some() {
            return Err(Message::new(3015, &[&"RESTORE to a mark"]).into());
        }
        let devices = match restores && restore.devices.is_empty() {
            true => Vec::new(),
            false => self.devices(&restore.devices)?,
        };
        let database = match &restore.database {
            Some(name) => self.operand_text(name)?,
            None => String::new(),
        };
        let mut moves = Vec::new();
        for option in options {
            if let OptionValue::Move { logical, physical } = &option.value {
                moves.push((self.operand_text(logical)?, self.operand_text(physical)?));
            }
        }
        let stop_at = match self.text_option(options, StopAt)? {
            None => None,
            Some(text) => match date_time(&text) {
                Some(time) => Some(time),
                None => return Err(Message::new(3217, &[&"STOPAT"]).into()),
            },
        };
        let end = match () {
            () if find(options, NoRecovery).is_some() => SequenceEnd::NoRecovery,
            () if find(options, Standby).is_some() => SequenceEnd::Standby,
            () => SequenceEnd::Recovery,
        };
        Ok(RestorePlan {
            kind: restore.kind,
            database,
            transfer: self.transfer(options, &devices)?,
            devices,
            end,
            replace: find(options, Replace).is_some(),
            moves,
            relocate: self.instance.relocates,
            stop_at,
            position: match self.number_option(options, File)? {
                Some(position) if position < 1 => {
                    return Err(Message::new(3250, &[&position, &"FILE"]).into());
                }
                Some(position) => position,
                None if restore.kind == RestoreKind::HeaderOnly => 0,
                None => 1,
            },
        })
    }

    fn devices(&self, devices: &[Device]) -> Evaluated<Vec<DevicePlan>> {
        check_device_count(devices.len())
            .map_err(|error| Message::user(error.number(), 16, 1, error.message()))?;
        let mut plans = Vec::new();
        for device in devices {
            let name = self.operand_text(&device.name)?;
            let Some(kind) = device.kind else {
                return Err(Message::new(3206, &[&name]).into());
            };
            if name.is_empty() {
                return Err(Message::new(3044, &[]).into());
            }
            plans.push(DevicePlan { kind, name });
        }
        if plans.windows(2).any(|pair| pair[0].kind != pair[1].kind) {
            return Err(Message::new(3011, &[]).into());
        }
        let is_virtual = plans.iter().any(|plan| plan.kind == DeviceKind::VirtualDevice);
        if is_virtual && !self.login.is_sysadmin {
            return Err(Message::new(3265, &[]).into());
        }
        Ok(plans)
    }

    fn transfer(&self, options: &[WithOption], devices: &[DevicePlan]) -> Evaluated<TransferPlan> {
        use OptionName::*;
        let refused = |error: vdi_protocol::statement::StatementError| {
            SeveralMessages::from(Message::user(error.number(), 16, 1, error.message()))
        };
        let stats = match find(options, Stats) {
            None => None,
            Some(OptionValue::None) => Some(DEFAULT_STATS),
            Some(_) => {
                let value = self.number_option(options, Stats)?.unwrap_or(0);
                let percent = u32::try_from(value).ok().filter(|value| (1..=100).contains(value));
                let out_of_range = || Message::new(3250, &[&value, &"STATS"]);
                Some(percent.ok_or_else(out_of_range)?)
            }
        };
        let number = |name| self.number_option(options, name);
        let snapshot = find(options, Snapshot).or(find(options, MetadataOnly)).is_some();
        let is_virtual = devices.iter().all(|device| device.kind == DeviceKind::VirtualDevice);
        if snapshot && (devices.len() != 1 || !is_virtual) {
            return Err(Message::new(3277, &[]).into());
        }
        Ok(TransferPlan {
            block_size: number(BlockSize)?.map(check_block_size).transpose().map_err(refused)?,
            buffer_count: number(BufferCount)?
                .map(check_buffer_count)
                .transpose()
                .map_err(refused)?,
            max_transfer_size: number(MaxTransferSize)?
                .map(check_max_transfer_size)
                .transpose()
                .map_err(refused)?,
            stats,
            checksum: find(options, Checksum).is_some(),
            no_checksum: find(options, NoChecksum).is_some(),
            continue_after_error: find(options, ContinueAfterError).is_some(),
            snapshot,
            password: self.text_option(options, Password)?,
            media_password: self.text_option(options, MediaPassword)?,
        })
    }

    fn number_option(&self, options: &[WithOption], name: OptionName) -> Evaluated<Option<i64>> {
        match find(options, name) {
            Some(OptionValue::Operand(operand)) => match self.operand_integer(operand)? {
                Some(number) => Ok(Some(number)),
                None => Err(Message::new(3217, &[&name.keyword()]).into()),
            },
            _ => Ok(None),
        }
    }

    fn text_option(&self, options: &[WithOption], name: OptionName) -> Evaluated<Option<String>> {
        match find(options, name) {
            Some(OptionValue::Operand(operand)) => self.operand_text(operand).map(Some),
            _ => Ok(None),
        }
    }

    fn label(
        &self,
        options: &[WithOption],
        name: OptionName,
        limit: usize,
    ) -> Evaluated<Option<String>> {
        let text = self.text_option(options, name)?;
        match text {
            Some(text) if text.chars().count() > limit => {
                Err(Message::new(3217, &[&name.keyword()]).into())
            }
            text => Ok(text),
        }
    }
}

fn find(options: &[WithOption], name: OptionName) -> Option<&OptionValue> {
    options.iter().find(|option| option.name == name).map(|option| &option.value)
}

/// Options that exclude each other, and options given twice; MOVE may be.
fn check_conflicts(options: &[WithOption]) -> Result<(), Message> {
    for (index, option) in options.iter().enumerate() {
        let conflict = options[..index].iter().find(|earlier| {
            let twice = earlier.name == option.name && option.name != OptionName::Move;
            let group = EXCLUSIVE.iter().find(|group| group.contains(&option.name));
            twice || group.is_some_and(|group| group.contains(&earlier.name))
        });
        if let Some(earlier) = conflict {
            let names =
                (option.name.keyword().to_lowercase(), earlier.name.keyword().to_lowercase());
            return Err(Message::new(3031, &[&names.0, &names.1]));
        }
    }
    Ok(())
}

/// Options that the statement knows but not in this form.
fn check_supported(options: &[WithOption], unfit: &[OptionName]) -> Result<(), Message> {
    let found = options.iter().filter(|option| unfit.contains(&option.name));
    let names: Vec<_> = found.map(|option| option.name.keyword().to_lowercase()).collect();
    match names.is_empty() {
        true => Ok(()),
        false => Err(Message::new(3032, &[&names.join(", ")])),
    }
}
