//! `index.html`: one page that needs no network and no other file.
//!
//! The results are data in the page; the browser draws the rows that are in sight, and a case's
//! timeline when the case is opened.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use super::Report;
use crate::conformance::results::{
    CaseResult, EventKind, RunKind, RunResults, Side, TimedEvent, Verdict,
};

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = concat!(
    include_str!("page/elements.js"),
    include_str!("page/parts.js"),
    include_str!("page/timeline.js"),
    include_str!("page/detail.js"),
    include_str!("page/matrix.js"),
    include_str!("page/page.js"),
);

/// The content of `index.html`.
pub fn page(report: &Report) -> String {
    let page = Page::new(report);
    // No `<` stays in the data, so that nothing in it can end the element it stands in.
    let data = serde_json::to_string(&page).unwrap_or_default().replace('<', "\\u003c");
    let title = page.title.replace('&', "&amp;").replace('<', "&lt;");
    let mut text = String::with_capacity(TEMPLATE.len() + STYLE.len() + SCRIPT.len() + data.len());
    let mut rest = TEMPLATE;
    for (mark, content) in [
        ("{{title}}", title.as_str()),
        ("{{style}}", STYLE),
        ("{{data}}", &data),
        ("{{script}}", SCRIPT),
    ] {
        let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
        text.extend([before, content]);
        rest = after;
    }
    text.push_str(rest);
    text
}

/// What the page's script gets.
#[derive(Serialize)]
struct Page<'r> {
    title: String,
    subtitle: String,
    foot: String,
    runs: Vec<Run<'r>>,
    cases: Vec<Case<'r>>,
}

#[derive(Serialize)]
struct Run<'r> {
    name: &'r str,
    facts: Vec<(&'r str, String)>,
}

#[derive(Serialize)]
struct Case<'r> {
    id: &'r str,
    area: &'r str,
    level: String,
    rule: &'r str,
    source: &'r str,
    /// One for each run; none where the case was not part of it.
    results: Vec<Option<Cell<'r>>>,
}

#[derive(Serialize)]
struct Cell<'r> {
    verdict: &'static str,
    /// Where this run judged the case at another level than the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<String>,
    micros: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'r str>,
    reproduce: &'r str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    evidence: &'r [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lanes: Vec<Lane<'r>>,
}

#[derive(Serialize)]
struct Lane<'r> {
    /// The name, and which device it is of.
    name: String,
    events: Vec<Event<'r>>,
}

#[derive(Serialize)]
struct Event<'r> {
    /// Microseconds since the case began.
    t: u64,
    /// Microseconds that it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<u64>,
    /// What colour it gets.
    kind: &'static str,
    /// A command that never came back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    open: bool,
    name: &'r str,
    text: String,
}

impl<'r> Page<'r> {
    fn new(report: &'r Report) -> Self {
        let runs = &report.runs;
        let versions = listed(runs.iter().map(|run| run.vdisim.as_str()));
        let self_test = runs.iter().all(|run| run.kind == RunKind::SelfTest);
        let (title, subtitle) = if self_test {
            (
                "Self-test of vdisim".to_owned(),
                format!(
                    "vdisim {versions} against its own client and drop-in. It says nothing about \
                     any other client."
                ),
            )
        } else {
            let title = match runs.as_slice() {
                [run] => format!("VDI conformance of {}", run.client),
                runs => format!("VDI conformance of {} clients", runs.len()),
            };
            (
                title,
                format!(
                    "How a backup client met SQL Server's Virtual Device Interface, with vdisim \
                     {versions} in the server's place. Passing here is no certification by \
                     Microsoft."
                ),
            )
        };
        Page {
            title,
            subtitle,
            foot: format!(
                "Made by vdisim {}. A must is stated by Microsoft's pages or headers; should and \
                 disputed rest on practice, inference or conflicting sources and fail no run that \
                 is not strict. results.json, junit.xml and results.tap hold the same results.",
                env!("CARGO_PKG_VERSION")
            ),
            runs: runs.iter().map(Run::new).collect(),
            cases: cases(runs),
        }
    }
}

impl<'r> Run<'r> {
    fn new(run: &'r RunResults) -> Self {
        let mut facts = Vec::new();
        if let Some(command) = &run.command {
            facts.push(("Command", command.clone()));
        }
        if run.interrupted {
            facts.push(("Interrupted", "yes: cases are missing".to_owned()));
        }
        if let Some(partition) = run.partition {
            facts.push(("Partition", format!("{} of {}", partition.index, partition.of)));
        }
        let micros = i64::try_from(run.started).unwrap_or(i64::MAX);
        if let Ok(time) = Timestamp::from_microsecond(micros) {
            facts.push(("Started", time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()));
        }
        facts.extend([
            ("Took", format!("{:.1} s", run.seconds)),
            ("Seed", run.seed.to_string()),
            ("Strict", if run.strict { "yes" } else { "no" }.to_owned()),
            ("vdisim", run.vdisim.clone()),
            ("Catalogue", run.catalogue.to_string()),
        ]);
        facts.extend(run.environment.iter().map(|(name, fact)| (name.as_str(), fact.clone())));
        Run { name: &run.client, facts }
    }
}

