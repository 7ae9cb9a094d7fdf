//! The server half's record of a case: JSON lines that survive the death of whoever writes them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use vdi_protocol::VdConfig;

/// A line of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Microseconds since 1970.
    pub(crate) time: u64,
    /// The process that wrote it.
    pub(crate) pid: u32,
    /// What happened.
    pub(crate) what: What,
}

/// What happened on the server's side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    /// The client's statement arrived, over these devices.
    Statement { devices: Vec<String> },
    /// What the client was told of its statement.
    Answered { success: bool },
    /// The client's set was opened.
    Attached { asked: Asked, client: u32, objects: Vec<Object> },
    /// The set is configured.
    Configured { features: u32, block_size: u32, max_transfer_size: u32 },
    /// Every device is open.
    Opened,
    /// A command went to the client.
    Sent { device: u32, n: u64, code: u32, size: u32, position: u64 },
    /// Its answer.
    Completed {
        device: u32,
        n: u64,
        code: u32,
        size: u32,
        completion: u32,
        bytes: u64,
        position: u64,
        took: u64,
    },
    /// A Read brought other bytes than expected; `untouched` if they are those of before.
    Mismatch { device: u32, n: u64, at: u64, expected: u8, seen: u8, untouched: bool },
    /// A Read brought bytes behind the end of the stream; `untouched` if they are those of before.
    BehindEnd { device: u32, n: u64, bytes: u64, untouched: bool },
    /// Memory that was not the command's was written.
    Trampled { device: u32, n: u64, offset: i64 },
    /// A buffer was written that was the server's; the device and command that it was last given with.
    TouchedLate { last: Option<(u32, u64)> },
    /// A client was caught at a buffer behind pages, and in which process.
    BufferFault { text: String, pid: u32 },
    /// The run's fault plan struck: whether that ends the statement, and by force in the client's sight.
    Fault { text: String, cuts: bool, is_violent: bool },
    /// A device's stream is over, or the script has read or written all it wanted.
    Stream { device: u32, bytes: u64 },
    /// Something done on purpose: abort, death, pause.
    Action { name: String },
    /// The set is aborted.
    Aborted { cause: String },
    /// A device was closed.
    Closed { device: u32 },
    /// The script went no further, for this reason.
    Stopped { why: String },
    /// Everything was played.
    Finished,
    /// The server half itself failed.
    Failed { why: String },
}

/// What the client asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) device_count: u32,
    pub(crate) features: u32,
    pub(crate) prefix_zone_size: u32,
    pub(crate) alignment: u32,
    pub(crate) soft_file_mark_block_size: u32,
    pub(crate) eom_warning_size: u32,
    pub(crate) server_time_out: u32,
}

impl From<&VdConfig> for Asked {
    fn from(config: &VdConfig) -> Asked {
        Asked {
            device_count: config.device_count,
            features: config.features,
            prefix_zone_size: config.prefix_zone_size,
            alignment: config.alignment,
            soft_file_mark_block_size: config.soft_file_mark_block_size,
            eom_warning_size: config.eom_warning_size,
            server_time_out: config.server_time_out,
        }
    }
}

/// A shared object of the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) name: String,
    /// Whose it is.
    pub(crate) user: u32,
    /// Of which group.
    pub(crate) group: u32,
    /// Permission bits.
    pub(crate) mode: u32,
}

impl Object {
    /// Whether another account of the object's group can work with it.
    pub(crate) fn is_open_to_group(&self) -> bool {
        self.mode & 0o060 == 0o060
    }
}

/// Appends to a record.
#[derive(Debug)]
pub(crate) struct Recorder {
    file: File,
}

impl Recorder {
    pub(crate) fn create(path: &Path) -> io::Result<Recorder> {
        Ok(Recorder { file: File::options().append(true).create(true).open(path)? })
    }

    /// Writes a line, at once and whole.
    pub(crate) fn write(&self, what: What) -> io::Result<()> {
        let entry = Entry { time: now(), pid: std::process::id(), what };
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        (&self.file).write_all(&line)
    }
}

/// Microseconds since 1970.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

/// Reads a record. A line that is not whole is the last one of a process that died.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}
