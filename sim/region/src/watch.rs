//! Being told that a process died.

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::native::death::{Cancel, Ended, await_end};
use crate::{ProcessIdentity, RegionError, native, process_token};

/// A thread that waits for the death of one process.
///
/// It sleeps on the process itself where the platform allows (a pidfd on Linux, if both live in one
/// pid namespace and the start time agrees, so that a reused number is not mistaken for the peer),
/// and otherwise asks every 50 ms whether the peer's lease is still held. A dead process outranks a
/// held lease: a forked child can keep a lease alive. Dropping the watch ends it and waits until its
/// thread is gone, unless that very thread drops it.
pub struct DeathWatch {
    cancel: Arc<Cancel>,
    thread: Option<JoinHandle<()>>,
    token: u32,
}

impl DeathWatch {
    /// Starts to watch `peer`. `lease_probe` says whether the peer's lease is still held; `on_death`
    /// is called once, from the watching thread, also if the peer was dead already.
    pub fn start(
        peer: ProcessIdentity,
        lease_probe: impl Fn() -> bool + Send + 'static,
        on_death: impl FnOnce() + Send + 'static,
    ) -> Result<DeathWatch, RegionError> {
        let cancel = Arc::new(Cancel::new()?);
        let seen = Arc::clone(&cancel);
        let thread = native::death::spawn_without_signals("vdi-death-watch", move || {
            if await_end(peer, &seen, &lease_probe) == Ended::Died {
                on_death();
            }
        })?;
        Ok(DeathWatch { cancel, thread: Some(thread), token: process_token() })
    }
}

impl Drop for DeathWatch {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if self.token != process_token() {
            // A forked child has the handle and not the thread.
            std::mem::forget(thread);
            return;
        }
        self.cancel.cancel();
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the death watch's callback panicked");
        }
    }
}

impl fmt::Debug for DeathWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeathWatch").finish_non_exhaustive()
    }
}
