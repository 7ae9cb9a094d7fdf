//! The tables of msdb that tell of backups and restores.

use mtf::PAGE_SIZE;

use super::views::{Columns, DESCRIPTION, GUID, NAME, PATH, int, lsn};
use crate::catalogue::{BackupSetRow, FileKind, History, MediaFamilyRow, RestoreRow};
use crate::value::{DataType, Value};

/// The columns and rows of a table; none if there is none of this name. `server` is the name of the
/// server, which has made all the sets.
pub(super) fn history_table(
    history: &History,
    server: &str,
    table: &str,
) -> Option<(Columns, Vec<Vec<Value>>)> {
    let sets = history.backup_sets.iter();
    Some(match table {
        "backupset" => {
            (BACKUP_SETS, sets.map(|set| backup_set_row(history, server, set)).collect())
        }
        "backupmediaset" => (MEDIA_SETS, history.media_sets().map(media_set_row).collect()),
        "backupmediafamily" => {
            (MEDIA_FAMILIES, history.media_sets().flat_map(family_rows).collect())
        }
        "backupfile" => (FILES, sets.flat_map(file_rows).collect()),
        "restorehistory" => {
            (RESTORES, history.restores.iter().enumerate().map(restore_row).collect())
        }
        _ => return None,
    })
}

const BACKUP_SETS: Columns = &[
    ("backup_set_id", DataType::Int),
    ("backup_set_uuid", GUID),
    ("media_set_id", DataType::Int),
    ("name", NAME),
    ("description", DataType::NVarChar(Some(255))),
    ("user_name", NAME),
    ("database_name", NAME),
    ("type", DataType::NChar(1)),
    ("recovery_model", DESCRIPTION),
    ("is_copy_only", DataType::Bit),
    ("has_backup_checksums", DataType::Bit),
    ("is_snapshot", DataType::Bit),
    ("first_lsn", DataType::Numeric),
    ("last_lsn", DataType::Numeric),
    ("checkpoint_lsn", DataType::Numeric),
    ("database_backup_lsn", DataType::Numeric),
    ("backup_start_date", DataType::DateTime),
    ("backup_finish_date", DataType::DateTime),
    ("database_creation_date", DataType::DateTime),
    ("backup_size", DataType::Numeric),
    ("compressed_backup_size", DataType::Numeric),
    ("position", DataType::Int),
    ("server_name", NAME),
    ("machine_name", NAME),
    ("collation_name", NAME),
    ("expiration_date", DataType::DateTime),
    ("differential_base_lsn", DataType::Numeric),
    ("differential_base_guid", GUID),
    ("is_damaged", DataType::Bit),
    ("is_password_protected", DataType::Bit),
    ("has_incomplete_metadata", DataType::Bit),
];

fn backup_set_row(history: &History, server: &str, set: &BackupSetRow) -> Vec<Value> {
    vec![
        Value::Int(set.id),
        Value::Guid(set.guid),
        Value::Int(history.media_set_id(set)),
        set.name.clone().into(),
        set.description.clone().into(),
        Value::Text(set.user.clone()),
        Value::Text(set.database.clone()),
        Value::Text(set.kind.letter().to_string()),
        set.recovery_model.description().into(),
        Value::Bit(set.copy_only),
        Value::Bit(set.checksums),
        Value::Bit(set.snapshot),
        lsn(set.first_lsn),
        lsn(set.last_lsn),
        lsn(set.checkpoint_lsn),
        lsn(set.database_backup_lsn),
        Value::DateTime(set.started),
        Value::DateTime(set.finished),
        Value::DateTime(set.database_created),
        Value::Numeric(set.size.into()),
        Value::Numeric(set.size.into()),
        Value::Int(set.position.into()),
        server.into(),
        server.split('\\').next().unwrap_or_default().into(),
        "SQL_Latin1_General_CP1_CI_AS".into(),
        Value::Null,
        set.base.map_or(Value::Null, |base| lsn(base.lsn)),
        set.base.map_or(Value::Null, |base| Value::Guid(base.set)),
        Value::Bit(false),
        Value::Bit(false),
        Value::Bit(false),
    ]
}

const MEDIA_FAMILIES: Columns = &[
    ("media_set_id", DataType::Int),
    ("family_sequence_number", DataType::TinyInt),
    ("media_count", DataType::TinyInt),
    ("logical_device_name", NAME),
    ("physical_device_name", PATH),
    ("device_type", DataType::TinyInt),
];

