//! The numbers of a run as data: the form of `--json`, published as `docs/bench.schema.json`.
//!
//! The form is stable within a [`VERSION`]: fields are added, never renamed.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sweep::{Cell, Sweep};
use crate::exit::Failure;

/// The version of the form.
pub const VERSION: u32 = 1;

/// What the numbers are not.
pub const DISCLAIMER: &str = "These numbers are the ceiling of vdisim's interface with this client \
    on this machine: made-up bytes between two processes over shared memory. They say nothing about \
    the speed of SQL Server, its disks or its backup streams, and they certify nothing.";

/// One run of `vdisim bench`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "The results of vdisim bench")]
pub struct Results {
    /// [`VERSION`].
    pub version: u32,
    /// What the numbers are not.
    pub disclaimer: String,
    /// The version of vdisim.
    pub vdisim: String,
    /// Whether vdisim was built with `debug` assertions or for `release`.
    pub build: String,
    /// The client's command line as given; absent for the client that vdisim brings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The drop-in library.
    pub drop_in: String,
    /// The command line of vdisim.
    pub command: Vec<String>,
    /// The machine.
    pub machine: Machine,
    /// Microseconds since 1970 at the beginning.
    pub started: u64,
    /// Wall-clock seconds of everything.
    pub seconds: f64,
    /// Whether it was ended before everything was measured.
    pub interrupted: bool,
    /// The part of all CPU time that other work on the machine used meanwhile; 0.05 and more make the
    /// numbers noisy.
    pub other_load: f64,
    /// What was to be measured.
    pub sweep: Sweep,
    /// Bytes that a run moves, over all devices; more where that is less than four times what the
    /// cell's buffers hold.
    pub bytes_per_run: u64,
    /// Runs of each cell.
    pub repeats: u32,
    /// What it cost to measure; absent if that was not found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measuring: Option<MeasuringCost>,
    /// What one thread can copy in memory, with the same pattern.
    pub baselines: Vec<Baseline>,
    /// The cells, in the sweep's order.
    pub cells: Vec<CellResult>,
    /// How they compare with an earlier run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// Where it was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Processors that this process may use.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// The operating system and its architecture.
    pub system: String,
    /// The kernel's release.
    pub kernel: String,
}

/// The stream with and without recording the times, in turns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeasuringCost {
    /// The cell that was used: the one with the most commands a second.
    pub cell: Cell,
    /// Time with recording divided by time without, less 1: 0.01 is one percent slower.
    pub cost: f64,
    /// The least of all pairs.
    pub low: f64,
    /// The most of all pairs.
    pub high: f64,
    /// The same of the CPU time of client and server, which other work on the machine disturbs less.
    pub cpu_cost: f64,
    /// Pairs of runs.
    pub pairs: u32,
}

/// One thread copying from the stream's bytes into private buffers of a cell's size and number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// Bytes of a buffer.
    pub max_transfer_size: u32,
    /// Buffers.
    pub buffer_count: u32,
    /// Bytes a second.
    pub bytes_per_second: Spread,
}

/// The runs of one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CellResult {
    /// Which.
    pub cell: Cell,
    /// Why it has no numbers, or fewer than it should: what went wrong in one of its runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Each run that went well, in order.
    pub runs: Vec<RunFigures>,
    /// Bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<Spread>,
    /// Bytes a second divided by those of the baseline with the same buffers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_of_memory_copy: Option<Spread>,
    /// CPU seconds of client and server for a GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_seconds_per_gib: Option<Spread>,
    /// Where the time of a command goes; of all runs together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Stages>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunFigures {
    /// Bytes moved.
    pub bytes: u64,
    /// From sending the first transfer to the answer to the last.
    pub seconds: f64,
    /// How long the client took for Flush, in a backup; not part of `seconds`.
    pub flush_seconds: f64,
    /// CPU seconds of the client's processes while the stream ran.
    pub client_cpu_seconds: f64,
    /// CPU seconds of the server half meanwhile.
    pub server_cpu_seconds: f64,
    /// Context switches of the client's processes while the stream ran, where the system counts them.
    pub client_context_switches: Option<u64>,
    /// Context switches of the server half meanwhile, where the system counts them.
    pub server_context_switches: Option<u64>,
    /// Commands that were answered.
    pub commands: u64,
    /// Commands between being sent and being answered, on average.
    pub in_flight: f64,
    /// The most at any time.
    pub in_flight_max: u32,
    /// Commands between GetCommand and CompleteCommand, on average: what the client works at.
    pub with_client: f64,
}

/// A number of several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

