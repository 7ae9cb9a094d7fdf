//! A session on whichever server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tds_server::client::Event;
use vdi_device::Environment;

use super::error::SqlcmdError;
use super::local::Local;
use super::network::Network;
use super::options::Options;
use super::target::{Target, machine_name};
use crate::serve::data_folder::data_folder;
use crate::serve::rendezvous::{self, Rendezvous};

/// Ends the running batch, from any thread.
pub(super) type Canceller = Arc<dyn Fn() + Send + Sync>;

/// A session.
pub(super) trait Session {
    /// Executes a batch; `tell` hears of everything in order and at once.
    ///
    /// # Errors
    /// The server is lost. What it says of the batch is no error.
    fn execute(&mut self, batch: &str, tell: &mut dyn FnMut(Event<'_>)) -> Result<(), SqlcmdError>;

    /// What ends the next batch that it executes.
    fn canceller(&mut self) -> Canceller;
}

/// The namespace's server, if this address is its own: a trusted connection is possible then.
fn ours(host: &str, port: u16) -> Result<Option<Rendezvous>, SqlcmdError> {
    let Ok(address) = host.parse::<IpAddr>() else { return Ok(None) };
    let environment = Environment::from_process()?;
    let Ok(folder) = data_folder(&environment.namespace) else { return Ok(None) };
    let running = rendezvous::find(&folder)?;
    Ok(running.filter(|server| server.address == SocketAddr::new(address, port)))
}

/// Opens the session that the options ask for.
///
/// # Errors
/// A server that is not there or refuses.
pub(super) fn open(options: &Options) -> Result<Box<dyn Session>, SqlcmdError> {
    let machine = machine_name();
    let name = options.server.as_deref().unwrap_or_default();
    let (instance, port) = match Target::parse(name, &machine)? {
        Target::Network { host, port, instance } => {
            if let Some(server) = ours(&host, port)? {
                return Ok(Box::new(Network::rendezvous(options, &machine, &server)?));
            }
            let network = Network::connect(options, &machine, host, port, instance)?;
            return Ok(Box::new(network));
        }
        Target::Here { instance, port } => (instance, port),
    };
    let environment = Environment::from_process()?;
    let folder = data_folder(&environment.namespace)?;
    let running = rendezvous::find(&folder)?;
    match (running, port) {
        (Some(server), None) => Ok(Box::new(Network::rendezvous(options, &machine, &server)?)),
        (Some(server), Some(port)) if server.address.port() == port => {
            Ok(Box::new(Network::rendezvous(options, &machine, &server)?))
        }
        (_, Some(port)) => {
            let (host, instance) = ("localhost".to_owned(), instance.unwrap_or_default());
            Ok(Box::new(Network::connect(options, &machine, host, port, instance)?))
        }
        (None, None) => {
            Ok(Box::new(Local::open(options, &folder, environment, &machine, instance)?))
        }
    }
}
