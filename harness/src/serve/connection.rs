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
        login: Login,
        spid: u16,
        first_database: String,
    ) -> Result<Self, SeveralMessages> {
        let mut session = Session::new(Arc::clone(instance), login.clone()).with_id(spid);
        if !first_database.is_empty() && session.use_database(&first_database).is_err() {
            let text = format!(
                "Cannot open database \"{first_database}\" requested by the login. The login failed."
            );
            return Err(Message::user(4060, 11, 1, text).into());
        }
        let (instance, prepared) = (Arc::clone(instance), Prepared::default());
        Ok(Connection { instance, login, spid, first_database, session, prepared })
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
        let by_name = !(parameter.name.is_empty() || is_execute_sql && index < OWN_PARAMETERS);
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

#[cfg(test)]
mod tests {
    use fake_sqlserver::catalogue::Server;
    use fake_sqlserver::messages::MemoryLog;
    use tds_server::{Cancel, CancelReason, Column, Parameter, Session as _, StatementDone, Value};
    use vdi_device::{Environment, Namespace};
    use vdi_protocol::Profile;
    use vdi_region::Backend;

    use super::*;

    /// Writes down what would be sent.
    #[derive(Default)]
    struct Sent {
        events: Vec<String>,
        cancel: Cancel,
    }

    impl Reply for Sent {
        fn message(&mut self, message: &tds::Message) {
            self.events.push(format!("message {} class {}", message.number, message.class));
        }

        fn progress(&mut self, message: &tds::Message, command: u16) {
            self.events.push(format!("progress {} of {command}", message.number));
        }

        fn columns(&mut self, columns: &[Column]) {
            self.events.push(format!("columns {}", columns.len()));
        }

        fn row(&mut self, values: &[Value]) {
            self.events.push(format!("row {:?}", values[0]));
        }

        fn done(&mut self, done: StatementDone) {
            self.events.push(format!("done {} {:?}", done.command, done.rows));
        }

        fn database_changed(&mut self, name: &str) {
            self.events.push(format!("database {name}"));
        }

        fn transaction(&mut self, step: Transaction) {
            self.events.push(format!("{step:?}"));
        }

        fn output(&mut self, index: usize, kind: ColumnType, value: &Value) {
            self.events.push(format!("output {index} {kind:?} {value:?}"));
        }

        fn cancel(&self) -> &Cancel {
            &self.cancel
        }
    }

    /// A connection to a server in a folder of its own.
    fn connection(folder: &tempfile::TempDir) -> Connection {
        let name = format!("connection-{}", std::process::id());
        let backend = Backend::platform_default();
        let instance = Instance::new(
            Server::open(folder.path()).unwrap(),
            Environment::new(Namespace::new(&name).unwrap(), backend),
            Profile::default(),
            "TEST",
            Arc::new(MemoryLog::default()),
        );
        Connection::open(&Arc::new(instance), Login::default(), 77, String::new()).unwrap()
    }

    fn batch(connection: &mut Connection, text: &str) -> Vec<String> {
        let mut sent = Sent::default();
        connection.batch(text, &mut sent);
        sent.events
    }

    fn parameter(name: &str, value: Value, output: bool) -> Parameter {
        Parameter { name: name.to_owned(), value, output }
    }

    // Catches: an output parameter that takes the type of the NULL it came as, a first parameter that
    // is looked for by the name a client gives it.
    #[test]
    fn outputs_have_their_declared_types() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = connection(&folder);
        let parameters = vec![
            parameter(
                "stmt",
                Value::from("SET @text = N'answer ' + CAST(@n AS nvarchar(9))"),
                false,
            ),
            parameter("params", Value::from("@n int, @text nvarchar(40) OUTPUT"), false),
            parameter("@n", Value::Int(42), false),
            parameter("@text", Value::Null, true),
        ];
        let mut sent = Sent::default();
        let call = Call { name: "sp_executesql".to_owned(), parameters };
        assert_eq!(connection.procedure(&call, &mut sent), 0, "{:?}", sent.events);
        let output = sent.events.last().unwrap();
        assert_eq!(output, "output 3 NVarChar(40) Text(\"answer 42\")");

        let mut sent = Sent::default();
        let call = Call { name: "dbo.nothing".to_owned(), parameters: Vec::new() };
        assert_eq!(connection.procedure(&call, &mut sent), 2812);
    }

    // Catches: a last message that goes out as progress or the other way round, class 10 on the wire,
    // a result set of RESTORE without its own end.
    #[test]
    fn a_backup_answers_as_sql_server_does() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = connection(&folder);
        let sent = batch(&mut connection, "BACKUP DATABASE pubs TO DISK='x' WITH STATS=50");
        assert_eq!(
            sent,
            [
                "progress 3211 of 228",
                "progress 3211 of 228",
                "progress 4035 of 228",
                "progress 4035 of 228",
                "message 3014 class 0",
                "done 228 None",
            ]
        );
        let sent = batch(&mut connection, "RESTORE FILELISTONLY FROM DISK='x'");
        assert_eq!(sent.first().unwrap(), "columns 22");
        assert_eq!(sent[sent.len() - 2..], ["done 230 Some(2)", "done 376 None"]);
    }

    // Catches: transactions that the client does not learn of, a reset that keeps what it should not.
    #[test]
    fn a_reset_makes_the_session_new() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = connection(&folder);
        let sent = batch(&mut connection, "USE pubs; BEGIN TRAN; BEGIN TRAN; SELECT @@SPID");
        let wanted = ["database pubs", "message 5701 class 0", "Begin", "row Int(77)"];
        let found: Vec<_> = sent.iter().filter(|event| wanted.contains(&event.as_str())).collect();
        assert_eq!(found, wanted);
        let mut sent = Sent::default();
        connection.reset(true, &mut sent);
        assert_eq!(sent.events, ["database master"]);
        connection.reset(false, &mut sent);
        assert_eq!(sent.events, ["database master", "Rollback"]);
        let mut sent = Sent::default();
        connection.transaction(Transaction::Commit, &mut sent);
        assert_eq!(sent.events[0], "message 3902 class 16");
    }

    // Catches: a cancel that came before its batch and is forgotten.
    #[test]
    fn a_cancelled_batch_does_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = connection(&folder);
        let mut sent = Sent::default();
        sent.cancel.cancel(CancelReason::Attention);
        connection.batch("CREATE DATABASE made", &mut sent);
        assert_eq!(sent.events, Vec::<String>::new());
        assert!(batch(&mut connection, "USE made")[0].starts_with("message 911"));
    }

    // Catches: a login to a database that is not there.
    #[test]
    fn a_login_names_a_database_that_exists() {
        let folder = tempfile::tempdir().unwrap();
        let instance = Arc::clone(&connection(&folder).instance);
        let open =
            |database: &str| Connection::open(&instance, Login::default(), 51, database.to_owned());
        assert_eq!(open("pubs").unwrap().database(), "pubs");
        assert_eq!(open("nothing").unwrap_err().0[0].number, 4060);
    }
}
