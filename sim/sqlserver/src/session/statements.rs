//! Statements other than BACKUP, RESTORE and SELECT.

use super::batch::{Flow, Session, Stop, Variable, command};
use super::evaluate::convert;
use super::reply::{Client, Command, Reply, TransactionStep};
use super::scope::Rows;
use crate::catalogue::{
    Access, Database, DatabaseFile, DatabaseState, RecoveryModel, SyntheticDatabase,
};
use crate::messages::Message;
use crate::sql::{
    AlterDatabase, DatabaseOption, Declaration, Expression, RecoveryModelName, SetOption,
    Statement, StatementKind, TransactionControl,
};
use crate::value::{DataType, Value};

/// Bytes of a database that CREATE DATABASE makes.
const NEW_DATABASE: u64 = 8 << 20;

/// Ids of system databases.
const SYSTEM_IDS: std::ops::RangeInclusive<u16> = 1..=4;

impl Session {
    pub(super) fn statement_kind(
        &mut self,
        statement: &Statement,
        client: &mut dyn Client,
    ) -> Result<Flow, Stop> {
        let done = command(&statement.kind);
        match &statement.kind {
            StatementKind::Backup(backup) => return self.backup(backup, statement.line, client),
            StatementKind::Restore(restore) => {
                return self.restore(restore, statement.line, client);
            }
            StatementKind::Select(select) => return self.select(select, client),
            StatementKind::Execute(execute) => return self.execute_statement(execute, client),
            StatementKind::Declare(declarations) => {
                declarations.iter().try_for_each(|declaration| self.declare(declaration))?;
                return Ok(Flow::Next);
            }
            StatementKind::Assign(assignment) => {
                let value = self.evaluate(&assignment.value)?;
                self.assign(&assignment.variable, value)?;
                return Ok(Flow::Next);
            }
            StatementKind::If { condition, then, otherwise } => {
                let chosen = match self.condition(condition, Rows::None)? {
                    Some(true) => Some(then),
                    _ => otherwise.as_ref(),
                };
                return match chosen {
                    Some(statement) => {
                        Ok(self.statements(std::slice::from_ref(statement), client)?)
                    }
                    None => Ok(Flow::Next),
                };
            }
            StatementKind::Block(statements) => return Ok(self.statements(statements, client)?),
            StatementKind::Return => return Ok(Flow::End),
            StatementKind::SetOption(option) => self.set_option(option),
            StatementKind::Use(name) => self.use_statement(name, statement.line, client)?,
            StatementKind::Print(expression) => {
                let text = self.evaluate(expression)?.to_string();
                let message = Message::user(0, 0, 1, text).at_line(statement.line);
                client.reply(Reply::Message(&message))?;
            }
            StatementKind::RaiseError(arguments) => {
                self.raise_error(arguments, statement.line, client)?;
            }
            StatementKind::Transaction(control) => self.transaction(*control, client)?,
            StatementKind::CreateDatabase(name) => self.create_database(name)?,
            StatementKind::AlterDatabase(alter) => self.alter_database(alter)?,
            StatementKind::DropDatabase { names, if_exists } => {
                names.iter().try_for_each(|name| self.drop_database(name, *if_exists))?;
            }
            StatementKind::Checkpoint => {}
        }
        self.done(done, None, client)
    }

    fn declare(&mut self, declaration: &Declaration) -> Result<(), Stop> {
        let data_type = declaration.data_type;
        let value = match &declaration.value {
            Some(value) => convert(self.evaluate(value)?, data_type, 0)?,
            None => Value::Null,
        };
        self.variables.insert(declaration.name.to_lowercase(), Variable { data_type, value });
        Ok(())
    }

    fn set_option(&mut self, option: &SetOption) {
        let on = option.value == "ON";
        for name in &option.names {
            match name.as_str() {
                "NOCOUNT" => self.no_count = on,
                "QUOTED_IDENTIFIER" => self.quoted_identifier = on,
                _ => {}
            }
        }
    }

