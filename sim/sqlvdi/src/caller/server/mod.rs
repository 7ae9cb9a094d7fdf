//! The server half of a drop-in, where its interface has one.

mod command;
#[cfg(unix)]
mod posix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use posix as native;
#[cfg(windows)]
use windows as native;

pub use command::{Completion, ServerCommand};
pub use native::{CallerServer, CallerServerDevice, ServerBuffer};
