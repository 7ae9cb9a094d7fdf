//! Statements.

use super::expression::{Expression, ObjectName, Select};
use super::option::WithOption;
use crate::value::DataType;

/// The statements of a batch.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Batch {
    /// In order.
    pub statements: Vec<Statement>,
}

/// A statement and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Its first line in the batch, from 1.
    pub line: u32,
    /// What it is.
    pub kind: StatementKind,
}

/// What a statement does.
#[derive(Clone, Debug, PartialEq)]
pub enum StatementKind {
    /// BACKUP.
    Backup(Backup),
    /// RESTORE.
    Restore(Restore),
    /// DECLARE.
    Declare(Vec<Declaration>),
    /// SET of a variable.
    Assign(Assignment),
    /// SET of session options.
    SetOption(SetOption),
    /// USE.
    Use(String),
    /// SELECT.
    Select(Select),
    /// EXECUTE.
    Execute(Execute),
    /// PRINT.
    Print(Expression),
    /// RAISERROR: message, severity, state, arguments.
    RaiseError(Vec<Expression>),
    /// IF.
    If {
        /// When.
        condition: Expression,
        /// Then.
        then: Box<Statement>,
        /// Else.
        otherwise: Option<Box<Statement>>,
    },
    /// BEGIN … END.
    Block(Vec<Statement>),
    /// RETURN: the rest of the batch is left out.
    Return,
    /// BEGIN TRANSACTION, COMMIT, ROLLBACK.
    Transaction(TransactionControl),
    /// CREATE DATABASE.
    CreateDatabase(String),
    /// ALTER DATABASE … SET.
    AlterDatabase(AlterDatabase),
    /// DROP DATABASE.
    DropDatabase {
        /// Which ones.
        names: Vec<String>,
        /// Whether missing ones are passed over.
        if_exists: bool,
    },
    /// CHECKPOINT.
    Checkpoint,
}

/// A literal or a variable, where T-SQL wants no more than that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A name or a string.
    Text(String),
    /// A number.
    Integer(i64),
    /// A variable, with its `@`.
    Variable(String),
}

/// What BACKUP backs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupKind {
    /// BACKUP DATABASE.
    Database,
    /// BACKUP LOG.
    Log,
}

/// BACKUP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Database or log.
    pub kind: BackupKind,
    /// Name of the database.
    pub database: Operand,
    /// Restriction to files; empty for all.
    pub files: Vec<FileSelection>,
    /// TO.
    pub devices: Vec<Device>,
    /// MIRROR TO.
    pub mirrors: Vec<Vec<Device>>,
    /// WITH.
    pub options: Vec<WithOption>,
}

/// What RESTORE restores or shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the statement of that name")]
pub enum RestoreKind {
    Database,
    Log,
    FileListOnly,
    HeaderOnly,
    LabelOnly,
    VerifyOnly,
    RewindOnly,
}

impl RestoreKind {
    /// How messages call the statement.
    pub fn verb(self) -> &'static str {
        match self {
            RestoreKind::Database => "RESTORE DATABASE",
            RestoreKind::Log => "RESTORE LOG",
            RestoreKind::FileListOnly => "RESTORE FILELIST",
            RestoreKind::HeaderOnly => "RESTORE HEADERONLY",
            RestoreKind::LabelOnly => "RESTORE LABELONLY",
            RestoreKind::VerifyOnly => "VERIFY DATABASE",
            RestoreKind::RewindOnly => "RESTORE REWINDONLY",
        }
    }
}

impl Backup {
    /// How messages call the statement.
    pub fn verb(&self) -> &'static str {
        match self.kind {
            BackupKind::Database => "BACKUP DATABASE",
            BackupKind::Log => "BACKUP LOG",
        }
    }
}