    fn use_statement(
        &mut self,
        name: &str,
        line: u32,
        client: &mut dyn Client,
    ) -> Result<(), Stop> {
        self.use_database(name)?;
        client.reply(Reply::Database(&self.database))?;
        let message = Message::new(5701, &[&self.database]).at_line(line);
        client.reply(Reply::Message(&message))?;
        Ok(())
    }

    /// RAISERROR: a text or a number, severity, state, arguments for the text.
    fn raise_error(
        &mut self,
        arguments: &[Expression],
        line: u32,
        client: &mut dyn Client,
    ) -> Result<(), Stop> {
        let values = arguments.iter().map(|argument| self.evaluate(argument));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let small = |value: &Value, most: u8| {
            let number = value.integer().unwrap_or(0).clamp(0, i128::from(most));
            u8::try_from(number).unwrap_or(most)
        };
        let (severity, state) = (small(&values[1], 25), small(&values[2], 255));
        let rest: Vec<&dyn std::fmt::Display> =
            values[3..].iter().map(|value| value as &dyn std::fmt::Display).collect();
        let message = Message::formatted(50000, severity, state, &values[0].to_string(), &rest);
        let message = message.at_line(line);
        if message.is_error() {
            return Err(message.into());
        }
        client.reply(Reply::Message(&message))?;
        Ok(())
    }

    fn transaction(
        &mut self,
        control: TransactionControl,
        client: &mut dyn Client,
    ) -> Result<(), Stop> {
        let before = self.transactions;
        match control {
            TransactionControl::Begin => self.transactions += 1,
            TransactionControl::Commit if self.transactions == 0 => {
                return Err(Message::new(3902, &[]).into());
            }
            TransactionControl::Commit => self.transactions -= 1,
            TransactionControl::Rollback if self.transactions == 0 => {
                return Err(Message::new(3903, &[]).into());
            }
            TransactionControl::Rollback => self.transactions = 0,
        }
        match (before, self.transactions, control) {
            (0, _, _) => client.transaction(TransactionStep::Begin),
            (_, 0, TransactionControl::Rollback) => client.transaction(TransactionStep::Rollback),
            (_, 0, _) => client.transaction(TransactionStep::Commit),
            _ => {}
        }
        Ok(())
    }

    fn create_database(&self, name: &str) -> Result<(), Stop> {
        self.may_create()?;
        let created = self.instance.update(|catalogue| {
            if catalogue.database(name).is_some() {
                return Err(Message::new(1801, &[&name]).with_state(3));
            }
            let synthetic = SyntheticDatabase {
                name: name.to_owned(),
                size: NEW_DATABASE,
                seed: uuid::Uuid::new_v4().as_u64_pair().0,
                recovery_model: RecoveryModel::Full,
            };
            let database = synthetic.build(catalogue.free_id(), super::now());
            let is_taken = |file: &&DatabaseFile| catalogue.owner_of(&file.physical_name).is_some();
            if let Some(file) = database.files.iter().find(is_taken) {
                return Err(Message::new(5170, &[&file.physical_name]));
            }
            catalogue.put(database);
            Ok(())
        });
        created.map_err(|mut failed| {
            if failed.0.iter().any(|message| message.number == 5170) {
                failed.0.push(Message::new(1802, &[]).with_state(4));
            }
            Stop::Failed(failed)
        })
    }

