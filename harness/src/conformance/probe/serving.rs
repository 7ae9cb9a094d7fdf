//! Who serves the set of a probe: our server half, or the library's own.

use std::sync::Arc;
use std::time::Duration;

use sqlvdi::caller::{CallerServer, CallerServerDevice, DropIn, ServerCommand};
use vdi_device::{Environment, Request, ServerDevice, ServerSet};
use vdi_protocol::{CommandCode, Direction, ServerConfig, VdConfig};

use super::{Reached, SIZE, word};
use crate::conformance::implementation::Server;

/// The server half of a set.
pub(super) trait Serving: Send + Sync {
    /// Decides the configuration and makes the buffers.
    fn configure(&self) -> Reached;
    /// Opens the next device.
    fn open_device(&self, name: &[u8]) -> Reached<Box<dyn ServingDevice>>;
    /// Runs the completion agent until the set ends.
    fn execute_completion_agent(&self);
    /// Aborts the set.
    fn signal_abort(&self);
    /// Leaves the set.
    fn close(&self);
}

/// The server half of a device.
pub(super) trait ServingDevice {
    /// Sends a Write of a whole buffer.
    fn send_write(&self) -> Reached;
    /// Closes the device.
    fn close_device(&self) -> Reached;
}

/// Finds the set that the client has created.
pub(super) fn attach(
    server: Server,
    drop_in: &DropIn,
    environment: &Environment,
    name: &[u8],
    wait: Option<Duration>,
) -> Reached<Arc<dyn Serving>> {
    match server {
        Server::Ours => {
            let set = ServerSet::wait_open(environment, Some(name), wait).map_err(word)?;
            Ok(Arc::new(set))
        }
        Server::Own => {
            let set = CallerServer::new(drop_in).map_err(word)?;
            set.open(name).map_err(theirs)?;
            Ok(Arc::new(set))
        }
        Server::Nobody => Err("nobody serves this set".to_owned()),
    }
}

/// What a server makes of what its client asked for.
pub(super) fn decided(asked: &VdConfig, max_transfer_size: u32) -> ServerConfig {
    ServerConfig {
        features: asked.features().answer(Direction::Backup, true),
        block_size: 512,
        alignment: 0,
        max_transfer_size,
        time_out: 60_000,
    }
}

/// The calls of both halves have the same names.
fn theirs(error: impl std::fmt::Display) -> String {
    format!("the server's {error}")
}

impl Serving for ServerSet {
    fn configure(&self) -> Reached {
        let asked = self.get_configuration().map_err(word)?;
        self.begin_configuration(&decided(&asked, SIZE)).map_err(word)?;
        self.request_buffers(SIZE, 0, 4).map_err(word)?;
        self.end_configuration().map_err(word)
    }

    fn open_device(&self, name: &[u8]) -> Reached<Box<dyn ServingDevice>> {
        let device = ServerSet::open_device(self, name).map_err(word)?;
        Ok(Box::new(OurDevice { set: self.clone(), device }))
    }

    fn execute_completion_agent(&self) {
        // How it ends says nothing that the calls do not say.
        let _ = ServerSet::execute_completion_agent(self);
    }

    fn signal_abort(&self) {
        ServerSet::signal_abort(self);
    }

    fn close(&self) {
        let _ = ServerSet::close(self);
    }
}

struct OurDevice {
    set: ServerSet,
    device: ServerDevice,
}

impl ServingDevice for OurDevice {
    fn send_write(&self) -> Reached {
        let request = Request {
            code: CommandCode::WRITE,
            size: SIZE,
            position: 0,
            buffer: Some(self.set.allocate_buffer(SIZE, 0).map_err(word)?),
            context: 0,
            routine: Arc::new(drop),
        };
        self.device.send_command(request).map_err(word)
    }

    fn close_device(&self) -> Reached {
        self.device.close_device().map_err(word)
    }
}

impl Serving for CallerServer {
    fn configure(&self) -> Reached {
        let asked = self.get_configuration().map_err(theirs)?;
        self.begin_configuration(&decided(&asked, SIZE)).map_err(theirs)?;
        self.request_buffers(SIZE, 0, 4).map_err(theirs)?;
        self.end_configuration().map_err(theirs)
    }

    fn open_device(&self, name: &[u8]) -> Reached<Box<dyn ServingDevice>> {
        let device = CallerServer::open_device(self, name).map_err(theirs)?;
        Ok(Box::new(TheirDevice { set: self.clone(), device }))
    }

    fn execute_completion_agent(&self) {
        let _ = CallerServer::execute_completion_agent(self);
    }

    fn signal_abort(&self) {
        let _ = CallerServer::signal_abort(self);
    }

    fn close(&self) {
        let _ = CallerServer::close(self);
    }
}

struct TheirDevice {
    set: CallerServer,
    device: CallerServerDevice,
}

impl ServingDevice for TheirDevice {
    fn send_write(&self) -> Reached {
        let buffer = self.set.allocate_buffer(SIZE, 0).map_err(theirs)?;
        let command = ServerCommand {
            code: CommandCode::WRITE,
            size: SIZE,
            position: 0,
            buffer: Some(buffer),
        };
        self.device.send_command(command, drop).map_err(theirs)
    }

    fn close_device(&self) -> Reached {
        self.device.close_device().map_err(theirs)
    }
}
