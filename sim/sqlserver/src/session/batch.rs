//! A session and the execution of its batches.

use std::collections::HashMap;
use std::sync::Arc;

use super::cancel::CancelToken;
use super::evaluate::{Evaluated, convert};
use super::functions::global;
use super::instance::{Instance, Login};
use super::reply::{Client, Command, Done, Gone, Reply};
use super::scope::Rows;
use crate::messages::{Message, SeveralMessages};
use crate::sql::{Operand, ParseOptions, Statement, StatementKind, parse};
use crate::value::{DataType, Value};

/// Batches inside one another: sp_executesql and EXECUTE of text.
const MAX_NESTING: u32 = 32;

/// A variable.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Variable {
    pub(super) data_type: DataType,
    pub(super) value: Value,
}

/// A parameter of a parametrised batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// With its `@`.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Its value.
    pub value: Value,
}

/// How a batch goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    /// The rest of the batch is left out.
    End,
    /// So is the rest of the batches that it was executed from.
    Abort,
}

/// Why a statement stops.
#[derive(Debug)]
pub(super) enum Stop {
    /// Its messages are still to be sent.
    Failed(SeveralMessages),
    Gone,
}

impl From<SeveralMessages> for Stop {
    fn from(messages: SeveralMessages) -> Self {
        Stop::Failed(messages)
    }
}

impl From<Message> for Stop {
    fn from(message: Message) -> Self {
        Stop::Failed(message.into())
    }
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Stop::Gone
    }
}

/// A logged-in client's session.
#[derive(Debug)]
pub struct Session {
    pub(super) instance: Arc<Instance>,
    pub(super) login: Login,
    /// Its id: `@@SPID`.
    pub(super) id: u16,
    /// The current database.
    pub(super) database: String,
    pub(super) quoted_identifier: bool,
    pub(super) no_count: bool,
    /// Open transactions.
    pub(super) transactions: u32,
    /// `@@ERROR` and `@@ROWCOUNT`.
    pub(super) last_error: u32,
    pub(super) row_count: i64,
    pub(super) variables: HashMap<String, Variable>,
    nesting: u32,
    pub(super) cancel: CancelToken,
}

impl Session {
    /// A session in the database master.
    pub fn new(instance: Arc<Instance>, login: Login) -> Self {
        Session {
            id: instance.next_session(),
            instance,
            login,
            database: "master".to_owned(),
            quoted_identifier: true,
            no_count: false,
            transactions: 0,
            last_error: 0,
            row_count: 0,
            variables: HashMap::new(),
            nesting: 0,
            cancel: CancelToken::default(),
        }
    }

    /// The same with the id that its connection has.
    pub fn with_id(self, id: u16) -> Self {
        Session { id, ..self }
    }

    /// Its id.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Name of the current database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Whether double quotes enclose names; sqlcmd turns it off.
    pub fn set_quoted_identifier(&mut self, on: bool) {
        self.quoted_identifier = on;
    }

    /// What ends a running statement from another thread.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// Open transactions, for clients that begin and end them without T-SQL.
    pub fn transactions_mut(&mut self) -> &mut u32 {
        &mut self.transactions
    }

    /// Makes `name` the current database.
    ///
    /// # Errors
    ///
    /// The message if there is none that can be used.
    pub fn use_database(&mut self, name: &str) -> Result<(), SeveralMessages> {
        let catalogue = self.instance.catalogue()?;
        let Some(database) = catalogue.database(name) else {
            return Err(Message::new(911, &[&name]).into());
        };
        database.check_open()?;
        self.database.clone_from(&database.name);
        Ok(())
    }

    /// Executes a batch. `parameters` are variables of it.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client is; errors of the batch are sent to it as messages.
    pub fn execute(
        &mut self,
        text: &str,
        parameters: &[Parameter],
        client: &mut dyn Client,
    ) -> Result<(), Gone> {
        self.cancel.reset();
        self.execute_under(self.cancel.clone(), text, parameters, client)
    }

