//! Why a call on a device set failed.

use std::{fmt, time::Duration};

use vdi_protocol::{ConfigError, HResult};
use vdi_region::RegionError;

use crate::abort::AbortCause;

/// A failed call: the status that the interface returns and the reason for people.
#[derive(Debug, Clone)]
pub struct Error(Box<Reason>);

/// How long a call may wait: `None` for ever, zero polls.
pub type Timeout = Option<Duration>;

/// What was wrong, where, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The object holds no set, or the call comes too early or too late.
    #[error("{call} is not allowed while the set is {state}")]
    WrongState {
        /// The method.
        call: &'static str,
        /// The set's state in words.
        state: &'static str,
    },
    /// A set of this name exists and its client is alive.
    #[error(
        "the set '{name}' exists already, created by process {pid}; close it or choose another name"
    )]
    Exists {
        /// The set.
        name: String,
        /// Its creator.
        pid: u32,
    },
    /// The name of a set belongs to something else.
    #[error(transparent)]
    Taken(RegionError),
    /// No set of this name can be reached.
    #[error(
        "there is no set '{name}' in the namespace '{namespace}'; the client has not created it, or runs in another namespace"
    )]
    NoSuchSet {
        /// The set.
        name: String,
        /// Where it was looked for.
        namespace: String,
    },
    /// The set has a server already.
    #[error("the set '{name}' is served by process {pid} already")]
    Served {
        /// The set.
        name: String,
        /// The other server.
        pid: u32,
    },
    /// Two set names hash to one object name.
    #[error(
        "the object of the set '{name}' belongs to a set with another name that shares its hash; choose another name"
    )]
    NameCollision {
        /// The set asked for.
        name: String,
    },
    /// Names may not be empty.
    #[error("the name is empty; give the set and each device a name")]
    NameEmpty,
    /// Names may not contain a backslash.
    #[error("the name '{name}' contains a backslash; every other character is allowed")]
    NameBackslash {
        /// The name.
        name: String,
    },
    /// Names have a limit.
    #[error("the name has {len} bytes; at most {max} are possible")]
    NameTooLong {
        /// Its bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A namespace is a plain word.
    #[error(
        "the namespace '{name}' is not 1 to 32 of A-Z, a-z, 0-9, _ and -; set VDISIM_NAMESPACE to such a word"
    )]
    Namespace {
        /// The name.
        name: String,
    },
    /// VDISIM_BACKEND names none.
    #[error("{0}; set VDISIM_BACKEND to one of the named, or remove it")]
    Backend(String),
    /// Instance names come without the machine's name.
    #[error(
        "the instance name '{name}' contains a backslash; give the instance without the machine's name"
    )]
    InstanceName {
        /// The name.
        name: String,
    },
    /// The set has no device of this name.
    #[error("the set has no device '{name}'; its devices are named by the VIRTUAL_DEVICE clauses")]
    NoSuchDevice {
        /// The name.
        name: String,
    },
    /// A device can be opened once.
    #[error("the device '{name}' is open already, in process {pid}")]
    DeviceOpen {
        /// The name.
        name: String,
        /// Who has it open.
        pid: u32,
    },
    /// Nothing is left to open.
    #[error("all {count} devices of the set are open")]
    AllOpen {
        /// How many.
        count: usize,
    },
    /// Close found devices open.
    #[error("{count} devices of the set were open; the set was aborted")]
    DevicesOpen {
        /// How many.
        count: usize,
    },
    /// A configuration field is not possible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The set was aborted.
    #[error("the set was aborted: {0}")]
    Aborted(AbortCause),
    /// The time is over.
    #[error("nothing happened within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// RequestBuffers was asked for what no buffer can be.
    #[error(
        "buffers of {size} bytes aligned to {alignment} are not possible; the size is not 0 and the alignment a power of two"
    )]
    BadRequest {
        /// Bytes.
        size: u32,
        /// Alignment in bytes.
        alignment: u32,
    },
    /// The backend can't map memory at such addresses.
    #[error(
        "buffers aligned to {alignment} are not possible with this backend, which maps at multiples of {possible}; use the platform's own backend"
    )]
    Alignment {
        /// Asked for.
        alignment: u32,
        /// What mappings are aligned to.
        possible: usize,
    },
    /// The pool has no buffer of this size.
    #[error(
        "no buffer of {size} bytes aligned to {alignment} is free; {total} such buffers were requested"
    )]
    NoBuffer {
        /// Bytes.
        size: u32,
        /// Alignment in bytes.
        alignment: u32,
        /// How many there are in all.
        total: u32,
    },
    /// More areas or slots than a handle can name.
    #[error("the request for {count} buffers exceeds the limit of {max} {what} of a set")]
    TooMany {
        /// Asked for.
        count: u32,
        /// The limit.
        max: u32,
        /// Of what.
        what: &'static str,
    },
    /// A command was refused because the device's queue is full.
    #[error("device {device} has {outstanding} commands outstanding; wait for a completion")]
    QueueFull {
        /// The device.
        device: u32,
        /// Its commands.
        outstanding: u32,
    },
    /// The device is in IO-ERROR; only ClearError is accepted.
    #[error("device {device} is in the I/O error state; send VDC_ClearError or close it")]
    IoError {
        /// The device.
        device: u32,
    },
    /// The device was closed.
    #[error("the device is closed")]
    DeviceClosed,
    /// CloseDevice came twice.
    #[error("the device was closed before")]
    ClosedBefore,
    /// The object was opened by another process; this one is its fork.
    #[error("the set was opened by another process; a forked child must open its own")]
    Forked,
    /// Another layout version.
    #[error(
        "the set's segment has layout version {found}, this library knows {known}; use client and server of the same vdisim version"
    )]
    LayoutVersion {
        /// What the segment says.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The segment does not hold together.
    #[error("the set's control segment is damaged: {0}; another process wrote into it")]
    Damaged(&'static str),
    /// Shared memory failed.
    #[error(transparent)]
    Region(#[from] RegionError),
}

impl Error {
    /// The reason, for programs.
    pub fn reason(&self) -> &Reason {
        &self.0
    }

    /// The status that the interface returns for it.
    pub fn status(&self) -> HResult {
        match &*self.0 {
            Reason::WrongState { .. }
            | Reason::Exists { .. }
            | Reason::Taken(_)
            | Reason::NameCollision { .. }
            | Reason::DeviceOpen { .. }
            | Reason::Forked
            | Reason::DeviceClosed => HResult::VD_E_PROTOCOL,
            Reason::NoSuchSet { .. }
            | Reason::Served { .. }
            | Reason::NameEmpty
            | Reason::NameBackslash { .. }
            | Reason::NameTooLong { .. }
            | Reason::Namespace { .. }
            | Reason::Backend(_)
            | Reason::BadRequest { .. }
            | Reason::NoSuchDevice { .. } => HResult::VD_E_INVALID,
            Reason::InstanceName { .. } => HResult::VD_E_INSTANCE_NAME,
            Reason::AllOpen { .. } | Reason::DevicesOpen { .. } => HResult::VD_E_OPEN,
            Reason::Config(error) => error.status(),
            Reason::Alignment { .. } => HResult::VD_E_NOTSUPPORTED,
            Reason::Aborted(_) => HResult::VD_E_ABORT,
            Reason::TimedOut(_) => HResult::VD_E_TIMEOUT,
            Reason::NoBuffer { .. } | Reason::TooMany { .. } => HResult::VD_E_MEMORY,
            Reason::ClosedBefore => HResult::VD_E_CLOSE,
            Reason::QueueFull { .. } => HResult::VD_E_QUEUE_FULL,
            Reason::IoError { .. } => HResult::VD_E_IO_ERROR,
            Reason::LayoutVersion { .. } | Reason::Damaged(_) => HResult::VD_E_UNEXPECTED,
            Reason::Region(error) => region_status(error),
        }
    }

    /// The operating system's error number, if one is at the bottom of it.
    pub fn os_error(&self) -> Option<i32> {
        match &*self.0 {
            Reason::Region(error) => error.os_error(),
            _ => None,
        }
    }
}

fn region_status(error: &RegionError) -> HResult {
    match error {
        RegionError::Exists { .. } => HResult::VD_E_PROTOCOL,
        RegionError::NotFound { .. } => HResult::VD_E_INVALID,
        RegionError::Denied { .. } | RegionError::NoAccount { .. } => HResult::VD_E_SECURITY,
        RegionError::NoSpace { .. } => HResult::VD_E_MEMORY,
        _ => HResult::VD_E_UNEXPECTED,
    }
}

impl<R: Into<Reason>> From<R> for Error {
    fn from(reason: R) -> Self {
        Error(Box::new(reason.into()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
