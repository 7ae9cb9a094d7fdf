//! `vdisim test`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use sqlvdi::caller::locate;

use super::output;
use super::statement::seconds;
use crate::conformance::results::Partition;
use crate::conformance::{
    Capabilities, Case, Expectations, Live, Run, Subject, catalogue, select, summary, unknown,
};
use crate::exit::Failure;
use crate::report::Report;
use crate::shim::{ShimError, is_ours};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Ids, globs of ids, or areas; `vdisim list` names them [default: all]
    #[arg(value_name = "ID")]
    cases: Vec<String>,
    /// The client's command line, split into words as a shell does; {op} becomes backup or restore,
    /// {set} the set's name, {file} a path for the medium; also {device}, {devices}, {files}, {mode}.
    /// The same are in its environment: VDISIM_OP, VDISIM_SET …
    #[arg(long, value_name = "CMD")]
    client: Option<String>,
    /// What the client is called in reports [default: its command]
    #[arg(long, value_name = "NAME", requires = "client")]
    label: Option<String>,
    /// What the client supports [default: one pipe-like device, backup and restore]
    #[arg(long, value_name = "FILE", requires = "client")]
    capabilities: Option<PathBuf>,
    /// Failures that are known; one that passes fails the run
    #[arg(long, value_name = "FILE")]
    expected_failures: Option<PathBuf>,
    /// Which bytes are sent
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How long nothing may happen before a case counts as hanging
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    stall: Duration,
    /// Cases at a time [default: the number of processors]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// How often each case is run
    #[arg(long, value_name = "N", default_value_t = 1)]
    repeat: u32,
    /// Run part K of N of the cases, as one of N machines
    #[arg(long, value_name = "K/N")]
    partition: Option<Partition>,
    /// Stop at the first failure
    #[arg(long)]
    fail_fast: bool,
    /// Fail for a broken `should`, too
    #[arg(long)]
    strict: bool,
    /// Write a report there: index.html, results.json, junit.xml and results.tap
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Only say which cases would run
    #[arg(long)]
    dry_run: bool,
    /// The drop-in [default: VDISIM_SQLVDI, else beside this program]
    #[arg(long, value_name = "PATH")]
    sqlvdi: Option<PathBuf>,
    /// Print the results for a program
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let all = catalogue::all();
    let run = arguments.run(&all)?;
    let cases = arguments.chosen(&all)?;
    if arguments.dry_run {
        for case in cases {
            output::print(&case.id)?;
        }
        return Ok(());
    }
    if cases.is_empty() {
        return Err(Failure::Usage("this part of the cases is empty.".to_owned()));
    }
    if let Some(folder) = &arguments.report {
        // Said before anybody waits for the run.
        std::fs::create_dir_all(folder).map_err(|error| {
            let shown = folder.display();
            Failure::Usage(format!("the report folder {shown} cannot be made: {error}."))
        })?;
    }
    let interrupted = on_interrupt()?;
    let live = Live::new(cases.len() * arguments.repeat.max(1) as usize);
    let results = run.execute(&cases, &live, &interrupted);
    live.clear();
    let results = results?;
    if let Some(folder) = &arguments.report {
        let report = Report::new(vec![results.clone()]);
        report.write(folder).map_err(|error| Failure::Usage(error.to_string()))?;
        output::say(&format!("the report is {}.", folder.join("index.html").display()));
    }
    if arguments.json {
        output::print_json(&serde_json::to_value(&results).map_err(std::io::Error::other)?)?;
    } else {
        output::print(&summary(&results))?;
    }
    results.to_result()
}

impl Arguments {
    fn run(&self, all: &[Case]) -> Result<Run, Failure> {
        let drop_in = locate(self.sqlvdi.as_deref())?;
        // Any other library would fail every case in its own words.
        if !is_ours(&drop_in).unwrap_or(false) {
            return Err(Failure::Environment(ShimError::NotOurs(drop_in).to_string()));
        }
        let vdisim = std::env::current_exe()
            .map_err(|error| Failure::NotStarted { program: "vdisim".to_owned(), error })?;
        let subject = match &self.client {
            Some(line) => {
                Subject::parse(line).map_err(|error| Failure::Usage(error.to_string()))?
            }
            None => Subject::Reference(vdisim.clone()),
        };
        let capabilities = match (&self.capabilities, &subject) {
            (Some(path), _) => Capabilities::read(path).map_err(Failure::Usage)?,
            (None, Subject::Command(_)) => Capabilities::default(),
            (None, Subject::Reference(_)) => Capabilities::of_reference_client(),
        };
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Run {
            label: self.label(&subject),
            command: self.client.clone(),
            subject,
            vdisim,
            drop_in,
            capabilities,
            expectations: self.expectations(all)?,
            seed: self.seed,
            stall: self.stall,
            jobs: self.jobs.unwrap_or(cpus),
            repeat: self.repeat,
            fail_fast: self.fail_fast,
            strict: self.strict,
            partition: self.partition,
            reproduce: self.reproduce(),
        })
    }

    fn label(&self, subject: &Subject) -> String {
        match (&self.label, subject) {
            (Some(label), _) => label.clone(),
            (None, Subject::Reference(_)) => "vdisim client".to_owned(),
            (None, Subject::Command(words)) => words[0].clone(),
        }
    }

    fn expectations(&self, all: &[Case]) -> Result<Expectations, Failure> {
        let Some(path) = &self.expected_failures else { return Ok(Expectations::default()) };
        let expectations = Expectations::read(path).map_err(Failure::Usage)?;
        let ids: Vec<_> = all.iter().map(|case| case.id.as_str()).collect();
        match expectations.stray(&ids) {
            Some(id) => Err(Failure::Usage(format!("{}: {}", path.display(), unknown(all, id)))),
            None => Ok(expectations),
        }
    }

    /// The cases of this run: what was named, of the sort that the subject is judged by, and of
    /// those this machine's part.
    fn chosen<'c>(&self, all: &'c [Case]) -> Result<Vec<&'c Case>, Failure> {
        let mut cases =
            select(all, &self.cases).map_err(|error| Failure::Usage(error.to_string()))?;
        if self.client.is_some() && self.cases.is_empty() {
            cases.retain(|case| case.is_of_clients());
        }
        Ok(match self.partition {
            Some(partition) => partition.part(cases),
            None => cases,
        })
    }

    /// The rest of the command line that runs a case as here.
    fn reproduce(&self) -> String {
        let quoted = |name: &str, value: &str| format!(" {name} {}", shell_words::quote(value));
        let path = |name: &str, path: &Option<PathBuf>| {
            path.as_deref().and_then(Path::to_str).map_or(String::new(), |path| quoted(name, path))
        };
        let client = self.client.as_deref().map_or(String::new(), |line| quoted("--client", line));
        format!(
            "{client}{}{}",
            path("--capabilities", &self.capabilities),
            path("--sqlvdi", &self.sqlvdi)
        )
    }
}

/// Is set at Ctrl-C: the run ends, kills what it started and tells what it knows. A second Ctrl-C
/// ends the program at once.
pub(super) fn on_interrupt() -> Result<Arc<AtomicBool>, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(|error| Failure::Environment(format!("Ctrl-C cannot be caught: {error}.")))?;
    Ok(interrupted)
}