impl Spread {
    /// Of these numbers; none of none.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut all: Vec<f64> = numbers.into_iter().filter(|number| number.is_finite()).collect();
        all.sort_by(f64::total_cmp);
        let (low, high) = (*all.first()?, *all.last()?);
        let middle = all.len() / 2;
        let median =
            if all.len() % 2 == 1 { all[middle] } else { (all[middle - 1] + all[middle]) / 2.0 };
        Some(Spread { median, low, high })
    }

    /// Half the range as a part of the median.
    pub fn noise(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.high - self.low) / 2.0 / self.median.abs() }
    }
}

/// Where the time of a command goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stages {
    /// GetCommand, from the call to the return with a command: the client waits for the server.
    pub get_command: Latencies,
    /// From GetCommand's return to the call of CompleteCommand: what the client does.
    pub client_work: Latencies,
    /// From the call of CompleteCommand to the next call of GetCommand for the device, in clients
    /// that do one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete_to_next: Option<Latencies>,
    /// From the server's sending a command to its seeing the answer; queues included.
    pub round_trip: Latencies,
}

/// How long something took, in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latencies {
    /// How often it was measured.
    pub count: u64,
    /// On average.
    pub mean: f64,
    /// Half of them took no longer.
    pub p50: f64,
    /// 95 of 100 took no longer.
    pub p95: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// None took longer.
    pub max: f64,
    /// More of the distribution: pairs of a part, from 0 to 1, and what that part did not exceed.
    pub quantiles: Vec<(f64, f64)>,
}

/// This run beside an earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The file of the earlier run.
    pub base: String,
    /// By how much a median may be worse: 0.05 is five percent.
    pub max_regression: f64,
    /// What does not fit together: another machine, another client, another build.
    pub warnings: Vec<String>,
    /// Each cell and metric that both have.
    pub changes: Vec<Change>,
    /// Cells of this run that the earlier one has no numbers of.
    pub only_here: Vec<Cell>,
}

/// One cell's change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Which cell.
    pub cell: Cell,
    /// Which number.
    pub metric: super::compare::Metric,
    /// Before.
    pub base: Spread,
    /// Now.
    pub now: Spread,
    /// How much better the median is, as a part of the base's; negative if it is worse.
    pub better: f64,
    /// Whether runs of both overlap: the change may be chance.
    pub within_noise: bool,
    /// What is made of it.
    pub verdict: Verdict,
}

/// What is made of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Worse than allowed.
    Regressed,
    /// Better by more than would be allowed the other way.
    Improved,
    /// Neither.
    Same,
}

/// Earlier results that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The file cannot be read.
    #[error("{} cannot be read: {error}.", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It holds something else.
    #[error("{} has no results of vdisim bench: {reason}; --json FILE writes them.", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        reason: String,
    },
    /// It has another version.
    #[error(
        "{} has version {found}, and this vdisim reads version {VERSION}; measure it anew.",
        .path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
}

impl Results {
    /// Reads what `--json` wrote.
    pub fn read(path: &Path) -> Result<Results, BenchError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| BenchError::Read { path: path.to_owned(), error })?;
        let malformed = |error: serde_json::Error| BenchError::Malformed {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let value: Value = serde_json::from_str(&text).map_err(malformed)?;
        match value["version"].as_u64() {
            Some(found) if found != u64::from(VERSION) => {
                Err(BenchError::Version { path: path.to_owned(), found })
            }
            // From the text, so that a mistake has its line.
            _ => serde_json::from_str(&text).map_err(malformed),
        }
    }

    /// The numbers of a cell.
    pub fn cell(&self, cell: &Cell) -> Option<&CellResult> {
        self.cells.iter().find(|result| result.cell == *cell)
    }

    /// How the run ends: a cell that failed, a regression, an interruption.
    pub fn to_result(&self) -> Result<(), Failure> {
        let failed = self.cells.iter().filter(|cell| cell.failure.is_some()).count();
        let comparison = self.comparison.iter().flat_map(|comparison| &comparison.changes);
        let regressed = comparison.filter(|change| change.verdict == Verdict::Regressed).count();
        let mut what = Vec::new();
        if self.interrupted {
            what.push("the run was interrupted".to_owned());
        }
        if failed > 0 {
            what.push(format!("{failed} of {} cells failed", self.cells.len()));
        }
        if regressed > 0 {
            what.push(format!("{regressed} regressed"));
        }
        if what.is_empty() { Ok(()) } else { Err(Failure::Failed(format!("{}.", what.join("; ")))) }
    }
}

/// The JSON schema of [`Results`], as it is published.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Results).to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("$id".to_owned(), format!("urn:vdisim:bench:{VERSION}").into());
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: a mean for a median, the upper of two middles, and what is no number.
    #[test]
    fn a_median_lies_in_the_middle() {
        let spread = Spread::of([9.0, 1.0, 2.0, f64::NAN]).unwrap();
        assert_eq!((spread.median, spread.low, spread.high), (2.0, 1.0, 9.0));
        assert_eq!(spread.noise(), 2.0);
        assert_eq!(Spread::of([1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Spread::of([]), None);
    }
}
