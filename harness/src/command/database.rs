//! `--database`: the streams are those of the engine, which executes a statement of T-SQL.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use fake_sqlserver::messages::{MemoryLog, Message};
use fake_sqlserver::session::{Client, Gone, Instance, Login, Reply};
use fake_sqlserver::transfer::{self, Attach, Event, Fate, Observer, Statement, TransferError};
use serde_json::json;
use vdi_device::Environment;
use vdi_protocol::{CommandCode, Direction};

use super::output;
use super::statement::{Options, messages_json};
use crate::exit::{Exit, Failure};
use crate::instance;
use crate::progress::Progress;
use crate::serve::data_folder::data_folder;
use crate::serve::rendezvous::find;

/// What is to be done with a database or a stream of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work<'a> {
    /// BACKUP DATABASE.
    Backup(&'a str),
    /// RESTORE DATABASE WITH REPLACE.
    Restore(&'a str),
    /// RESTORE VERIFYONLY.
    Verify,
}

impl Work<'_> {
    fn direction(self) -> Direction {
        match self {
            Work::Backup(_) => Direction::Backup,
            Work::Restore(_) | Work::Verify => Direction::Restore,
        }
    }

    /// The statement over the set's devices.
    fn sql(self, devices: &[String], options: &Options) -> String {
        let quoted = |name: &String| format!("VIRTUAL_DEVICE = N'{}'", name.replace('\'', "''"));
        let devices: Vec<_> = devices.iter().map(quoted).collect();
        let devices = devices.join(", ");
        let bracketed = |name: &str| format!("[{}]", name.replace(']', "]]"));
        let (head, more) = match self {
            Work::Backup(name) => (format!("BACKUP DATABASE {} TO", bracketed(name)), "STATS = 10"),
            Work::Restore(name) => {
                (format!("RESTORE DATABASE {} FROM", bracketed(name)), "REPLACE, STATS = 10")
            }
            Work::Verify => ("RESTORE VERIFYONLY FROM".to_owned(), "STATS = 10"),
        };
        let sizes = options.sizes_sql();
        format!("{head} {devices} WITH {more}{sizes}")
    }
}

/// Executes the statement on the namespace's server, with the set found as the options say.
pub(super) fn execute(options: &Options, work: Work<'_>) -> Result<(), Failure> {
    let environment = options.environment()?;
    let folder = folder(&environment)?;
    let log = Arc::new(MemoryLog::default());
    let mut instance = instance::open(environment, &folder, options.profile, log)
        .map_err(|error| Failure::Environment(format!("{error}.")))?;
    // There is no MOVE on the command line.
    instance.relocates = true;
    let watch = Arc::new(Watch::default());
    let progress = Arc::new(Progress::new(None));
    let names = match work {
        // The statement will say so; no client need be waited for.
        Work::Backup(name) if !knows(&instance, name)? => options.given_devices(),
        _ => {
            let observers: [Arc<dyn Observer>; 2] = [progress.clone(), watch.clone()];
            let session = options.attach(work.direction(), observers.to_vec())?;
            let names = session.devices().to_vec();
            instance.attach = Arc::new(Attached(Mutex::new(Some(session))));
            names
        }
    };
    let names = Options::names_sql(&names)?;
    let mut printer = Printer::new(options.json, &progress);
    let started = Instant::now();
    let mut session = fake_sqlserver::session::Session::new(Arc::new(instance), Login::default());
    let done = session.execute(&work.sql(&names, options), &[], &mut printer);
    progress.clear();
    if done.is_err() {
        return Err(Failure::Output(
            printer.broken.unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()),
        ));
    }
    let messages = printer.messages;
    let failed = messages.iter().any(Message::is_error);
    if options.json {
        output::print_json(&json!({
            "version": 1,
            "succeeded": !failed,
            "set": names.first(),
            "devices": watch.devices(&names),
            "seconds": started.elapsed().as_secs_f64(),
            "cause": watch.cause().as_ref().map(|(_, text)| text.clone()),
            "messages": messages_json(&messages),
        }))?;
    }
    match (failed, watch.cause().take()) {
        (false, _) => Ok(()),
        (true, Some((fate, cause))) => Err(Failure::Statement { exit: Exit::from(fate), cause }),
        (true, None) => Err(Failure::Statement {
            exit: Exit::Failed,
            cause: "the statement failed before it sent the client a command; see the messages."
                .to_owned(),
        }),
    }
}

/// Where the namespace's server keeps its databases: the running one, or any that comes.
fn folder(environment: &Environment) -> Result<PathBuf, Failure> {
    let folder = data_folder(&environment.namespace)
        .map_err(|error| Failure::Environment(format!("{error}.")))?;
    let running = find(&folder).map_err(|error| Failure::Environment(error.to_string()))?;
    let Some(server) = running else { return Ok(folder) };
    server.data.ok_or_else(|| {
        Failure::Usage(format!(
            "the namespace's server, process {}, keeps its databases in memory, where only its own \
             statements reach them: run BACKUP or RESTORE with `vdisim sql`.",
            server.pid
        ))
    })
}

fn knows(instance: &Instance, database: &str) -> Result<bool, Failure> {
    let catalogue =
        instance.server.read().map_err(|error| Failure::Environment(format!("{error}.")))?;
    Ok(catalogue.database(database).is_some())
}

/// The session that the set's client is waiting in already.
struct Attached(Mutex<Option<transfer::Session>>);

impl Attach for Attached {
    fn attach(
        &self,
        environment: &Environment,
        statement: Statement,
    ) -> Result<transfer::Session, TransferError> {
        match lock(&self.0).take() {
            Some(session) => Ok(session),
            None => transfer::AtOnce.attach(environment, statement),
        }
    }
}

/// Counts what the devices moved and keeps what went wrong first.
#[derive(Debug, Default)]
struct Watch {
    bytes: Mutex<BTreeMap<u32, u64>>,
    cause: Mutex<Option<(Fate, String)>>,
}

impl Watch {
    fn cause(&self) -> MutexGuard<'_, Option<(Fate, String)>> {
        lock(&self.cause)
    }

    fn devices(&self, names: &[String]) -> Vec<serde_json::Value> {
        let bytes = lock(&self.bytes);
        let device = |(name, index): (&String, u32)| json!({"name": name, "bytes": bytes.get(&index).copied().unwrap_or(0)});
        names.iter().zip(0..).map(device).collect()
    }
}

impl Observer for Watch {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Completed {
                device,
                code: CommandCode::READ | CommandCode::WRITE,
                bytes,
                ..
            } => *lock(&self.bytes).entry(*device).or_default() += u64::from(*bytes),
            Event::Failed { cause } => {
                lock(&self.cause).get_or_insert_with(|| (cause.fate(), cause.to_string()));
            }
            _ => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints messages as they come, or keeps them for the end.
struct Printer<'p> {
    quiet: bool,
    progress: &'p Progress,
    messages: Vec<Message>,
    broken: Option<io::Error>,
}

impl<'p> Printer<'p> {
    fn new(quiet: bool, progress: &'p Progress) -> Self {
        Printer { quiet, progress, messages: Vec::new(), broken: None }
    }
}

impl Client for Printer<'_> {
    fn reply(&mut self, reply: Reply<'_>) -> Result<(), Gone> {
        let Reply::Message(message) = reply else { return Ok(()) };
        self.messages.push(message.clone());
        if self.quiet {
            return Ok(());
        }
        let print = || output::print(&message.to_transcript());
        self.progress.suspend(print).map_err(|error| {
            self.broken = Some(error);
            Gone
        })
    }
}
