//! A started process with everything it starts, so that none of them outlives a test.

mod group;
#[cfg(unix)]
#[path = "posix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

pub use group::ProcessGroup;
pub(crate) use platform::{crash_of, signal_of};
