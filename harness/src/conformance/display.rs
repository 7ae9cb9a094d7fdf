//! What a run says to people.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::results::{CaseResult, Level, RunKind, RunResults, TimedEvent, Verdict};

/// Events told of a failure, of all devices together.
const LAST_EVENTS: usize = 12;

/// A failure that explains itself: id, level, rule and source, expected and seen, the last events on
/// all devices, a hint, and the command line that reproduces it.
pub fn explain_failure(result: &CaseResult) -> String {
    let mut text = format!("{:5} {} ({})\n", result.verdict, result.id, result.level);
    let mut line = |name: &str, value: &str| {
        let value = value.trim_end().replace('\n', "\n             ");
        let _ = writeln!(text, "  {name:10} {value}");
    };
    line("rule", &format!("{} [{}]", result.rule, result.source));
    let parts =
        [("expected", &result.expected), ("seen", &result.seen), ("reason", &result.reason)];
    for (name, value) in parts {
        if let Some(value) = value {
            line(name, value);
        }
    }
    for evidence in &result.evidence {
        line("evidence", evidence);
    }
    let events = last_events(result);
    if !events.is_empty() {
        line("events", &events);
    }
    if let Some(hint) = &result.hint {
        line("hint", hint);
    }
    line("reproduce", &result.reproduce);
    text
}

fn last_events(result: &CaseResult) -> String {
    let mut all: Vec<(&str, &TimedEvent)> = result
        .timelines
        .iter()
        .flat_map(|timeline| {
            timeline.events.iter().map(|event| {
                let whose = if timeline.device.is_some() { timeline.name.as_str() } else { "set" };
                (whose, event)
            })
        })
        .collect();
    all.sort_by_key(|(_, event)| event.at + event.took.unwrap_or(0));
    let from = all.len().saturating_sub(LAST_EVENTS);
    let shown = all[from..].iter().map(|(whose, event)| {
        let at = event.at as f64 / 1e6;
        let side = format!("{:?}", event.side).to_lowercase();
        format!("{at:9.4} s  {whose:12} {side:6} {} {}", event.name, event.text)
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// The table of a run: a line an area, then the numbers of each verdict.
pub fn summary(results: &RunResults) -> String {
    let mut text = String::new();
    let what = match results.kind {
        RunKind::Conformance => format!("conformance of {}", results.client),
        RunKind::SelfTest => {
            "self-test: vdisim's own client and drop-in; it says nothing about other clients"
                .to_owned()
        }
    };
    let _ = writeln!(text, "{what}\n");
    let mut areas: Vec<(&str, BTreeMap<Verdict, usize>)> = Vec::new();
    for case in &results.cases {
        let known = areas.iter().position(|(area, _)| *area == case.area());
        let k = known.unwrap_or_else(|| {
            areas.push((case.area(), BTreeMap::new()));
            areas.len() - 1
        });
        *areas[k].1.entry(case.verdict).or_default() += 1;
    }
    let width = areas.iter().map(|(area, _)| area.len()).max().unwrap_or(0);
    for (area, counts) in &areas {
        let _ = writeln!(text, "  {area:width$}  {}", counted(counts));
    }
    let mut all = BTreeMap::new();
    for case in &results.cases {
        *all.entry(case.verdict).or_default() += 1;
    }
    let musts = broken(results, Level::Must);
    let _ = write!(
        text,
        "\n{} in {:.1} s: {}. {} broken rules must be kept, {} should be.",
        cases(results.cases.len()),
        results.seconds,
        if all.is_empty() { "none was judged".to_owned() } else { counted(&all) },
        musts,
        broken(results, Level::Should),
    );
    if results.kind == RunKind::Conformance {
        text.push_str("\nPassing is no certification by Microsoft.");
    }
    if results.interrupted {
        text.push_str("\nThe run was interrupted; what was not reached is missing.");
    }
    text
}

fn cases(count: usize) -> String {
    if count == 1 { "1 case".to_owned() } else { format!("{count} cases") }
}

fn counted(counts: &BTreeMap<Verdict, usize>) -> String {
    counts.iter().map(|(verdict, n)| format!("{n} {verdict}")).collect::<Vec<_>>().join(", ")
}

fn broken(results: &RunResults, level: Level) -> usize {
    let hit = |case: &&CaseResult| case.level == level && case.verdict.is_broken();
    results.cases.iter().filter(hit).count()
}
