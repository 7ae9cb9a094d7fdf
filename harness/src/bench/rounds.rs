//! Measures all cells, round by round.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use vdi_device::{Environment, Namespace};
use vdi_region::{Backend, memory_limits};

use super::baseline;
use super::latencies::{ClientTimes, Times};
use super::results::{
    Baseline, CellResult, DISCLAIMER, Machine, MeasuringCost, Results, RunFigures, Spread, Stages,
    VERSION,
};
use super::run::{Order, Outcome, RunError, run};
use super::stream::Pattern;
use super::sweep::{Cell, Operation, Sweep, bytes_text};
use super::usage::Load;
use crate::conformance::{Brief, Subject};
use crate::exit::Failure;
use crate::launch::Launch;

const MIB: u64 = 1 << 20;
const GIB: f64 = (1u64 << 30) as f64;
/// Bytes of the runs that find out how fast the client is.
const TRIAL: u64 = 32 * MIB;
/// What a run moves at least and at most, if nobody says how much.
const BYTES: (u64, u64) = (16 * MIB, 1024 * MIB);
/// A device's stream is a multiple of this.
const UNIT: u64 = 64 << 10;
/// Pairs of runs that tell what measuring costs.
const PAIRS: u32 = 5;
/// So many cells fail before anything has worked, and the others are not tried.
const HOPELESS: usize = 3;

/// Whose client is measured.
#[derive(Clone, Debug)]
pub enum Contender {
    /// A client with this command line, which stores the stream in files and returns it.
    Command(Subject),
    /// The client that vdisim brings: the path of `vdisim`.
    Own(PathBuf),
}

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Bench {
    /// Whose client.
    pub contender: Contender,
    /// Its command line as given.
    pub client: Option<String>,
    /// The drop-in.
    pub drop_in: PathBuf,
    /// Which cells.
    pub sweep: Sweep,
    /// Runs of each cell.
    pub repeats: u32,
    /// Bytes that a run moves; `None` finds out what fits into `time`.
    pub bytes: Option<u64>,
    /// About how long everything may take.
    pub time: Duration,
    /// How long nothing may happen before a client hangs.
    pub stall: Duration,
    /// Where the client's files are; `None` for the system's folder of temporary files.
    pub media: Option<PathBuf>,
    /// The command line of vdisim.
    pub command: Vec<String>,
}

/// Is told how it goes.
pub trait Listener {
    /// So many runs will be measured, each of so many bytes.
    fn planned(&self, runs: usize, bytes: u64);
    /// A run of this cell begins.
    fn begins(&self, cell: &Cell);
    /// A run has ended.
    fn ended(&self);
    /// A cell is out.
    fn failed(&self, cell: &Cell, why: &str);
    /// So many cells are measured once more.
    fn second_look(&self, cells: usize);
}

impl Bench {
    /// Measures. `second_look` names the cells that are to be measured as often again, from what
    /// is known after all rounds. A set `interrupted` ends it; what is known by then is returned.
    ///
    /// # Errors
    ///
    /// [`Failure`]: the machine lacks memory or files, or the client cannot be started. A client
    /// that fails in a cell is no error but a part of the results.
    pub fn execute(
        &self,
        listener: &dyn Listener,
        interrupted: &AtomicBool,
        second_look: &dyn Fn(&[CellResult]) -> Vec<Cell>,
    ) -> Result<Results, Failure> {
        let (clock, load) = (Instant::now(), Load::now());
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.check_shared_memory()?;
        // A client that cuts a shared object short must not kill us.
        vdi_region::install_truncation_guard();
        let mut rounds = Rounds::new(self, listener, interrupted)?;
        let all: Vec<usize> = (0..rounds.cells.len()).collect();
        let mut measuring = None;
        match rounds.everything(&all, clock, &mut measuring) {
            Ok(()) => {}
            Err(RunError::Interrupted) => {}
            Err(error) => return Err(failure(error)),
        }
        if !interrupted.load(Ordering::Relaxed) {
            let doubtful = second_look(&rounds.results());
            match rounds.again(&doubtful) {
                Ok(()) | Err(RunError::Interrupted) => {}
                Err(error) => return Err(failure(error)),
            }
        }
        Ok(Results {
            version: VERSION,
            disclaimer: DISCLAIMER.to_owned(),
            vdisim: env!("CARGO_PKG_VERSION").to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            client: self.client.clone(),
            drop_in: self.drop_in.display().to_string(),
            command: self.command.clone(),
            machine: Machine::here(),
            started: u64::try_from(started.as_micros()).unwrap_or(u64::MAX),
            seconds: clock.elapsed().as_secs_f64(),
            interrupted: interrupted.load(Ordering::Relaxed),
            other_load: load
                .zip(Load::now())
                .map_or(0.0, |(before, now)| now.others_since(&before)),
            sweep: self.sweep.clone(),
            bytes_per_run: rounds.bytes,
            repeats: self.repeats,
            measuring,
            baselines: rounds.baselines(),
            cells: rounds.results(),
            comparison: None,
        })
    }