/// RESTORE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// Which of its forms.
    pub kind: RestoreKind,
    /// Name of the database; none for the forms that only show something.
    pub database: Option<Operand>,
    /// Restriction to files; empty for all.
    pub files: Vec<FileSelection>,
    /// PAGE: a list of `file:page`.
    pub pages: Option<Operand>,
    /// FROM; empty to recover what is there.
    pub devices: Vec<Device>,
    /// FROM DATABASE_SNAPSHOT.
    pub snapshot: Option<Operand>,
    /// WITH.
    pub options: Vec<WithOption>,
}

/// A part of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileSelection {
    /// FILE.
    File(Operand),
    /// FILEGROUP.
    FileGroup(Operand),
    /// READ_WRITE_FILEGROUPS.
    ReadWriteFileGroups,
}

/// A backup device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its type; none for the name of a logical device.
    pub kind: Option<DeviceKind>,
    /// Its name.
    pub name: Operand,
}

/// Type of a backup device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the type of that name")]
pub enum DeviceKind {
    Disk,
    Tape,
    Url,
    VirtualDevice,
}

impl DeviceKind {
    /// The type with this keyword, in any case.
    pub fn from_keyword(keyword: &str) -> Option<DeviceKind> {
        let is = |name: &str| keyword.eq_ignore_ascii_case(name);
        match () {
            () if is("DISK") => Some(DeviceKind::Disk),
            () if is("TAPE") => Some(DeviceKind::Tape),
            () if is("URL") => Some(DeviceKind::Url),
            () if is("VIRTUAL_DEVICE") => Some(DeviceKind::VirtualDevice),
            () => None,
        }
    }

    /// The type's keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            DeviceKind::Disk => "DISK",
            DeviceKind::Tape => "TAPE",
            DeviceKind::Url => "URL",
            DeviceKind::VirtualDevice => "VIRTUAL_DEVICE",
        }
    }
}

/// A variable of DECLARE, or a parameter of sp_executesql.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// With its `@`.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Its first value.
    pub value: Option<Expression>,
}

/// `SET @variable = value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// With its `@`.
    pub variable: String,
    /// The value, with `+=` and the like written out.
    pub value: Expression,
}

/// SET of session options, such as `SET NOCOUNT, XACT_ABORT ON`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetOption {
    /// The options, in upper case.
    pub names: Vec<String>,
    /// What follows, such as `ON`, in upper case.
    pub value: String,
}

/// EXECUTE.
#[derive(Clone, Debug, PartialEq)]
pub struct Execute {
    /// Variable for the return status.
    pub status: Option<String>,
    /// What is executed.
    pub executed: Executed,
}

/// What EXECUTE executes.
#[derive(Clone, Debug, PartialEq)]
pub enum Executed {
    /// A procedure.
    Procedure {
        /// Its name.
        name: ObjectName,
        /// Its arguments.
        arguments: Vec<ExecuteArgument>,
    },
    /// Text: `EXECUTE ('…')`.
    Text(Expression),
}

/// An argument of a procedure.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecuteArgument {
    /// Name of the parameter with its `@`, if it is passed by name.
    pub parameter: Option<String>,
    /// The value; none for DEFAULT.
    pub value: Option<Expression>,
    /// OUTPUT.
    pub is_output: bool,
}

/// Control of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the statement of that name")]
pub enum TransactionControl {
    Begin,
    Commit,
    Rollback,
}

/// ALTER DATABASE … SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterDatabase {
    /// The database; none is CURRENT.
    pub name: Option<String>,
    /// The options.
    pub options: Vec<DatabaseOption>,
}

/// An option of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseOption {
    /// RECOVERY.
    Recovery(RecoveryModelName),
    /// SINGLE_USER, RESTRICTED_USER or MULTI_USER, in upper case.
    Access(String),
    /// READ_ONLY or READ_WRITE.
    ReadOnly(bool),
    /// ONLINE or OFFLINE.
    Online(bool),
    /// Another one, which changes nothing here, in upper case.
    Other(String),
}

/// A recovery model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the model of that name")]
pub enum RecoveryModelName {
    Simple,
    BulkLogged,
    Full,
}
