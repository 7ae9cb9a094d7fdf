//! What the server half does in a case, as data: it travels to the process that plays it.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vdi_protocol::Direction;

use super::front::Desk;

/// Which way the bytes go.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// From the server to the client.
    Backup,
    /// From the client to the server.
    Restore,
}

impl Operation {
    /// `backup` or `restore`.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Backup => "backup",
            Operation::Restore => "restore",
        }
    }

    pub(crate) fn direction(self) -> Direction {
        match self {
            Operation::Backup => Direction::Backup,
            Operation::Restore => Direction::Restore,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One statement as the server half plays it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Script {
    /// Its direction.
    pub(crate) operation: Operation,
    /// Bytes of a block.
    pub(crate) block_size: u32,
    /// Bytes of the largest transfer.
    pub(crate) max_transfer_size: u32,
    /// Transfers of a device under way at most.
    pub(crate) depth: u32,
    /// Whether VDC_Complete is granted to who asks for it.
    pub(crate) offers_complete: bool,
    /// Bytes of each device's stream.
    pub(crate) length: u64,
    /// What the streams look like.
    pub(crate) content: Content,
    /// In order; what is left open at the end is closed.
    pub(crate) steps: Vec<Step>,
}

/// The bytes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Content {
    /// Made from the seed.
    Seeded,
    /// One value throughout.
    Byte(u8),
}

/// Something to send without waiting for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Item {
    /// The next bytes of the stream.
    Write(u32),
    /// A Read of so many bytes.
    Read(u32),
    /// A command without data: its code, size and position.
    Command(u32, u32, u64),
}

/// What the server half does next, on every device of the set unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    /// Wait for the client's set and open it.
    Attach,
    /// BeginConfiguration, RequestBuffers and EndConfiguration.
    Configure,
    /// Open every device.
    Open,
    /// Write the next `bytes` of each stream in transfers of at most `size`.
    Write {
        /// How many bytes.
        bytes: u64,
        /// Of one transfer.
        size: u32,
    },
    /// Write one piece at a place of the medium, of a disk-like device.
    WriteAt {
        /// The place, also in the stream.
        position: u64,
        /// How many bytes.
        size: u32,
    },
    /// Read the next `bytes` of each stream in transfers of at most `size`.
    Read {
        /// How many bytes.
        bytes: u64,
        /// Of one transfer.
        size: u32,
    },
    /// Read in transfers of this size until the client says that there is no more.
    ReadToEnd {
        /// Of one transfer.
        size: u32,
    },
    /// Read one piece from a place of the medium, of a disk-like device.
    ReadAt {
        /// The place, also in the stream.
        position: u64,
        /// How many bytes.
        size: u32,
    },
    /// One Read at the end, of which nothing is expected.
    ReadBehindEnd {
        /// Its size.
        size: u32,
    },
    /// Send these at once and wait for none of them.
    Send(Vec<Item>),
    /// Wait for everything that was sent.
    Await,
    /// One command; whatever the answer, go on.
    Command {
        /// Its code.
        code: u32,
        /// Its size field.
        size: u32,
        /// Its position field.
        position: u64,
    },
    /// SetPosition to what the last GetPosition of the device answered.
    SetToLastPosition,
    /// From here on the stream is at this place.
    StreamAt(u64),
    /// ClearError on the devices that are in the IO-ERROR state.
    ClearError,
    /// Flush; a refusal ends the script.
    Flush,
    /// Complete, if it was negotiated; a refusal ends the script.
    Complete,
    /// More buffers, in an area of their own, used from here on.
    MoreBuffers,
    /// Do nothing for so many milliseconds.
    Pause(u64),
    /// SignalAbort.
    Abort,
    /// The server's process kills itself.
    Die,
    /// The server kills the client.
    KillClient,
    /// The server kills a process that the client started.
    KillSecondary,
    /// Close every device.
    Close,
    /// From here on the server runs under another account of the client's group, and what that cannot open
    /// fails; before Configure.
    AsOther,
    /// The client's statement is refused before its set is opened; only as the first step.
    Refuse,
    /// The client's statement fails although everything before went well.
    FailStatement,
}

/// What the process that plays a script has to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) script: Script,
    /// The names of the devices, the first being the set's.
    pub(crate) devices: Vec<String>,
    pub(crate) seed: u64,
    /// The server that the client sends the statement to; none if the client sends no statement.
    pub(crate) desk: Option<Desk>,
    /// Milliseconds that the client has to create its set.
    pub(crate) wait: u64,
    /// Whether buffers stand behind pages.
    pub(crate) guard: bool,
    /// A fault plan: where it stands, and its text.
    pub(crate) fault: Option<(String, String)>,
    /// Where the record goes.
    pub(crate) record: PathBuf,
}
