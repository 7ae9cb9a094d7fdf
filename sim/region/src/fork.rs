//! Noticing a fork.

use crate::native;

/// A number that a forked child sees changed; costs two loads.
///
/// Keep it beside what must not be used across a fork and compare before use. It differs from the
/// token of every ancestor of the process; it says nothing about unrelated processes.
#[inline]
pub fn process_token() -> u32 {
    native::fork::token()
}
