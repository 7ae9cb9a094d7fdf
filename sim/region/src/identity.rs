//! Telling one process from the next that gets its number.

use crate::native;

/// What identifies a process on this machine for as long as the machine runs. Plain integers, so
/// that they can be put into a region for the peer's [`DeathWatch`](crate::DeathWatch).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProcessIdentity {
    /// The process number.
    pub pid: u32,
    /// When it started, in clock ticks since boot; 0 if the platform does not say.
    pub start_time: u64,
    /// Which pid namespace the number belongs to; 0 if the platform has none.
    pub pid_namespace: u64,
}

impl ProcessIdentity {
    /// The identity of this process. A part that cannot be found out is 0.
    pub fn current() -> ProcessIdentity {
        native::identity::current()
    }

    /// Whether the process lives, as far as the system tells from here: `None` if it lives in another
    /// pid namespace or the platform has no answer; then ask whether its lease is held.
    pub fn is_alive(self) -> Option<bool> {
        native::death::is_alive(self)
    }
}
