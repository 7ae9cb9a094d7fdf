//! `vdisim trace`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, Subcommand};
use fake_sqlserver::transfer::{
    Event, FaultPlan, Observer, Session, Sink, Source, Summary, TransferError,
};
use sqlvdi::caller::locate;
use vdi_device::{Environment, Namespace};
use vdi_protocol::Direction;

use super::output;
use super::statement::seconds;
use crate::exit::Failure;
use crate::launch::Launch;
use crate::process::ProcessGroup;
use crate::progress::Everybody;
use crate::trace::{Recording, SentCommand, Sequence, Trace, diff, read, show};

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Print a trace for people: times, processes, a lane for each device, what happened
    Show {
        /// The trace
        file: PathBuf,
    },
    /// Compare two traces by their calls and commands, not by time; ends with 1 if they differ
    Diff {
        /// The first trace
        a: PathBuf,
        /// The second
        b: PathBuf,
    },
    /// Drive a client with the server half of a recorded run: same sizes, same order of commands
    Replay(Replay),
}

/// The client is started in a namespace of its own and may call its set as it likes; the bytes of a
/// BACKUP are made from --seed. Faults at commands happen again, those of a stage do not.
#[derive(Args, Debug)]
pub(super) struct Replay {
    /// The trace
    file: PathBuf,
    /// Which bytes a BACKUP sends
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// How long to wait for the client's set, and afterwards for the client's end
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    wait: Duration,
    /// Append what happens to another trace
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// The drop-in [default: VDISIM_SQLVDI, else beside this program]
    #[arg(long, value_name = "PATH")]
    sqlvdi: Option<PathBuf>,
    /// The client and its arguments
    #[arg(required = true, last = true, value_name = "CMD")]
    client: Vec<OsString>,
}

pub(super) fn execute(action: &Action) -> Result<(), Failure> {
    match action {
        Action::Show { file } => Ok(output::print(show(&sequence(file)?).trim_end())?),
        Action::Diff { a, b } => {
            let differences = diff(&sequence(a)?, &sequence(b)?);
            for difference in &differences {
                output::print(difference.to_string().trim_end())?;
            }
            match differences.len() {
                0 => Ok(output::print("The two runs are alike, call by call.")?),
                1 => Err(Failure::Failed("the two runs differ in one place.".to_owned())),
                n => Err(Failure::Failed(format!("the two runs differ in {n} lanes."))),
            }
        }
        Action::Replay(arguments) => replay(arguments),
    }
}

fn sequence(file: &Path) -> Result<Sequence, Failure> {
    let records = read(file).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(Sequence::new(&records))
}

fn replay(arguments: &Replay) -> Result<(), Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
    let records = read(&arguments.file).map_err(|error| usage(&error))?;
    let recording = Recording::new(&records).map_err(|error| usage(&error))?;
    let sent = Arc::new(Sent::default());
    let mut observers: Vec<Arc<dyn Observer>> = vec![sent.clone()];
    if let Some(path) = &arguments.trace {
        let trace = Trace::append(path).map_err(|error| {
            Failure::Usage(format!("the trace {} cannot be written: {error}.", path.display()))
        })?;
        observers.push(Arc::new(trace));
    }
    let namespace = format!("replay-{}", std::process::id());
    let inherited = Environment::from_process().map_err(|error| usage(&format!("{error}.")))?;
    let name = Namespace::new(&namespace).map_err(|error| usage(&format!("{error}.")))?;
    let environment = Environment::new(name, inherited.backend);
    let mut client = start(arguments, namespace)?;
    // A client that cuts a shared object short must not kill us.
    vdi_region::install_truncation_guard();
    let done = play(arguments, &recording, &environment, Arc::new(Everybody(observers)));
    let status = client.wait_within(arguments.wait)?;
    tell(&recording, &sent.take(), &done)?;
    done?;
    ended_well(status, arguments.wait)
}

fn start(arguments: &Replay, namespace: String) -> Result<ProcessGroup, Failure> {
    let launch = Launch {
        namespace: Some(namespace),
        trace: arguments.trace.clone(),
        ..Launch::new(locate(arguments.sqlvdi.as_deref())?)
    };
    let (program, rest) = arguments
        .client
        .split_first()
        .ok_or_else(|| Failure::Usage("no client is named.".to_owned()))?;
    let mut command = Command::new(program);
    // Standard output is ours.
    command.args(rest).stdin(Stdio::null()).stdout(Stdio::null());
    launch.prepare(&mut command).map_err(|error| Failure::Environment(error.to_string()))?;
    ProcessGroup::spawn(&mut command).map_err(|error| Failure::NotStarted {
        program: program.to_string_lossy().into_owned(),
        error,
    })
}

fn play(
    arguments: &Replay,
    recording: &Recording,
    environment: &Environment,
    observer: Arc<dyn Observer>,
) -> Result<Summary, TransferError> {
    let mut statement = recording.statement();
    statement.wait = Some(arguments.wait);
    let faults = FaultPlan::new(recording.faults.clone());
    let session = Session::attach(environment, statement, faults, observer)?;
    match recording.direction {
        Direction::Backup => {
            let mut sources = recording.sources(arguments.seed);
            session.backup(sources.iter_mut().map(|source| source as &mut dyn Source).collect())
        }
        Direction::Restore => {
            let mut sinks = recording.sinks();
            session.restore(sinks.iter_mut().map(|sink| sink as &mut dyn Sink).collect())
        }
    }
}

/// Says what the server says, and where the replay left its recording.
fn tell(
    recording: &Recording,
    sent: &[Vec<SentCommand>],
    done: &Result<Summary, TransferError>,
) -> Result<(), Failure> {
    let messages = match done {
        Ok(summary) => &summary.messages,
        Err(error) => &error.messages,
    };
    for message in messages {
        output::print(&message.to_transcript())?;
    }
    match &recording.failed {
        Some(cause) => output::say(&format!("the recorded run failed: {cause}")),
        None => output::say("the recorded run did not fail."),
    }
    for (device, recorded) in recording.commands.iter().enumerate() {
        let replayed = sent.get(device).map_or(&[][..], Vec::as_slice);
        let alike = recorded.iter().zip(replayed).take_while(|(a, b)| a == b).count();
        if alike < recorded.len() || alike < replayed.len() {
            let at = |commands: &[SentCommand]| match commands.get(alike) {
                Some(command) => format!("{} of {} bytes", command.code, command.size),
                None => "nothing more".to_owned(),
            };
            output::say(&format!(
                "device {device} left the recording at its command #{}: recorded {}, sent {}.",
                alike + 1,
                at(recorded),
                at(replayed),
            ));
        }
    }
    Ok(())
}

fn ended_well(status: Option<ExitStatus>, waited: Duration) -> Result<(), Failure> {
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Failure::Failed(format!(
            "the server half was satisfied, but the client ended with {status}."
        ))),
        None => Err(Failure::Failed(format!(
            "the client did not end within {} s of the transfer; it was killed.",
            waited.as_secs()
        ))),
    }
}

/// Keeps the commands that were sent.
#[derive(Debug, Default)]
struct Sent(Mutex<Vec<Vec<SentCommand>>>);

impl Sent {
    fn take(&self) -> Vec<Vec<SentCommand>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Sent {
    fn event(&self, event: &Event<'_>) {
        if let Event::Sent { device, code, size, position, .. } = *event {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let device = device as usize;
            if all.len() <= device {
                all.resize(device + 1, Vec::new());
            }
            all[device].push(SentCommand { code, size, position });
        }
    }
}
