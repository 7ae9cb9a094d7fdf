//! `vdisim bench`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use fake_sqlserver::transfer::StatementError;
use sqlvdi::caller::locate;
use tempfile::NamedTempFile;

use super::output;
use super::statement::seconds;
use super::test::on_interrupt;
use crate::bench::{
    Bench, CellResult, Contender, DISCLAIMER, Difference, Live, Metric, MoverPlan, Operation,
    Results, Sweep, Verdict, bytes, bytes_text, compare, move_stream, page, regressions, schema,
    strangers, table,
};
use crate::conformance::{Front, Subject, SubjectError};
use crate::exit::Failure;
use crate::shim::{ShimError, is_ours};

/// The fewest runs of which a median says anything.
const LEAST_REPEATS: u32 = 3;

/// Measures every combination of the lists, each several times, with a client in a process of its
/// own: throughput, where the time of a command goes (from what the drop-in sees), CPU time, context
/// switches, commands in flight, and what a plain copy in memory reaches on this machine.
#[derive(Args, Debug)]
#[command(after_help = DISCLAIMER)]
pub(super) struct Arguments {
    /// The client's command line, split into words as a shell does; {op} becomes backup or restore,
    /// {set} the set's name, {file} a path for the medium; also {device}, {devices}, {files}, {mode}
    /// [default: a client of vdisim's own that reads every byte and stores none]
    #[arg(long, value_name = "CMD")]
    client: Option<String>,
    /// Which ways [default: backup,restore]
    #[arg(long, value_name = "OP", value_delimiter = ',', num_args = 1..)]
    operation: Vec<Operation>,
    /// MAXTRANSFERSIZE: multiples of 64K up to 4M [default: 64K,256K,1M,4M]
    #[arg(long, value_name = "BYTES", value_delimiter = ',', num_args = 1.., value_parser = size)]
    maxtransfersize: Vec<u32>,
    /// BUFFERCOUNT: buffers of all devices together [default: 4,16]
    #[arg(long, value_name = "N", value_delimiter = ',', num_args = 1..)]
    buffercount: Vec<u32>,
    /// Devices of the set, 1 to 64 [default: 1,2,4]
    #[arg(long, value_name = "N", value_delimiter = ',', num_args = 1..)]
    devices: Vec<u32>,
    /// Bytes that a run moves over all devices, such as 256M, at least four times what its buffers
    /// hold [default: as many as fit into --time]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    size: Option<u64>,
    /// About how long everything may take; without --size
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    time: Duration,
    /// Runs of each cell; medians of them are shown and compared
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
    /// How long nothing may happen before a client counts as hanging
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    stall: Duration,
    /// The folder for the client's files; one in memory, such as /dev/shm, keeps disks out
    /// [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR", requires = "client")]
    media: Option<PathBuf>,
    /// Compare with what --json wrote earlier, over the same cells unless others are named; exit 1
    /// if one became worse than allowed
    #[arg(long, value_name = "BASE.json")]
    compare: Option<PathBuf>,
    /// By how much a median may be worse
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = percent, requires = "compare")]
    max_regression: f64,
    /// What is compared
    #[arg(long, value_name = "METRIC", value_delimiter = ',', num_args = 1.., default_value = "throughput", requires = "compare")]
    metric: Vec<Metric>,
    /// Write everything for a program, by the schema that --schema prints; - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with plots: one file, no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print the JSON schema of --json and do nothing else
    #[arg(long, exclusive = true)]
    schema: bool,
    /// The drop-in [default: VDISIM_SQLVDI, else beside this program]
    #[arg(long, value_name = "PATH")]
    sqlvdi: Option<PathBuf>,
}

fn size(given: &str) -> Result<u32, String> {
    u32::try_from(bytes(given)?).map_err(|_| format!("'{given}' is more than 4M"))
}

