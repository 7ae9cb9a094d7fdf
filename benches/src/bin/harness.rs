//! Measures what the conformance harness costs: its whole default catalogue on two processors, one case with nothing
//! to wait for, and a report of ten thousand results: a table on stderr, JSON on stdout. `vdisim` and the drop-in have
//! to lie beside this program: `cargo build --release -p vdisim -p sqlvdi -p vdisim-benches`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::json;
use vdisim::conformance::results::RunResults;
use vdisim::report::Report;

/// What the conformance harness costs.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often the single case and the report are measured.
    #[arg(long, default_value_t = 51)]
    rounds: usize,
}

/// A case in which the server closes its device at once.
const SHORTEST: &str = "client/GetCommand/closed-at-once";

/// How often the memory of all processes is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Results of the large report.
const RESULTS: usize = 10_000;

/// A figure and what it may be at most.
struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    limit: f64,
}

fn main() -> Result<()> {
    let Arguments { rounds } = Arguments::parse();
    let vdisim = std::env::current_exe()?.with_file_name("vdisim");
    let (run, seconds, peak) = catalogue(&vdisim)?;
    let cases = run.cases.len();
    eprintln!("{cases} cases, {} of them judged", judged(&run));
    let figure = |name, value, unit, limit| Figure { name, value, unit, limit };
    let figures = [
        figure("whole catalogue", seconds, "s", 90.0),
        figure("memory at most", peak as f64 / f64::from(1 << 20), "MiB", 300.0),
        figure("one case, median", case(&vdisim, rounds)?, "ms", 30.0),
        figure("report of 10,000 results", report(&run, rounds.min(7))?, "ms", 1000.0),
    ];
    for Figure { name, value, unit, limit } in &figures {
        let verdict = if value <= limit { "met" } else { "MISSED" };
        eprintln!("{name:26} {value:9.1} {unit:4} at most {limit:6} {verdict}");
    }
    let all: BTreeMap<_, _> = figures
        .iter()
        .map(|it| (it.name, json!({"value": it.value, "unit": it.unit, "limit": it.limit})))
        .collect();
    println!("{}", json!({"cases": cases, "figures": all}));
    Ok(())
}

fn judged(run: &RunResults) -> usize {
    let judged = |name| !matches!(name, "SKIP" | "N/A");
    run.cases.iter().filter(|case| judged(case.verdict.name())).count()
}

/// Runs the default catalogue; its results, its seconds, and the most memory that its processes had together.
fn catalogue(vdisim: &PathBuf) -> Result<(RunResults, f64, u64)> {
    let folder = tempfile::tempdir()?;
    let begin = Instant::now();
    let mut child = Command::new(vdisim)
        .args(["test", "--jobs", "2", "--report"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{} cannot be started", vdisim.display()))?;
    let (id, over) = (child.id(), AtomicBool::new(false));
    let (status, seconds, peak) = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak = 0;
            while !over.load(Ordering::Relaxed) {
                peak = peak.max(memory_below(id));
                thread::sleep(LOOK);
            }
            peak
        });
        let status = child.wait();
        let seconds = begin.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        (status, seconds, watch.join().unwrap_or_default())
    });
    let status = status?;
    ensure!(status.success(), "vdisim test ended with {status}");
    let mut runs = Report::read(folder.path())?.runs;
    Ok((runs.pop().context("a report without a run")?, seconds, peak))
}

/// Bytes of a process and all that it started, each shared page once: the proportional set sizes.
fn memory_below(root: u32) -> u64 {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent =
            stat.rsplit_once(')').and_then(|(_, rest)| rest.split(' ').nth(2)?.parse().ok());
        parents.extend(parent.map(|parent: u32| (id, parent)));
    }
    let is_below = |mut id: u32| loop {
        if id == root {
            return true;
        }
        match parents.get(&id) {
            Some(parent) => id = *parent,
            None => return false,
        }
    };
    parents.keys().filter(|id| is_below(**id)).map(|id| proportional_size(*id)).sum()
}

fn proportional_size(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// Milliseconds from a case's beginning to its verdict, with our own client.
fn case(vdisim: &PathBuf, rounds: usize) -> Result<f64> {
    let done = Command::new(vdisim)
        .args(["test", SHORTEST, "--jobs", "1", "--json", "--repeat", &rounds.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    let run: RunResults = serde_json::from_slice(&done.stdout)?;
    Ok(1000.0 * median(run.cases.iter().map(|case| case.seconds).collect()))
}

/// Milliseconds to write a report that repeats these results.
fn report(run: &RunResults, rounds: usize) -> Result<f64> {
    let mut large = run.clone();
    large.cases = (0..RESULTS)
        .map(|k| {
            let mut case = run.cases[k % run.cases.len()].clone();
            case.id = format!("{}-{}", case.id, k / run.cases.len());
            case
        })
        .collect();
    let folder = tempfile::tempdir()?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        let runs = vec![large.clone()];
        let begin = Instant::now();
        Report::new(runs).write(folder.path())?;
        times.push(begin.elapsed().as_secs_f64());
    }
    Ok(1000.0 * median(times))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
