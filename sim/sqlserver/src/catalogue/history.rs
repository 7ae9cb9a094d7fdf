//! What was backed up and restored, as msdb keeps it.

use jiff::civil::DateTime;
use mtf::Lsn;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::database::{DifferentialBase, FileKind, RecoveryModel, SetKind};
use super::lsn_text;

/// The history of backups and restores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Backup sets, oldest first.
    pub backup_sets: Vec<BackupSetRow>,
    /// Restores, oldest first.
    pub restores: Vec<RestoreRow>,
}

/// A backup set, as in `msdb.dbo.backupset`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackupSetRow {
    /// Number of the set.
    pub id: i32,
    /// Its GUID.
    pub guid: Uuid,
    /// GUID of the media set, which sets have in common that stand behind one another.
    pub media_set: Uuid,
    /// Its place among them, from 1: what RESTORE … WITH FILE takes. Old catalogues do not have it.
    #[serde(default = "first")]
    pub position: u16,
    /// Name of the set.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Who made it.
    pub user: String,
    /// Name of the database.
    pub database: String,
    /// What it holds.
    pub kind: SetKind,
    /// Recovery model of the database.
    pub recovery_model: RecoveryModel,
    /// WITH COPY_ONLY.
    pub copy_only: bool,
    /// WITH CHECKSUM.
    pub checksums: bool,
    /// WITH SNAPSHOT.
    pub snapshot: bool,
    /// First LSN.
    #[serde(with = "lsn_text")]
    pub first_lsn: Lsn,
    /// Last LSN.
    #[serde(with = "lsn_text")]
    pub last_lsn: Lsn,
    /// LSN of the checkpoint.
    #[serde(with = "lsn_text")]
    pub checkpoint_lsn: Lsn,
    /// Checkpoint LSN of the last full backup.
    #[serde(with = "lsn_text")]
    pub database_backup_lsn: Lsn,
    /// The base of a differential set.
    #[serde(default)]
    pub base: Option<DifferentialBase>,
    /// When it started, local time.
    pub started: DateTime,
    /// When it finished.
    pub finished: DateTime,
    /// When the database was created.
    pub database_created: DateTime,
    /// Bytes.
    pub size: u64,
    /// Where it went.
    pub families: Vec<MediaFamilyRow>,
    /// The database's files. Old catalogues do not have them.
    #[serde(default)]
    pub files: Vec<BackupFileRow>,
}

fn first() -> u16 {
    1
}

impl History {
    /// The number of a set's media set: that of the first set on it.
    pub fn media_set_id(&self, set: &BackupSetRow) -> i32 {
        let same = |other: &&BackupSetRow| other.media_set == set.media_set;
        self.backup_sets.iter().find(same).map_or(set.id, |first| first.id)
    }

    /// The media sets, each as the first set on it.
    pub fn media_sets(&self) -> impl Iterator<Item = &BackupSetRow> {
        self.backup_sets.iter().filter(|set| self.media_set_id(set) == set.id)
    }
}

/// A device of a backup, as in `msdb.dbo.backupmediafamily`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MediaFamilyRow {
    /// 2 disk, 5 tape, 7 virtual device.
    pub device_type: u8,
    /// Name of the device.
    pub device: String,
}

/// A file of a database when it was backed up, as in `msdb.dbo.backupfile`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackupFileRow {
    /// Its id in the database.
    pub id: u16,
    /// Data or log.
    pub kind: FileKind,
    /// The filegroup of a data file.
    pub filegroup: String,
    /// Its logical name.
    pub logical_name: String,
    /// Its path, as the server tells it.
    pub physical_name: String,
    /// Its GUID.
    pub unique_id: Uuid,
    /// Its size in bytes.
    pub size: u64,
    /// Pages of it in the set.
    pub pages: u64,
}

/// A restore, as in `msdb.dbo.restorehistory`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestoreRow {
    /// When it finished, local time.
    pub finished: DateTime,
    /// The database restored to.
    pub database: String,
    /// Who did it.
    pub user: String,
    /// The backup set, if this server knows it.
    pub backup_set: Option<i32>,
    /// What was restored.
    pub kind: SetKind,
    /// WITH REPLACE.
    pub replace: bool,
    /// Whether the database was recovered.
    pub recovery: bool,
}
