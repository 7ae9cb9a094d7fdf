//! This run beside an earlier one.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::results::{CellResult, Change, Comparison, Results, Spread, Verdict};
use super::sweep::Cell;

/// What divisions make of a limit that is just met.
const HAIR: f64 = 1e-9;

/// A number that runs are compared by.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Bytes a second
    Throughput,
    /// CPU seconds of client and server for a GiB
    Cpu,
    /// Bytes a second as a part of what this machine's memory copies: for machines of unequal speed
    MemoryShare,
}

impl Metric {
    fn of(self, cell: &CellResult) -> Option<Spread> {
        match self {
            Metric::Throughput => cell.bytes_per_second,
            Metric::Cpu => cell.cpu_seconds_per_gib,
            Metric::MemoryShare => cell.share_of_memory_copy,
        }
    }

    /// How much better `now` is, as a part of the base.
    fn better(self, base: f64, now: f64) -> f64 {
        match self {
            Metric::Throughput | Metric::MemoryShare => now / base - 1.0,
            Metric::Cpu => 1.0 - now / base,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Metric::Throughput => "throughput",
            Metric::Cpu => "CPU time",
            Metric::MemoryShare => "share of a memory copy",
        })
    }
}

/// What two runs are compared by.
#[derive(Clone, Debug)]
pub struct Difference<'b> {
    /// The earlier run.
    pub base: &'b Results,
    /// Its file.
    pub name: &'b str,
    /// By which numbers.
    pub metrics: &'b [Metric],
    /// By how much a median may be worse, as a part of the base's.
    pub max_regression: f64,
}

/// Compares cells, of which this run may still measure some.
pub fn compare(by: &Difference<'_>, cells: &[CellResult], warnings: Vec<String>) -> Comparison {
    let mut changes = Vec::new();
    let mut only_here: Vec<Cell> = Vec::new();
    for now in cells {
        let base = by.base.cell(&now.cell).filter(|base| base.bytes_per_second.is_some());
        let Some(base) = base else {
            only_here.push(now.cell);
            continue;
        };
        changes.extend(by.metrics.iter().filter_map(|metric| by.change(*metric, base, now)));
    }
    Comparison {
        base: by.name.to_owned(),
        max_regression: by.max_regression,
        warnings,
        changes,
        only_here,
    }
}

impl Difference<'_> {
    fn change(&self, metric: Metric, base: &CellResult, now: &CellResult) -> Option<Change> {
        let (cell, base, now) = (now.cell, metric.of(base)?, metric.of(now)?);
        // A base of nothing is better and worse than everything.
        let better = Some(metric.better(base.median, now.median)).filter(|it| it.is_finite())?;
        let verdict = if better < -self.max_regression - HAIR {
            Verdict::Regressed
        } else if better > self.max_regression + HAIR {
            Verdict::Improved
        } else {
            Verdict::Same
        };
        let within_noise = base.low <= now.high && now.low <= base.high;
        Some(Change { cell, metric, base, now, better, within_noise, verdict })
    }
}

/// What does not fit together in two runs.
pub fn strangers(base: &Results, now: &Results) -> Vec<String> {
    let mut all = Vec::new();
    let mut differ = |what: &str, before: &str, after: &str| {
        if before != after {
            all.push(format!("another {what}: {before} before, {after} now"));
        }
    };
    let client =
        |results: &Results| results.client.clone().unwrap_or_else(|| "vdisim's own".into());
    differ("processor", &base.machine.processor, &now.machine.processor);
    differ("number of CPUs", &base.machine.cpus.to_string(), &now.machine.cpus.to_string());
    differ("system", &base.machine.system, &now.machine.system);
    differ("kernel", &base.machine.kernel, &now.machine.kernel);
    differ("build", &base.build, &now.build);
    differ("client", &client(base), &client(now));
    differ(
        "size of a run",
        &super::bytes_text(base.bytes_per_run),
        &super::bytes_text(now.bytes_per_run),
    );
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(median: f64) -> Spread {
        Spread { median, low: median * 0.98, high: median * 1.02 }
    }

    // Catches: a metric taken the wrong way round, a limit that is met counted as broken, and noise that
    // is not seen.
    #[test]
    fn worse_is_less_throughput_and_more_cpu_time() {
        let cell = Cell {
            operation: super::super::Operation::Backup,
            max_transfer_size: 1 << 20,
            buffer_count: 8,
            devices: 1,
        };
        let result = |speed: f64, cpu: f64| CellResult {
            cell,
            failure: None,
            runs: Vec::new(),
            bytes_per_second: Some(spread(speed)),
            share_of_memory_copy: None,
            cpu_seconds_per_gib: Some(spread(cpu)),
            stages: None,
        };
        let base: Results = serde_json::from_value(serde_json::json!({
            "version": 1, "disclaimer": "", "vdisim": "", "build": "", "dropIn": "", "command": [],
            "machine": {"processor": "", "cpus": 1, "memory": 1, "system": "", "kernel": ""},
            "started": 0, "seconds": 1.0, "interrupted": false, "otherLoad": 0.0,
            "sweep": {"operations": [], "maxTransferSizes": [], "bufferCounts": [], "devices": []},
            "bytesPerRun": 1, "repeats": 3, "baselines": [],
            "cells": [serde_json::to_value(result(100.0, 1.0)).unwrap()],
        }))
        .unwrap();
        let by = Difference {
            base: &base,
            name: "base",
            metrics: &[Metric::Throughput, Metric::Cpu],
            max_regression: 0.05,
        };
        let verdicts = |speed, cpu| {
            let comparison = compare(&by, &[result(speed, cpu)], Vec::new());
            let of = |change: &Change| (change.verdict, change.within_noise);
            comparison.changes.iter().map(of).collect::<Vec<_>>()
        };
        use Verdict::{Improved, Regressed, Same};
        assert_eq!(verdicts(100.0, 1.0), [(Same, true), (Same, true)]);
        assert_eq!(verdicts(95.0, 1.04), [(Same, false), (Same, true)]);
        assert_eq!(verdicts(90.0, 1.2), [(Regressed, false), (Regressed, false)]);
        assert_eq!(verdicts(150.0, 0.5), [(Improved, false), (Improved, false)]);
    }
}