    fn alter_database(&self, alter: &AlterDatabase) -> Result<(), Stop> {
        let name = alter.name.as_ref().unwrap_or(&self.database);
        let done = self.instance.update(|catalogue| {
            let missing = || Message::new(5011, &[name]).with_state(5);
            let database = catalogue.database_mut(name).ok_or_else(missing)?;
            if !self.login.is_sysadmin {
                return Err(missing());
            }
            let goes_offline = alter.options.contains(&DatabaseOption::Online(false));
            let server = &self.instance.server;
            if goes_offline && (server.is_reserved(name) || server.is_log_reserved(name)) {
                // SQL Server waits for the backup; who waits here might be who runs it.
                return Err(Message::new(5061, &[&database.name]));
            }
            for option in &alter.options {
                check_alterable(database, option)?;
                match option {
                    DatabaseOption::Recovery(model) => {
                        database.recovery_model = match model {
                            RecoveryModelName::Simple => RecoveryModel::Simple,
                            RecoveryModelName::BulkLogged => RecoveryModel::BulkLogged,
                            RecoveryModelName::Full => RecoveryModel::Full,
                        };
                        if *model == RecoveryModelName::Simple {
                            database.log.end_chain();
                        }
                    }
                    DatabaseOption::Access(mode) => {
                        database.access = match mode.as_str() {
                            "SINGLE_USER" => Access::SingleUser,
                            "RESTRICTED_USER" => Access::RestrictedUser,
                            _ => Access::MultiUser,
                        };
                    }
                    DatabaseOption::ReadOnly(read_only) => database.read_only = *read_only,
                    DatabaseOption::Online(online) => match (&database.state, online) {
                        (DatabaseState::Offline, true) => database.state = DatabaseState::Online,
                        (DatabaseState::Online, false) => database.state = DatabaseState::Offline,
                        (DatabaseState::Online, true) | (DatabaseState::Offline, false) => {}
                        _ => return Err(missing()),
                    },
                    DatabaseOption::Other(_) => {}
                }
            }
            Ok(())
        });
        done.map_err(|mut failed| {
            failed.0.push(Message::new(5069, &[]));
            Stop::Failed(failed)
        })
    }

    fn drop_database(&self, name: &str, if_exists: bool) -> Result<(), Stop> {
        self.instance.update(|catalogue| {
            let missing = || Message::new(3701, &[&"drop", &"database", &name]);
            let Some(database) = catalogue.database(name) else {
                return if if_exists { Ok(()) } else { Err(missing()) };
            };
            if !self.login.is_sysadmin {
                return Err(missing());
            }
            if SYSTEM_IDS.contains(&database.id) {
                let system = Message::new(3708, &[&"drop", &"database", &name, &"database"]);
                return Err(system);
            }
            if database.name.eq_ignore_ascii_case(&self.database)
                || self.instance.server.is_reserved(name)
                || self.instance.server.is_log_reserved(name)
            {
                return Err(Message::new(3702, &[&database.name]).with_state(3));
            }
            let id = database.id;
            catalogue.databases.retain(|database| database.id != id);
            Ok(())
        })?;
        Ok(())
    }

    /// A row of literal text columns as a result set.
    pub(super) fn result_set(
        &mut self,
        columns: &[(&str, DataType)],
        rows: &[Vec<Value>],
        command: Command,
        client: &mut dyn Client,
    ) -> Result<Flow, Stop> {
        let columns: Vec<_> = columns
            .iter()
            .map(|(name, data_type)| super::reply::Column::new(name, *data_type))
            .collect();
        client.reply(Reply::Columns(&columns))?;
        for row in rows {
            client.reply(Reply::Row(row))?;
        }
        self.done(command, Some(rows.len() as u64), client)
    }
}

/// Refuses to alter a database that waits for backups; whoever uses one on standby may be sent away.
fn check_alterable(database: &Database, option: &DatabaseOption) -> Result<(), Message> {
    let name = &database.name;
    let (number, text) = match (&database.state, option) {
        (DatabaseState::Restoring(_), _) => {
            let text =
                "ALTER DATABASE is not permitted while a database is in the Restoring state.";
            (5052, text.to_owned())
        }
        (DatabaseState::Standby(_), DatabaseOption::Recovery(_) | DatabaseOption::ReadOnly(_)) => {
            let text = "is in warm standby. A warm-standby database is read-only.";
            (5063, format!("Database '{name}' {text}"))
        }
        _ => return Ok(()),
    };
    Err(Message::user(number, 16, 1, text))
}
