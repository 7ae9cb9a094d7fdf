//! Processes as the `sysinfo` crate has them; nobody is made to stand still, and shared objects have no modes.

use std::io;

use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System};
use vdi_device::Environment;

use crate::conformance::record::Object;

/// What Windows starts for a program with a console.
const CONSOLE_HOST: &str = "conhost.exe";

/// Ends a process as a crash of the machine would.
pub(in super::super) fn kill(pid: u32) -> io::Result<()> {
    let system = processes().map_err(io::Error::other)?;
    let process = system.process(Pid::from_u32(pid)).ok_or(io::ErrorKind::NotFound)?;
    process.kill().then_some(()).ok_or_else(io::Error::last_os_error)
}

/// A process that this one has started, if any lives.
pub(in super::super) fn child_of(pid: u32) -> Option<u32> {
    let system = processes().ok()?;
    let parent = Some(Pid::from_u32(pid));
    let mut all = system.processes().iter();
    let is_child = |process: &Process| process.parent() == parent && process.name() != CONSOLE_HOST;
    all.find(|(_, process)| is_child(process)).map(|(pid, _)| pid.as_u32())
}

fn processes() -> Result<System, sysinfo::Error> {
    let mut system = System::new()?;
    let kind = ProcessRefreshKind::nothing();
    system.refresh_processes_specifics(ProcessesToUpdate::All, false, kind);
    Ok(system)
}

pub(super) fn hold(_: u32) {}

pub(super) fn release(_: u32) {}

/// There is no account that would need it: see [`objects_of`].
pub(in super::super) fn hide_buffers(_: &Environment) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The shared objects that have permissions: none.
pub(in super::super) fn objects_of(_: &Environment) -> Vec<Object> {
    Vec::new()
}
