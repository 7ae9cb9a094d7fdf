//! The results on a terminal.

use std::fmt::Write;

use super::results::{CellResult, Change, Comparison, Latencies, Results, Verdict};
use super::sweep::bytes_text;

const GIB: f64 = (1u64 << 30) as f64;
/// So much of other work is worth a word.
const NOISY: f64 = 0.05;

/// Everything but the comparison.
pub fn table(results: &Results) -> String {
    let mut text = heading(results);
    let mut rows = vec![
        "operation|devices|buffers|GiB/s|noise|of memcpy|CPU s/GiB|switches/GiB|in flight|GetCommand µs|\
         client's work µs|to next µs|round trip µs"
            .split('|')
            .map(str::to_owned)
            .collect::<Vec<_>>(),
        [""; 9].iter().copied().chain(["p50 / p95 / p99 / max"; 4]).map(str::to_owned).collect(),
    ];
    rows.extend(results.cells.iter().map(row));
    push_table(&mut text, &rows);
    for cell in results.cells.iter().filter(|cell| cell.failure.is_some()) {
        let why = cell.failure.as_deref().unwrap_or_default();
        _ = writeln!(text, "FAILED {}: {why}", cell.cell);
    }
    _ = write!(text, "{}", footing(results));
    text
}

fn heading(results: &Results) -> String {
    let machine = &results.machine;
    let client = results.client.as_deref().unwrap_or("vdisim's own client");
    format!(
        "{client}, {} a run, {} runs a cell; {} × {}, {}\n\n",
        bytes_text(results.bytes_per_run),
        results.repeats,
        machine.cpus,
        machine.processor,
        machine.kernel,
    )
}

fn row(result: &CellResult) -> Vec<String> {
    let cell = &result.cell;
    let mut row = vec![
        cell.operation.to_string(),
        cell.devices.to_string(),
        format!("{} × {}", cell.buffer_count, bytes_text(u64::from(cell.max_transfer_size))),
    ];
    let (Some(speed), Some(share), Some(cpu), Some(stages)) = (
        result.bytes_per_second,
        result.share_of_memory_copy,
        result.cpu_seconds_per_gib,
        &result.stages,
    ) else {
        row.push(if result.failure.is_some() { "FAILED" } else { "not measured" }.to_owned());
        return row;
    };
    let runs = result.runs.len() as f64;
    let mean =
        |of: &dyn Fn(&super::RunFigures) -> f64| result.runs.iter().map(of).sum::<f64>() / runs;
    let switches = mean(&|run| {
        let both = run.client_context_switches.zip(run.server_context_switches);
        // NaN if one run has none.
        let all = both.map_or(f64::NAN, |(client, server)| (client + server) as f64);
        all / (run.bytes as f64 / GIB)
    });
    row.extend([
        format!("{:.2}", speed.median / GIB),
        format!("±{:.1} %", speed.noise() * 100.0),
        format!("{:.0} %", share.median * 100.0),
        format!("{:.3}", cpu.median),
        if switches.is_nan() { "–".to_owned() } else { format!("{switches:.0}") },
        format!("{:.1}", mean(&|run| run.in_flight)),
        percentiles(&stages.get_command),
        percentiles(&stages.client_work),
        stages.complete_to_next.as_ref().map_or("–".to_owned(), percentiles),
        percentiles(&stages.round_trip),
    ]);
    row
}

fn percentiles(times: &Latencies) -> String {
    let all = [times.p50, times.p95, times.p99, times.max].map(micros);
    all.join(" / ")
}

/// Microseconds with three digits.
fn micros(value: f64) -> String {
    match value {
        value if value < 9.95 => format!("{value:.2}"),
        value if value < 99.5 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

fn push_table(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    // What a failed cell says instead of a number has no part in the width.
    let cells = |k: usize| {
        rows.iter().filter(move |row| row.len() == columns).filter_map(move |row| row.get(k))
    };
    let widths: Vec<_> = (0..columns)
        .map(|k| cells(k).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        let mut line = String::new();
        for (k, (cell, width)) in row.iter().zip(&widths).enumerate() {
            _ = if k == 0 {
                write!(line, "{cell:width$}")
            } else {
                write!(line, "  {cell:>width$}")
            };
        }
        _ = writeln!(text, "{}", line.trim_end());
    }
}

fn footing(results: &Results) -> String {
    let mut text = String::from("\n");
    let copies: Vec<_> =
        results.baselines.iter().map(|it| it.bytes_per_second.median / GIB).collect();
    if let (Some(least), Some(most)) =
        (copies.iter().copied().reduce(f64::min), copies.iter().copied().reduce(f64::max))
    {
        _ = writeln!(
            text,
            "One thread copies {least:.2} to {most:.2} GiB/s in this machine's memory with the same buffers."
        );
    }
    if let Some(cost) = &results.measuring {
        _ = writeln!(
            text,
            "With the times recorded a stream took {:+.1} % longer than without ({:+.1} to {:+.1} % in {} \
             pairs) and {:+.1} % more CPU time; {}.",
            cost.cost * 100.0,
            cost.low * 100.0,
            cost.high * 100.0,
            cost.pairs,
            cost.cpu_cost * 100.0,
            cost.cell
        );
    }
    if results.other_load >= NOISY {
        _ = writeln!(
            text,
            "Other work used {:.0} % of the CPUs meanwhile: the numbers are noisy.",
            results.other_load * 100.0
        );
    }
    if results.build == "debug" {
        text.push_str(
            "This vdisim is a debug build: build with --release before you believe a number.\n",
        );
    }
    text.push_str(&results.disclaimer);
    text
}

/// What a comparison says: each cell that changed, then one line.
pub fn regressions(comparison: &Comparison) -> String {
    let mut text = String::new();
    let limit = comparison.max_regression * 100.0;
    for change in comparison.changes.iter().filter(|change| change.verdict != Verdict::Same) {
        let word = match change.verdict {
            Verdict::Regressed => "REGRESSED",
            _ => "improved",
        };
        let noise =
            if change.within_noise { "; runs of both overlap, so it may be noise" } else { "" };
        _ = writeln!(
            text,
            "{word} {}: {} {:+.1} % ({} before, {} now{noise})",
            change.cell,
            change.metric,
            change.better * 100.0,
            with_noise(change, true),
            with_noise(change, false),
        );
    }
    let count = |verdict| comparison.changes.iter().filter(|it| it.verdict == verdict).count();
    _ = write!(
        text,
        "Against {}: {} regressed by more than {limit} %, {} improved, {} within it{}.",
        comparison.base,
        count(Verdict::Regressed),
        count(Verdict::Improved),
        count(Verdict::Same),
        match comparison.only_here.len() {
            0 => String::new(),
            cells => format!("; {cells} cells have no numbers there"),
        }
    );
    text
}

fn with_noise(change: &Change, base: bool) -> String {
    let spread = if base { &change.base } else { &change.now };
    let noise = spread.noise() * 100.0;
    match change.metric {
        super::Metric::Throughput => {
            format!("{:.2} GiB/s ±{noise:.1} %", spread.median / GIB)
        }
        super::Metric::Cpu => format!("{:.3} CPU s/GiB ±{noise:.1} %", spread.median),
        super::Metric::MemoryShare => {
            format!("{:.0} % of a copy ±{noise:.1} %", spread.median * 100.0)
        }
    }
}
