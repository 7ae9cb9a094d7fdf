//! One run of a cell: the server half in this process, the client in one of its own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use fake_sqlserver::transfer::{
    AbortHandle, Cause, FaultPlan, Observer, Session, SetName, Sink, Source, Statement, Summary,
    TransferError, Unobserved,
};
use vdi_device::{Environment, Namespace};
use vdi_protocol::Profile;
use vdi_region::{Backend, list_objects, remove_leftover};

use super::latencies::ClientTimes;
use super::results::RunFigures;
use super::stream::{Pattern, PatternSink, PatternSource};
use super::sweep::{Cell, Operation};
use super::watch::{Seen, Watch};
use crate::process::{ProcessGroup, crash_of};

/// How often the processes are looked at. Each look is a context switch more.
const LOOK: Duration = Duration::from_millis(50);
/// How long a look for the client's set takes before the client is looked at again.
const ATTACH: Duration = Duration::from_millis(200);
/// What is kept of a client's last words.
const LAST_WORDS: usize = 600;

/// Why a run has no numbers.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no such program, or it cannot be executed.
    #[error("{program} could not be started: {error}.")]
    NotStarted {
        /// The program.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// The statement or the client failed: a sentence, with what the client said.
    #[error("{0}")]
    Failed(String),
    /// Somebody asked for the end.
    #[error("the run was interrupted.")]
    Interrupted,
    /// This process cannot do its part.
    #[error("{what}: {error}.")]
    Io {
        /// What was to be done.
        what: String,
        /// Why not.
        error: io::Error,
    },
}

/// What a run needs from outside.
pub(crate) struct Order<'o> {
    pub(crate) cell: Cell,
    /// Bytes of each device.
    pub(crate) bytes: u64,
    pub(crate) pattern: &'o Pattern,
    /// Without it, nothing but the time is taken, and the drop-in records nothing.
    pub(crate) measured: bool,
    /// How long nothing may happen.
    pub(crate) stall: Duration,
    pub(crate) interrupted: &'o AtomicBool,
    /// For what the client says and its times.
    pub(crate) folder: &'o Path,
    pub(crate) namespace: &'o Namespace,
    pub(crate) backend: Backend,
}

/// What a run has shown.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seen: Seen,
    pub(crate) client: ClientTimes,
    pub(crate) bytes: u64,
    /// What the client printed.
    pub(crate) said: String,
    /// The statement's own seconds, Flush and all.
    pub(crate) whole: f64,
}

impl Outcome {
    pub(crate) fn figures(&self) -> RunFigures {
        let seen = &self.seen;
        RunFigures {
            bytes: self.bytes,
            seconds: seen.seconds,
            flush_seconds: seen.flush_seconds,
            client_cpu_seconds: seen.share.client_cpu_seconds,
            server_cpu_seconds: seen.share.server_cpu_seconds,
            client_context_switches: seen.share.client_switches,
            server_context_switches: seen.share.server_switches,
            commands: seen.commands,
            in_flight: seen.in_flight_seconds / seen.seconds,
            in_flight_max: seen.in_flight_max,
            with_client: self.client.work_nanoseconds as f64 / 1e9 / seen.seconds,
        }
    }
}

/// What the statement's thread tells.
enum News {
    Attached(AbortHandle),
    Ended(Result<Summary, TransferError>),
    /// The client ended before it created a set.
    NoSet,
}

/// Serves the client once.
pub(crate) fn run(order: &Order<'_>, command: Command) -> Result<Outcome, RunError> {
    let _clearing = Clearing { namespace: order.namespace, backend: order.backend };
    let times = order.folder.join("times");
    remove(&times)?;
    let mut client = start(command, order, &times)?;
    let watch = Arc::new(Watch::new(client.id(), order.cell.devices));
    let gone = AtomicBool::new(false);
    let (news, arrivals) = channel();
    let ended = thread::scope(|scope| {
        let (watch, gone) = (&watch, &gone);
        scope.spawn(move || serve(order, watch, gone, &news));
        let ended = attend(order, &mut client, watch, gone, &arrivals);
        // Whatever ended the wait, the statement ends with its client.
        gone.store(true, Ordering::Relaxed);
        if ended.is_err() {
            let _ = client.kill_leader();
        }
        ended
    });
    let said = said(order.folder);
    let failed = |what: String| RunError::Failed(with_words(what, &said.1));
    let (summary, status) = match ended {
        Ok((summary, status)) => (summary, status),
        Err(Ending::Interrupted) => return Err(RunError::Interrupted),
        Err(Ending::Failed(what)) => return Err(failed(what)),
    };
    if !status.success() {
        return Err(failed(format!("the client {}", how(status))));
    }
    let seen = watch.seen().ok_or_else(|| failed("no transfer was seen".to_owned()))?;
    let client = ClientTimes::read(&times)
        .map_err(|error| RunError::Io { what: times.display().to_string(), error })?;
    if order.measured && client.transfers == 0 {
        return Err(failed(
            "the client's calls were not seen: it uses another library than our drop-in, or has \
             an environment of its own (`vdisim doctor --client PATH` tells)"
                .to_owned(),
        ));
    }
    Ok(Outcome {
        seen,
        client,
        bytes: summary.total(),
        said: said.0,
        whole: summary.elapsed.as_secs_f64(),
    })
}

