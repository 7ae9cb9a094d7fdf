//! A session in this process, over the namespace's data folder.

use std::path::Path;
use std::sync::Arc;

use fake_sqlserver::catalogue::Server;
use fake_sqlserver::session::{
    CancelToken, Client, Gone, Instance, Login, Reply, Session as ServerSession,
};
use tds_server::client::Event;
use vdi_device::Environment;
use vdi_protocol::Profile;

use super::convert;
use super::error::SqlcmdError;
use super::error_log::FileLog;
use super::network::program;
use super::options::Options;
use super::session::{Canceller, Session};

/// Who a trusted connection is.
const TRUSTED: &str = "sa";

/// A session.
#[derive(Debug)]
pub(super) struct Local {
    session: ServerSession,
    server: String,
}

impl Local {
    /// Opens the server that keeps its databases in `folder`. Every login is a sysadmin's: whoever
    /// can write the folder needs no password for it.
    pub(super) fn open(
        options: &Options,
        folder: &Path,
        environment: Environment,
        machine: &str,
        instance: Option<String>,
    ) -> Result<Local, SqlcmdError> {
        // A client that cuts a shared object short must not kill us.
        vdi_region::install_truncation_guard();
        let name = match instance {
            Some(instance) => format!("{machine}\\{instance}"),
            None => machine.to_owned(),
        };
        let server = Server::open(folder)?;
        let log = Arc::new(FileLog::new(folder));
        let instance = Arc::new(Instance::new(server, environment, Profile::SQL2016, &name, log));
        let login = Login {
            name: options.user.clone().unwrap_or_else(|| TRUSTED.to_owned()),
            host: options.workstation.clone().unwrap_or_else(|| machine.to_owned()),
            program: program(options.flavour).to_owned(),
            is_sysadmin: true,
        };
        let mut session = ServerSession::new(instance, login);
        session.set_quoted_identifier(options.quoted_identifiers);
        if let Some(database) = &options.database {
            session.use_database(database).map_err(|messages| {
                SqlcmdError::Database(format!(
                    "Cannot open database \"{database}\" requested by the login. The login \
                     failed. ({messages})"
                ))
            })?;
        }
        Ok(Local { session, server: name })
    }
}

impl Session for Local {
    fn execute(&mut self, batch: &str, tell: &mut dyn FnMut(Event<'_>)) -> Result<(), SqlcmdError> {
        // The teller is never gone: it cancels instead.
        let _ = self.session.execute(batch, &[], &mut Teller { server: &self.server, tell });
        Ok(())
    }

    fn canceller(&self) -> Canceller {
        let token: CancelToken = self.session.cancel_token();
        Arc::new(move || token.cancel())
    }
}

/// Tells what the server answers in the words of TDS.
struct Teller<'t> {
    server: &'t str,
    tell: &'t mut dyn FnMut(Event<'_>),
}

impl Client for Teller<'_> {
    fn reply(&mut self, reply: Reply<'_>) -> Result<(), Gone> {
        match reply {
            Reply::Message(message) => {
                let message = convert::message(message);
                (self.tell)(Event::Message { message: &message, server: self.server });
            }
            Reply::Database(_) => {}
            Reply::Columns(columns) => {
                let columns: Vec<_> = columns.iter().map(convert::column).collect();
                (self.tell)(Event::Columns(&columns));
            }
            Reply::Row(values) => {
                let values: Vec<_> = values.iter().map(convert::value).collect();
                (self.tell)(Event::Row(&values));
            }
            Reply::Done(done) => (self.tell)(Event::Done { rows: done.rows }),
        }
        Ok(())
    }
}