    /// Whether the largest set can be made; said before anybody waits.
    fn check_shared_memory(&self) -> Result<(), Failure> {
        let cells = self.sweep.cells();
        let largest = cells.iter().max_by_key(|cell| cell.shared_memory());
        let (Some(largest), Some((free, limit))) = (largest, memory_limits().tightest()) else {
            return Ok(());
        };
        let needed = largest.shared_memory();
        if needed <= free {
            return Ok(());
        }
        let fit = cells.iter().filter(|cell| cell.shared_memory() <= free).count();
        Err(Failure::Environment(format!(
            "the cell '{largest}' needs {} MiB of shared memory, and {limit} leaves {} MiB; {fit} of {} \
             cells would fit. Make room (`mount -o remount,size=1g /dev/shm`, for a container \
             `--shm-size=1g`), or leave out large values of --buffercount and --maxtransfersize.",
            needed.div_ceil(MIB),
            free / MIB,
            cells.len()
        )))
    }
}

fn failure(error: RunError) -> Failure {
    match error {
        RunError::NotStarted { program, error } => Failure::NotStarted { program, error },
        RunError::Io { .. } => Failure::Environment(error.to_string()),
        RunError::Failed(_) | RunError::Interrupted => Failure::Failed(error.to_string()),
    }
}

/// What is known of a cell.
#[derive(Debug, Default)]
struct Samples {
    figures: Vec<RunFigures>,
    transfers: Times,
    client: ClientTimes,
    failure: Option<String>,
}

/// The state between runs.
struct Rounds<'b> {
    bench: &'b Bench,
    listener: &'b dyn Listener,
    interrupted: &'b AtomicBool,
    cells: Vec<Cell>,
    samples: Vec<Samples>,
    copies: HashMap<(u32, u32), Vec<f64>>,
    pattern: Pattern,
    /// Bytes of a run, all devices together.
    bytes: u64,
    /// Numbers of devices whose media hold a backup of `bytes`.
    stored: HashSet<u32>,
    folder: TempDir,
    media: TempDir,
    namespace: Namespace,
    backend: Backend,
}

