//! What a player needs of the system: the client's death, and its shared objects.

use vdi_device::Environment;

use crate::conformance::record::Object;

#[cfg(unix)]
pub(super) fn kill(pid: u32) -> std::io::Result<()> {
    use nix::sys::signal::{Signal, kill};
    let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
    kill(pid, Signal::SIGKILL).map_err(std::io::Error::from)
}

#[cfg(not(unix))]
pub(super) fn kill(_: u32) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// A process that this one has started, if any lives.
#[cfg(target_os = "linux")]
pub(super) fn child_of(pid: u32) -> Option<u32> {
    let parent = |process: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // Behind the name, which may hold anything: the state, then the parent.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|process| parent(process) == Some(pid))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn child_of(_: u32) -> Option<u32> {
    None
}

/// The shared objects of the namespace and their permissions, where they are files.
#[cfg(unix)]
pub(super) fn objects_of(environment: &Environment) -> Vec<Object> {
    use std::os::unix::fs::PermissionsExt;
    let prefix = format!("vdisim.{}.", environment.namespace);
    let entries = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let mode = entry.metadata().ok()?.permissions().mode() & 0o777;
            name.starts_with(&prefix).then_some(Object { name, mode })
        })
        .collect()
}

#[cfg(not(unix))]
pub(super) fn objects_of(_: &Environment) -> Vec<Object> {
    Vec::new()
}
