//! The seam between the network and what executes T-SQL. Nothing here needs knowledge of TDS.

use std::net::SocketAddr;

use crate::{
    Cancel,
    wire::{
        data::{ColumnType, Value},
        rpc::Call,
    },
};

/// What executes T-SQL: opens a session for every login.
pub trait Engine: Send + Sync {
    /// Opens a session for a client whose password is right. Called on the connection's thread.
    ///
    /// # Errors
    /// The messages that refuse it, e.g. 4060 for a database that is not there. 18456, "Login failed for user",
    /// is sent behind them.
    fn log_in(&self, client: &Client) -> Result<Box<dyn Session>, Vec<Message>>;

    /// Learns that a client was refused with 18456 because there is no such login or its password is wrong. Called on
    /// the connection's thread.
    fn login_refused(&self, user: &str, address: SocketAddr) {
        let _ = (user, address);
    }
}

/// One client's session. It is used by one thread at a time and dropped when the connection ends, which rolls back
/// what is open; the connection's end cancels a running request first.
///
/// Each method answers one request through `reply` and returns when the request is done. Long work watches
/// [`Reply::cancel`]: when that is set, the session ends the statement as SQL Server does (for a BACKUP: aborts the
/// device set and raises 3204 and 3013) and returns.
pub trait Session: Send {
    /// The name of the current database, asked once after the login.
    fn database(&self) -> &str;

    /// Executes a batch of T-SQL: any number of statements.
    fn batch(&mut self, text: &str, reply: &mut dyn Reply);

    /// Executes a procedure and returns its return status, 0 for success. `sp_executesql` comes here, with the
    /// statement as the first parameter, the declaration of the parameters as the second, and their values.
    fn procedure(&mut self, call: &Call, reply: &mut dyn Reply) -> i32;

    /// Begins or ends a transaction, as BEGIN TRANSACTION, COMMIT and ROLLBACK in a batch do. What happened is reported
    /// by [`Reply::transaction`]; what can't be (3902, 3903: no transaction to end) by a message.
    fn transaction(&mut self, step: Transaction, reply: &mut dyn Reply);

    /// Makes the session as it was after the login, because a pool hands the connection to its next user: SET options,
    /// the current database, and, unless `keep_transaction`, the transaction, which is rolled back. Called in front
    /// of the next request, with that request's reply.
    fn reset(&mut self, keep_transaction: bool, reply: &mut dyn Reply);
}

/// Where a session's answer goes. Events appear in the order of the calls.
///
/// No method fails: when the client is gone, events go nowhere and [`Self::cancel`] is set.
pub trait Reply {
    /// A message: an error if its class is above 10, else information. Sent to the client at once, with everything
    /// before it, so that progress is seen while the statement runs.
    fn message(&mut self, message: &Message);

    /// A message of a statement that goes on: "10 percent processed." and every other message of a BACKUP or RESTORE
    /// but its last. `command` is the statement's number, as in [`StatementDone`]. SQL Server closes such a message as
    /// if it were a statement's end, and ODBC shows a message only then.
    fn progress(&mut self, message: &Message, command: u16);

    /// Starts a result set.
    fn columns(&mut self, columns: &[Column]);

    /// A row of the result set last started, a value for each column. A row that does not fit its columns becomes an
    /// error message.
    fn row(&mut self, values: &[Value]);

    /// Ends a statement. An error since the last end marks it as failed. Statements like SET need no end; the request
    /// ends in any case.
    fn done(&mut self, done: StatementDone);

    /// The current database is now `name`. SQL Server says so in front of message 5701.
    fn database_changed(&mut self, name: &str);

    /// A transaction began or ended.
    fn transaction(&mut self, step: Transaction);

    /// The new value of the call's parameter `index`, counted from 0, that the client marked as output. Nothing
    /// in answers to batches.
    fn output(&mut self, index: usize, kind: ColumnType, value: &Value);

    /// The request's cancel flag.
    fn cancel(&self) -> &Cancel;
}

/// Who logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// The login's name, as the client wrote it.
    pub user: String,
    /// The login is a sysadmin; others may not back up to virtual devices (3265).
    pub sysadmin: bool,
    /// The database to start in; empty for the default.
    pub database: String,
    /// The client's host, as it says.
    pub host: String,
    /// The application, as it says.
    pub application: String,
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// The session's number, from 51; different from those of all open sessions.
    pub spid: u16,
    /// The whole connection is encrypted, not only the login.
    pub encrypted: bool,
}

/// A message of SQL Server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number, as in sys.messages.
    pub number: i32,
    /// Its state.
    pub state: u8,
    /// Its class (severity): 0 to 10 is information, 11 to 25 an error.
    pub class: u8,
    /// Its text; cut at 8,000 UTF-16 units.
    pub text: String,
    /// The procedure it comes from, or empty.
    pub procedure: String,
    /// The line of the batch or procedure, from 1.
    pub line: u32,
}

impl Message {
    /// A message of line 1, from no procedure.
    #[must_use]
    pub fn new(number: i32, state: u8, class: u8, text: impl Into<String>) -> Self {
        Self { number, state, class, text: text.into(), procedure: String::new(), line: 1 }
    }
}

/// A column of a result set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name; may be empty. Cut at 255 UTF-16 units.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
}

impl Column {
    /// A column.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: ColumnType) -> Self {
        Self { name: name.into(), kind }
    }
}

/// The end of a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatementDone {
    /// SQL Server's number of the command: 193 SELECT, 228 BACKUP DATABASE, 235 BACKUP LOG, 229 RESTORE …
    pub command: u16,
    /// The number of rows, for statements that count.
    pub rows: Option<u64>,
}

/// A step of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// It begins.
    Begin,
    /// It is committed.
    Commit,
    /// It is rolled back.
    Rollback,
    /// A savepoint is set in it.
    Save,
}
