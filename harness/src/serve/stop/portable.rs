//! Where the system ends the process by itself: it cleans up behind it.

use std::io;
use std::thread;

/// Nothing is held back.
#[derive(Debug)]
pub struct StopRequest;

impl StopRequest {
    /// Does nothing.
    ///
    /// # Errors
    ///
    /// None.
    pub fn expect() -> io::Result<Self> {
        Ok(StopRequest)
    }

    /// Waits for ever.
    ///
    /// # Errors
    ///
    /// None.
    pub fn wait(self) -> io::Result<()> {
        loop {
            thread::park();
        }
    }
}
