//! What a session answers.

use crate::messages::Message;
use crate::value::{DataType, Value};

/// A column of a result set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name; empty for an expression without one.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
}

impl Column {
    /// A column.
    pub fn new(name: &str, data_type: DataType) -> Self {
        Column { name: name.to_owned(), data_type }
    }
}

/// What kind of statement has ended: the number that TDS calls "current command".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command(pub u16);

impl Command {
    /// SELECT.
    pub const SELECT: Command = Command(193);
    /// BACKUP DATABASE.
    pub const BACKUP_DATABASE: Command = Command(228);
    /// RESTORE DATABASE and RESTORE LOG.
    pub const RESTORE_DATABASE: Command = Command(229);
    /// BACKUP LOG.
    pub const BACKUP_LOG: Command = Command(235);
    /// RESTORE HEADERONLY.
    pub const HEADER_ONLY: Command = Command(250);
    /// RESTORE FILELISTONLY.
    pub const FILE_LIST_ONLY: Command = Command(376);
    /// RESTORE VERIFYONLY.
    pub const VERIFY_ONLY: Command = Command(377);
    /// A statement without a number of its own.
    pub const OTHER: Command = Command(253);
}

/// A statement has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// What kind of statement.
    pub command: Command,
    /// Rows of its result set; none if it has none.
    pub rows: Option<u64>,
    /// Whether it has failed.
    pub is_error: bool,
}

/// A part of an answer, in the order in which clients get them.
#[derive(Clone, Copy, Debug)]
pub enum Reply<'a> {
    /// Information or an error. Progress of a BACKUP has to reach the client while it runs.
    Message(&'a Message),
    /// The session's database is another one; its message (5701) comes next.
    Database(&'a str),
    /// A result set begins.
    Columns(&'a [Column]),
    /// A row of it.
    Row(&'a [Value]),
    /// A statement has ended.
    Done(Done),
}

/// The client has gone: there is nobody to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client has gone; the statement was given up.")]
pub struct Gone;

/// Receives a session's answers.
pub trait Client {
    /// Takes the next part of the answer.
    ///
    /// # Errors
    ///
    /// [`Gone`] ends the batch and aborts what it was doing.
    fn reply(&mut self, reply: Reply<'_>) -> Result<(), Gone>;

    /// Takes a message of a BACKUP or RESTORE that goes on: all but its last.
    ///
    /// # Errors
    ///
    /// As [`Self::reply`], which gets it unless a client tells the two apart.
    fn progress(&mut self, message: &Message, command: Command) -> Result<(), Gone> {
        let _ = command;
        self.reply(Reply::Message(message))
    }

    /// Learns that the outermost transaction began or ended.
    fn transaction(&mut self, step: TransactionStep) {
        let _ = step;
    }
}

/// What happened to the outermost transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStep {
    /// It began.
    Begin,
    /// It was committed.
    Commit,
    /// It was rolled back.
    Rollback,
}

/// Collects answers as lines of text, for tests and simple tools: messages with their number, rows
/// with `|` between the values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextClient {
    /// The lines.
    pub lines: Vec<String>,
}

impl Client for TextClient {
    fn reply(&mut self, reply: Reply<'_>) -> Result<(), Gone> {
        let join = |parts: Vec<String>| parts.join("|");
        match reply {
            Reply::Message(message) => self.lines.push(format!("{}: {message}", message.number)),
            Reply::Columns(columns) => {
                self.lines.push(join(columns.iter().map(|column| column.name.clone()).collect()));
            }
            Reply::Row(values) => {
                let shown = |value: &Value| match value {
                    Value::Null => "NULL".to_owned(),
                    value => value.to_string(),
                };
                self.lines.push(join(values.iter().map(shown).collect()));
            }
            Reply::Database(_) | Reply::Done(_) => {}
        }
        Ok(())
    }
}