impl<'b> Rounds<'b> {
    fn new(
        bench: &'b Bench,
        listener: &'b dyn Listener,
        interrupted: &'b AtomicBool,
    ) -> Result<Rounds<'b>, Failure> {
        let temporary = |folder: &Path| {
            TempDir::with_prefix_in("vdisim-bench-", folder).map_err(|error| {
                let folder = folder.display();
                Failure::Environment(format!("no folder can be made in {folder}: {error}."))
            })
        };
        let system = std::env::temp_dir();
        let environment = |error: vdi_device::Error| Failure::Usage(format!("{error}."));
        let backend = Environment::from_process().map_err(environment)?.backend;
        let namespace =
            Namespace::new(&format!("bench-{}", std::process::id())).map_err(environment)?;
        let cells = bench.sweep.cells();
        let rounds = Rounds {
            bench,
            listener,
            interrupted,
            samples: cells.iter().map(|_| Samples::default()).collect(),
            cells,
            copies: HashMap::new(),
            pattern: Pattern::new(),
            bytes: bench.bytes.unwrap_or(TRIAL),
            stored: HashSet::new(),
            folder: temporary(&system)?,
            media: temporary(bench.media.as_deref().unwrap_or(&system))?,
            namespace,
            backend,
        };
        rounds.check_media()?;
        if let Contender::Own(_) = bench.contender {
            let path = rounds.pattern_file();
            rounds.pattern.save(&path).map_err(|error| {
                Failure::Environment(format!("{} cannot be written: {error}.", path.display()))
            })?;
        }
        Ok(rounds)
    }

    fn everything(
        &mut self,
        all: &[usize],
        clock: Instant,
        measuring: &mut Option<MeasuringCost>,
    ) -> Result<(), RunError> {
        if self.bench.bytes.is_none() {
            self.bytes = self.fitting_bytes(clock)?;
            self.stored.clear();
        }
        let runs = self.bench.repeats as usize * all.len();
        self.listener.planned(runs, self.bytes);
        for round in 0..self.bench.repeats {
            self.round(all, round)?;
            if round == 0 {
                *measuring = self.cost()?;
            }
        }
        Ok(())
    }

    fn again(&mut self, doubtful: &[Cell]) -> Result<(), RunError> {
        let places: Vec<usize> =
            (0..self.cells.len()).filter(|&place| doubtful.contains(&self.cells[place])).collect();
        if places.is_empty() {
            return Ok(());
        }
        self.listener.second_look(places.len());
        (0..self.bench.repeats).try_for_each(|round| self.round(&places, round))
    }

    /// Each cell once, there and back in turns, so that no cell is always the first.
    fn round(&mut self, places: &[usize], round: u32) -> Result<(), RunError> {
        let mut order = places.to_vec();
        if round % 2 == 1 {
            order.reverse();
        }
        let mut copied = HashSet::new();
        for place in order {
            let cell = self.cells[place];
            if self.samples[place].failure.is_some() {
                self.listener.ended();
                continue;
            }
            let buffers = (cell.max_transfer_size, cell.buffer_count);
            if copied.insert(buffers) {
                let (size, count) = (buffers.0 as usize, buffers.1 as usize);
                let copy = baseline::copy(&self.pattern, size, count);
                self.copies.entry(buffers).or_default().push(copy);
            }
            self.listener.begins(&cell);
            self.sample(place)?;
            self.listener.ended();
        }
        Ok(())
    }

    fn sample(&mut self, place: usize) -> Result<(), RunError> {
        let cell = self.cells[place];
        let tried = match self.hopeless() {
            true => Err(RunError::Failed("not tried: nothing has worked so far.".to_owned())),
            false => self.run(&cell, self.bytes, true),
        };
        let samples = &mut self.samples[place];
        match tried {
            Ok(outcome) => {
                samples.figures.push(outcome.figures());
                samples.transfers.add(&outcome.seen.transfers);
                samples.client.add(&outcome.client);
            }
            Err(RunError::Failed(why)) => {
                self.listener.failed(&cell, &why);
                samples.failure = Some(why);
            }
            Err(other) => return Err(other),
        }
        Ok(())
    }

    fn hopeless(&self) -> bool {
        let failed = self.samples.iter().filter(|samples| samples.failure.is_some()).count();
        failed >= HOPELESS && self.samples.iter().all(|samples| samples.figures.is_empty())
    }

    /// One run; a restore is given a backup first.
    fn run(&mut self, cell: &Cell, bytes: u64, measured: bool) -> Result<Outcome, RunError> {
        let stores = matches!(self.bench.contender, Contender::Command(_));
        if stores && cell.operation == Operation::Restore && !self.stored.contains(&cell.devices) {
            let backup = Cell { operation: Operation::Backup, ..*cell };
            self.run(&backup, bytes, false).map_err(|error| match error {
                RunError::Failed(why) => {
                    RunError::Failed(format!("no backup to restore from: {why}"))
                }
                other => other,
            })?;
        }
        let bytes = (cell.bytes(bytes) / u64::from(cell.devices) / UNIT).max(1) * UNIT;
        let order = Order {
            cell: *cell,
            bytes,
            pattern: &self.pattern,
            measured,
            stall: self.bench.stall,
            interrupted: self.interrupted,
            folder: self.folder.path(),
            namespace: &self.namespace,
            backend: self.backend,
        };
        let outcome = run(&order, self.command(cell)?)?;
        if cell.operation == Operation::Backup {
            self.stored.insert(cell.devices);
            self.check_sums(&outcome, bytes)?;
        }
        Ok(outcome)
    }

    /// Our own client says what it has read.
    fn check_sums(&self, outcome: &Outcome, bytes: u64) -> Result<(), RunError> {
        let Contender::Own(_) = self.bench.contender else { return Ok(()) };
        let expected = self.pattern.sum(bytes).to_string();
        if outcome.said.lines().all(|sum| sum == expected) {
            return Ok(());
        }
        Err(RunError::Failed("the client read other bytes than it was sent.".to_owned()))
    }

    fn command(&self, cell: &Cell) -> Result<Command, RunError> {
        let devices = cell.device_names();
        let mut command = match &self.bench.contender {
            Contender::Own(vdisim) => {
                let mut command = Command::new(vdisim);
                command.args(["mover", "--sqlvdi"]).arg(&self.bench.drop_in);
                command.arg("--pattern").arg(self.pattern_file()).args(&devices);
                command
            }
            Contender::Command(subject) => {
                let file = |k| self.media.path().join(format!("{}-{k}", cell.devices));
                let brief = Brief {
                    operation: cell.operation,
                    files: (0..devices.len()).map(file).collect(),
                    devices,
                    needs: Vec::new(),
                    desk: None,
                };
                let words = subject.words(&brief);
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]).envs(brief.environment());
                command
            }
        };
        let launch = Launch {
            namespace: Some(self.namespace.as_str().to_owned()),
            backend: Some(self.backend.to_string()),
            ..Launch::new(self.bench.drop_in.clone())
        };
        launch.prepare(&mut command).map_err(|error| RunError::Failed(error.to_string()))?;
        command.env_remove("VDISIM_TRACE").env_remove(sqlvdi::times::VARIABLE);
        Ok(command)
    }

    fn pattern_file(&self) -> PathBuf {
        self.folder.path().join("pattern")
    }

    /// How much every run may move so that all of them take about the time there is.
    fn fitting_bytes(&mut self, clock: Instant) -> Result<u64, RunError> {
        // Of each operation: seconds of a run beside its stream, and of a byte.
        let mut costs: HashMap<Operation, (f64, f64)> = HashMap::new();
        for operation in self.bench.sweep.operations.clone() {
            let of_it: Vec<Cell> =
                self.cells.iter().filter(|cell| cell.operation == operation).copied().collect();
            let Some(cell) = of_it.get(of_it.len() / 2) else { continue };
            let begun = Instant::now();
            match self.run(cell, TRIAL, true) {
                Ok(outcome) => {
                    let around = (begun.elapsed().as_secs_f64() - outcome.whole).max(0.0);
                    costs.insert(operation, (around, outcome.whole / outcome.bytes as f64));
                }
                // The cells will tell.
                Err(RunError::Failed(_)) => {}
                Err(other) => return Err(other),
            }
        }
        let whole = |bytes: u64| {
            let cost = |cell: &Cell| {
                let (around, a_byte) = costs.get(&cell.operation).copied().unwrap_or_default();
                around + a_byte * cell.bytes(bytes) as f64
            };
            self.cells.iter().map(cost).sum::<f64>() * f64::from(self.bench.repeats)
        };
        if costs.is_empty() {
            return Ok(BYTES.0);
        }
        let left = self.bench.time.saturating_sub(clock.elapsed()).as_secs_f64();
        let room = self.media_room().map_or(BYTES.1, |room| room * 3 / 4);
        let mut bytes = BYTES.1;
        while bytes > BYTES.0 && (whole(bytes) > left || bytes > room) {
            bytes = (bytes * 7 / 8 / (4 * MIB) * (4 * MIB)).max(BYTES.0);
        }
        Ok(bytes)
    }

    /// What the media may hold of one run; `None` if there are none or nobody knows.
    fn media_room(&self) -> Option<u64> {
        let Contender::Command(_) = self.bench.contender else { return None };
        let free = fs4::available_space(self.media.path()).ok()?;
        Some(free / self.bench.sweep.devices.len().max(1) as u64)
    }

    fn check_media(&self) -> Result<(), Failure> {
        let needed = self.cells.iter().map(|cell| cell.bytes(self.bytes)).max().unwrap_or(0);
        let Some(room) = self.media_room().filter(|room| *room < needed) else { return Ok(()) };
        Err(Failure::Environment(format!(
            "the client's files need {} for each of {} numbers of devices, and {} has room for {} MiB \
             each; give a smaller --size, or a roomier folder with --media.",
            bytes_text(needed),
            self.bench.sweep.devices.len(),
            self.media.path().display(),
            room / MIB
        )))
    }

    /// The stream with and without recording, in turns, in the cell with the most commands.
    fn cost(&mut self) -> Result<Option<MeasuringCost>, RunError> {
        let works = |place: &usize| !self.samples[*place].figures.is_empty();
        let smallest = |place: &usize| {
            let cell = self.cells[*place];
            (cell.max_transfer_size, cell.devices, std::cmp::Reverse(cell.buffer_count))
        };
        let Some(place) = (0..self.cells.len()).filter(works).min_by_key(smallest) else {
            return Ok(None);
        };
        let cell = self.cells[place];
        self.listener.begins(&cell);
        let (mut costs, mut cpu_costs) = (Vec::new(), Vec::new());
        for pair in 0..PAIRS {
            let (mut seconds, mut cpu) = ([0.0; 2], [0.0; 2]);
            for measured in [pair % 2 == 0, pair % 2 == 1] {
                match self.run(&cell, self.bytes, measured) {
                    Ok(Outcome { seen, .. }) => {
                        let place = usize::from(measured);
                        seconds[place] = seen.seconds;
                        cpu[place] = seen.share.client_cpu_seconds + seen.share.server_cpu_seconds;
                    }
                    Err(RunError::Failed(_)) => return Ok(None),
                    Err(other) => return Err(other),
                }
            }
            costs.push(seconds[1] / seconds[0] - 1.0);
            cpu_costs.push(cpu[1] / cpu[0] - 1.0);
        }
        let both = Spread::of(costs).zip(Spread::of(cpu_costs));
        Ok(both.map(|(time, cpu)| MeasuringCost {
            cell,
            cost: time.median,
            low: time.low,
            high: time.high,
            cpu_cost: cpu.median,
            pairs: PAIRS,
        }))
    }

    fn baselines(&self) -> Vec<Baseline> {
        let mut all: Vec<_> = self.copies.iter().collect();
        all.sort_by_key(|(buffers, _)| **buffers);
        let baseline = |(buffers, copies): (&(u32, u32), &Vec<f64>)| {
            Some(Baseline {
                max_transfer_size: buffers.0,
                buffer_count: buffers.1,
                bytes_per_second: Spread::of(copies.iter().copied())?,
            })
        };
        all.into_iter().filter_map(baseline).collect()
    }

    fn results(&self) -> Vec<CellResult> {
        self.cells.iter().zip(&self.samples).map(|(cell, known)| self.result(cell, known)).collect()
    }

    fn result(&self, cell: &Cell, known: &Samples) -> CellResult {
        let runs = &known.figures;
        let speed = |run: &RunFigures| run.bytes as f64 / run.seconds;
        let copies = self.copies.get(&(cell.max_transfer_size, cell.buffer_count));
        let copy = copies.and_then(|copies| Spread::of(copies.iter().copied()));
        let cpu = |run: &RunFigures| {
            (run.client_cpu_seconds + run.server_cpu_seconds) / (run.bytes as f64 / GIB)
        };
        CellResult {
            cell: *cell,
            failure: known.failure.clone(),
            runs: runs.clone(),
            bytes_per_second: Spread::of(runs.iter().map(speed)),
            share_of_memory_copy: copy
                .and_then(|copy| Spread::of(runs.iter().map(|run| speed(run) / copy.median))),
            cpu_seconds_per_gib: Spread::of(runs.iter().map(cpu)),
            stages: stages(known),
        }
    }
}

fn stages(known: &Samples) -> Option<Stages> {
    Some(Stages {
        get_command: known.client.get_command.latencies()?,
        client_work: known.client.client_work.latencies()?,
        complete_to_next: known.client.complete_to_next.latencies(),
        round_trip: known.transfers.latencies()?,
    })
}
