//! Cancelling a statement.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::transfer::AbortHandle;

/// Ends a running statement from another thread. Clones are the same token.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_cancelled: bool,
    /// The transfer that the statement waits for.
    transfer: Option<AbortHandle>,
}

impl CancelToken {
    /// Asks the statement to end, and aborts its device set.
    pub fn cancel(&self) {
        let mut state = self.lock();
        state.is_cancelled = true;
        if let Some(transfer) = state.transfer.take() {
            transfer.abort();
        }
    }

    /// Forgets an earlier wish; called before each batch.
    pub fn reset(&self) {
        self.lock().is_cancelled = false;
    }

    /// Whether the statement should end.
    pub fn is_cancelled(&self) -> bool {
        self.lock().is_cancelled
    }

    /// Aborts this transfer too, at once if the wish came earlier.
    pub(crate) fn attend(&self, transfer: AbortHandle) {
        let mut state = self.lock();
        if state.is_cancelled {
            transfer.abort();
        } else {
            state.transfer = Some(transfer);
        }
    }

    /// The statement's transfer has ended.
    pub(crate) fn leave(&self) {
        let transfer = self.lock().transfer.take();
        drop(transfer);
    }

    /// A panic between two changes leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
