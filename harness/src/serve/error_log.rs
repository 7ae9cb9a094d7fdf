//! The error log as lines of a stream.

use std::io::{self, Write};

use fake_sqlserver::messages::{ErrorLog, LogEntry};

/// Writes each entry to standard error as it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamLog;

impl ErrorLog for StreamLog {
    fn write(&self, entry: LogEntry) {
        // Nobody is left to tell if this fails.
        let _ = writeln!(io::stderr().lock(), "{entry}");
    }
}