fn percent(given: &str) -> Result<f64, String> {
    let number = given.strip_suffix('%').unwrap_or(given).trim().parse::<f64>();
    match number {
        Ok(number) if (0.0..=100.0).contains(&number) => Ok(number / 100.0),
        _ => Err(format!("'{given}' is no percentage from 0 to 100; write 5%")),
    }
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.schema {
        return Ok(output::print_json(&schema())?);
    }
    let base = arguments.base()?;
    let bench = arguments.bench(base.as_ref())?;
    // Said before anybody waits for the numbers.
    let mut files = arguments.files()?;
    let by = arguments.difference(base.as_ref());
    let cells = bench.sweep.cells();
    let unknown = |by: &&Difference<'_>| cells.iter().all(|cell| by.base.cell(cell).is_none());
    if let Some(by) = by.as_ref().filter(unknown) {
        return Err(Failure::Usage(format!(
            "{} has none of the cells that are to be measured; leave the lists out to measure its own.",
            by.name
        )));
    }
    let interrupted = on_interrupt()?;
    let live = Live::new();
    let results = bench.execute(&live, &interrupted, &|cells| worse(by.as_ref(), cells));
    live.clear();
    let mut results = results?;
    if let Some(by) = by {
        let warnings = strangers(by.base, &results);
        for warning in &warnings {
            output::say(&format!("warning: {} was measured with {warning}.", by.name));
        }
        results.comparison = Some(compare(&by, &results.cells, warnings));
    }
    files.write(&results)?;
    let as_data = arguments.json.as_deref() == Some(Path::new("-"));
    if as_data {
        output::print_json(&serde_json::to_value(&results).map_err(std::io::Error::other)?)?;
    } else {
        output::print(&table(&results))?;
    }
    if let Some(comparison) = &results.comparison {
        let text = regressions(comparison);
        if as_data { output::say(&text) } else { output::print(&format!("\n{text}"))? }
    }
    results.to_result()
}

/// The cells that would be regressions.
fn worse(by: Option<&Difference<'_>>, cells: &[CellResult]) -> Vec<crate::bench::Cell> {
    let Some(by) = by else { return Vec::new() };
    let changes = compare(by, cells, Vec::new()).changes.into_iter();
    changes.filter(|it| it.verdict == Verdict::Regressed).map(|it| it.cell).collect()
}

impl Arguments {
    fn base(&self) -> Result<Option<(String, Results)>, Failure> {
        let Some(path) = &self.compare else { return Ok(None) };
        let results = Results::read(path).map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(Some((path.display().to_string(), results)))
    }

    fn difference<'a>(&'a self, base: Option<&'a (String, Results)>) -> Option<Difference<'a>> {
        base.map(|(name, base)| Difference {
            base,
            name,
            metrics: &self.metric,
            max_regression: self.max_regression,
        })
    }

    fn bench(&self, base: Option<&(String, Results)>) -> Result<Bench, Failure> {
        let base = base.map(|(_, base)| base);
        if base.is_some() && self.repeats < LEAST_REPEATS {
            return Err(Failure::Usage(format!(
                "--repeats {}: medians of fewer than {LEAST_REPEATS} runs are not compared.",
                self.repeats
            )));
        }
        let drop_in = locate(self.sqlvdi.as_deref())?;
        // No other library records when it is called.
        if !is_ours(&drop_in).unwrap_or(false) {
            return Err(Failure::Environment(ShimError::NotOurs(drop_in).to_string()));
        }
        let contender = match &self.client {
            Some(line) => {
                let usage = |error: SubjectError| Failure::Usage(error.to_string());
                let subject = Subject::parse(line).map_err(usage)?;
                // It meets no SQL Server here.
                subject.front(Some(Front::Direct)).map_err(usage)?;
                Contender::Command(subject)
            }
            None => Contender::Own(
                std::env::current_exe()
                    .map_err(|error| Failure::NotStarted { program: "vdisim".to_owned(), error })?,
            ),
        };
        Ok(Bench {
            contender,
            client: self.client.clone(),
            drop_in,
            sweep: self.sweep(base.map(|base| &base.sweep))?,
            repeats: self.repeats,
            bytes: self.run_size(base)?,
            time: self.time,
            stall: self.stall,
            media: self.media.clone(),
            command: std::env::args().collect(),
        })
    }

