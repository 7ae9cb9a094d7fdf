//! A started process with everything it starts, so that none of them outlives a test.

use std::io;
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// How often a waiting thread looks.
const LOOK: Duration = Duration::from_millis(2);

/// A child in a process group of its own; killed with the group when dropped.
#[derive(Debug)]
pub struct ProcessGroup {
    child: Child,
    status: Option<ExitStatus>,
}

impl ProcessGroup {
    /// Starts the command.
    pub fn spawn(command: &mut Command) -> io::Result<ProcessGroup> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        Ok(ProcessGroup { child: command.spawn()?, status: None })
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
        #[cfg(unix)]
        {
            let group = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
            nix::sys::signal::killpg(group, None).is_ok()
        }
        #[cfg(not(unix))]
        {
            false
        }
    }

    /// Kills the leader alone, as SIGKILL does; it is still to be waited for.
    pub fn kill_leader(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    #[cfg(unix)]
    fn kill_all(&mut self) {
        use nix::sys::signal::{Signal, killpg};
        // While the leader is not waited for, or a member lives, its id cannot be another group's.
        let leader = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = killpg(leader, Signal::SIGKILL);
    }

    #[cfg(not(unix))]
    fn kill_all(&mut self) {
        let _ = self.child.kill();
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.kill_all();
            let _ = self.child.wait();
        } else if self.has_members() {
            // While a member lives, the group's id is taken.
            self.kill_all();
        }
    }
}
