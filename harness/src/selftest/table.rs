//! The self-test's table.

use std::fmt::Write;

use super::mode::Mode;
use super::trial::{Outcome, Verdict};

/// The rows as text, a line each, with what went wrong below its row.
pub fn print_table(rows: &[(&Mode, Outcome)]) -> String {
    let mut text = String::from("self-test: round trips through the loaded drop-in\n\n");
    let name = rows.iter().map(|(mode, _)| mode.name.len()).max().unwrap_or(0);
    for (mode, outcome) in rows {
        let verdict = match outcome.verdict {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::Hang => "HANG",
        };
        let kib = outcome.bytes.div_ceil(1024);
        let (seconds, about) = (outcome.seconds, mode.about);
        let row = format!("{verdict}  {:name$}  {kib:6} KiB  {seconds:5.2} s  {about}", mode.name);
        let _ = writeln!(text, "{row}");
        if let Some(why) = &outcome.why {
            let _ = writeln!(text, "      {why}");
        }
    }
    let passed = rows.iter().filter(|(_, outcome)| outcome.verdict == Verdict::Pass).count();
    let _ = write!(text, "\n{passed} of {} modes passed.", rows.len());
    text
}
