//! Runs with something of everything.

use std::collections::BTreeMap;

use vdisim::conformance::results::{
    CaseResult, EventKind, Level, Partition, RunKind, RunResults, Side, TimedEvent, Timeline,
    VERSION, Verdict,
};

/// What no report may take for anything but text.
pub(crate) const HOSTILE: &str =
    "</script><img src=x onerror=\"window.pwned=1\"> & ]]> # \u{1b}[31m \u{0}";

pub(crate) fn run(client: &str, cases: Vec<CaseResult>) -> RunResults {
    RunResults {
        version: VERSION,
        kind: RunKind::Conformance,
        client: client.to_owned(),
        command: Some(format!("{client} {{op}} --set {{set}} {{files}}")),
        vdisim: "0.1.0".to_owned(),
        catalogue: 1,
        seed: 42,
        strict: false,
        partition: None,
        interrupted: false,
        started: 1_795_376_403_000_000,
        seconds: 12.5,
        environment: BTreeMap::from([("os".to_owned(), "Linux".to_owned())]),
        cases,
    }
}

pub(crate) fn part(client: &str, index: u32, of: u32, cases: Vec<CaseResult>) -> RunResults {
    RunResults { partition: Some(Partition { index, of }), ..run(client, cases) }
}

pub(crate) fn case(id: &str, level: Level, verdict: Verdict) -> CaseResult {
    let text = |text: &str| Some(text.to_owned());
    let plain = verdict == Verdict::Pass;
    let judged = !matches!(verdict, Verdict::Pass | Verdict::Skip | Verdict::NotApplicable);
    CaseResult {
        id: id.to_owned(),
        level,
        rule: format!("The rule of {id} is kept."),
        source: "VDI specification, CompleteCommand".to_owned(),
        capabilities: Vec::new(),
        verdict,
        signal: (verdict == Verdict::Crash).then_some(11),
        reason: if plain || judged { None } else { text("no strace on PATH") },
        expected: if judged { text("every Flush is completed") } else { None },
        seen: if judged { text("device 1 never completed its Flush") } else { None },
        evidence: if judged { vec!["exit code 0".to_owned()] } else { Vec::new() },
        hint: if judged { text("Use a thread for each device.") } else { None },
        reproduce: format!("vdisim test {id} --seed 42"),
        started: 1_795_376_403_000_000,
        seconds: 0.0135,
        repetition: 1,
        timelines: if judged { timelines() } else { Vec::new() },
    }
}

/// One case of each verdict and level, in several areas.
pub(crate) fn all_verdicts() -> Vec<CaseResult> {
    let levels = [Level::Must, Level::Should, Level::Info, Level::Disputed];
    let all = levels.into_iter().flat_map(|level| Verdict::ALL.map(|verdict| (level, verdict)));
    all.map(|(level, verdict)| {
        let name = verdict.name().replace('/', "").to_lowercase();
        case(&format!("client/{level}-rules/{name}"), level, verdict)
    })
    .collect()
}

/// So many results as a large catalogue over many versions has.
pub(crate) fn many(count: usize) -> Vec<CaseResult> {
    let verdict = |k: usize| if k.is_multiple_of(50) { Verdict::Fail } else { Verdict::Pass };
    (0..count)
        .map(|k| case(&format!("client/area-{}/rule-{k}", k / 100), Level::Must, verdict(k)))
        .collect()
}

fn timelines() -> Vec<Timeline> {
    let event = |at, took, kind, name: &str| TimedEvent {
        at,
        took,
        side: if kind == EventKind::Call { Side::Client } else { Side::Server },
        process: Some(820),
        kind,
        name: name.to_owned(),
        text: "65536 bytes".to_owned(),
        guilty: false,
    };
    let writes = |device: u64| {
        (0..8).flat_map(move |k| {
            let at = 1500 + k * 1000 + device * 80;
            [
                event(at - 200, Some(180), EventKind::Call, "GetCommand"),
                event(at, Some(700), EventKind::Command, "VDC_Write"),
            ]
        })
    };
    let mut first: Vec<_> = writes(0).collect();
    first.push(event(9_600, Some(4_000), EventKind::Command, "VDC_Flush"));
    let mut second: Vec<_> = writes(1).collect();
    second.push(event(9_500, None, EventKind::Fault, "delay 2s"));
    second.push(TimedEvent { guilty: true, ..event(9_600, None, EventKind::Command, "VDC_Flush") });
    let set = vec![
        event(0, Some(900), EventKind::Call, "Create"),
        event(950, None, EventKind::State, "Configured"),
        event(30_009_600, None, EventKind::Death, "killed"),
    ];
    let timeline = |device, name: &str, events| Timeline { device, name: name.to_owned(), events };
    vec![
        timeline(None, "case17", set),
        timeline(Some(0), "case17", first),
        timeline(Some(1), "case171", second),
    ]
}
