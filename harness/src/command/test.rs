//! `vdisim test`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use fake_sqlserver::transfer::{FaultError, FaultPlan};
use regex::bytes::{Regex, RegexBuilder};
use sqlvdi::caller::locate;

use super::output;
use super::statement::seconds;
use crate::conformance::results::Partition;
use crate::conformance::{
    Capabilities, Case, Expectations, Front, Implementation, Live, Mistake, Patterns, Resident,
    ResidentError, Run, Subject, catalogue, select, summary, unknown,
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
    #[arg(long, value_name = "CMD", group = "subject")]
    client: Option<String>,
    /// An implementation of the interface, such as another libsqlvdi.so, tested in place of a client:
    /// each call in each state. One that is not ours is served by its own server classes (Windows); without
    /// them the states that need a server are left out
    #[arg(long, value_name = "LIB", conflicts_with_all = ["subject", "capabilities", "fault", "guard"])]
    implementation: Option<PathBuf>,
    /// Take the implementation for one whose shared memory nobody else knows
    #[arg(long, requires = "implementation", conflicts_with = "subject")]
    foreign: bool,
    /// What every probe of a cell does wrong, for the suite's own test; the report says so
    #[arg(long, value_enum, hide = true, requires = "implementation", conflicts_with = "subject")]
    mistake: Option<Mistake>,
    /// The catalogue as of an older version: what is new in it fails nobody [default: the newest]
    #[arg(long, value_name = "N")]
    catalogue: Option<u32>,
    /// In the place of --client, for a resident agent: the command that has it back up or restore, and
    /// ends when that is done; the same placeholders. The agent runs with our drop-in, in our
    /// VDISIM_NAMESPACE, unless --start starts it
    #[arg(long, value_name = "CMD", group = "subject")]
    trigger: Option<String>,
    /// Starts the agent, once, and again if a case has killed it. It can be triggered when this command
    /// ends, or prints something, or after a second
    #[arg(long, value_name = "CMD", requires = "trigger", conflicts_with = "client")]
    start: Option<String>,
    /// Ends the agent [default: what --start started is killed]
    #[arg(long, value_name = "CMD", requires = "start")]
    stop: Option<String>,
    /// Who sends the BACKUP or RESTORE [default: direct if the command names {set} or {devices}, else
    /// sqlcmd, which has TDS too]. A client that sends it gets {server} (host,port), {port}, {user},
    /// {password} and {database}, and the same as VDISIM_SERVER …, SQLCMDSERVER …
    #[arg(long, value_name = "FRONT", requires = "subject")]
    front: Option<Front>,
    /// Who succeeds prints a match of this regular expression, on either stream; counts in the place
    /// of the exit code. `^` and `$` are the ends of a line
    #[arg(long, value_name = "REGEX", requires = "subject", value_parser = pattern)]
    success_pattern: Option<Regex>,
    /// Who fails prints a match of this regular expression; counts in the place of the exit code
    #[arg(long, value_name = "REGEX", requires = "subject", value_parser = pattern)]
    failure_pattern: Option<Regex>,
    /// What the client is called in reports [default: its command]
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    /// What the client supports [default: one pipe-like device, backup and restore]
    #[arg(long, value_name = "FILE", requires = "subject")]
    capabilities: Option<PathBuf>,
    /// Failures that are known; one that passes fails the run
    #[arg(long, value_name = "FILE")]
    expected_failures: Option<PathBuf>,
    /// Which bytes are sent
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How long nothing may happen before a case counts as hanging; a client that calls on and gets no command
    /// answered has five times as long
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = some_time)]
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
    /// Put each buffer between inaccessible pages and take access to completed buffers away, so that
    /// a client which touches what is not its own ends at that instruction
    #[arg(long)]
    guard: bool,
    /// Something that goes wrong in every case: a file, a preset, or YAML, as for `vdisim backup`
    #[arg(long, value_name = "FILE|PRESET", allow_hyphen_values = true)]
    fault: Option<String>,
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
    let all = catalogue::pinned(arguments.catalogue)
        .map_err(|error| Failure::Usage(error.to_string()))?;
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

