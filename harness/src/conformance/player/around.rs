//! What a player needs of the system: the client's death, its standing still, and its shared objects.

#[cfg(unix)]
#[path = "around/posix.rs"]
mod platform;
#[cfg(not(unix))]
#[path = "around/portable.rs"]
mod platform;

pub(super) use platform::{child_of, hide_buffers, kill, objects_of};

/// A process that does nothing until this is dropped.
pub(super) struct Held(u32);

impl Held {
    /// One that is gone already needs not be held.
    pub(super) fn new(pid: u32) -> Held {
        platform::hold(pid);
        Held(pid)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        platform::release(self.0);
    }
}
