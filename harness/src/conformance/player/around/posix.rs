//! Processes by `/proc` and signals.

use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Ends a process as a crash of the machine would.
pub(in super::super) fn kill(pid: u32) -> std::io::Result<()> {
    let pid = Pid::from_raw(pid.cast_signed());
    nix::sys::signal::kill(pid, Signal::SIGKILL).map_err(std::io::Error::from)
}

/// A process that this one has started, if any lives.
pub(in super::super) fn child_of(pid: u32) -> Option<u32> {
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
