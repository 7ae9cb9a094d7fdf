//! Ctrl-C, and the time a batch may take.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::session::Canceller;

/// The exit code of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// What Ctrl-C does.
#[derive(Default)]
pub(super) struct Interrupt {
    running: Mutex<Option<Canceller>>,
    pressed: AtomicBool,
}

impl Interrupt {
    /// From now on Ctrl-C cancels what runs. A second one, or one while nothing runs, ends the
    /// process, as does every one where no handler can be set.
    pub(super) fn install() -> Arc<Interrupt> {
        let interrupt = Arc::new(Interrupt::default());
        let handler = Arc::clone(&interrupt);
        // A process that has a handler already keeps it.
        let _ = ctrlc::try_set_handler(move || handler.press());
        interrupt
    }

    fn press(&self) {
        let running = self.running().clone();
        match running {
            Some(cancel) if !self.pressed.swap(true, Ordering::SeqCst) => cancel(),
            _ => std::process::exit(INTERRUPTED),
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Canceller>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets Ctrl-C cancel something while `work` runs; whether it did.
    pub(super) fn during<T>(&self, cancel: &Canceller, work: impl FnOnce() -> T) -> (T, bool) {
        self.pressed.store(false, Ordering::SeqCst);
        *self.running() = Some(Arc::clone(cancel));
        let done = work();
        *self.running() = None;
        (done, self.pressed.load(Ordering::SeqCst))
    }
}

/// Cancels what takes longer than `limit` while `work` runs; whether it did.
pub(super) fn within<T>(
    limit: Option<Duration>,
    cancel: &Canceller,
    work: impl FnOnce() -> T,
) -> (T, bool) {
    let Some(limit) = limit else { return (work(), false) };
    thread::scope(|scope| {
        let (done, waiting) = mpsc::channel::<()>();
        let timer = scope.spawn(move || {
            let expired = waiting.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            if expired {
                cancel();
            }
            expired
        });
        let result = work();
        drop(done);
        (result, timer.join().unwrap_or(false))
    })
}
