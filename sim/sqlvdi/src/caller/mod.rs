//! A safe way to call a drop-in: any `libsqlvdi.so`, found at run time, through the same exported
//! symbols that a C++ client is linked with; on Windows any `sqlvdi.dll`, through its COM classes, the
//! server's ([`CallerServer`]) among them.
//!
//! ```no_run
//! use std::time::Duration;
//! use sqlvdi::caller::{CallerSet, DropIn, locate};
//! use vdi_protocol::{CommandCode, CompletionCode, HResult, VdConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let drop_in = DropIn::load(&locate(None)?)?;
//! let set = CallerSet::new(&drop_in);
//! set.create(b"nightly", &VdConfig { device_count: 1, ..VdConfig::default() })?;
//! let config = set.get_configuration(Some(Duration::from_secs(60)))?;
//! println!("transfers of up to {} bytes", config.max_transfer_size);
//! let device = set.open_device(b"nightly")?;
//! let file = std::fs::File::create("nightly.bak")?;
//! loop {
//!     let command = match device.get_command(None) {
//!         Ok(command) => command,
//!         Err(error) if error.status == HResult::VD_E_CLOSE => break,
//!         Err(error) => return Err(error.into()),
//!     };
//!     match command.code() {
//!         CommandCode::WRITE => {
//!             let mut done = 0;
//!             while done < command.size() as usize {
//!                 done += command.buffer()?.write_to(done, command.size() as usize - done, &file, None)?;
//!             }
//!             command.complete(CompletionCode::ERROR_SUCCESS, done as u64, 0)?;
//!         }
//!         CommandCode::FLUSH => {
//!             file.sync_all()?;
//!             command.complete(CompletionCode::ERROR_SUCCESS, 0, 0)?;
//!         }
//!         _ => command.complete(CompletionCode::ERROR_NOT_SUPPORTED, 0, 0)?,
//!     }
//! }
//! set.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! Every type here may be used from several threads at once. What makes the calls safe:
//!
//! - an object lives as long as everything that came from it: a command keeps its device alive, a
//!   device its set, a set the library, which is never unloaded;
//! - bytes of a buffer are reached by checked copies and by file reads and writes only;
//! - [`CallerSet::close`] waits for copies that are under way, and every later copy through a
//!   command or mapped buffer of the closed set fails with [`BufferError::Closed`].

mod buffer;
mod device;
mod drop_in;
mod error;
mod locate;
#[cfg(unix)]
mod posix;
mod server;
mod set;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use posix as native;
#[cfg(windows)]
use windows as native;

pub use buffer::Buffer;
pub use device::{CallerDevice, Command};
pub use drop_in::DropIn;
pub use error::{BufferError, CallError, LoadError, LocateError, NoServerError};
pub use locate::locate;
pub use native::LIBRARY_NAME;
pub use server::{CallerServer, CallerServerDevice, Completion, ServerBuffer, ServerCommand};
pub use set::CallerSet;
