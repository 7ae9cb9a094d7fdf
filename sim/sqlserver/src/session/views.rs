//! Catalogue views and the tables of msdb that clients and scripts ask for.

use mtf::Lsn;

use super::batch::Session;
use super::evaluate::Evaluated;
use super::functions::{access_name, shown_state};
use crate::catalogue::{
    BackupSetRow, Database, DatabaseFile, DatabaseState, FileKind, Filegroup, History,
};
use crate::sql::ObjectName;
use crate::value::{DataType, Value};

/// Columns with their types.
type Columns = &'static [(&'static str, DataType)];

const NAME: DataType = DataType::NVarChar(Some(128));
const DESCRIPTION: DataType = DataType::NVarChar(Some(60));
const PATH: DataType = DataType::NVarChar(Some(260));
const GUID: DataType = DataType::UniqueIdentifier;

/// The columns and rows of a view; none if there is none of this name.
pub(super) fn view(
    session: &Session,
    name: &ObjectName,
) -> Evaluated<Option<(Columns, Vec<Vec<Value>>)>> {
    let catalogue = session.instance.catalogue()?;
    let lower = |part: Option<&str>| part.unwrap_or_default().to_ascii_lowercase();
    let (schema, object) = (lower(name.schema()), name.object().to_ascii_lowercase());
    if let Some(named) = name.database() {
        let Some(database) = catalogue.database(named) else { return Ok(None) };
        database.check_open()?;
    }
    let database = name.database().unwrap_or(&session.database);
    let in_msdb = database.eq_ignore_ascii_case("msdb") && matches!(schema.as_str(), "" | "dbo");
    let history = &catalogue.history;
    Ok(Some(match (schema.as_str(), object.as_str()) {
        ("sys", "databases") => (DATABASES, catalogue.databases.iter().map(database_row).collect()),
        ("sys" | "dbo" | "", "sysdatabases") => {
            let version = session.instance.profile.database_version;
            let row = |database| old_database_row(database, version);
            (OLD_DATABASES, catalogue.databases.iter().map(row).collect())
        }
        ("sys", "master_files") => {
            let files = |database: &Database| {
                database.files.iter().map(|f| master_file_row(database, f)).collect::<Vec<_>>()
            };
            (MASTER_FILES, catalogue.databases.iter().flat_map(files).collect())
        }
        ("sys", "database_files") => {
            let rows = |database: &Database| {
                database.files.iter().map(|file| file_row(database, file)).collect()
            };
            (DATABASE_FILES, catalogue.database(database).map_or(Vec::new(), rows))
        }
        ("sys", "filegroups") => {
            let groups = catalogue.database(database).map(Database::filegroups);
            (FILEGROUPS, groups.into_iter().flatten().map(filegroup_row).collect())
        }
        (_, "backupset") if in_msdb => {
            let row = |set| backup_set_row(history, set);
            (BACKUP_SETS, history.backup_sets.iter().map(row).collect())
        }
        (_, "backupmediafamily") if in_msdb => {
            (MEDIA_FAMILIES, history.media_sets().flat_map(family_rows).collect())
        }
        (_, "restorehistory") if in_msdb => {
            let row = |(index, row): (usize, &crate::catalogue::RestoreRow)| {
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
            };
            (RESTORES, history.restores.iter().enumerate().map(row).collect())
        }
        _ => return Ok(None),
    }))
}

fn int(number: usize) -> Value {
    Value::Int(i32::try_from(number).unwrap_or(i32::MAX))
}

/// Sizes of files are told in pages of 8 KiB.
fn pages(file: &DatabaseFile) -> Value {
    Value::Int(i32::try_from(file.page_count()).unwrap_or(i32::MAX))
}

pub(super) fn lsn(lsn: Lsn) -> Value {
    Value::Numeric(i128::try_from(lsn.to_decimal()).unwrap_or(0))
}

const DATABASES: Columns = &[
    ("name", NAME),
    ("database_id", DataType::Int),
    ("source_database_id", DataType::Int),
    ("owner_sid", DataType::VarBinary(Some(85))),
    ("create_date", DataType::DateTime),
    ("compatibility_level", DataType::TinyInt),
    ("collation_name", NAME),
    ("user_access", DataType::TinyInt),
    ("user_access_desc", DESCRIPTION),
    ("is_read_only", DataType::Bit),
    ("is_auto_close_on", DataType::Bit),
    ("state", DataType::TinyInt),
    ("state_desc", DESCRIPTION),
    ("is_in_standby", DataType::Bit),
    ("recovery_model", DataType::TinyInt),
    ("recovery_model_desc", DESCRIPTION),
    ("page_verify_option", DataType::TinyInt),
    ("page_verify_option_desc", DESCRIPTION),
    ("is_broker_enabled", DataType::Bit),
    ("is_encrypted", DataType::Bit),
];

