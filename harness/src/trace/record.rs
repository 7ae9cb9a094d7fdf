//! Reading a trace, line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// The version of the lines' form.
pub const VERSION: u32 = 1;

/// One line.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// Microseconds since 1970 when it was written; of a call, at its end.
    pub time: u64,
    /// The process that wrote it.
    pub pid: u32,
    /// What it says.
    #[serde(flatten)]
    pub what: What,
}

/// A call of the interface, or anything else that happened.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum What {
    /// A call that returned.
    Call {
        /// The function's name.
        call: String,
        /// The object it was called on, by its number in the process.
        object: String,
        /// Microseconds from the call to the return.
        took: u64,
        /// What was passed.
        arguments: Value,
        /// What came back: `status`, `name` and more.
        result: Value,
    },
    /// Something else.
    Event {
        /// What.
        event: String,
        /// The rest.
        details: Value,
    },
}

/// A trace that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("the trace {} cannot be read: {error}.", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line is no line of a trace.
    #[error(
        "{}, line {line}: this is no line of a trace: {reason}; a trace is written by --trace or \
         VDISIM_TRACE.",
        .path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A line of another version.
    #[error(
        "{}, line {line}: the trace has version {found}, and this vdisim reads version {VERSION}; \
         use the vdisim that wrote it, or a newer one.",
        .path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Its version.
        found: u64,
    },
    /// There is nothing in it.
    #[error("the trace {} is empty: nothing was recorded.", .0.display())]
    Empty(PathBuf),
}

/// Reads all lines.
pub fn read(path: &Path) -> Result<Vec<Record>, TraceError> {
    let failed = |error| TraceError::Io { path: path.to_owned(), error };
    let file = BufReader::new(File::open(path).map_err(failed)?);
    let mut records = Vec::new();
    for (k, text) in file.split(b'\n').enumerate() {
        records.push(parse(path, k + 1, &text.map_err(failed)?)?);
    }
    if records.is_empty() { Err(TraceError::Empty(path.to_owned())) } else { Ok(records) }
}

fn parse(path: &Path, line: usize, text: &[u8]) -> Result<Record, TraceError> {
    let malformed = |reason: String| TraceError::Malformed { path: path.to_owned(), line, reason };
    let value: Value =
        serde_json::from_slice(text).map_err(|error| malformed(error.to_string()))?;
    match value["version"].as_u64() {
        Some(version) if version == u64::from(VERSION) => {}
        Some(found) => return Err(TraceError::Version { path: path.to_owned(), line, found }),
        None => return Err(malformed("it has no `version`".to_owned())),
    }
    for field in ["time", "pid"] {
        if !value[field].is_u64() {
            return Err(malformed(format!("it has no number `{field}`")));
        }
    }
    Record::deserialize(value).map_err(|_| {
        malformed("it has neither `call` nor `event` with what belongs to it".to_owned())
    })
}
