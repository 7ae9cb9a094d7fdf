//! Measures what the interface costs against bare baselines and rivals in the same run: a table on stderr, JSON on
//! stdout, and with `--results` a report.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::{Map, Value};
use vdisim_benches::measures::{Bench, SAMPLE};
use vdisim_benches::results::{Results, Setting};
use vdisim_benches::runner::Runner;
use vdisim_benches::{process, sweep};

/// The run is worth nothing: the machine is too slow or disturbed.
const INVALID: u8 = 3;

/// What the interface costs against bare baselines and rivals, measured in turns with them.
#[derive(Debug, Parser)]
struct Arguments {
    /// A look: a fifth of the rounds.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// The whole field as well: sizes, numbers of buffers and devices, what the client does.
    #[arg(long)]
    full: bool,
    /// The least that goes everywhere: to try the program.
    #[arg(long, hide = true, conflicts_with = "quick")]
    smoke: bool,
    /// The share of all CPU time that other programs may use during a round that counts.
    #[arg(long, default_value_t = 0.06)]
    others_at_most: f64,
    /// The program with the rivals; without it nothing is measured against them.
    #[arg(long)]
    rivals: Option<PathBuf>,
    /// Where the report goes.
    #[arg(long, requires = "command")]
    results: Option<PathBuf>,
    /// The command that the report names as its maker.
    #[arg(long)]
    command: Option<String>,
    /// What a program that measures the fake server printed, for the report.
    #[arg(long)]
    server: Vec<PathBuf>,
}

fn main() -> Result<ExitCode> {
    if process::run_if_other_side()? {
        return Ok(ExitCode::SUCCESS);
    }
    let arguments = Arguments::parse();
    let Arguments { full, others_at_most, .. } = arguments;
    let cpus = process::two_cpus().context(
        "two processes are measured, each on a CPU of its own, and this machine offers one",
    )?;
    let (rounds, deaths, sample) = match arguments {
        Arguments { smoke: true, .. } => (1, 2, SAMPLE / 32),
        Arguments { quick: true, .. } => (5, 40, SAMPLE),
        _ => (25, 200, SAMPLE),
    };
    let (runner, rivals) = (Runner { rounds, others_at_most }, arguments.rivals);
    let bench = Bench { runner, cpus, rivals, deaths, sample };
    let mut report = bench.run()?;
    if full {
        sweep::sweep(&bench, &mut report)?;
    }
    process::unpin();
    eprint!("{report}");
    if let Some(path) = arguments.results {
        let mut server = Map::new();
        for path in arguments.server {
            let printed = fs::read_to_string(&path).with_context(|| {
                format!("reading the fake server's numbers in {}", path.display())
            })?;
            server.extend(serde_json::from_str::<Map<String, Value>>(&printed)?);
        }
        let setting = setting(arguments.command.unwrap_or_default())?;
        let text = Results { setting: &setting, report: &report, server: &server };
        fs::write(&path, text.to_string())
            .with_context(|| format!("writing {}", path.display()))?;
        eprintln!("the report is in {}", path.display());
    }
    let invalid = report.invalid();
    invalid.iter().for_each(|reason| eprintln!("THIS RUN IS INVALID: {reason}"));
    println!("{}", report.to_json());
    Ok(if invalid.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(INVALID) })
}

/// Reads the machine and asks the tools; what cannot be had is left open.
fn setting(command: String) -> Result<Setting> {
    let answer = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
        text.map_or("unknown".to_owned(), |text| String::from_utf8_lossy(&text).trim().to_owned())
    };
    let value = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).map(str::to_owned);
        line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned())).unwrap_or_default()
    };
    let changed = answer("git", &["status", "--porcelain", "--untracked-files=no"]);
    let also = if changed.is_empty() { "" } else { ", with changes" };
    let cpus = std::thread::available_parallelism()?;
    let (model, memory) =
        (value("/proc/cpuinfo", "model name"), value("/proc/meminfo", "MemTotal"));
    Ok(Setting {
        command,
        commit: answer("git", &["rev-parse", "--short", "HEAD"]) + also,
        compiler: answer("rustc", &["--version"]),
        machine: format!("{cpus} CPUs ({model}), {memory}, Linux {}", answer("uname", &["-r"])),
        date: answer("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
    })
}
