//! The records of a backup set.

use jiff::civil::DateTime;
use mtf::{
    BackupFile, BackupStart, Configuration, MediaDate, MediaLabel, Raid, Record, Release, Scin,
    SetLabel, Sfgi, Sfin, Sset, Tape, TextTooLong, Volb,
};
use uuid::Uuid;
use vdi_protocol::Profile;

use super::facts::{media_date, recovery_options};
use super::media::Media;
use super::password;
use crate::catalogue::{Access, BackupFacts, Database, FileKind, SetKind};
use crate::session::BackupPlan;

/// What the records of a set are made from.
#[derive(Debug)]
pub(super) struct SetWriter<'j> {
    pub(super) plan: &'j BackupPlan,
    pub(super) database: &'j Database,
    pub(super) facts: &'j BackupFacts,
    pub(super) profile: Profile,
    pub(super) server: &'j str,
    pub(super) user: &'j str,
    pub(super) media_set: Uuid,
    pub(super) started: DateTime,
    pub(super) block_size: u32,
    /// What stands on the media already, a family each; empty for new media.
    pub(super) media: &'j [Media],
    /// Pages of each data file in the backup.
    pub(super) pages: &'j [(u16, u64)],
}

/// The release of a profile.
fn release(profile: Profile) -> Release {
    let same = |release: &Release| release.database_version == profile.database_version;
    Release::ALL.into_iter().find(same).unwrap_or(Release::SQL_2016)
}

