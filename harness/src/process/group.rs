//! The process, and waiting for it.

use std::io;
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use super::platform::Group;

/// How often a waiting thread looks.
const LOOK: Duration = Duration::from_millis(2);

/// A child in a process group of its own, in a job object on Windows; killed with the group when
/// dropped.
#[derive(Debug)]
pub struct ProcessGroup {
    child: Child,
    group: Group,
    status: Option<ExitStatus>,
}

impl ProcessGroup {
    /// Starts the command.
    pub fn spawn(command: &mut Command) -> io::Result<ProcessGroup> {
        Group::prepare(command);
        let child = command.spawn()?;
        Ok(ProcessGroup { group: Group::of(&child)?, child, status: None })
    }

    /// The writing end of the leader's standard input, if it was given a pipe. The leader reads its end
    /// when this is dropped.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The leader's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the leader ended, if it has.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status)
    }

    /// How the leader ended, if it does within that time.
    pub fn wait_within(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let begin = Instant::now();
        loop {
            match self.try_wait()? {
                None if begin.elapsed() < limit => thread::sleep(LOOK),
                status => return Ok(status),
            }
        }
    }

    /// Whether any process of the group is left beside a leader that was waited for.
    pub fn has_members(&self) -> bool {
        self.group.has_members()
    }

    /// Kills the leader alone, as SIGKILL does; it is still to be waited for.
    pub fn kill_leader(&mut self) -> io::Result<()> {
        self.child.kill()
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.group.kill();
            // For one that is in no group.
            let _ = self.child.kill();
            let _ = self.child.wait();
        } else if self.has_members() {
            // While a member lives, the group's id is taken.
            self.group.kill();
        }
    }
}
