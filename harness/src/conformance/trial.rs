//! Runs one statement of a case: the server half in a process of its own, the client beside it, both
//! watched, and everything gone afterwards.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fake_sqlserver::transfer::{DropInFault, FaultPlan};
use vdi_device::{Environment, Namespace, Rendezvous};
use vdi_protocol::HResult;

use super::front::{self, Desk, Front};
use super::observation::{Act, Call, Ended, read_record, read_trace};
use super::patterns::Patterns;
use super::record::{Entry, What, now};
use super::resident::Resident;
use super::script::{Order, Script, Step};
use super::strays::{Clearing, clear, end_strays};
use super::subject::{Brief, Subject};
use crate::launch::{Launch, prepend};
use crate::process::{ProcessGroup, signal_of};
use crate::serve::data_folder::OUR_DATA_HOME;
use crate::serve::rendezvous;
use crate::shim::install_commands;

/// How often the watcher looks at the processes.
const LOOK: Duration = Duration::from_millis(2);

/// How often it looks whether anything moves.
const PULSE: Duration = Duration::from_millis(100);

/// How long a client's server waits for what the client left behind to do something.
const LINGER: Duration = Duration::from_secs(1);

/// The folder of a case where its server has its data.
const DATA: &str = "data";

/// The folder of a case with its commands.
const COMMANDS: &str = "bin";

/// For how many times `--stall` a client may go on calling while none of its commands is answered.
const PATIENCE: u32 = 5;

/// Most that a client may say.
const MOST_OUTPUT: u64 = 16 << 20;

/// Most that the trace of a client's calls may hold: one that never sleeps fills a disk in minutes.
const MOST_CALLS: u64 = 1 << 30;

/// What is said of a client's last words.
const LAST_WORDS: usize = 2000;

/// What every trial shares.
#[derive(Clone, Debug)]
pub(crate) struct Stage<'r> {
    pub(crate) vdisim: &'r Path,
    pub(crate) drop_in: &'r Path,
    pub(crate) subject: &'r Subject,
    /// Who sends the statement.
    pub(crate) front: Front,
    /// The agent that the client triggers; none if the client does the work itself.
    pub(crate) resident: Option<&'r Resident>,
    /// What the client's output says of its success.
    pub(crate) patterns: &'r Patterns,
    pub(crate) seed: u64,
    /// How long nothing may happen.
    pub(crate) stall: Duration,
    /// How long the client may take to create its set.
    pub(crate) start: Duration,
    /// Whether buffers stand behind pages.
    pub(crate) guard: bool,
    /// What goes wrong: where the plan stands, and its YAML.
    pub(crate) fault: Option<&'r (String, String)>,
    /// Set when the run is to end.
    pub(crate) interrupted: &'r AtomicBool,
}

/// One statement to be served.
pub(crate) struct Statement<'c> {
    pub(crate) script: &'c Script,
    pub(crate) brief: Brief,
    pub(crate) file_limit: Option<u64>,
    pub(crate) syscalls: bool,
    /// Whether the client gets a umask of 077.
    pub(crate) private: bool,
    /// VDISIM_TIMEOUT_UNIT, if not the default.
    pub(crate) unit: Option<&'static str>,
}

