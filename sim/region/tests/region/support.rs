//! Names, watchdogs, clean-up.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use vdi_region::{Access, Backend, ObjectName, Region, list_objects, remove_leftover};

/// More than a page and no multiple of one.
pub(crate) const LEN: usize = 3 * 4096 + 100;

/// Kills the whole test process when a test hangs; any test that could, holds one.
pub(crate) struct Watchdog {
    _still_running: Sender<()>,
}

impl Watchdog {
    pub(crate) fn start() -> Watchdog {
        let (still_running, ended) = channel::<()>();
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        std::thread::spawn(move || {
            if ended.recv_timeout(Duration::from_secs(120)) == Err(RecvTimeoutError::Timeout) {
                eprintln!("watchdog: {test} hangs");
                std::process::abort();
            }
        });
        Watchdog { _still_running: still_running }
    }
}

/// A prefix for names that no other test uses. Whatever is left under it goes at the end, so that a
/// failed test leaves nothing behind either.
pub(crate) struct Names {
    backend: Backend,
    pub(crate) prefix: String,
}

impl Names {
    pub(crate) fn new(backend: Backend) -> Names {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Names { backend, prefix: format!("t{}-{count}.", std::process::id()) }
    }

    pub(crate) fn name(&self, rest: &str) -> ObjectName {
        ObjectName::new(&format!("{}{rest}", self.prefix)).unwrap()
    }

    pub(crate) fn create(&self, rest: &str) -> Region {
        create(self.backend, &self.name(rest))
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        for info in list_objects(self.backend, &self.prefix).unwrap_or_default() {
            let _ = remove_leftover(self.backend, &info);
        }
    }
}

/// A plain object of [`LEN`] bytes.
pub(crate) fn create(backend: Backend, name: &ObjectName) -> Region {
    Region::create(backend, name, LEN, Access::Creator, |_| Ok(())).unwrap()
}
