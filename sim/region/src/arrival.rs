//! Waiting for an object that somebody else is going to make.

use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use crate::posix;
use crate::{Backend, ObjectName, RegionError, portable};

/// Waits until there is an object whose name `matches` accepts, and returns the first such name in
/// alphabetical order; `None` when `timeout` has passed.
///
/// An object is seen when it is finished. It may be gone, or be a leftover, by the time the caller
/// opens it.
pub fn wait_for_object(
    backend: Backend,
    matches: impl Fn(&str) -> bool,
    timeout: Option<Duration>,
) -> Result<Option<ObjectName>, RegionError> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    match backend {
        #[cfg(target_os = "linux")]
        Backend::Posix => posix::folder::wait_for(&matches, deadline),
        #[cfg(not(target_os = "linux"))]
        Backend::Posix => Err(RegionError::Unavailable { backend }),
        Backend::Portable => portable::folder::wait_for(&matches, deadline),
    }
}