/// Why a statement could not be tried at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrialError {
    #[error("{program} could not be started: {error}.")]
    NotStarted { program: String, error: io::Error },
    #[error("the run was interrupted.")]
    Interrupted,
    #[error("vdisim's own half failed: {0}")]
    Bug(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Stage<'_> {
    /// Serves one statement in `folder`.
    pub(crate) fn act(
        &self,
        statement: &Statement<'_>,
        namespace: &str,
        folder: &Path,
        number: usize,
    ) -> Result<Act, TrialError> {
        let path = |name: &str| folder.join(format!("{number}-{name}"));
        let (record, trace) = (path("record"), path("trace"));
        let mut brief = statement.brief.clone();
        brief.desk = self.front.is_sql().then(Desk::new);
        let order = Order {
            script: statement.script.clone(),
            devices: brief.devices.clone(),
            desk: brief.desk.clone(),
            seed: self.seed,
            wait: self.start.as_millis() as u64,
            guard: self.guard,
            fault: self.fault.cloned(),
            record: record.clone(),
        };
        let order_file = path("order");
        fs::write(&order_file, serde_json::to_vec(&order).map_err(io::Error::other)?)?;
        // Dropped behind the processes, also where an error ends the statement early.
        let _clearing = Clearing { namespace, agent_lives: self.resident.is_some() };
        let mut server = Command::new(self.vdisim);
        server.arg("play").arg(&order_file).env("VDISIM_NAMESPACE", namespace);
        let home = self.resident.map_or_else(|| Some(folder.join(DATA)), Resident::data_home);
        server.envs(home.as_ref().map(|home| (OUR_DATA_HOME, home))).stdin(Stdio::piped());
        let mut server = spawn(server, &path("server"))?;
        let leash = server.take_stdin();
        if let Some(desk) = &mut brief.desk {
            let data = match (&home, self.resident) {
                (Some(home), _) => home.join("vdisim").join(namespace),
                (None, Some(resident)) => resident.data()?,
                (None, None) => return Err(TrialError::Bug("the server has no folder".to_owned())),
            };
            desk.address = Some(self.await_server(&mut server, &data, &path("server.err"))?);
        }
        let create_fault = self.create_fault()?;
        let _left = match (self.resident, create_fault) {
            (Some(resident), fault) => Some(resident.prepare(&trace, statement.unit, fault)?),
            (None, Some(fault)) => Some(refuse_create(namespace, fault)?),
            (None, None) => None,
        };
        let calls_file = path("syscalls");
        let mut client = self.client(statement, &brief, namespace, &trace, &calls_file)?;
        client.stdin(Stdio::null());
        if self.front.is_sql() {
            client.envs(home.as_ref().map(|home| (OUR_DATA_HOME, home)));
        }
        if self.front.has_commands() {
            self.put_commands(&mut client, &folder.join(COMMANDS))?;
        }
        let client = spawn(client, &path("client"))?;
        let watched = [record.clone(), trace.clone()];
        let output = [path("client.out"), path("client.err")];
        let deliberate = is_deadly(statement.script);
        let mut pair = Pair { server, client, leash, deliberate };
        let (mut ended, survivors) = self.watch(&mut pair, &watched, &output)?;
        if let Some(resident) = self.resident {
            let crashed = resident.crashed().filter(|_| !deliberate);
            ended = crashed.map_or(ended, Ended::Signal);
            if deliberate || matches!(ended, Ended::Signal(_) | Ended::Hung(_)) {
                // The next statement gets a new one.
                resident.end();
            }
        }
        let server_ended = pair.server.try_wait()?;
        drop(pair);
        let end = now();
        // An agent lives on in the namespace: the next statement is for it.
        let strays = self.resident.map_or_else(|| end_strays(namespace), |_| Default::default());
        let mut entries = read_record(&record)?;
        let (calls, events) = read_trace(&trace)?;
        let refusal = create_fault.and_then(|fault| refusal(fault, &calls));
        let is_refused_create = refusal.is_some();
        entries.extend(refusal);
        let failed = entries.iter().find_map(|entry| match &entry.what {
            What::Failed { why } => Some(why.clone()),
            _ => None,
        });
        if let Some(why) = failed {
            return Err(TrialError::Bug(why));
        }
        let killed = |entry: &Entry| matches!(entry.what, What::Fault { cuts: true, .. });
        let died = statement.script.steps.contains(&Step::Die) || entries.iter().any(killed);
        if let Some(status) = server_ended.filter(|status| !status.success() && !died) {
            let said = tail(&path("server.err"));
            return Err(TrialError::Bug(format!("the server's process: {status}; {said}")));
        }
        let left = clear(namespace)?;
        let named = entries.iter().find_map(|entry| match &entry.what {
            What::Statement { devices } => Some(devices.clone()),
            _ => None,
        });
        Ok(Act {
            script: statement.script.clone(),
            is_refused_create,
            devices: named.unwrap_or(brief.devices),
            is_sql: self.front.is_sql(),
            told: self.patterns.told(&output),
            entries,
            calls,
            events,
            ended,
            end,
            left,
            survivors: survivors || strays > 0,
            synced: statement.syscalls.then(|| has_synced(&calls_file)).flatten(),
            said: format!("{}{}", tail(&path("client.out")), tail(&path("client.err"))),
        })
    }

    /// What the run's plan makes of the client's Create.
    fn create_fault(&self) -> Result<Option<DropInFault>, TrialError> {
        let Some((name, yaml)) = self.fault else { return Ok(None) };
        // The command line has been told what is wrong with it.
        let plan =
            FaultPlan::parse(name, yaml).map_err(|error| TrialError::Bug(error.to_string()))?;
        Ok(plan.in_create())
    }

    fn client(
        &self,
        statement: &Statement<'_>,
        brief: &Brief,
        namespace: &str,
        trace: &Path,
        syscalls: &Path,
    ) -> Result<Command, TrialError> {
        let words = self.subject.words(brief);
        let mut all: Vec<OsString> = Vec::new();
        if statement.syscalls {
            let calls = "trace=fsync,fdatasync,syncfs,sync,sync_file_range,msync,openat,open";
            all.extend(["strace", "-f", "-qq", "-e", calls, "-o"].map(OsString::from));
            all.extend([syscalls.into(), "--".into()]);
        }
        if let Some(bytes) = statement.file_limit {
            // Blocks of 512 bytes, as POSIX has it; a refused write is better than a signal.
            let line = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", bytes / 512);
            all.extend(["sh", "-c", &line, "sh"].map(OsString::from));
        }
        if statement.private {
            all.extend(["sh", "-c", "umask 077; exec \"$@\"", "sh"].map(OsString::from));
        }
        all.extend(words);
        let mut command = Command::new(&all[0]);
        command.args(&all[1..]).envs(brief.environment());
        let launch = Launch {
            drop_in: self.drop_in.to_owned(),
            namespace: Some(namespace.to_owned()),
            backend: None,
            trace: self.resident.is_none().then(|| trace.to_owned()),
            shims: None,
        };
        launch.prepare(&mut command).map_err(|error| TrialError::Bug(error.to_string()))?;
        if let Some(unit) = statement.unit {
            command.env("VDISIM_TIMEOUT_UNIT", unit);
        }
        Ok(command)
    }

    /// Where the case's server listens, once it does.
    fn await_server(
        &self,
        server: &mut ProcessGroup,
        folder: &Path,
        said: &Path,
    ) -> Result<SocketAddr, TrialError> {
        let begin = Instant::now();
        loop {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(TrialError::Interrupted);
            }
            match rendezvous::find(folder) {
                Ok(Some(found)) => return Ok(found.address),
                Err(error) => return Err(TrialError::Bug(error.to_string())),
                Ok(None) if server.try_wait()?.is_some() || begin.elapsed() > self.start => {
                    let why = format!("the case's server does not listen; {}", tail(said));
                    return Err(TrialError::Bug(why));
                }
                Ok(None) => thread::sleep(LOOK),
            }
        }
    }

    /// Puts `sqlcmd` and `osql` first on the client's PATH.
    fn put_commands(&self, client: &mut Command, folder: &Path) -> Result<(), TrialError> {
        install_commands(self.vdisim, folder)
            .map_err(|error| TrialError::Bug(error.to_string()))?;
        prepend(client, "PATH", folder);
        Ok(())
    }

    /// Waits until both have ended or nothing moves any more.
    fn watch(
        &self,
        pair: &mut Pair,
        watched: &[PathBuf],
        output: &[PathBuf],
    ) -> Result<(Ended, bool), TrialError> {
        let (mut moved, mut got_on) = (Instant::now(), Instant::now());
        let mut looked = Instant::now();
        let mut sizes = Vec::new();
        loop {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(TrialError::Interrupted);
            }
            let (server, client) = (pair.server.try_wait()?, pair.client.try_wait()?);
            let left = client.is_some() && pair.client.has_members();
            if server.is_some() && client.is_some() {
                return Ok((pair.how_ended(client), left));
            }
            let lingers = left || self.resident.is_some();
            if client.is_some() && (!lingers || moved.elapsed() > LINGER) {
                // A server of SQL clients ends now, or when it has noticed the client's end.
                pair.leash = None;
            }
            if output.iter().any(|path| size(path) > MOST_OUTPUT) {
                let why = format!("the client said more than {MOST_OUTPUT} bytes; it was killed");
                return Ok((Ended::Hung(why), left));
            }
            if looked.elapsed() >= PULSE {
                looked = Instant::now();
                // Behind the server's end nothing that the client calls gets it any further.
                let now: Vec<_> = if server.is_some() {
                    sizes.clone()
                } else {
                    watched.iter().map(|path| size(path)).collect()
                };
                if now.first() != sizes.first() {
                    got_on = looked;
                }
                if now != sizes {
                    (sizes, moved) = (now, looked);
                }
                // Nobody is there any more who could create the set.
                let works_on = self.resident.is_some_and(|agent| agent.crashed().is_none());
                let gone = client.is_some() && !left && !works_on;
                if gone && sizes.first() == Some(&0) {
                    return Ok((pair.how_ended(client), false));
                }
            }
            // Until the server half has seen the set, it is the client's start that takes long.
            let is_starting = sizes.first().is_none_or(|size| *size == 0);
            let stall = if is_starting { self.start } else { self.stall };
            if moved.elapsed() > stall {
                let who = if client.is_none() { "client" } else { "server" };
                let why = format!(
                    "the {who} did not end, and nothing happened for {} s",
                    stall.as_secs_f64()
                );
                return Ok((Ended::Hung(why), left));
            }
            if got_on.elapsed() > stall * PATIENCE {
                let why = format!(
                    "the client called on and on, and got no further for {} s",
                    got_on.elapsed().as_secs()
                );
                return Ok((Ended::Hung(why), left));
            }
            if sizes.get(1).is_some_and(|size| *size > MOST_CALLS) {
                let why =
                    format!("the trace of the client's calls holds more than {MOST_CALLS} bytes");
                return Ok((Ended::Hung(why), left));
            }
            thread::sleep(LOOK);
        }
    }
}

