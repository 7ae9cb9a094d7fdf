//! Catalogue views that clients and scripts ask for; the tables of msdb stand beside.

use mtf::Lsn;

use super::batch::Session;
use super::evaluate::Evaluated;
use super::functions::{access_name, shown_state};
use super::history_views::history_table;
use crate::catalogue::{Database, DatabaseFile, DatabaseState, FileKind, Filegroup};
use crate::sql::ObjectName;
use crate::value::{DataType, Value};

/// Columns with their types.
pub(super) type Columns = &'static [(&'static str, DataType)];

pub(super) const NAME: DataType = DataType::NVarChar(Some(128));
pub(super) const DESCRIPTION: DataType = DataType::NVarChar(Some(60));
pub(super) const PATH: DataType = DataType::NVarChar(Some(260));
pub(super) const GUID: DataType = DataType::UniqueIdentifier;

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
        (_, table) if in_msdb => {
            return Ok(history_table(&catalogue.history, &session.instance.name, table));
        }
        _ => return Ok(None),
    }))
}

pub(super) fn int(number: usize) -> Value {
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
    ("log_reuse_wait", DataType::TinyInt),
    ("log_reuse_wait_desc", DESCRIPTION),
    ("is_encrypted", DataType::Bit),
];

fn database_row(database: &Database) -> Vec<Value> {
    let (state, state_name) = shown_state(&database.state);
    let in_standby = matches!(database.state, DatabaseState::Standby(_));
    let access = access_name(database);
    let (reuse_wait, reuse_wait_name) = match database.waits_for_log_backup() {
        true => (2, "LOG_BACKUP"),
        false => (0, "NOTHING"),
    };
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
        Value::TinyInt(reuse_wait),
        reuse_wait_name.into(),
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
