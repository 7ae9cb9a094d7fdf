//! Being asked to end: Ctrl-C, or what a service manager sends.

#[cfg(unix)]
#[path = "posix.rs"]
mod platform;
#[cfg(not(unix))]
#[path = "portable.rs"]
mod platform;

pub use platform::StopRequest;
