//! TAP, version 14: a line for each result, and a YAML block where there is something to explain.

use std::fmt::Write;

use super::Report;
use crate::conformance::results::{CaseResult, RunResults, Verdict};

/// The content of `results.tap`.
pub fn tap(report: &Report) -> String {
    let count: usize = report.runs.iter().map(|run| run.cases.len()).sum();
    let mut text = format!("TAP version 14\n1..{count}\n");
    let all = report.runs.iter().flat_map(|run| run.cases.iter().map(move |case| (run, case)));
    for (k, (run, case)) in all.enumerate() {
        let mut name = escaped(&case.id);
        if case.repetition > 1 {
            let _ = write!(name, " (repetition {})", case.repetition);
        }
        if report.runs.len() > 1 {
            name = format!("{}: {name}", escaped(&run.client));
        }
        let (ok, directive) = verdict(run, case);
        let _ = writeln!(text, "{ok} {} - {name}{directive}", k + 1);
        if ok == "not ok" {
            explain(&mut text, case);
        }
    }
    if report.runs.iter().any(|run| run.interrupted) {
        text.push_str("Bail out! The run was interrupted; what was not reached is missing.\n");
    }
    text
}

/// The line's first word and its directive. TODO is TAP's word for a failure that fails nothing.
fn verdict(run: &RunResults, case: &CaseResult) -> (&'static str, String) {
    let reason = case.reason.as_deref().unwrap_or_default();
    match case.verdict {
        Verdict::Pass => ("ok", String::new()),
        Verdict::Skip => ("ok", format!(" # SKIP {}", escaped(reason))),
        Verdict::NotApplicable => ("ok", format!(" # SKIP not applicable: {}", escaped(reason))),
        Verdict::ExpectedFailure => {
            ("not ok", format!(" # TODO expected failure: {}", escaped(reason)))
        }
        Verdict::Error => ("not ok", String::new()),
        _ if run.fails(case.level, case.verdict) => ("not ok", String::new()),
        _ => ("not ok", format!(" # TODO level {}", case.level)),
    }
}

fn explain(text: &mut String, case: &CaseResult) {
    let level = case.level.to_string();
    let optional = [
        ("reason", &case.reason),
        ("expected", &case.expected),
        ("seen", &case.seen),
        ("hint", &case.hint),
    ];
    let fields = [
        ("verdict", case.verdict.name()),
        ("level", &level),
        ("rule", &case.rule),
        ("source", &case.source),
        ("reproduce", &case.reproduce),
    ];
    text.push_str("  ---\n");
    let more = optional.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    for (name, value) in fields.into_iter().chain(more) {
        // A JSON string is a YAML string, whatever is in it.
        let _ = writeln!(text, "  {name}: {}", serde_json::Value::from(value));
    }
    text.push_str("  ...\n");
}

/// A description: one line, in which `#` begins no directive.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '#' | '\\' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
