//! How a running statement learns that it should end.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

/// Why a statement is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// The client asked for it and waits for the answer (MS-TDS 2.2.1.7, attention).
    Attention,
    /// The client is gone, or the server closes the connection; nobody will read the answer.
    Disconnected,
}

/// The cancel flag of one request. Each request has its own; clones are the same flag.
///
/// A statement that runs long looks at it now and then ([`Self::reason`]), sleeps on it ([`Self::wait`]), or has
/// itself called ([`Self::on_cancel`]). Once set it stays set.
#[derive(Clone, Default)]
pub struct Cancel {
    shared: Arc<Shared>,
}

type Action = Box<dyn FnOnce(CancelReason) + Send>;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    reason: Option<CancelReason>,
    actions: BTreeMap<u64, Action>,
    next_action: u64,
}

impl Shared {
    /// The state is consistent between any two of its changes, so a panic elsewhere does no harm to it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").field("reason", &self.reason()).finish_non_exhaustive()
    }
}

impl Cancel {
    /// A flag that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag, wakes who waits and runs the actions, on this thread. The first reason stays.
    pub fn cancel(&self, reason: CancelReason) {
        let actions = {
            let mut state = self.shared.lock();
            if state.reason.is_some() {
                return;
            }
            state.reason = Some(reason);
            std::mem::take(&mut state.actions)
        };
        self.shared.changed.notify_all();
        for action in actions.into_values() {
            action(reason);
        }
    }

    /// Why the statement is cancelled; `None` while it is not.
    #[must_use]
    pub fn reason(&self) -> Option<CancelReason> {
        self.shared.lock().reason
    }

    /// Whether the flag is set.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.reason().is_some()
    }

    /// Sleeps until the flag is set or `timeout` has passed, and returns the reason in the first case.
    pub fn wait(&self, timeout: Duration) -> Option<CancelReason> {
        let end = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if state.reason.is_some() || left.is_zero() {
                return state.reason;
            }
            let woken = self.shared.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Runs `action` once when the flag is set, at once if it is set already. It runs on the thread that reads the
    /// connection and must not block. Dropping the hook takes the action back; it may be running at that moment.
    pub fn on_cancel(&self, action: impl FnOnce(CancelReason) + Send + 'static) -> Hook {
        let mut state = self.shared.lock();
        let id = state.next_action;
        if let Some(reason) = state.reason {
            drop(state);
            action(reason);
        } else {
            state.next_action += 1;
            state.actions.insert(id, Box::new(action));
        }
        Hook { shared: Arc::downgrade(&self.shared), id }
    }

    /// Whether this is the last clone: the request has been answered.
    pub(crate) fn is_last(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }
}

/// Keeps an action registered; see [`Cancel::on_cancel`].
#[must_use = "dropping the hook takes the action back"]
pub struct Hook {
    shared: Weak<Shared>,
    id: u64,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            // The action's own drop may take locks: not under this one.
            let action = shared.lock().actions.remove(&self.id);
            drop(action);
        }
    }
}
