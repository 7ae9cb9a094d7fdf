//! A session's answer, as tokens.

use crate::{
    Cancel, CancelReason, Column, ColumnType, Message, Parameter, Reply, StatementDone,
    Transaction, Value,
    transport::PacketWriter,
    wire::token::{self, Change, DoneToken, Notice, done},
};

/// The number of messages that SQL Server itself does not define.
const USER_MESSAGE: i32 = 50_000;

/// What a connection knows about its session.
#[derive(Default)]
pub(crate) struct Standing {
    server_name: String,
    database: String,
    /// The open transaction's descriptor, 0 for none.
    transaction: u64,
    transactions: u64,
}

impl Standing {
    pub(crate) fn new(server_name: &str, database: &str) -> Self {
        Self {
            server_name: server_name.to_owned(),
            database: database.to_owned(),
            ..Self::default()
        }
    }
}

impl Message {
    /// The message as a token of the server `server`.
    pub(crate) fn notice<'a>(&'a self, server: &'a str) -> Notice<'a> {
        Notice {
            number: self.number,
            state: self.state,
            class: self.class,
            text: &self.text,
            server,
            procedure: &self.procedure,
            line: self.line,
        }
    }
}

/// A DONE that has not been sent, because only what follows tells whether it is the last.
#[derive(Clone, Copy)]
struct Pending {
    status: u16,
    done: StatementDone,
}

/// Turns the events of one answer into tokens.
pub(crate) struct Answer<'a> {
    out: &'a mut PacketWriter,
    standing: &'a mut Standing,
    cancel: Cancel,
    /// The call's parameters, while a procedure runs.
    parameters: Option<&'a [Parameter]>,
    outputs: Vec<u8>,
    scratch: Vec<u8>,
    columns: Vec<ColumnType>,
    pending: Option<Pending>,
    /// An error since the last end of a statement, and in the whole request or call.
    failed: bool,
    ever_failed: bool,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(
        out: &'a mut PacketWriter,
        standing: &'a mut Standing,
        cancel: Cancel,
    ) -> Self {
        Self {
            out,
            standing,
            cancel,
            parameters: None,
            outputs: Vec::new(),
            scratch: Vec::new(),
            columns: Vec::new(),
            pending: None,
            failed: false,
            ever_failed: false,
        }
    }

    /// Appends a token, behind the DONE that turns out not to be the last.
    fn token(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        self.scratch.clear();
        if let Some(Pending { status, done }) = self.pending.take() {
            let kind = self.done_kind();
            let rows = done.rows.unwrap_or(0);
            token::done_token(kind, status | done::MORE, done.command, rows, &mut self.scratch);
        }
        encode(&mut self.scratch);
        let sent = self.out.put(&self.scratch);
        self.note(sent);
    }

    /// Appends a message and what belongs behind it, and sends all there is.
    fn notice(&mut self, message: &Message, behind: impl FnOnce(&mut Vec<u8>)) {
        if message.class > 10 {
            (self.failed, self.ever_failed) = (true, true);
        }
        let server = std::mem::take(&mut self.standing.server_name);
        self.token(|out| {
            token::notice(&message.notice(&server), out);
            behind(out);
        });
        self.standing.server_name = server;
        let sent = self.out.flush();
        self.note(sent);
    }

    /// How a statement ends here.
    fn done_kind(&self) -> DoneToken {
        if self.parameters.is_some() { DoneToken::DoneInProc } else { DoneToken::Done }
    }

    fn note(&self, sent: std::io::Result<()>) {
        if sent.is_err() {
            self.cancel.cancel(CancelReason::Disconnected);
        }
    }

    fn error_status(failed: bool) -> u16 {
        if failed { done::ERROR } else { 0 }
    }

    /// A change that the client keeps track of.
    pub(crate) fn change(&mut self, change: Change<'_>) {
        self.token(|out| token::env_change(change, out));
    }

    /// The name of this server.
    pub(crate) fn server_name(&self) -> &str {
        &self.standing.server_name
    }

    /// From here on the answer is that of a procedure.
    pub(crate) fn start_procedure(&mut self, parameters: &'a [Parameter]) {
        self.parameters = Some(parameters);
    }

    /// Ends a procedure; `more` when another call of the same request follows.
    pub(crate) fn end_procedure(&mut self, status: i32, more: bool) {
        self.token(|out| token::return_status(status, out));
        let outputs = std::mem::take(&mut self.outputs);
        let bits = Self::error_status(self.ever_failed) | if more { done::MORE } else { 0 };
        self.token(|out| {
            out.extend(outputs);
            token::done_token(DoneToken::DoneProc, bits, token::COMMAND_EXECUTE, 0, out);
        });
        (self.parameters, self.failed, self.ever_failed) = (None, false, false);
    }

    /// Ends a batch.
    pub(crate) fn end_batch(&mut self) {
        let Pending { status, done } = self.pending.take().unwrap_or(Pending {
            status: Self::error_status(self.failed),
            done: StatementDone { command: token::COMMAND_NONE, rows: None },
        });
        let rows = done.rows.unwrap_or(0);
        self.token(|out| token::done_token(DoneToken::Done, status, done.command, rows, out));
    }

    /// Ends the message; whether the client got it.
    pub(crate) fn finish(self) -> std::io::Result<()> {
        self.out.end()
    }
}

