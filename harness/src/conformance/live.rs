//! What is shown while a run is under way: on a terminal the case that runs and how many are done;
//! each failure as it comes; nothing else.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::display::explain_failure;
use super::results::{CaseResult, Level, Verdict};
use super::runner::Listener;

/// Shows a run on standard error.
#[derive(Debug)]
pub struct Live {
    bar: ProgressBar,
}

impl Live {
    /// For a run of so many cases.
    pub fn new(cases: usize) -> Live {
        if !std::io::stderr().is_terminal() {
            return Live { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::new(cases as u64);
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len}  {msg}") {
            bar.set_style(style);
        }
        Live { bar }
    }

    /// Takes the display off the screen.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Listener for Live {
    fn begins(&self, id: &str) {
        self.bar.set_message(id.to_owned());
    }

    fn ended(&self, result: &CaseResult) {
        self.bar.inc(1);
        let told = matches!(result.verdict, Verdict::UnexpectedPass | Verdict::Error)
            || (result.verdict.is_broken() && result.level != Level::Info);
        if told {
            self.bar.suspend(|| eprintln!("{}", explain_failure(result)));
        }
    }
}
