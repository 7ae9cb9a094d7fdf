//! A session by TDS.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use tds_server::client::{Connection, Event, Privacy};

use super::error::SqlcmdError;
use super::options::{Flavour, Options};
use super::session::{Canceller, Session};
use crate::serve::rendezvous::Rendezvous;

/// As good as no limit of a login's time.
const A_DAY: Duration = Duration::from_hours(24);

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Network(Connection);

impl Network {
    /// Logs in to a server in the network.
    pub(super) fn connect(
        options: &Options,
        machine: &str,
        host: String,
        port: u16,
        instance: String,
    ) -> Result<Network, SqlcmdError> {
        let Some(user) = options.user.clone() else { return Err(SqlcmdError::NoTrustedConnection) };
        if options.encrypt && !options.trust_certificate {
            return Err(SqlcmdError::CertificateUnchecked);
        }
        let password = password(options, &user)?;
        let wanted = wanted(options, machine, (host, port, instance), (user, password));
        Network::log_in(options, &wanted)
    }

    /// Logs in to the namespace's server: as the options say, else with the login that it left.
    pub(super) fn rendezvous(
        options: &Options,
        machine: &str,
        server: &Rendezvous,
    ) -> Result<Network, SqlcmdError> {
        let login = match &options.user {
            Some(user) => (user.clone(), password(options, user)?),
            None => (server.user.clone(), server.password.clone()),
        };
        let place = (server.address.ip().to_string(), server.address.port(), String::new());
        Network::log_in(options, &wanted(options, machine, place, login))
    }

    fn log_in(
        options: &Options,
        wanted: &tds_server::client::Options,
    ) -> Result<Network, SqlcmdError> {
        let mut network = Network(Connection::log_in(wanted)?);
        if !options.quoted_identifiers {
            network.execute("SET QUOTED_IDENTIFIER OFF", &mut |_| {})?;
        }
        Ok(network)
    }
}

/// The password of a login: as the options say, else it is asked for.
fn password(options: &Options, user: &str) -> Result<String, SqlcmdError> {
    if let Some(password) = &options.password {
        return Ok(password.clone());
    }
    let variable = match options.flavour {
        Flavour::Sqlcmd => "SQLCMDPASSWORD",
        Flavour::Osql => "OSQLPASSWORD",
    };
    let nobody = || SqlcmdError::NoPassword { user: user.to_owned(), variable };
    if !std::io::stdin().is_terminal() {
        return Err(nobody());
    }
    rpassword::prompt_password("Password: ").map_err(|_| nobody())
}

fn wanted(
    options: &Options,
    machine: &str,
    (host, port, instance): (String, u16, String),
    (user, password): (String, String),
) -> tds_server::client::Options {
    tds_server::client::Options {
        host,
        port,
        instance,
        user,
        password,
        database: options.database.clone().unwrap_or_default(),
        workstation: options.workstation.clone().unwrap_or_else(|| machine.to_owned()),
        application: program(options.flavour).to_owned(),
        packet_bytes: options.packet_bytes,
        privacy: if options.encrypt { Privacy::Everything } else { Privacy::AsServer },
        login_time: if options.login_time.is_zero() { A_DAY } else { options.login_time },
    }
}

/// What the client calls itself, as servers and their logs know it.
pub(super) fn program(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Sqlcmd => "SQLCMD",
        Flavour::Osql => "OSQL-32",
    }
}

impl Session for Network {
    fn execute(&mut self, batch: &str, tell: &mut dyn FnMut(Event<'_>)) -> Result<(), SqlcmdError> {
        Ok(self.0.batch(batch, tell)?)
    }

    fn canceller(&mut self) -> Canceller {
        let attention = self.0.attention();
        Arc::new(move || attention.send())
    }
}
