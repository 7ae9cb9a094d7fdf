//! Processes as the `sysinfo` crate has them, on Windows by TerminateProcess.

use std::io;

use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System};

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
