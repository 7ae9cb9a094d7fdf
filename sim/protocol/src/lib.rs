//! The vocabulary and rules of SQL Server's Virtual Device Interface (VDI) as data.
//!
//! Nothing here does I/O: the shared memory, the client library and the server half use these
//! words and look their rules up in these tables.
//!
//! - codes: [`status`] of calls, [`completion`] of commands, [`command`] and [`features`]
//! - structures and their limits: [`config`], [`command`], [`statement`], [`guid`]
//! - rules as tables: [`matrix`] (which command, which fields), [`state`] (a set, both halves),
//!   [`device`] (one device); a [`source`] marks what the specification leaves to us
//! - [`profile`]: the servers that can be played
//! - [`mod@explain`]: what a code means, what lies behind it, what to do
#![forbid(unsafe_code)]

pub mod command;
pub mod completion;
pub mod config;
pub mod device;
pub mod explain;
pub mod features;
pub mod guid;
pub mod matrix;
mod named;
pub mod profile;
pub mod source;
pub mod state;
pub mod statement;
pub mod status;

pub use command::{CommandCode, VdcCommand, VdsCommand, Whence};
pub use completion::CompletionCode;
pub use config::{ConfigError, ServerConfig, VdConfig, negotiate, validate_client_config};
pub use device::{DeviceEvent, DeviceState, device_transition};
pub use explain::explain;
pub use features::{Direction, Features, Mode};
pub use profile::Profile;
pub use source::Source;
pub use state::{ClientCall, ServerCall, State, client_transition, server_transition};
pub use status::HResult;