    /// Executes a batch that `cancel` ends, also if it has been cancelled before it begins.
    ///
    /// # Errors
    ///
    /// As [`Self::execute`].
    pub fn execute_under(
        &mut self,
        cancel: CancelToken,
        text: &str,
        parameters: &[Parameter],
        client: &mut dyn Client,
    ) -> Result<(), Gone> {
        self.cancel = cancel;
        let outer = std::mem::take(&mut self.variables);
        let done = self.run(text, parameters, client);
        self.variables = outer;
        done.map(|_| ())
    }

    /// Executes a batch in its own set of variables; returns those it leaves, and how the batch goes
    /// on that it was executed from.
    pub(super) fn nested(
        &mut self,
        text: &str,
        parameters: &[Parameter],
        client: &mut dyn Client,
    ) -> Result<(Flow, HashMap<String, Variable>), Stop> {
        if self.nesting == MAX_NESTING {
            return Err(Message::new(217, &[&MAX_NESTING]).into());
        }
        self.nesting += 1;
        let outer = std::mem::take(&mut self.variables);
        let done = self.run(text, parameters, client);
        self.nesting -= 1;
        let inner = std::mem::replace(&mut self.variables, outer);
        let flow = match done? {
            Flow::Abort => Flow::Abort,
            Flow::Next | Flow::End => Flow::Next,
        };
        Ok((flow, inner))
    }

    fn run(
        &mut self,
        text: &str,
        parameters: &[Parameter],
        client: &mut dyn Client,
    ) -> Result<Flow, Gone> {
        let variables = parameters.iter().map(|parameter| parameter.name.clone()).collect();
        let options = ParseOptions { quoted_identifier: self.quoted_identifier, variables };
        let batch = match parse(text, &options) {
            Ok(batch) => batch,
            Err(mistakes) => {
                self.report(&mistakes, Command::OTHER, client)?;
                return Ok(Flow::End);
            }
        };
        for Parameter { name, data_type, value } in parameters {
            let variable = Variable { data_type: *data_type, value: value.clone() };
            self.variables.insert(name.to_lowercase(), variable);
        }
        self.statements(&batch.statements, client)
    }

