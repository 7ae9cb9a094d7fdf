//! A session in this process, over the namespace's data folder.

use std::path::Path;
use std::sync::Arc;

use fake_sqlserver::session::{CancelToken, Client, Gone, Login, Reply, Session as ServerSession};
use tds_server::client::Event;
use tds_server::{Column, ColumnType};
use vdi_device::Environment;
use vdi_protocol::Profile;

use super::error::SqlcmdError;
use super::error_log::FileLog;
use super::network::program;
use super::options::Options;
use super::session::{Canceller, Session};
use crate::instance;
use crate::serve::answer::message as message_of;
use crate::serve::value::{column_type, sent};

/// Who a trusted connection is.
const TRUSTED: &str = "sa";

/// A session.
#[derive(Debug)]
pub(super) struct Local {
    session: ServerSession,
    server: String,
    /// Of the next batch.
    cancel: CancelToken,
}

impl Local {
    /// Opens the server that keeps its databases in `folder`. Every login is a sysadmin's: whoever
    /// can write the folder needs no password for it.
    pub(super) fn open(
        options: &Options,
        folder: &Path,
        environment: Environment,
        machine: &str,
        named: Option<String>,
    ) -> Result<Local, SqlcmdError> {
        // A client that cuts a shared object short must not kill us.
        vdi_region::install_truncation_guard();
        let name = match named {
            Some(named) => format!("{machine}\\{named}"),
            None => machine.to_owned(),
        };
        let log = Arc::new(FileLog::new(folder));
        let mut instance = instance::open(environment, folder, Profile::default(), log)?;
        instance.name.clone_from(&name);
        let login = Login {
            name: options.user.clone().unwrap_or_else(|| TRUSTED.to_owned()),
            host: options.workstation.clone().unwrap_or_else(|| machine.to_owned()),
            program: program(options.flavour).to_owned(),
            is_sysadmin: true,
        };
        let mut session = ServerSession::new(Arc::new(instance), login);
        session.set_quoted_identifier(options.quoted_identifiers);
        if let Some(database) = &options.database {
            session.use_database(database).map_err(|messages| {
                SqlcmdError::Database(format!(
                    "Cannot open database \"{database}\" requested by the login. The login \
                     failed. ({messages})"
                ))
            })?;
        }
        Ok(Local { session, server: name, cancel: CancelToken::default() })
    }
}

impl Session for Local {
    fn execute(&mut self, batch: &str, tell: &mut dyn FnMut(Event<'_>)) -> Result<(), SqlcmdError> {
        // The teller is never gone: it cancels instead.
        let mut teller = Teller { server: &self.server, types: Vec::new(), tell };
        let _ = self.session.execute_under(self.cancel.clone(), batch, &[], &mut teller);
        Ok(())
    }

    fn canceller(&mut self) -> Canceller {
        self.cancel = CancelToken::default();
        let token = self.cancel.clone();
        Arc::new(move || token.cancel())
    }
}

/// Tells what the server answers in the words of TDS.
struct Teller<'t> {
    server: &'t str,
    types: Vec<ColumnType>,
    tell: &'t mut dyn FnMut(Event<'_>),
}

impl Client for Teller<'_> {
    fn reply(&mut self, reply: Reply<'_>) -> Result<(), Gone> {
        match reply {
            Reply::Message(message) => {
                let message = message_of(message);
                (self.tell)(Event::Message { message: &message, server: self.server });
            }
            Reply::Database(_) => {}
            Reply::Columns(columns) => {
                self.types = columns.iter().map(|column| column_type(column.data_type)).collect();
                let named = columns.iter().zip(&self.types);
                let columns: Vec<_> =
                    named.map(|(column, kind)| Column::new(&column.name, *kind)).collect();
                (self.tell)(Event::Columns(&columns));
            }
            Reply::Row(values) => {
                let values: Vec<_> = {
                    values.iter().zip(&self.types).map(|(value, kind)| sent(value, *kind)).collect()
                };
                (self.tell)(Event::Row(&values));
            }
            Reply::Done(done) => (self.tell)(Event::Done { rows: done.rows }),
        }
        Ok(())
    }
}
