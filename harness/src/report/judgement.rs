//! What a run comes to.

use std::fmt;

use crate::conformance::results::{CaseResult, Level, RunResults, Verdict};
use crate::exit::Exit;

/// Whether a case makes its run fail: an ERROR, an unexpected pass, a broken `must`, and in a strict
/// run a broken `should`.
pub fn fails_the_run(case: &CaseResult, strict: bool) -> bool {
    match case.verdict {
        Verdict::Error | Verdict::UnexpectedPass => true,
        verdict if verdict.is_broken() => match case.level {
            Level::Must => true,
            Level::Should => strict,
            Level::Info | Level::Disputed => false,
        },
        _ => false,
    }
}

/// How runs ended, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Everything required was kept.
    Kept,
    /// Something required was broken.
    Broken,
    /// A case could not be judged because vdisim failed.
    Unjudged,
    /// A run executed nothing, or was ended early.
    Incomplete,
}

impl Judgement {
    /// The judgement of runs: the gravest of theirs.
    pub fn of(runs: &[RunResults]) -> Self {
        let any = |hit: fn(&RunResults) -> bool| runs.iter().any(hit);
        if any(|run| run.cases.iter().any(|case| case.verdict == Verdict::Error)) {
            Judgement::Unjudged
        } else if any(|run| run.cases.iter().any(|case| fails_the_run(case, run.strict))) {
            Judgement::Broken
        } else if runs.is_empty() || any(|run| run.interrupted || !executed(run)) {
            Judgement::Incomplete
        } else {
            Judgement::Kept
        }
    }

    /// How a program that reports it ends.
    pub fn exit(self) -> Exit {
        match self {
            Judgement::Kept => Exit::Success,
            Judgement::Broken | Judgement::Incomplete => Exit::Failed,
            Judgement::Unjudged => Exit::Bug,
        }
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Judgement::Kept => "all that is required was kept",
            Judgement::Broken => "a rule that must be kept was broken",
            Judgement::Unjudged => "a case could not be judged, by a fault of vdisim",
            Judgement::Incomplete => "nothing was judged, or the run was ended early",
        })
    }
}

fn executed(run: &RunResults) -> bool {
    let not = |verdict| matches!(verdict, Verdict::Skip | Verdict::NotApplicable);
    run.cases.iter().any(|case| !not(case.verdict))
}
