//! The fault plan of a run, carried out by the server half of a case.

use std::thread;
use std::time::{Duration, Instant};

use fake_sqlserver::transfer::{Account, Action, Stage, kill_this_process};
use vdi_protocol::{CommandCode, CompletionCode};

use super::{Played, Player};
use crate::conformance::record::What;

/// How often a server that does nothing on purpose looks whether the set lives.
const GLANCE: Duration = Duration::from_millis(20);

impl Player<'_> {
    /// Carries out the fault of a stage, if there is one.
    pub(super) fn stage(&mut self, stage: Stage) -> Played {
        let Some(action) = self.faults.at_stage(stage).cloned() else { return Ok(()) };
        self.note_fault(&action, &format!("at the stage {stage:?}"));
        self.act(&action)
    }

    /// Carries out the fault that stands in the place of command `n` of device `k`, if there is one.
    pub(super) fn fault_of_command(&mut self, k: usize, code: CommandCode, n: u64) -> Played {
        if self.faults.is_empty() {
            return Ok(());
        }
        let (all, of_kind) = {
            let counts = &mut self.lanes[k].sent;
            let of_kind = counts.entry(code.0).or_default();
            *of_kind += 1;
            let of_kind = *of_kind;
            (counts.values().sum(), of_kind)
        };
        let action = self.faults.at_command(k as u32, code, all, of_kind).cloned();
        let Some(action) = action else { return Ok(()) };
        self.note_fault(&action, &format!("at #{n} ({code}) of device {k}"));
        if let Action::CompleteAs(completion) = action {
            self.overruled.insert(n, CompletionCode(completion));
        }
        self.act(&action)
    }

    fn note_fault(&self, action: &Action, place: &str) {
        use Action::{Abort, Close, CompleteAs, DropIn, ExhaustMemory, Kill, RunsAs, Stall};
        let locks_out = matches!(action, RunsAs(_)) && self.keeps_others_out();
        let is_violent = locks_out || matches!(action, Abort | DropIn(_) | ExhaustMemory | Kill);
        let cuts = is_violent || matches!(action, Close | CompleteAs(_) | Stall);
        self.note(What::Fault { text: format!("{action} {place}"), cuts, is_violent });
    }

    fn act(&mut self, action: &Action) -> Played {
        match action {
            Action::Abort => {
                self.set()?.signal_abort();
                Err(self.aborted())
            }
            Action::Close => {
                let settled = self.settle();
                self.close_devices();
                settled?;
                Err(self.stop("the fault plan closed the devices"))
            }
            Action::Kill => kill_this_process(),
            Action::Stall => self.rest(None),
            Action::Delay(time) => self.rest(Some(*time)),
            Action::DropIn(fault) => {
                self.set()?.sabotage_client(fault.sabotage());
                Ok(())
            }
            Action::RunsAs(Account::Other) => {
                self.is_stranger = true;
                Ok(())
            }
            Action::ExhaustMemory => {
                // Refused when the configuration ends.
                let _ = self.set()?.request_buffers(1 << 31, 0, 1 << 16);
                Ok(())
            }
            Action::Flush => {
                self.flush_due = true;
                Ok(())
            }
            Action::CompleteAs(_) => Ok(()),
        }
    }

    /// Does nothing for so long, or until the set is aborted.
    fn rest(&mut self, time: Option<Duration>) -> Played {
        let start = Instant::now();
        loop {
            if self.set.as_ref().is_some_and(|set| set.abort_cause().is_some()) {
                return Err(self.aborted());
            }
            let left = time.map_or(GLANCE, |time| time.saturating_sub(start.elapsed()));
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(GLANCE));
        }
    }
}