fn database_row(database: &Database) -> Vec<Value> {
    let (state, state_name) = shown_state(&database.state);
    let in_standby = matches!(database.state, DatabaseState::Standby(_));
    let access = access_name(database);
    vec![
        Value::Text(database.name.clone()),
        Value::Int(database.id.into()),
        Value::Null,
        Value::Binary(vec![1]),
        Value::DateTime(database.created),
        Value::TinyInt(database.compatibility_level),
        "SQL_Latin1_General_CP1_CI_AS".into(),
        Value::TinyInt(match access {
            "MULTI_USER" => 0,
            "SINGLE_USER" => 1,
            _ => 2,
        }),
        access.into(),
        Value::Bit(database.read_only || in_standby),
        Value::Bit(false),
        Value::TinyInt(state),
        state_name.into(),
        Value::Bit(in_standby),
        Value::TinyInt(database.recovery_model.number()),
        database.recovery_model.description().into(),
        Value::TinyInt(2),
        "CHECKSUM".into(),
        Value::Bit(false),
        Value::Bit(false),
    ]
}

const OLD_DATABASES: Columns = &[
    ("name", NAME),
    ("dbid", DataType::SmallInt),
    ("crdate", DataType::DateTime),
    ("cmptlevel", DataType::TinyInt),
    ("filename", PATH),
    ("version", DataType::SmallInt),
];

fn old_database_row(database: &Database, version: u16) -> Vec<Value> {
    let file = database.data_files().next().map(|file| file.physical_name.clone());
    vec![
        Value::Text(database.name.clone()),
        Value::SmallInt(i16::try_from(database.id).unwrap_or(i16::MAX)),
        Value::DateTime(database.created),
        Value::TinyInt(database.compatibility_level),
        file.into(),
        Value::SmallInt(i16::try_from(version).unwrap_or(i16::MAX)),
    ]
}

const MASTER_FILES: Columns = &[
    ("database_id", DataType::Int),
    ("file_id", DataType::Int),
    ("file_guid", GUID),
    ("type", DataType::TinyInt),
    ("type_desc", DESCRIPTION),
    ("data_space_id", DataType::Int),
    ("name", NAME),
    ("physical_name", PATH),
    ("state", DataType::TinyInt),
    ("state_desc", DESCRIPTION),
    ("size", DataType::Int),
    ("max_size", DataType::Int),
    ("growth", DataType::Int),
    ("is_read_only", DataType::Bit),
];

/// The same without the database.
const DATABASE_FILES: Columns = MASTER_FILES.split_at(1).1;

fn master_file_row(database: &Database, file: &DatabaseFile) -> Vec<Value> {
    let mut row = vec![Value::Int(database.id.into())];
    row.extend(file_row(database, file));
    row
}

fn file_row(database: &Database, file: &DatabaseFile) -> Vec<Value> {
    let (state, state_name) = shown_state(&database.state);
    let is_log = file.kind == FileKind::Log;
    vec![
        Value::Int(file.id.into()),
        Value::Guid(file.unique_id),
        Value::TinyInt(is_log.into()),
        if is_log { "LOG" } else { "ROWS" }.into(),
        Value::Int(data_space(file)),
        Value::Text(file.logical_name.clone()),
        Value::Text(file.physical_name.clone()),
        Value::TinyInt(state),
        state_name.into(),
        pages(file),
        Value::Int(-1),
        Value::Int(8192),
        Value::Bit(false),
    ]
}

/// The id of a file's filegroup; 0 for the log.
fn data_space(file: &DatabaseFile) -> i32 {
    match file.kind {
        FileKind::Data => i32::try_from(file.filegroup.id).unwrap_or(i32::MAX),
        FileKind::Log => 0,
    }
}

const FILEGROUPS: Columns = &[
    ("name", NAME),
    ("data_space_id", DataType::Int),
    ("type", DataType::NChar(2)),
    ("type_desc", DESCRIPTION),
    ("is_default", DataType::Bit),
    ("is_system", DataType::Bit),
    ("filegroup_guid", GUID),
    ("log_filegroup_id", DataType::Int),
    ("is_read_only", DataType::Bit),
];

fn filegroup_row(group: &Filegroup) -> Vec<Value> {
    vec![
        Value::Text(group.name.clone()),
        Value::Int(i32::try_from(group.id).unwrap_or(i32::MAX)),
        "FG".into(),
        "ROWS_FILEGROUP".into(),
        Value::Bit(*group == Filegroup::default()),
        Value::Bit(false),
        Value::Null,
        Value::Null,
        Value::Bit(false),
    ]
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
];

fn backup_set_row(history: &History, set: &BackupSetRow) -> Vec<Value> {
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
    let row = |(index, family): (usize, &crate::catalogue::MediaFamilyRow)| {
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