/// The families of a media set, by the first set on it.
fn family_rows(set: &BackupSetRow) -> Vec<Vec<Value>> {
    let row = |(index, family): (usize, &MediaFamilyRow)| {
        vec![
            Value::Int(set.id),
            Value::TinyInt(u8::try_from(index + 1).unwrap_or(u8::MAX)),
            Value::TinyInt(1),
            Value::Null,
            Value::Text(family.device.clone()),
            Value::TinyInt(family.device_type),
        ]
    };
    set.families.iter().enumerate().map(row).collect()
}

const MEDIA_SETS: Columns = &[
    ("media_set_id", DataType::Int),
    ("media_uuid", GUID),
    ("media_family_count", DataType::TinyInt),
    ("name", NAME),
    ("description", DataType::NVarChar(Some(255))),
    ("software_name", NAME),
    ("software_vendor_id", DataType::Int),
    ("MTF_major_version", DataType::TinyInt),
    ("mirror_count", DataType::TinyInt),
    ("is_password_protected", DataType::Bit),
    ("is_compressed", DataType::Bit),
    ("is_encrypted", DataType::Bit),
];

/// The number by which SQL Server's media are known.
const VENDOR: i32 = 4608;

/// A media set, by the first set on it.
fn media_set_row(set: &BackupSetRow) -> Vec<Value> {
    vec![
        Value::Int(set.id),
        Value::Guid(set.media_set),
        Value::TinyInt(u8::try_from(set.families.len()).unwrap_or(u8::MAX)),
        Value::Null,
        Value::Null,
        "Microsoft SQL Server".into(),
        Value::Int(VENDOR),
        Value::TinyInt(1),
        Value::TinyInt(1),
        Value::Bit(false),
        Value::Bit(false),
        Value::Bit(false),
    ]
}

const FILES: Columns = &[
    ("backup_set_id", DataType::Int),
    ("first_family_number", DataType::TinyInt),
    ("first_media_number", DataType::SmallInt),
    ("filegroup_name", NAME),
    ("page_size", DataType::Int),
    ("file_number", DataType::Numeric),
    ("backed_up_page_count", DataType::Numeric),
    ("file_type", DataType::NChar(1)),
    ("source_file_block_size", DataType::Numeric),
    ("file_size", DataType::Numeric),
    ("logical_name", NAME),
    ("physical_drive", PATH),
    ("physical_name", PATH),
    ("state", DataType::TinyInt),
    ("state_desc", NAME),
    ("file_guid", GUID),
    ("backup_size", DataType::Numeric),
    ("is_readonly", DataType::Bit),
    ("is_present", DataType::Bit),
];

fn file_rows(set: &BackupSetRow) -> impl Iterator<Item = Vec<Value>> {
    set.files.iter().map(|file| {
        let is_log = file.kind == FileKind::Log;
        let drive = file.physical_name.get(..2).filter(|drive| drive.ends_with(':'));
        vec![
            Value::Int(set.id),
            Value::TinyInt(1),
            Value::SmallInt(1),
            if is_log { Value::Null } else { Value::Text(file.filegroup.clone()) },
            Value::Int(PAGE_SIZE as i32),
            Value::Numeric(file.id.into()),
            Value::Numeric(file.pages.into()),
            if is_log { "L" } else { "D" }.into(),
            Value::Numeric(512),
            Value::Numeric(file.size.into()),
            Value::Text(file.logical_name.clone()),
            drive.map(str::to_owned).into(),
            Value::Text(file.physical_name.clone()),
            Value::TinyInt(0),
            "ONLINE".into(),
            Value::Guid(file.unique_id),
            Value::Numeric(i128::from(file.pages) * PAGE_SIZE as i128),
            Value::Bit(false),
            Value::Bit(is_log || file.pages > 0),
        ]
    })
}

const RESTORES: Columns = &[
    ("restore_history_id", DataType::Int),
    ("restore_date", DataType::DateTime),
    ("destination_database_name", NAME),
    ("user_name", NAME),
    ("backup_set_id", DataType::Int),
    ("restore_type", DataType::NChar(1)),
    ("replace", DataType::Bit),
    ("recovery", DataType::Bit),
];

fn restore_row((index, row): (usize, &RestoreRow)) -> Vec<Value> {
    vec![
        int(index + 1),
        Value::DateTime(row.finished),
        Value::Text(row.database.clone()),
        Value::Text(row.user.clone()),
        row.backup_set.map_or(Value::Null, Value::Int),
        Value::Text(row.kind.letter().to_string()),
        Value::Bit(row.replace),
        Value::Bit(row.recovery),
    ]
}
