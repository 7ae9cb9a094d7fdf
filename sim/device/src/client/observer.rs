//! What the client half tells whoever logs or traces it.

use std::fmt::Debug;

use vdi_protocol::CommandCode;

use crate::{abort::AbortCause, error::Error};

/// Something that happened to a set or device and is no call of the client.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// This process put the set into Abort.
    Aborted(AbortCause),
    /// The server's process ended.
    ServerDied {
        /// Its process id.
        pid: u32,
    },
    /// A buffer segment could not be mapped; an abort follows.
    SegmentUnmappable {
        /// The set.
        set: &'a [u8],
        /// Which segment, from 0.
        segment: u32,
        /// Why.
        error: &'a Error,
    },
    /// The buffers stand behind a [`Fence`](crate::Fence) of pages: whoever touches what is not the
    /// client's ends the process, and [`ClientSet::witness`](crate::ClientSet::witness) knows why.
    Guarded,
    /// A command was completed for the client, because its device is in the I/O error state.
    CompletedForClient {
        /// The device, from 0.
        device: u32,
        /// The command, which the client never sees.
        command: CommandCode,
    },
}

/// Receives events; called from whatever thread they happen on, so it must not call back into the set.
pub trait Observer: Send + Sync + Debug {
    /// One event.
    fn event(&self, event: &Event<'_>);
}