impl SetWriter<'_> {
    /// The release whose records are written.
    pub(super) fn release(&self) -> Release {
        release(self.profile)
    }

    /// What stands on the media of family `family`, from 1.
    pub(super) fn media(&self, family: u16) -> Option<&Media> {
        self.media.iter().find(|media| media.raid.get(Raid::FAMILY) == family)
    }

    /// Position of the set on the media, from 1.
    pub(super) fn position(&self) -> u16 {
        self.media.first().map_or(1, |media| media.sets + 1)
    }

    /// What stands before the data of family `family`, from 1.
    pub(super) fn start(&self, family: u16) -> Result<BackupStart, TextTooLong> {
        let date = media_date(self.started);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let plan = self.plan;
        let tape = Record::<Tape>::new(&MediaLabel {
            family_id: self.media_set.as_fields().0.wrapping_add(family.into()),
            block_size: self.block_size,
            name: &text(&plan.media_name),
            description: &text(&plan.media_description),
            password: plan.transfer.media_password.as_deref().map(password::hash),
            date,
        })?;
        let differential = self.facts.kind == SetKind::Differential;
        let version = self.profile.version;
        let mut set = Record::<Sset>::new(&SetLabel {
            attributes: if differential { Sset::DIFFERENTIAL } else { Sset::NORMAL },
            backup_set: self.facts.set,
            name: &text(&plan.name),
            description: &text(&plan.description),
            password: plan.transfer.password.as_deref().map(password::hash),
            user: self.user,
            date,
            time_zone: Sset::UNKNOWN_ZONE,
            expiration: plan
                .retention
                .map_or(MediaDate::UNKNOWN, |r| media_date(r.expiration(self.started))),
            software: (version.major, version.minor),
        })?;
        set.set(Sset::DATA_SET_NUMBER, self.position());
        let families = u16::try_from(plan.devices.len()).unwrap_or(u16::MAX);
        let machine = self.server.split('\\').next().unwrap_or_default();
        let raid = Record::<Raid>::new(self.media_set, families, family);
        let (tape, raid) = match self.media(family) {
            Some(media) => (media.tape.clone(), media.raid.clone()),
            None => (tape, raid),
        };
        Ok(BackupStart {
            tape,
            raid,
            set,
            volume: Record::<Volb>::new("C:", "", machine, date)?,
            configuration: self.configuration()?,
            checksums: plan.transfer.checksum,
        })
    }

    /// The configuration as it is known before the data.
    fn configuration(&self) -> Result<Configuration, TextTooLong> {
        let (release, facts, database) = (self.release(), self.facts, self.database);
        let mut set = release.set(&database.name, self.server)?;
        let flag = |on, flag| if on { flag } else { 0 };
        let flags = Scin::ALWAYS
            | flag(self.plan.transfer.checksum, Scin::CHECKSUM)
            | flag(self.plan.transfer.snapshot, Scin::SNAPSHOT)
            | flag(database.read_only, Scin::READ_ONLY)
            | flag(database.access == Access::SingleUser, Scin::SINGLE_USER)
            | flag(self.plan.options.tail, Scin::TAIL_LOG | Scin::FORCE_OFFLINE)
            | flag(facts.copy_only, Scin::COPY_ONLY)
            | flag(facts.kind == SetKind::Differential, Scin::DIFFERENTIAL);
        let letter = facts.kind.letter() as u32;
        let forked = facts.first_fork != facts.fork;
        let version = self.profile.version;
        set.set(Scin::SOFTWARE_MAJOR, version.major)
            .set(Scin::SOFTWARE_MINOR, version.minor)
            .set(Scin::SOFTWARE_BUILD, version.build)
            .set(Scin::FLAGS, flags)
            .set(Scin::COMPATIBILITY_LEVEL, database.compatibility_level)
            .set(Scin::FIRST_LSN, facts.first)
            .set(Scin::LAST_LSN, facts.last)
            .set(Scin::LAST_LSN_COPY, facts.last)
            .set(Scin::CHECKPOINT_LSN, facts.checkpoint)
            .set(Scin::DATABASE_BACKUP_LSN, facts.database_backup)
            .set(Scin::DATABASE_CREATED, media_date(database.created))
            .set(Scin::STARTED, media_date(self.started))
            .set(Scin::BACKUP_TYPE, u8::try_from(letter).unwrap_or(b'D'))
            .set(Scin::DATABASE_ID, database.id)
            .set(Scin::BINDING_ID, database.family)
            .set(Scin::FAMILY_GUID, database.family)
            .set(Scin::RECOVERY_FORK, facts.fork)
            .set(Scin::FIRST_RECOVERY_FORK, if forked { facts.first_fork } else { Uuid::nil() });
        if forked {
            set.set(Scin::FORK_POINT_LSN, facts.fork_point);
        }
        // Where the chain began, and where the next log backup starts; this set if it begins one.
        let log = &database.log;
        let [began, next] =
            [log.began, log.chain].map(|point| point.map_or(facts.first, |point| point.lsn));
        if facts.kind != SetKind::Log || log.began.is_some() {
            set.set(Scin::CHAIN_LSN, began);
        }
        set.set(Scin::LOG_CHAIN_LSN, next);
        set.set(Scin::DATABASE_OPTIONS, recovery_options(database.recovery_model));
        if let (Some(base), true) = (facts.base, facts.kind != SetKind::Full) {
            set.set(Scin::BASE_BACKUP, base.set);
            if facts.kind == SetKind::Differential {
                set.set(Scin::DIFFERENTIAL_BASE_LSN, base.lsn)
                    .set(Scin::DIFFERENTIAL_BASE, base.set);
            }
        }
        let groups = database.filegroups().into_iter().map(|filegroup| {
            let mut group = release.filegroup(filegroup.id, &filegroup.name)?;
            group
                .set(Sfgi::FIRST_LSN, facts.first)
                .set(Sfgi::LAST_LSN, facts.last)
                .set(Sfgi::LAST_LSN_COPY, facts.last)
                .set(Sfgi::CHECKPOINT_LSN, facts.checkpoint)
                .set(Sfgi::RECOVERY_FORK, facts.fork);
            Ok(group)
        });
        let groups = groups.collect::<Result<Vec<_>, TextTooLong>>()?;
        set.set(Scin::FILEGROUP_COUNT, u32::try_from(groups.len()).unwrap_or(u32::MAX));
        let files = database.files.iter().map(|file| {
            let is_log = file.kind == FileKind::Log;
            let mut record = release.file(&BackupFile {
                id: file.id.into(),
                filegroup: if is_log { Sfin::LOG_FILEGROUP } else { file.filegroup.id },
                is_log,
                size: file.size,
                logical_name: &file.logical_name,
                physical_name: &file.physical_name,
                unique_id: file.unique_id,
            })?;
            let count = self.pages.iter().find(|(id, _)| *id == file.id).map_or(0, |(_, n)| *n);
            if !is_log && facts.kind == SetKind::Full {
                record.set(Sfin::FLAGS, Sfin::PRESENT | Sfin::FULL);
            }
            record
                .set(Sfin::PAGE_COUNT, u32::try_from(count).unwrap_or(u32::MAX))
                .set(Sfin::BACKUP_SIZE, count * mtf::PAGE_SIZE as u64)
                .set(Sfin::FIRST_LSN, facts.first)
                .set(Sfin::LAST_LSN, facts.last)
                .set(Sfin::CHECKPOINT_LSN, facts.checkpoint);
            if let Some(base) = facts.base {
                record.set(Sfin::DIFFERENTIAL_BASE_LSN, base.lsn);
                record.set(Sfin::DIFFERENTIAL_BASE, base.set);
            }
            Ok(record)
        });
        let files = files.collect::<Result<Vec<_>, TextTooLong>>()?;
        Ok(Configuration::new(set, groups, files))
    }

    /// The configuration as it stands behind the data.
    pub(super) fn finished(
        &self,
        mut configuration: Configuration,
        finished: DateTime,
        size: u64,
        log_bytes: u64,
    ) -> Configuration {
        configuration.finish(media_date(finished), size);
        let facts = self.facts;
        for file in configuration.files_mut() {
            if file.is_log() {
                file.set(Sfin::BACKUP_SIZE, log_bytes);
            } else if facts.kind == SetKind::Full && !facts.copy_only {
                file.set(Sfin::DIFFERENTIAL_BASE_LSN, facts.checkpoint);
                file.set(Sfin::DIFFERENTIAL_BASE, facts.set);
            }
        }
        configuration
    }
}
