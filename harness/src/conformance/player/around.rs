//! What a player needs of the system: the client's death, and its shared objects.

#[cfg(unix)]
#[path = "around/posix.rs"]
mod platform;
#[cfg(not(unix))]
#[path = "around/portable.rs"]
mod platform;

use vdi_device::Environment;

use crate::conformance::record::Object;

pub(super) use platform::{child_of, kill};

/// A process that does nothing until this is dropped.
pub(super) struct Held(u32);

impl Held {
    /// One that is gone already needs not be held.
    pub(super) fn new(pid: u32) -> Held {
        signal(pid, Stay::Still);
        Held(pid)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        signal(self.0, Stay::Active);
    }
}

#[derive(Clone, Copy)]
enum Stay {
    Still,
    Active,
}

#[cfg(unix)]
fn signal(pid: u32, stay: Stay) {
    use nix::sys::signal::{Signal, kill};
    let signal = match stay {
        Stay::Still => Signal::SIGSTOP,
        Stay::Active => Signal::SIGCONT,
    };
    let _ = kill(nix::unistd::Pid::from_raw(pid.cast_signed()), signal);
}

#[cfg(not(unix))]
fn signal(_: u32, _: Stay) {}

/// Where shared objects are files.
#[cfg(unix)]
const SHARED_MEMORY: &str = "/dev/shm";

/// Takes the names from the buffers: who cannot open an object finds none.
#[cfg(unix)]
pub(super) fn hide_buffers(environment: &Environment) -> std::io::Result<()> {
    let objects = objects_of(environment);
    let buffers = objects.iter().filter(|object| object.name.contains(BUFFERS));
    buffers
        .map(|object| std::path::Path::new(SHARED_MEMORY).join(&object.name))
        .try_for_each(std::fs::remove_file)
}

#[cfg(not(unix))]
pub(super) fn hide_buffers(_: &Environment) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// What is in the names of buffer segments alone.
#[cfg(unix)]
const BUFFERS: &str = "_SQLVDIMemoryName_0_B";

/// The shared objects of the namespace and their permissions, where they are files.
#[cfg(unix)]
pub(super) fn objects_of(environment: &Environment) -> Vec<Object> {
    use std::os::unix::fs::MetadataExt;
    let prefix = format!("vdisim.{}.Host_", environment.namespace);
    let entries = std::fs::read_dir(SHARED_MEMORY).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let data = entry.metadata().ok()?;
            let (user, group, mode) = (data.uid(), data.gid(), data.mode() & 0o777);
            name.starts_with(&prefix).then_some(Object { name, user, group, mode })
        })
        .collect()
}

#[cfg(not(unix))]
pub(super) fn objects_of(_: &Environment) -> Vec<Object> {
    Vec::new()
}