enum Ending {
    Interrupted,
    Failed(String),
}

/// Waits until statement and client have ended.
fn attend(
    order: &Order<'_>,
    client: &mut ProcessGroup,
    watch: &Watch,
    gone: &AtomicBool,
    arrivals: &Receiver<News>,
) -> Result<(Summary, ExitStatus), Ending> {
    let mut handle: Option<AbortHandle> = None;
    let mut moved = (0, Instant::now());
    let summary = loop {
        match arrivals.recv_timeout(LOOK) {
            Ok(News::Attached(abort)) => (handle, moved.1) = (Some(abort), Instant::now()),
            Ok(News::Ended(Ok(summary))) => break summary,
            Ok(News::Ended(Err(error))) => {
                return Err(Ending::Failed(blame(order, client, &error)));
            }
            Ok(News::NoSet) => {
                let status = client.wait_within(order.stall).ok().flatten();
                let how = status.map_or_else(|| "is gone".to_owned(), how);
                return Err(Ending::Failed(format!(
                    "the client never created the set '{}'; it {how}",
                    order.cell.device_names()[0]
                )));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Ending::Failed("the server half panicked".to_owned()));
            }
        }
        if client.try_wait().is_ok_and(|status| status.is_some()) && !client.has_members() {
            gone.store(true, Ordering::Relaxed);
        }
        let moves = watch.moves();
        if moves != moved.0 {
            moved = (moves, Instant::now());
        }
        let interrupted = order.interrupted.load(Ordering::Relaxed);
        if interrupted || moved.1.elapsed() > order.stall {
            gone.store(true, Ordering::Relaxed);
            if let Some(handle) = &handle {
                handle.abort();
            }
            return Err(if interrupted {
                Ending::Interrupted
            } else {
                let seconds = order.stall.as_secs_f64();
                let where_to = if handle.is_some() { "" } else { " and created no set" };
                Ending::Failed(format!(
                    "the client hangs: nothing happened for {seconds} s{where_to}"
                ))
            });
        }
    };
    let begun = Instant::now();
    loop {
        match client.wait_within(LOOK) {
            Ok(Some(status)) => return Ok((summary, status)),
            Ok(None) if order.interrupted.load(Ordering::Relaxed) => {
                return Err(Ending::Interrupted);
            }
            Ok(None) if begun.elapsed() < order.stall => {}
            Ok(None) => {
                let seconds = order.stall.as_secs_f64();
                return Err(Ending::Failed(format!(
                    "the client hangs: it did not end within {seconds} s of its last device"
                )));
            }
            Err(error) => return Err(Ending::Failed(format!("the client was lost: {error}"))),
        }
    }
}

/// The cause of a failed statement, and how its client ended if it did.
fn blame(order: &Order<'_>, client: &mut ProcessGroup, error: &TransferError) -> String {
    let status = client.wait_within(order.stall.min(Duration::from_secs(2))).ok().flatten();
    let cause = error.cause.to_string();
    let cause = cause.trim_end_matches('.');
    match status.filter(|status| !status.success()) {
        Some(status) => format!("{cause}; the client {}", how(status)),
        None => cause.to_owned(),
    }
}

