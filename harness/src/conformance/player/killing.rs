//! Kills processes of the client and waits until that is noticed.

use std::thread;
use std::time::{Duration, Instant};

use vdi_device::ServerSet;

use super::around::{child_of, kill};
use super::{Played, Player, Stop};
use crate::conformance::record::What;

/// How long the death of a process may take to be noticed.
const NOTICE: Duration = Duration::from_secs(10);

impl Player<'_> {
    pub(super) fn kill_client(&mut self) -> Played {
        let set = self.set()?.clone();
        let pid = set.client().pid;
        self.note(What::Action { name: "the client is killed".to_owned() });
        if let Err(error) = kill(pid) {
            self.note(What::Failed { why: format!("the client cannot be killed: {error}") });
            return Err(Stop);
        }
        self.await_abort(&set)
    }

    pub(super) fn kill_secondary(&mut self) -> Played {
        let set = self.set()?.clone();
        self.note(What::Action { name: "a secondary process is killed".to_owned() });
        let Some(pid) = child_of(set.client().pid) else {
            return Err(self.stop("the client has no other process"));
        };
        if let Err(error) = kill(pid) {
            self.note(What::Failed { why: format!("process {pid} cannot be killed: {error}") });
            return Err(Stop);
        }
        self.await_abort(&set)
    }

    fn await_abort(&mut self, set: &ServerSet) -> Played {
        let begin = Instant::now();
        while set.abort_cause().is_none() {
            if begin.elapsed() > NOTICE {
                return Err(self.stop(format!("nobody aborted the set in {} s", NOTICE.as_secs())));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err(self.aborted())
    }
}
