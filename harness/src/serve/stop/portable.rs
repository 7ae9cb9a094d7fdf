//! Ctrl-C and its kin, wherever the `ctrlc` crate knows them: on Windows also Ctrl-Break and the closing of
//! the console.

use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

/// How a program ends by Ctrl-C on Windows (STATUS_CONTROL_C_EXIT).
const CONTROL_C_EXIT: i32 = 0xC000_013A_u32.cast_signed();

/// Keeps Ctrl-C from ending the process at once.
#[derive(Debug)]
pub struct StopRequest {
    asked: Receiver<()>,
}

impl StopRequest {
    /// Holds it back.
    ///
    /// # Errors
    ///
    /// The system refuses, or somebody waits already.
    pub fn expect() -> io::Result<Self> {
        let (ask, asked) = channel();
        let again = AtomicBool::new(false);
        ctrlc::try_set_handler(move || {
            if again.swap(true, Ordering::Relaxed) {
                process::exit(CONTROL_C_EXIT);
            }
            // Nobody waits any longer when the server failed by itself.
            let _ = ask.send(());
        })
        .map_err(io::Error::other)?;
        Ok(StopRequest { asked })
    }

    /// Waits for it. The next one ends the process at once.
    ///
    /// # Errors
    ///
    /// None: the handler lives as long as the process.
    pub fn wait(self) -> io::Result<()> {
        self.asked.recv().map_err(io::Error::other)
    }
}
