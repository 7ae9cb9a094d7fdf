//! How a run ends as an exit code.

use super::results::{Level, RunResults, Verdict};
use crate::exit::{Exit, Failure};

impl RunResults {
    /// Whether a case of this level with this verdict fails the run.
    pub fn fails(&self, level: Level, verdict: Verdict) -> bool {
        match verdict {
            Verdict::UnexpectedPass => true,
            verdict if verdict.is_broken() => {
                level == Level::Must || (self.strict && level == Level::Should)
            }
            _ => false,
        }
    }

    /// The exit code: 5 for a bug of ours, 1 for a rule broken that fails the run and where nothing
    /// could be judged, else 0.
    pub fn exit(&self) -> Exit {
        let verdicts = || self.cases.iter().map(|case| (case.level, case.verdict));
        let judged = |verdict| !matches!(verdict, Verdict::Skip | Verdict::NotApplicable);
        if verdicts().any(|(_, verdict)| verdict == Verdict::Error) {
            Exit::Bug
        } else if verdicts().any(|(level, verdict)| self.fails(level, verdict))
            || self.interrupted
            || !verdicts().any(|(_, verdict)| judged(verdict))
        {
            Exit::Failed
        } else {
            Exit::Success
        }
    }

    /// The same as the error of a command.
    ///
    /// # Errors
    /// Whatever is no success.
    pub fn to_result(&self) -> Result<(), Failure> {
        let failing = self.cases.iter().filter(|case| self.fails(case.level, case.verdict)).count();
        match self.exit() {
            Exit::Success => Ok(()),
            Exit::Bug => Err(Failure::Bug(
                "a case ended with ERROR, which is a bug of vdisim; its reason is above."
                    .to_owned(),
            )),
            _ if self.interrupted => Err(Failure::Failed("the run was interrupted.".to_owned())),
            _ if failing == 0 => Err(Failure::Failed(
                "nothing could be judged: every case was skipped or not applicable.".to_owned(),
            )),
            _ => Err(Failure::Failed(format!("{failing} of {} cases failed.", self.cases.len()))),
        }
    }
}
