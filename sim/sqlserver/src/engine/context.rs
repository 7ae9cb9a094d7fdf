//! What a BACKUP or RESTORE works with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use crate::catalogue::StorageError;
use crate::messages::{Message, SeveralMessages};
use crate::session::{CancelToken, Column, Instance, Login};
use crate::transfer::AbortHandle;
use crate::value::Value;

/// Who executes a statement, where, and who hears of its progress.
#[derive(Debug)]
pub(crate) struct Context<'s> {
    pub(super) instance: &'s Instance,
    pub(super) login: &'s Login,
    pub(super) cancel: &'s CancelToken,
    progress: Sender<Message>,
}

impl<'s> Context<'s> {
    pub(crate) fn new(
        instance: &'s Instance,
        login: &'s Login,
        cancel: &'s CancelToken,
        progress: Sender<Message>,
    ) -> Self {
        Context { instance, login, cancel, progress }
    }

    /// Sends a message at once; a session that no longer listens has cancelled the statement.
    pub(super) fn tell(&self, message: Message) {
        let _ = self.progress.send(message);
    }

    /// Has a cancel abort this transfer, whatever it waits for then.
    pub(super) fn attend(&self, transfer: AbortHandle) {
        self.cancel.attend(transfer);
    }

    /// A file of the server failed.
    pub(super) fn storage_failed(&self, error: &StorageError) -> SeveralMessages {
        Message::new(3271, &[&error.path.display(), &error.error]).into()
    }

    /// 3204 once the statement has been cancelled.
    pub(super) fn check_cancelled(&self) -> Result<(), Message> {
        if self.cancel.is_cancelled() { Err(Message::new(3204, &[])) } else { Ok(()) }
    }
}

/// What a statement that has succeeded answers.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Messages, in order.
    pub(crate) messages: Vec<Message>,
    /// A result set.
    pub(crate) rows: Option<(Vec<Column>, Vec<Vec<Value>>)>,
}

/// Counts what is done and tells every so many percent (3211).
#[derive(Debug)]
pub(super) struct Progress {
    total: u64,
    done: AtomicU64,
    step: Option<u64>,
    /// Percent told last.
    told: AtomicU64,
}

impl Progress {
    pub(super) fn new(total: u64, stats: Option<u32>) -> Self {
        let step = stats.map(u64::from);
        Progress { total: total.max(1), done: AtomicU64::new(0), step, told: AtomicU64::new(0) }
    }

    pub(super) fn advance(&self, context: &Context<'_>, count: u64) {
        let done = self.done.fetch_add(count, Ordering::Relaxed) + count;
        let Some(step) = self.step else { return };
        // A set may hold more than its head announced.
        let percent = (done * 100 / self.total).min(100) / step * step;
        let before = self.told.fetch_max(percent, Ordering::Relaxed);
        if percent > before {
            context.tell(Message::new(3211, &[&percent]));
        }
    }
}
