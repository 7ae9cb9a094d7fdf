//! Processes by `/proc` and signals, shared objects as files.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use vdi_device::Environment;

use crate::conformance::record::Object;

const SHARED_MEMORY: &str = "/dev/shm";

/// What is in the names of buffer segments alone.
const BUFFERS: &str = "_SQLVDIMemoryName_0_B";

/// Ends a process as a crash of the machine would.
pub(in super::super) fn kill(pid: u32) -> io::Result<()> {
    send(pid, Signal::SIGKILL)
}

pub(super) fn hold(pid: u32) {
    let _ = send(pid, Signal::SIGSTOP);
}

pub(super) fn release(pid: u32) {
    let _ = send(pid, Signal::SIGCONT);
}

fn send(pid: u32, signal: Signal) -> io::Result<()> {
    signal::kill(Pid::from_raw(pid.cast_signed()), signal).map_err(io::Error::from)
}

/// A process that this one has started, if any lives.
pub(in super::super) fn child_of(pid: u32) -> Option<u32> {
    let parent = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // Behind the name, which may hold anything: the state, then the parent.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let entries = fs::read_dir("/proc").ok()?.flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|process| parent(process) == Some(pid))
}

/// Takes the names from the buffers: who cannot open an object finds none.
pub(in super::super) fn hide_buffers(environment: &Environment) -> io::Result<()> {
    let objects = objects_of(environment);
    let buffers = objects.iter().filter(|object| object.name.contains(BUFFERS));
    buffers.map(|object| Path::new(SHARED_MEMORY).join(&object.name)).try_for_each(fs::remove_file)
}

/// The shared objects of the namespace and their permissions.
pub(in super::super) fn objects_of(environment: &Environment) -> Vec<Object> {
    let prefix = format!("vdisim.{}.Host_", environment.namespace);
    let entries = fs::read_dir(SHARED_MEMORY).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let data = entry.metadata().ok()?;
            let (user, group, mode) = (data.uid(), data.gid(), data.mode() & 0o777);
            name.starts_with(&prefix).then_some(Object { name, user, group, mode })
        })
        .collect()
}