/// A time in which something can happen.
fn some_time(given: &str) -> Result<Duration, String> {
    match seconds(given)? {
        Duration::ZERO => Err("within 0 s nothing can happen; give more".to_owned()),
        time => Ok(time),
    }
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
        let subject = match self.line() {
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
            command: self.line().map(str::to_owned),
            resident: self.resident(&vdisim, &drop_in)?,
            front: subject.front(self.front).map_err(|error| Failure::Usage(error.to_string()))?,
            patterns: Patterns {
                success: self.success_pattern.clone(),
                failure: self.failure_pattern.clone(),
            },
            subject,
            implementation: self.implementation(&vdisim)?,
            mistake: self.mistake,
            catalogue: self.catalogue.unwrap_or(catalogue::VERSION),
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
            guard: self.guard,
            fault: self.fault()?,
            reproduce: self.reproduce(),
        })
    }

    fn implementation(&self, vdisim: &Path) -> Result<Option<Implementation>, Failure> {
        let Some(path) = &self.implementation else { return Ok(None) };
        let found = Implementation::examine(vdisim, path).map_err(Failure::Usage)?;
        Ok(Some(Implementation { is_foreign: found.is_foreign || self.foreign, ..found }))
    }

    fn fault(&self) -> Result<Option<(String, String)>, Failure> {
        let usage = |error: FaultError| Failure::Usage(error.to_string());
        let Some(given) = &self.fault else { return Ok(None) };
        let (name, yaml) = FaultPlan::read(given).map_err(usage)?;
        FaultPlan::parse(&name, &yaml).map_err(usage)?;
        Ok(Some((name, yaml)))
    }

    /// The command line of whoever is tested.
    fn line(&self) -> Option<&str> {
        self.client.as_deref().or(self.trigger.as_deref())
    }

    fn resident(&self, vdisim: &Path, drop_in: &Path) -> Result<Option<Arc<Resident>>, Failure> {
        if self.trigger.is_none() {
            return Ok(None);
        }
        let (start, stop) = (self.start.as_deref(), self.stop.as_deref());
        match Resident::new(start, stop, vdisim, drop_in) {
            Ok(resident) => Ok(Some(Arc::new(resident))),
            Err(error @ ResidentError::Words(..)) => Err(Failure::Usage(error.to_string())),
            Err(error) => Err(Failure::Environment(error.to_string())),
        }
    }

    fn label(&self, subject: &Subject) -> String {
        if let (None, Some(path)) = (&self.label, &self.implementation) {
            return path.display().to_string();
        }
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
        if self.line().is_some() && self.cases.is_empty() {
            cases.retain(|case| case.is_of_clients());
        }
        if self.implementation.is_some() && self.cases.is_empty() {
            cases.retain(|case| case.is_of_implementations());
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
        let line = |name: &str, line: &Option<String>| {
            line.as_deref().map_or(String::new(), |line| quoted(name, line))
        };
        let client = [
            ("--client", &self.client),
            ("--trigger", &self.trigger),
            ("--start", &self.start),
            ("--stop", &self.stop),
        ]
        .map(|(name, value)| line(name, value))
        .concat();
        let pattern = |name: &str, pattern: &Option<Regex>| {
            pattern.as_ref().map_or(String::new(), |pattern| quoted(name, pattern.as_str()))
        };
        let front = self.front.and_then(|front| front.to_possible_value());
        let front = front.map_or(String::new(), |front| quoted("--front", front.get_name()));
        let fault = self.fault.as_deref().map_or(String::new(), |it| quoted("--fault", it));
        let guard = if self.guard { " --guard" } else { "" };
        let foreign = if self.foreign { " --foreign" } else { "" };
        let mistake =
            self.mistake.map_or(String::new(), |mistake| quoted("--mistake", &mistake.word()));
        let pinned =
            self.catalogue.map_or(String::new(), |version| format!(" --catalogue {version}"));
        format!(
            "{client}{front}{}{}{guard}{fault}{}{foreign}{mistake}{pinned}{}{}",
            pattern("--success-pattern", &self.success_pattern),
            pattern("--failure-pattern", &self.failure_pattern),
            path("--implementation", &self.implementation),
            path("--capabilities", &self.capabilities),
            path("--sqlvdi", &self.sqlvdi)
        )
    }
}

fn pattern(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).multi_line(true).build()
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
