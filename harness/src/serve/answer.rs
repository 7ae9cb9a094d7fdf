//! A session's answer on its way to the client.

use fake_sqlserver::messages;
use fake_sqlserver::session::{self as sql, Command, Done, Gone, TransactionStep};
use tds_server::{self as tds, CancelReason, ColumnType, StatementDone, Transaction};

use super::value::{column_type, sent};

/// Class of information that SQL Server sends as class 0, "for compatibility reasons".
/// Source: SQL Server, "Database Engine Error Severities".
const STATUS_CLASS: u8 = 10;

/// What ends a result set of RESTORE, in front of the statement's own end.
/// Source: answers of SQL Server 2022 to RESTORE HEADERONLY and FILELISTONLY.
const RESTORE_ROWS: u16 = 230;

/// A message as it is sent.
pub(crate) fn message(message: &messages::Message) -> tds::Message {
    tds::Message {
        number: i32::try_from(message.number).unwrap_or(i32::MAX),
        state: message.state,
        class: if message.severity == STATUS_CLASS { 0 } else { message.severity },
        text: message.text.clone(),
        procedure: message.procedure.clone().unwrap_or_default(),
        line: message.line,
    }
}

/// Sends what a session answers.
pub(super) struct Answer<'r> {
    reply: &'r mut dyn tds::Reply,
    columns: Vec<ColumnType>,
}

impl<'r> Answer<'r> {
    pub(super) fn new(reply: &'r mut dyn tds::Reply) -> Self {
        Answer { reply, columns: Vec::new() }
    }

    /// Whoever asked for a cancel waits for the answer; whoever is gone does not.
    fn check_gone(&self) -> Result<(), Gone> {
        match self.reply.cancel().reason() {
            Some(CancelReason::Disconnected) => Err(Gone),
            _ => Ok(()),
        }
    }

    fn done(&mut self, done: Done) {
        let Done { command: Command(command), rows, .. } = done;
        match done.command {
            Command::HEADER_ONLY | Command::FILE_LIST_ONLY if rows.is_some() => {
                self.reply.done(StatementDone { command: RESTORE_ROWS, rows });
                self.reply.done(StatementDone { command, rows: None });
            }
            _ => self.reply.done(StatementDone { command, rows }),
        }
    }
}

impl sql::Client for Answer<'_> {
    fn reply(&mut self, reply: sql::Reply<'_>) -> Result<(), Gone> {
        match reply {
            sql::Reply::Message(said) => self.reply.message(&message(said)),
            sql::Reply::Database(name) => self.reply.database_changed(name),
            sql::Reply::Columns(columns) => {
                self.columns = columns.iter().map(|column| column_type(column.data_type)).collect();
                let named = columns.iter().zip(&self.columns);
                let declared: Vec<_> =
                    named.map(|(column, kind)| tds::Column::new(&column.name, *kind)).collect();
                self.reply.columns(&declared);
            }
            sql::Reply::Row(values) => {
                let row: Vec<_> = values
                    .iter()
                    .zip(&self.columns)
                    .map(|(value, column)| sent(value, *column))
                    .collect();
                self.reply.row(&row);
            }
            sql::Reply::Done(done) => self.done(done),
        }
        self.check_gone()
    }

    fn progress(&mut self, said: &messages::Message, command: Command) -> Result<(), Gone> {
        self.reply.progress(&message(said), command.0);
        self.check_gone()
    }

    fn transaction(&mut self, step: TransactionStep) {
        self.reply.transaction(match step {
            TransactionStep::Begin => Transaction::Begin,
            TransactionStep::Commit => Transaction::Commit,
            TransactionStep::Rollback => Transaction::Rollback,
        });
    }
}