impl Reply for Answer<'_> {
    fn message(&mut self, message: &Message) {
        self.notice(message, |_| ());
    }

    fn progress(&mut self, message: &Message, command: u16) {
        let kind = self.done_kind();
        self.notice(message, |out| token::done_token(kind, done::MORE, command, 0, out));
    }

    fn columns(&mut self, columns: &[Column]) {
        self.columns = columns.iter().map(|column| column.kind).collect();
        let columns = columns.iter().map(|column| (column.name.as_str(), column.kind));
        self.token(|out| token::column_metadata(columns, out));
    }

    fn row(&mut self, values: &[Value]) {
        let mut row = vec![token::ROW];
        let columns = std::mem::take(&mut self.columns);
        let misfit = if columns.len() == values.len() {
            columns
                .iter()
                .zip(values)
                .find_map(|(kind, value)| kind.encode_value(value, &mut row).err())
                .map(|misfit| misfit.to_string())
        } else {
            Some(format!("a row has {} values for {} columns", values.len(), columns.len()))
        };
        self.columns = columns;
        match misfit {
            None => self.token(|out| out.extend(row)),
            Some(text) => self.message(&Message::new(USER_MESSAGE, 1, 16, text)),
        }
    }

    fn done(&mut self, done: StatementDone) {
        // An earlier one, if still unsent, is not the last.
        self.token(|_| ());
        let count = if done.rows.is_some() { done::COUNT } else { 0 };
        self.pending = Some(Pending { status: Self::error_status(self.failed) | count, done });
        self.failed = false;
    }

    fn database_changed(&mut self, name: &str) {
        let old = std::mem::replace(&mut self.standing.database, name.to_owned());
        self.change(Change::Database(name, &old));
    }

    fn transaction(&mut self, step: Transaction) {
        match step {
            Transaction::Begin => {
                self.standing.transactions += 1;
                self.standing.transaction = self.standing.transactions;
                self.change(Change::Begin(self.standing.transaction));
            }
            Transaction::Commit => {
                let descriptor = std::mem::take(&mut self.standing.transaction);
                self.change(Change::Commit(descriptor));
            }
            Transaction::Rollback => {
                let descriptor = std::mem::take(&mut self.standing.transaction);
                self.change(Change::Rollback(descriptor));
            }
            Transaction::Save => {}
        }
    }

    fn output(&mut self, index: usize, kind: ColumnType, value: &Value) {
        let Some(parameter) = self.parameters.and_then(|parameters| parameters.get(index)) else {
            return;
        };
        let before = self.outputs.len();
        token::return_value_header(index as u16, &parameter.name, kind, &mut self.outputs);
        if let Err(misfit) = kind.encode_value(value, &mut self.outputs) {
            self.outputs.truncate(before);
            self.message(&Message::new(USER_MESSAGE, 1, 16, misfit.to_string()));
        }
    }

    fn cancel(&self) -> &Cancel {
        &self.cancel
    }
}
