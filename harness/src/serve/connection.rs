//! One connection's session.

use std::sync::Arc;

use fake_sqlserver::messages::{Message, SeveralMessages};
use fake_sqlserver::session::{Argument, CancelToken, Instance, Login, Session};
use fake_sqlserver::sql::parse_declarations;
use fake_sqlserver::value::DataType;
use tds_server::{self as tds, Call, ColumnType, Hook, Reply, Transaction};

use super::answer::{Answer, message};
use super::prepared::{Meaning, Prepared};
use super::value::{column_type, received, sent};

/// Parameters of `sp_executesql` in front of the statement's own: its text, their declarations.
const OWN_PARAMETERS: usize = 2;

/// A session and what it began with.
#[derive(Debug)]
pub(super) struct Connection {
    instance: Arc<Instance>,
    login: Login,
    spid: u16,
    /// The database of the login; empty for the default.
    first_database: String,
    session: Session,
    prepared: Prepared,
}

impl Connection {
    /// The session of a client whose password is right.
    ///
    /// # Errors
    ///
    /// 4060 if its database cannot be used.
    pub(super) fn open(
        instance: &Arc<Instance>,
        client: &tds::Client,
    ) -> Result<Self, SeveralMessages> {
        let login = Login {
            name: client.user.clone(),
            host: client.host.clone(),
            program: client.application.clone(),
            is_sysadmin: client.sysadmin,
        };
        let first_database = client.database.clone();
        let mut session = Session::new(Arc::clone(instance), login.clone()).with_id(client.spid);
        if !first_database.is_empty() && session.use_database(&first_database).is_err() {
            let text = format!(
                "Cannot open database \"{first_database}\" requested by the login. The login failed."
            );
            return Err(Message::user(4060, 11, 1, text).into());
        }
        let (instance, spid) = (Arc::clone(instance), client.spid);
        Ok(Connection {
            instance,
            login,
            spid,
            first_database,
            session,
            prepared: Prepared::default(),
        })
    }

    /// Executes a call of an ordinary procedure.
    fn call(&mut self, call: &Call, reply: &mut dyn Reply) -> i32 {
        let (cancel, _hook) = cancel_with(reply);
        let arguments = arguments(call);
        let mut answer = Answer::new(reply);
        match self.session.call_procedure(cancel, &call.name, arguments, &mut answer) {
            Ok(called) => {
                let outputs = call.parameters.iter().zip(called.values).enumerate();
                for (index, (parameter, (data_type, value))) in outputs {
                    if parameter.output {
                        let column = column_type(data_type);
                        reply.output(index, column, &sent(&value, column));
                    }
                }
                called.status
            }
            // There is nobody to answer.
            Err(_) => 0,
        }
    }
}

/// A token that is cancelled with the request.
fn cancel_with(reply: &dyn Reply) -> (CancelToken, Hook) {
    let token = CancelToken::default();
    let cancelled = token.clone();
    (token, reply.cancel().on_cancel(move |_| cancelled.cancel()))
}

/// The arguments of a call. Those of `sp_executesql` have the types that the call declares: an output
/// parameter comes as NULL, which tells nothing about the type of what goes back.
fn arguments(call: &Call) -> Vec<Argument> {
    let is_execute_sql =
        call.name.rsplit('.').next().is_some_and(|name| {
            name.trim_matches(['[', ']']).eq_ignore_ascii_case("sp_executesql")
        });
    let declared = match call.parameters.get(1).map(|parameter| &parameter.value) {
        // What cannot be read is reported by the procedure itself.
        Some(tds::Value::Text(text)) if is_execute_sql => {
            parse_declarations(text).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let declared_type = |index: usize, name: &str| -> Option<DataType> {
        let by_place = || index.checked_sub(OWN_PARAMETERS).and_then(|place| declared.get(place));
        let by_name = declared
            .iter()
            .find(|declaration| !name.is_empty() && declaration.name.eq_ignore_ascii_case(name));
        let is_own = index < OWN_PARAMETERS;
        let found = if is_own { None } else { by_name.or_else(by_place) };
        found.map(|declaration| declaration.data_type)
    };
    let argument = |(index, parameter): (usize, &tds::Parameter)| {
        let value = received(&parameter.value);
        // Clients call the first two of sp_executesql what they like.
        let by_name = !parameter.name.is_empty() && !(is_execute_sql && index < OWN_PARAMETERS);
        Argument {
            name: by_name.then(|| parameter.name.clone()),
            data_type: declared_type(index, &parameter.name).unwrap_or_else(|| value.data_type()),
            value,
            is_output: parameter.output,
        }
    };
    call.parameters.iter().enumerate().map(argument).collect()
}

impl tds::Session for Connection {
    fn database(&self) -> &str {
        self.session.database()
    }

    fn batch(&mut self, text: &str, reply: &mut dyn Reply) {
        let (cancel, _hook) = cancel_with(reply);
        // A client that has gone needs no answer.
        let _ = self.session.execute_under(cancel, text, &[], &mut Answer::new(reply));
    }

    fn procedure(&mut self, call: &Call, reply: &mut dyn Reply) -> i32 {
        let handle_out = |handle: i64, reply: &mut dyn Reply| {
            reply.output(0, ColumnType::Int, &tds::Value::Int(handle));
        };
        match self.prepared.understand(call) {
            Meaning::Plain => self.call(call, reply),
            Meaning::Done(handle) => {
                if let Some(handle) = handle {
                    handle_out(handle, reply);
                }
                0
            }
            Meaning::Execute(call, handle) => {
                if let Some(handle) = handle {
                    handle_out(handle, reply);
                }
                self.call(&call, reply)
            }
            Meaning::Unknown(handle) => {
                let text = format!("Could not find prepared statement with handle {handle}.");
                reply.message(&message(&Message::user(8179, 16, 2, text)));
                8179
            }
            Meaning::Full => {
                reply.message(&message(&Message::new(701, &[&"default"])));
                701
            }
        }
    }

    fn transaction(&mut self, step: Transaction, reply: &mut dyn Reply) {
        self.batch(
            match step {
                Transaction::Begin => "BEGIN TRANSACTION",
                Transaction::Commit => "COMMIT TRANSACTION",
                Transaction::Rollback => "ROLLBACK TRANSACTION",
                // Nothing could be rolled back to it: no data is changed in transactions.
                Transaction::Save => return,
            },
            reply,
        );
    }

    fn reset(&mut self, keep_transaction: bool, reply: &mut dyn Reply) {
        let transactions = std::mem::take(self.session.transactions_mut());
        let last = self.session.database().to_owned();
        self.session =
            Session::new(Arc::clone(&self.instance), self.login.clone()).with_id(self.spid);
        self.prepared = Prepared::default();
        // A database that is gone by now leaves the session in master.
        let _ = self.session.use_database(&self.first_database);
        if self.session.database() != last {
            reply.database_changed(self.session.database());
        }
        if keep_transaction {
            *self.session.transactions_mut() = transactions;
        } else if transactions > 0 {
            reply.transaction(Transaction::Rollback);
        }
    }
}