    fn run_size(&self, base: Option<&Results>) -> Result<Option<u64>, Failure> {
        match self.size {
            Some(size) if size < 1 << 20 => Err(Failure::Usage(format!(
                "--size {}: a run moves at least 1 MiB.",
                bytes_text(size)
            ))),
            Some(size) => Ok(Some(size)),
            None => Ok(base.map(|base| base.bytes_per_run)),
        }
    }

    fn sweep(&self, base: Option<&Sweep>) -> Result<Sweep, Failure> {
        fn or<T: Clone>(given: &[T], otherwise: Vec<T>) -> Vec<T> {
            if given.is_empty() { otherwise } else { given.to_vec() }
        }
        let otherwise = base.cloned().unwrap_or_default();
        let sweep = Sweep {
            operations: or(&self.operation, otherwise.operations),
            max_transfer_sizes: or(&self.maxtransfersize, otherwise.max_transfer_sizes),
            buffer_counts: or(&self.buffercount, otherwise.buffer_counts),
            devices: or(&self.devices, otherwise.devices),
        };
        sweep.checked().map_err(|error| Failure::Usage(StatementError::from(error).to_string()))
    }

    fn files(&self) -> Result<Files, Failure> {
        let json = self.json.as_ref().filter(|path| path.as_path() != Path::new("-"));
        let place = |path: Option<&PathBuf>| path.map(|path| Place::new(path)).transpose();
        Ok(Files { json: place(json)?, html: place(self.html.as_ref())? })
    }
}

/// The files that are to be written in the end.
struct Files {
    json: Option<Place>,
    html: Option<Place>,
}

impl Files {
    fn write(&mut self, results: &Results) -> Result<(), Failure> {
        if let Some(place) = self.json.take() {
            let text = serde_json::to_string_pretty(results).map_err(std::io::Error::other)?;
            place.write(&format!("{text}\n"))?;
        }
        if let Some(place) = self.html.take() {
            let path = place.path.clone();
            place.write(&page(results))?;
            output::say(&format!("the page is {}.", path.display()));
        }
        Ok(())
    }
}

/// A file that gets its name when it is whole.
struct Place {
    path: PathBuf,
    file: NamedTempFile,
}

impl Place {
    fn new(path: &Path) -> Result<Place, Failure> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        if path.is_dir() {
            return Err(refused(path, &"it is a folder"));
        }
        if !folder.is_dir() {
            return Err(refused(path, &format!("there is no folder {}", folder.display())));
        }
        let file = file_in(folder).map_err(|error| refused(path, &error))?;
        Ok(Place { path: path.to_owned(), file })
    }

    fn write(self, text: &str) -> Result<(), Failure> {
        let mut file = self.file;
        let written = file.write_all(text.as_bytes());
        let kept = written.and_then(|()| file.persist(&self.path).map_err(|error| error.error));
        kept.map(|_| ()).map_err(|error| refused(&self.path, &error))
    }
}

fn refused(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Usage(format!("{} cannot be written: {error}.", path.display()))
}

/// What the client of `vdisim bench` gets.
#[derive(Args, Debug)]
pub(super) struct Mover {
    #[arg(long)]
    sqlvdi: Option<PathBuf>,
    #[arg(long)]
    pattern: Option<PathBuf>,
    #[arg(required = true)]
    devices: Vec<String>,
}

/// `vdisim mover`: the client that vdisim brings for its measurements.
pub(super) fn execute_mover(arguments: &Mover) -> Result<(), Failure> {
    let plan = MoverPlan {
        drop_in: locate(arguments.sqlvdi.as_deref())?,
        devices: arguments.devices.clone(),
        pattern: arguments.pattern.clone(),
    };
    for sum in move_stream(&plan).map_err(|error| Failure::Failed(error.to_string()))? {
        output::print(&sum.to_string())?;
    }
    Ok(())
}

/// A file with the rights of every new one, not of a secret one.
#[cfg(unix)]
fn file_in(folder: &Path) -> io::Result<NamedTempFile> {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(folder)
}

/// A file with the rights of its folder.
#[cfg(not(unix))]
fn file_in(folder: &Path) -> io::Result<NamedTempFile> {
    NamedTempFile::new_in(folder)
}
