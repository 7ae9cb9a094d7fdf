//! SIGINT, SIGTERM and SIGHUP, waited for instead of handled.

use std::io;

use nix::sys::signal::{SigSet, Signal};

/// Keeps the signals that ask for the end from ending the process at once.
#[derive(Debug)]
pub struct StopRequest {
    signals: SigSet,
}

impl StopRequest {
    /// Holds the signals back. Before any other thread is started, because threads inherit it.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn expect() -> io::Result<Self> {
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        signals.thread_block()?;
        Ok(StopRequest { signals })
    }

    /// Waits for one of them. The next one ends the process at once.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn wait(self) -> io::Result<()> {
        self.signals.wait()?;
        self.signals.thread_unblock()?;
        Ok(())
    }
}
