//! Watching a transfer: traces, progress bars and tests listen here.

use std::time::Duration;

use vdi_protocol::{CommandCode, CompletionCode, ServerConfig, VdConfig};

use super::Cause;
use super::fault::Action;

/// Something that happened in a transfer. Devices count from 0, commands of a device from 1.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A client's set was found.
    Attached {
        /// Its name.
        set: &'a [u8],
        /// The names of its devices.
        devices: &'a [Vec<u8>],
        /// What the client asked for.
        asked: &'a VdConfig,
    },
    /// The set has its configuration and buffers.
    Configured {
        /// What the server chose.
        chosen: &'a ServerConfig,
        /// Number of large buffers.
        buffer_count: u32,
    },
    /// All devices are open on the server's side.
    Opened,
    /// A command is about to go to the client.
    Sent {
        /// The device.
        device: u32,
        /// Which command of the device.
        n: u64,
        /// What it is.
        code: CommandCode,
        /// Its size field.
        size: u32,
        /// Its position field.
        position: u64,
    },
    /// A command came back.
    Completed {
        /// The device.
        device: u32,
        /// Which command of the device.
        n: u64,
        /// What it was.
        code: CommandCode,
        /// How it ended.
        completion: CompletionCode,
        /// Bytes that Read or Write moved.
        bytes: u32,
        /// The position that came back.
        position: u64,
        /// From sending it to seeing its completion.
        took: Duration,
    },
    /// All data have gone and were answered for; what ends the transfer comes next.
    Transferred,
    /// A fault from the plan is carried out.
    Fault {
        /// The device, if the fault belongs to one.
        device: Option<u32>,
        /// The command in whose place or before which it comes.
        n: Option<u64>,
        /// What it does.
        action: &'a Action,
    },
    /// The server closed a device.
    Closed {
        /// The device.
        device: u32,
    },
    /// The first thing that went wrong.
    Failed {
        /// What it was.
        cause: &'a Cause,
    },
}

/// Receives the events of a transfer, from any of its threads. It must not block.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn event(&self, _: &Event<'_>) {}
}