/// Orders the fault where the drop-in looks for it, for as long as this is kept.
fn refuse_create(namespace: &str, fault: DropInFault) -> Result<Rendezvous, TrialError> {
    let bug = |error: vdi_device::Error| TrialError::Bug(error.to_string());
    let mut environment = Environment::from_process().map_err(bug)?;
    environment.namespace = Namespace::new(namespace).map_err(bug)?;
    Rendezvous::leave(&environment, &[fault.setting()]).map_err(bug)
}

/// What the record says of a Create that the plan had fail, if the client called it.
fn refusal(fault: DropInFault, calls: &[Call]) -> Option<Entry> {
    let status = match fault {
        DropInFault::Memory => HResult::VD_E_MEMORY,
        _ => HResult::VD_E_SECURITY,
    };
    let refused = |call: &&Call| call.is("Create") && call.status == status;
    let Call { time, pid, .. } = *calls.iter().find(refused)?;
    let text = format!("drop-in {fault} in Create");
    Some(Entry { time, pid, what: What::Fault { text, cuts: true, is_violent: true } })
}

/// Both processes; dropping it kills what is left of them.
struct Pair {
    server: ProcessGroup,
    client: ProcessGroup,
    /// A server that clients log in to lives as long as this.
    leash: Option<ChildStdin>,
    /// Whether the script kills the client.
    deliberate: bool,
}

