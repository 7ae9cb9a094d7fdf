//! The error log of a server without a process of its own.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use fake_sqlserver::messages::{ErrorLog, LogEntry};

/// Appends entries to the file `ERRORLOG` of the data folder.
#[derive(Debug)]
pub(super) struct FileLog(PathBuf);

impl FileLog {
    pub(super) fn new(folder: &Path) -> FileLog {
        FileLog(folder.join("ERRORLOG"))
    }
}

impl ErrorLog for FileLog {
    fn write(&self, entry: LogEntry) {
        // A log that cannot be written must not fail the statement that it tells of.
        let _ = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.0)
            .and_then(|mut file| file.write_all(format!("{entry}\n").as_bytes()));
    }
}
