//! The fake SQL Server of a namespace, inside this process.

use std::path::Path;
use std::sync::Arc;

use fake_sqlserver::catalogue::{Server, StoreError};
use fake_sqlserver::messages::ErrorLog;
use fake_sqlserver::session::Instance;
use vdi_device::Environment;
use vdi_protocol::Profile;

/// The instance that keeps its databases in `folder`, which is made if need be. Every process of a
/// namespace that opens the same folder plays the same server: what one backs up, another restores.
///
/// # Errors
///
/// A folder that cannot be made, or a catalogue in it that cannot be read.
pub fn open(
    environment: Environment,
    folder: &Path,
    profile: Profile,
    log: Arc<dyn ErrorLog>,
) -> Result<Instance, StoreError> {
    let server = Server::open(folder)?;
    Ok(Instance::new(server, environment, profile, &server_name(), log))
}

/// A new instance whose databases are gone with it. DISK devices without an absolute path are below
/// `folder`.
pub fn in_memory(
    environment: Environment,
    folder: &Path,
    profile: Profile,
    log: Arc<dyn ErrorLog>,
) -> Instance {
    Instance::new(Server::in_memory(folder), environment, profile, &server_name(), log)
}

/// What a default instance calls itself: the machine's name.
pub fn server_name() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}
