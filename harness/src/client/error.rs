//! What can go wrong for a client.

use std::io;
use std::path::PathBuf;

use sqlvdi::caller::{BufferError, CallError, LoadError};
use vdi_protocol::{CommandCode, CompletionCode};

/// A backup or restore that did not end as it should, seen from the client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The drop-in could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A call of the drop-in failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Bytes could not be moved by handle.
    #[error(transparent)]
    Buffer(#[from] BufferError),
    /// A file could not be opened.
    #[error("{}: {error}.", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A command was answered with an error.
    #[error("device {device}: {command} was answered with {code}.")]
    Answered {
        /// The device, from 0.
        device: usize,
        /// The command.
        command: CommandCode,
        /// The answer.
        code: CompletionCode,
    },
    /// The server closed the device, but the backup is not whole.
    #[error("device {device} was closed before {missing}: what was stored is no backup.")]
    NotWhole {
        /// The device, from 0.
        device: usize,
        /// The command that had to come first.
        missing: CommandCode,
    },
    /// A process that helps could not be started.
    #[error("a second process could not be started: {0}.")]
    NotStarted(io::Error),
    /// A process that helps has ended with an error or does not answer.
    #[error("the process for device {device} failed: {how}.")]
    Helper {
        /// The device, from 0.
        device: usize,
        /// Its exit status, or what it said.
        how: String,
    },
}
