//! A process group.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// The group that a child leads. While the child is not waited for, or a member lives, its id cannot
/// be another group's.
#[derive(Debug)]
pub(super) struct Group(Pid);

impl Group {
    /// Makes the command's child the leader of one.
    pub(super) fn prepare(command: &mut Command) {
        command.process_group(0);
    }

    /// The group of that child.
    pub(super) fn of(child: &Child) -> io::Result<Group> {
        Ok(Group(Pid::from_raw(child.id().cast_signed())))
    }

    /// Whether a process is left in it.
    pub(super) fn has_members(&self) -> bool {
        killpg(self.0, None).is_ok()
    }

    /// Kills everything in it.
    pub(super) fn kill(&mut self) {
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

/// The signal that a process died of, if one did it.
pub(crate) fn signal_of(status: ExitStatus) -> Option<i32> {
    status.signal()
}

/// What a process died of, if it did not end by itself: the signal's name.
pub(crate) fn crash_of(status: ExitStatus) -> Option<String> {
    let signal = signal_of(status)?;
    let known = Signal::try_from(signal).map(|known| known.to_string());
    Some(known.unwrap_or_else(|_| format!("signal {signal}")))
}
