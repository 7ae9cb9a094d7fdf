//! Waiting for an object that somebody else is going to make.

use std::time::{Duration, Instant};

use crate::backend::Twin;
use crate::{Backend, ObjectName, RegionError, native, portable};

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
    match backend.twin()? {
        Twin::Native => native::folder::wait_for(&matches, deadline),
        Twin::Portable => portable::folder::wait_for(&matches, deadline),
    }
}
