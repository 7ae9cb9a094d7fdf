//! Ending a transfer from outside: its statement is cancelled.

use vdi_device::ServerSet;

/// Ends a transfer from another thread. Whatever the transfer waits for, be it a client's answer, a
/// free buffer or the end of the configuration, the wait ends and the transfer fails with
/// [`Cause::Cancelled`](super::Cause::Cancelled).
#[derive(Clone, Debug)]
pub struct AbortHandle {
    set: ServerSet,
}

impl AbortHandle {
    pub(crate) fn new(set: &ServerSet) -> Self {
        AbortHandle { set: set.clone() }
    }

    /// Aborts the device set. Does nothing once the transfer has ended, and never blocks for long.
    pub fn abort(&self) {
        self.set.signal_abort();
    }
}