impl Pair {
    fn how_ended(&self, status: Option<ExitStatus>) -> Ended {
        let Some(status) = status else { return Ended::Hung("the client did not end".to_owned()) };
        match (status.code(), signal_of(status)) {
            (Some(code), _) => Ended::Code(code),
            (None, Some(9)) if self.deliberate => Ended::Killed,
            (None, signal) => Ended::Signal(signal.unwrap_or(0)),
        }
    }
}

fn is_deadly(script: &Script) -> bool {
    script.steps.contains(&Step::KillClient)
}

fn spawn(mut command: Command, said: &Path) -> Result<ProcessGroup, TrialError> {
    command
        .stdout(File::create(said.with_extension("out"))?)
        .stderr(File::create(said.with_extension("err"))?);
    ProcessGroup::spawn(&mut command).map_err(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        TrialError::NotStarted { program, error }
    })
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |data| data.len())
}

/// The end of what a process said, in one piece.
fn tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let from = bytes.len().saturating_sub(LAST_WORDS);
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}

/// Whether the trace of strace shows that something was synchronised; `None` if strace saw nothing.
fn has_synced(path: &Path) -> Option<bool> {
    let text = fs::read_to_string(path).ok().filter(|text| !text.is_empty())?;
    let calls = ["fsync(", "fdatasync(", "syncfs(", "sync_file_range(", "msync(", " sync("];
    let flags = ["O_SYNC", "O_DSYNC", "O_DIRECT"];
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    Some(calls.iter().any(|call| text.contains(call)) || words.any(|word| flags.contains(&word)))
}

/// The environment of the process that plays a script.
pub(crate) fn play_order(path: &Path) -> Result<(), TrialError> {
    let order: Order = serde_json::from_slice(&fs::read(path)?)
        .map_err(|error| TrialError::Bug(error.to_string()))?;
    let environment =
        Environment::from_process().map_err(|error| TrialError::Bug(error.to_string()))?;
    match &order.desk {
        Some(desk) => front::serve(&environment, &order, desk)
            .map_err(|error| TrialError::Bug(error.to_string())),
        None => Ok(super::player::play(&environment, &order)?),
    }
}

/// A namespace of its own for each case of this run.
pub(crate) fn namespace(number: usize) -> String {
    let name = format!("t{}-{number}", std::process::id());
    debug_assert!(Namespace::new(&name).is_ok());
    name
}