/// Every case of any run, in the order in which they are first met; of a case's repetitions the
/// gravest stands for all.
fn cases(runs: &[RunResults]) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    let mut places = HashMap::new();
    for (column, run) in runs.iter().enumerate() {
        let mut repetitions: HashMap<&str, Vec<&CaseResult>> = HashMap::new();
        for case in &run.cases {
            repetitions.entry(&case.id).or_default().push(case);
        }
        for case in &run.cases {
            // Present until the first of the repetitions has taken them all.
            let Some(all) = repetitions.remove(case.id.as_str()) else { continue };
            let place = *places.entry(case.id.as_str()).or_insert_with(|| {
                cases.push(Case {
                    id: &case.id,
                    area: case.area(),
                    level: case.level.to_string(),
                    rule: &case.rule,
                    source: &case.source,
                    results: std::iter::repeat_with(|| None).take(runs.len()).collect(),
                });
                cases.len() - 1
            });
            let mut cell = Cell::new(&all);
            let level = case.level.to_string();
            cell.level = (level != cases[place].level).then_some(level);
            cases[place].results[column] = Some(cell);
        }
    }
    cases
}

impl<'r> Cell<'r> {
    fn new(repetitions: &[&'r CaseResult]) -> Self {
        let mut worst = repetitions[0];
        for case in repetitions {
            if gravity(case.verdict) > gravity(worst.verdict) {
                worst = case;
            }
        }
        let mut reason = worst.reason.clone().unwrap_or_default();
        if let Some(signal) = worst.signal {
            reason = format!("Ended by signal {signal}. {reason}");
        }
        if repetitions.len() > 1 {
            let alike = repetitions.iter().filter(|case| case.verdict == worst.verdict).count();
            reason = format!("{alike} of {} repetitions. {reason}", repetitions.len());
        }
        Cell {
            verdict: worst.verdict.name(),
            level: None,
            micros: (worst.seconds * 1e6) as u64,
            reason: reason.trim_end().to_owned(),
            expected: worst.expected.as_deref(),
            seen: worst.seen.as_deref(),
            hint: worst.hint.as_deref(),
            reproduce: &worst.reproduce,
            evidence: &worst.evidence,
            lanes: lanes(worst),
        }
    }
}

fn gravity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::NotApplicable => 0,
        Verdict::Skip => 1,
        Verdict::Pass => 2,
        Verdict::ExpectedFailure => 3,
        Verdict::UnexpectedPass => 4,
        Verdict::Fail => 5,
        Verdict::Hang => 6,
        Verdict::Crash => 7,
        Verdict::Error => 8,
    }
}

fn lanes(case: &CaseResult) -> Vec<Lane<'_>> {
    let lane = |timeline: &'_ crate::conformance::results::Timeline| match timeline.device {
        None => format!("set {}", timeline.name),
        Some(device) => format!("{device}: {}", timeline.name),
    };
    case.timelines
        .iter()
        .map(|timeline| Lane {
            name: lane(timeline),
            events: timeline.events.iter().map(Event::new).collect(),
        })
        .collect()
}

impl<'r> Event<'r> {
    fn new(event: &'r TimedEvent) -> Self {
        let name = event.name.strip_prefix("VDC_").unwrap_or(&event.name);
        let kind = match (event.kind, name) {
            _ if event.guilty => "bad",
            (EventKind::Fault, _) => "fault",
            (EventKind::Death, _) => "bad",
            (EventKind::State, _) => "state",
            (EventKind::Call, _) => "call",
            (EventKind::Command, "Read" | "Write") => "data",
            (EventKind::Command, "Flush" | "Complete") => "sync",
            (EventKind::Command, _) => "other",
        };
        let side = match event.side {
            Side::Server => "server",
            Side::Client => "client",
            Side::Runner => "runner",
        };
        let process = event.process.map(|process| format!(" {process}")).unwrap_or_default();
        let colon = if event.text.is_empty() { "" } else { ": " };
        Event {
            t: event.at,
            span: event.took,
            kind,
            open: event.kind == EventKind::Command && event.took.is_none(),
            name,
            text: format!("{side}{process} {name}{colon}{}", event.text),
        }
    }
}

/// Different words, once each.
fn listed<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let mut all: Vec<_> = words.collect();
    all.sort_unstable();
    all.dedup();
    all.join(", ")
}