    pub(super) fn statements(
        &mut self,
        statements: &[Statement],
        client: &mut dyn Client,
    ) -> Result<Flow, Gone> {
        for statement in statements {
            if self.cancel.is_cancelled() {
                return Ok(Flow::End);
            }
            let flow = self.statement(statement, client)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &Statement, client: &mut dyn Client) -> Result<Flow, Gone> {
        match self.statement_kind(statement, client) {
            Ok(flow) => {
                let keeps = matches!(
                    statement.kind,
                    StatementKind::If { .. } | StatementKind::Block(_) | StatementKind::Execute(_)
                );
                if !keeps {
                    self.last_error = 0;
                }
                Ok(flow)
            }
            Err(Stop::Gone) => Err(Gone),
            Err(Stop::Failed(messages)) => {
                let flow = flow_after(&statement.kind, &messages);
                self.report(&messages.at_line(statement.line), command(&statement.kind), client)?;
                Ok(flow)
            }
        }
    }

    /// Sends the messages of a failure and the end of its statement.
    fn report(
        &mut self,
        messages: &SeveralMessages,
        command: Command,
        client: &mut dyn Client,
    ) -> Result<(), Gone> {
        for message in &messages.0 {
            if message.is_error() {
                self.last_error = message.number;
            }
            client.reply(Reply::Message(message))?;
        }
        client.reply(Reply::Done(Done { command, rows: None, is_error: true }))
    }

    /// The value of a variable or a global.
    pub(super) fn variable(&self, name: &str) -> Evaluated<Value> {
        if name.starts_with("@@") {
            return global(self, name)
                .ok_or_else(|| Message::new(137, &[&name]).with_state(2).into());
        }
        match self.variables.get(&name.to_lowercase()) {
            Some(variable) => Ok(variable.value.clone()),
            None => Err(Message::new(137, &[&name]).with_state(2).into()),
        }
    }

    /// Sets a variable, converting the value to its type.
    pub(super) fn assign(&mut self, name: &str, value: Value) -> Evaluated<()> {
        match self.variables.get_mut(&name.to_lowercase()) {
            Some(variable) => {
                variable.value = convert(value, variable.data_type, 0)?;
                Ok(())
            }
            None => Err(Message::new(137, &[&name]).into()),
        }
    }

    /// The text of a name, a string or a variable.
    pub(super) fn operand_text(&self, operand: &Operand) -> Evaluated<String> {
        match operand {
            Operand::Text(text) => Ok(text.clone()),
            Operand::Integer(number) => Ok(number.to_string()),
            Operand::Variable(name) => Ok(self.variable(name)?.to_string()),
        }
    }

    /// The number of a literal or a variable; none for a text that is no number.
    pub(super) fn operand_integer(&self, operand: &Operand) -> Evaluated<Option<i64>> {
        match operand {
            Operand::Integer(number) => Ok(Some(*number)),
            Operand::Text(text) => Ok(text.trim().parse().ok()),
            Operand::Variable(name) => {
                let value = convert(self.variable(name)?, DataType::BigInt, 0)?;
                Ok(value.integer().and_then(|number| i64::try_from(number).ok()))
            }
        }
    }

    /// Ends a statement that has succeeded.
    pub(super) fn done(
        &mut self,
        command: Command,
        rows: Option<u64>,
        client: &mut dyn Client,
    ) -> Result<Flow, Stop> {
        self.row_count = rows.and_then(|rows| i64::try_from(rows).ok()).unwrap_or(0);
        let rows = rows.filter(|_| !self.no_count);
        client.reply(Reply::Done(Done { command, rows, is_error: false }))?;
        Ok(Flow::Next)
    }

    /// An expression's value outside of queries.
    pub(super) fn evaluate(&self, expression: &crate::sql::Expression) -> Evaluated<Value> {
        self.value(expression, Rows::None)
    }
}

/// How a batch goes on behind a statement that has failed. Most failures end their statement alone.
/// A name or call that means nothing ends the batch, as SQL Server does not get to execute it, and so
/// does a database that cannot be opened; behind a USE the rest would run in the wrong one. A
/// conversion that fails ends the batches around it, too.
fn flow_after(kind: &StatementKind, messages: &SeveralMessages) -> Flow {
    let fails_with =
        |numbers: &[u32]| messages.0.iter().any(|message| numbers.contains(&message.number));
    match kind {
        StatementKind::Backup(_) | StatementKind::Restore(_) => Flow::Next,
        StatementKind::Use(_) => Flow::End,
        StatementKind::Select(_) if fails_with(&[927, 942]) => Flow::End,
        _ if fails_with(&[241, 245, 8114]) => Flow::Abort,
        _ if fails_with(&[174, 189, 195, 207, 208, 209, 4104, 8120, 8121, 8127]) => Flow::End,
        _ => Flow::Next,
    }
}

/// What TDS calls the statement.
pub(super) fn command(kind: &StatementKind) -> Command {
    use crate::sql::{BackupKind, RestoreKind};
    match kind {
        StatementKind::Select(_) => Command::SELECT,
        StatementKind::Backup(backup) => match backup.kind {
            BackupKind::Database => Command::BACKUP_DATABASE,
            BackupKind::Log => Command::BACKUP_LOG,
        },
        StatementKind::Restore(restore) => match restore.kind {
            RestoreKind::HeaderOnly | RestoreKind::LabelOnly => Command::HEADER_ONLY,
            RestoreKind::FileListOnly => Command::FILE_LIST_ONLY,
            RestoreKind::VerifyOnly => Command::VERIFY_ONLY,
            _ => Command::RESTORE_DATABASE,
        },
        _ => Command::OTHER,
    }
}
