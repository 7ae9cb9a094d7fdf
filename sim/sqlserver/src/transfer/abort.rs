//! Ending a transfer from outside: its statement is cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vdi_device::ServerSet;

/// Ends a transfer from another thread. Whatever the transfer waits for, be it a client's answer, a
/// free buffer or the end of the configuration, the wait ends and the transfer fails with
/// [`Cause::Cancelled`](super::Cause::Cancelled).
#[derive(Clone, Debug)]
pub struct AbortHandle {
    set: ServerSet,
    cancelled: Arc<AtomicBool>,
}

impl AbortHandle {
    /// What ends a transfer over `set` that is not a [`Session`](super::Session)'s.
    pub fn of(set: &ServerSet) -> Self {
        AbortHandle { set: set.clone(), cancelled: Arc::default() }
    }

    pub(crate) fn new(set: &ServerSet, cancelled: &Arc<AtomicBool>) -> Self {
        AbortHandle { set: set.clone(), cancelled: Arc::clone(cancelled) }
    }

    /// Aborts the device set. Does nothing once the transfer has ended, and never blocks for long.
    pub fn abort(&self) {
        // First, so that whatever the abort brings about is known for its consequence.
        self.cancelled.store(true, Ordering::Release);
        self.set.signal_abort();
    }
}