/// The statement.
fn serve(order: &Order<'_>, watch: &Arc<Watch>, gone: &AtomicBool, news: &Sender<News>) {
    // Nobody listens any more when the wait was given up.
    let tell = |item| _ = news.send(item);
    let environment = Environment::new(order.namespace.clone(), order.backend);
    let session = loop {
        let observer: Arc<dyn Observer> = match order.measured {
            true => watch.clone(),
            false => Arc::new(OnlyTime(watch.clone())),
        };
        let attached =
            Session::attach(&environment, statement(order), FaultPlan::default(), observer);
        match attached {
            Ok(session) => break session,
            Err(error) if matches!(error.cause, Cause::NoSet { .. }) => {
                if gone.load(Ordering::Relaxed) {
                    return tell(News::NoSet);
                }
            }
            Err(error) => return tell(News::Ended(Err(error))),
        }
    };
    tell(News::Attached(session.abort_handle()));
    let devices = order.cell.devices as usize;
    let ended = match order.cell.operation {
        Operation::Backup => {
            let source = || PatternSource::new(order.pattern, order.bytes);
            let mut all: Vec<_> = std::iter::repeat_with(source).take(devices).collect();
            session.backup(all.iter_mut().map(|source| source as &mut dyn Source).collect())
        }
        Operation::Restore => {
            let sink = || PatternSink::new(order.pattern, order.bytes);
            let mut all: Vec<_> = std::iter::repeat_with(sink).take(devices).collect();
            session.restore(all.iter_mut().map(|sink| sink as &mut dyn Sink).collect())
        }
    };
    tell(News::Ended(ended));
}

fn statement(order: &Order<'_>) -> Statement {
    let names: Vec<_> = order.cell.device_names().into_iter().map(String::into_bytes).collect();
    let set = SetName::Named(names[0].clone());
    Statement {
        devices: names,
        wait: Some(ATTACH),
        buffer_count: Some(order.cell.buffer_count),
        max_transfer_size: Some(order.cell.max_transfer_size),
        ..Statement::new(order.cell.operation.direction(), set, Profile::default())
    }
}

/// Takes the time of the stream and nothing else.
struct OnlyTime(Arc<Watch>);

impl Observer for OnlyTime {
    fn event(&self, event: &fake_sqlserver::transfer::Event<'_>) {
        use fake_sqlserver::transfer::Event;
        match event {
            Event::Completed { .. } => Unobserved.event(event),
            event => self.0.event(event),
        }
    }
}

fn start(mut command: Command, order: &Order<'_>, times: &Path) -> Result<ProcessGroup, RunError> {
    if order.measured {
        command.env(sqlvdi::times::VARIABLE, times);
    }
    let [out, err] = outputs(order.folder);
    let create = |path: &Path| {
        File::create(path).map_err(|error| RunError::Io { what: path.display().to_string(), error })
    };
    command.stdin(Stdio::null()).stdout(create(&out)?).stderr(create(&err)?);
    ProcessGroup::spawn(&mut command).map_err(|error| RunError::NotStarted {
        program: command.get_program().to_string_lossy().into_owned(),
        error,
    })
}

fn outputs(folder: &Path) -> [PathBuf; 2] {
    ["client.out", "client.err"].map(|name| folder.join(name))
}

/// What the client printed, and the last of what it said.
fn said(folder: &Path) -> (String, String) {
    let [out, err] = outputs(folder).map(|path| fs::read(path).unwrap_or_default());
    let words = if err.is_empty() { &out } else { &err };
    let last = &words[words.len().saturating_sub(LAST_WORDS)..];
    (String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(last).trim().to_owned())
}

fn with_words(what: String, words: &str) -> String {
    match words {
        "" => format!("{what}."),
        words => format!("{what}. It said: {words}"),
    }
}

/// How a process ended.
fn how(status: ExitStatus) -> String {
    match (crash_of(status), status.code()) {
        (Some(crash), _) => format!("was killed by {crash}"),
        (None, Some(code)) => format!("ended with exit code {code}"),
        (None, None) => format!("ended: {status}"),
    }
}

fn remove(path: &Path) -> Result<(), RunError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(RunError::Io { what: path.display().to_string(), error })
        }
        _ => Ok(()),
    }
}

/// Removes what a client left, so that the next one meets an empty namespace.
struct Clearing<'n> {
    namespace: &'n Namespace,
    backend: Backend,
}

impl Drop for Clearing<'_> {
    fn drop(&mut self) {
        let prefix = format!("vdisim.{}.", self.namespace.as_str());
        for object in list_objects(self.backend, &prefix).unwrap_or_default() {
            // What can't be removed stays for `vdisim doctor`.
            let _ = remove_leftover(self.backend, &object);
        }
    }
}
