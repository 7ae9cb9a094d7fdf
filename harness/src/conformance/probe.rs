//! One call of an implementation of the interface in one state, in a process of its own.
//!
//! The loaded drop-in is the client half; the server half is ours or the library's own, in the same
//! process, and takes the set to the state first.

mod mistake;
mod server;
mod serving;

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sqlvdi::caller::{self, BufferError, CallError, CallerDevice, CallerSet, DropIn};
use vdi_device::Environment;
use vdi_protocol::{ClientCall, CompletionCode, HResult, State, VdConfig};

use super::case::{Cell, Trial};
use super::catalogue;
use super::implementation::{LOAD, Server, load};
use super::strays::Clearing;
use super::trial::TrialError;
use crate::process::{ProcessGroup, crash_of};
pub use mistake::Mistake;
use serving::{Serving, ServingDevice, attach};

/// Bytes of the buffers.
const SIZE: u32 = 64 * 1024;

/// The set's name, which is the first device's: another one in each process, for libraries that know
/// no namespaces.
static SET: LazyLock<Vec<u8>> =
    LazyLock::new(|| format!("vdisim-probe-{}", std::process::id()).into_bytes());

/// The second device's name.
const SECOND: &[u8] = b"probe1";

/// How long the halves wait for each other.
const WAIT: Option<Duration> = Some(Duration::from_secs(20));

/// What a probe brought to light.
#[derive(Debug)]
pub(crate) enum Seen {
    /// The status that the call returned.
    Status(HResult),
    /// The two halves did not get to the state of the call; why.
    Unreached(String),
    /// The process died.
    Crash(ExitStatus),
    /// The call did not return.
    Hang,
}

/// Runs a probe's process.
pub(crate) fn run(
    vdisim: &Path,
    drop_in: &Path,
    (id, server, mistake): (&str, Server, Option<Mistake>),
    namespace: &str,
    folder: &Path,
    stall: Duration,
) -> Result<Seen, TrialError> {
    let answer = folder.join("answer");
    let mut command = Command::new(vdisim);
    command
        .args(["probe", id])
        .arg(&answer)
        .env("VDISIM_NAMESPACE", namespace)
        .args(["--server", server.word()])
        .env("VDISIM_SQLVDI", drop_in)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("said"))?);
    if let Some(mistake) = mistake {
        command.args(["--mistake", &mistake.word()]);
    }
    // Dropped behind the process: one that was killed has left its set.
    let _clearing = Clearing { namespace, agent_lives: false };
    let mut group = ProcessGroup::spawn(&mut command)?;
    let Some(status) = group.wait_within(stall)? else { return Ok(Seen::Hang) };
    if crash_of(status).is_some() {
        return Ok(Seen::Crash(status));
    }
    let said = std::fs::read_to_string(folder.join("said")).unwrap_or_default();
    let text = std::fs::read_to_string(&answer)
        .map_err(|_| TrialError::Bug(format!("the probe {id}: {status}; {said}")))?;
    Ok(text.parse().map_or(Seen::Unreached(text), |status| Seen::Status(HResult(status))))
}

/// What a probe's process does: the status of the case's call goes to `answer`, or why it could not
/// be made.
pub(crate) fn probe(
    id: &str,
    answer: &Path,
    server: Server,
    mistake: Option<Mistake>,
) -> Result<(), TrialError> {
    let bug = |error: &dyn std::fmt::Display| TrialError::Bug(error.to_string());
    let path = caller::locate(None).map_err(|error| bug(&error))?;
    if id == LOAD {
        return load(&path, answer);
    }
    let cases = catalogue::all();
    let trial = cases.iter().find(|case| case.id == id).map(|case| &case.trial);
    let drop_in = DropIn::load(&path).map_err(|error| bug(&error))?;
    let environment = Environment::from_process().map_err(|error| bug(&error))?;
    let said = match trial {
        Some(Trial::Cell(cell)) => Bench::new(&drop_in, environment, server).call(cell),
        Some(Trial::ServerCell(cell)) => cell.status(&drop_in, environment, mistake),
        _ => return Err(TrialError::Bug(format!("there is no probe '{id}'"))),
    };
    let seen = |status| mistake.map_or(status, |mistake| mistake.forge(status));
    let said = said.map_or_else(|why| why, |status| seen(status).0.to_string());
    Ok(std::fs::write(answer, said)?)
}

/// Why a state could not be reached, in words.
type Reached<T = ()> = Result<T, String>;

fn word(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Both halves of one set.
struct Bench {
    who_serves: Server,
    drop_in: DropIn,
    environment: Environment,
    set: CallerSet,
    server: Option<Arc<dyn Serving>>,
    servers: Vec<Box<dyn ServingDevice>>,
    device: Option<CallerDevice>,
    agent: Option<JoinHandle<()>>,
    devices: u32,
    /// The set's name, which is the first device's.
    name: &'static [u8],
    /// Milliseconds that the client asks for.
    server_time_out: u32,
}

impl Bench {
    fn new(drop_in: &DropIn, environment: Environment, who_serves: Server) -> Bench {
        Bench {
            who_serves,
            drop_in: drop_in.clone(),
            environment,
            set: CallerSet::new(drop_in),
            server: None,
            servers: Vec::new(),
            device: None,
            agent: None,
            devices: 1,
            name: &SET,
            server_time_out: 0,
        }
    }

    fn config(&self) -> VdConfig {
        VdConfig {
            device_count: self.devices,
            server_time_out: self.server_time_out,
            ..VdConfig::default()
        }
    }

    fn create(&self) -> Reached {
        self.set.create(self.name, &self.config()).map_err(word)
    }

    fn attach(&mut self) -> Reached<Arc<dyn Serving>> {
        let server = attach(self.who_serves, &self.drop_in, &self.environment, self.name, WAIT)?;
        self.server = Some(Arc::clone(&server));
        Ok(server)
    }

    /// What the client's GetConfiguration returns to a set that is being configured: a server may wait
    /// for the client, as the client waits for it.
    fn await_configuration(&mut self) -> Reached<HResult> {
        let server = self.attach()?;
        thread::scope(|scope| {
            let configuring = scope.spawn(|| {
                // Nobody is left to wait for a configuration that does not come.
                server.configure().inspect_err(|_| server.signal_abort())
            });
            let returned = status(self.set.get_configuration(WAIT));
            configuring.join().map_err(|_| "the server's thread panicked")??;
            Ok(returned)
        })
    }

    fn configure(&mut self) -> Reached {
        match self.await_configuration()? {
            HResult::NOERROR => Ok(()),
            status => Err(word(CallError { call: "GetConfiguration", status })),
        }
    }

    fn activate(&mut self) -> Reached {
        let server = self.server.clone().ok_or("no server")?;
        for name in [self.name, SECOND].into_iter().take(self.devices as usize) {
            self.servers.push(server.open_device(name)?);
        }
        // Before the client's device is open, so that no command is sent without an agent.
        self.agent = Some(thread::spawn(move || server.execute_completion_agent()));
        self.device = Some(self.set.open_device(self.name).map_err(word)?);
        Ok(())
    }

    fn terminate(&mut self) -> Reached {
        for device in &self.servers {
            device.close_device()?;
        }
        match self.device.as_ref().ok_or("no device")?.get_command(WAIT) {
            Err(error) if error.status == HResult::VD_E_CLOSE => Ok(()),
            other => Err(format!("GetCommand at the end: {other:?}")),
        }
    }

    /// Takes the client's view of the set to a state, from none.
    fn reach(&mut self, state: State) -> Reached {
        if state == State::DoesNotExist {
            return Ok(());
        }
        self.create()?;
        if matches!(state, State::Configurable | State::Connected) {
            return Ok(());
        }
        if self.who_serves == Server::Nobody && state == State::Abort {
            return self.set.signal_abort().map_err(word);
        }
        self.configure()?;
        if state == State::Initializing {
            return Ok(());
        }
        self.activate()?;
        match state {
            State::Active => Ok(()),
            State::NormallyTerminated => self.terminate(),
            _ => self.set.signal_abort().map_err(word),
        }
    }

    /// Uses the object once and closes it, so that a device of it is left over.
    fn use_up(&mut self) -> Reached {
        self.reach(State::NormallyTerminated)?;
        self.set.close().map_err(word)?;
        self.leave_server();
        Ok(())
    }

    fn leave_server(&mut self) {
        // By the pages nothing else ends the agent, or an abort.
        if let Some(server) = self.server.take() {
            server.close();
        }
        if let Some(agent) = self.agent.take() {
            let _ = agent.join();
        }
        self.servers.clear();
    }

    /// Sends a Write that the client fetches.
    fn command(&self) -> Reached<caller::Command> {
        self.servers.first().ok_or("no device")?.send_write()?;
        self.device.as_ref().ok_or("no device")?.get_command(WAIT).map_err(word)
    }

    /// Makes the case's call; the status it returned.
    fn call(&mut self, cell: &Cell) -> Reached<HResult> {
        let variant = cell.variant;
        match cell.call {
            ClientCall::GetCommand => self.get_command(cell.state, variant),
            ClientCall::CompleteCommand => self.complete_command(cell.state),
            ClientCall::GetBufferHandle => self.get_buffer_handle(),
            ClientCall::MapBufferHandle => self.map_buffer_handle(cell.state, variant),
            ClientCall::OpenDevice => self.open_device(cell.state, variant),
            ClientCall::OpenInSecondary => self.open_in_secondary(cell.state, variant),
            ClientCall::Create => self.create_again(cell.state, variant),
            ClientCall::GetConfiguration => self.get_configuration(cell.state, variant),
            ClientCall::SignalAbort => {
                self.reach(cell.state)?;
                Ok(status(self.set.signal_abort()))
            }
            ClientCall::Close => {
                self.reach(cell.state)?;
                Ok(status(self.set.close()))
            }
        }
    }

    fn create_again(&mut self, state: State, variant: &str) -> Reached<HResult> {
        let mut config = self.config();
        match variant {
            "no-devices" => config.device_count = 0,
            "65-devices" => config.device_count = 65,
            "64-devices" => config.device_count = 64,
            "odd-alignment" => config.alignment = 1000,
            "huge-prefix" => config.prefix_zone_size = u32::MAX,
            "name-taken" => {
                self.create()?;
                return Ok(status(CallerSet::new(&self.drop_in).create(&SET, &config)));
            }
            "after-close" => {
                self.use_up()?;
                return Ok(status(self.set.create(&SET, &config)));
            }
            "backslash" => return Ok(status(self.set.create(b"a\\b", &config))),
            "empty-name" => return Ok(status(self.set.create(b"", &config))),
            "braces" => {
                let name = b"{AA4B3232-1881-4F09-9DBA-0983D553BF46}";
                return Ok(status(self.set.create(name, &config)));
            }
            _ => self.reach(state)?,
        }
        Ok(status(self.set.create(&SET, &config)))
    }

    fn get_configuration(&mut self, state: State, variant: &str) -> Reached<HResult> {
        match variant {
            "timed-out" => {
                self.create()?;
                Ok(status(self.set.get_configuration(Some(Duration::from_millis(20)))))
            }
            "polls" => {
                self.create()?;
                Ok(status(self.set.get_configuration(Some(Duration::ZERO))))
            }
            "aborted-meanwhile" => {
                self.create()?;
                let server = self.attach()?;
                let aborting = thread::spawn(move || {
                    thread::sleep(Duration::from_millis(30));
                    server.signal_abort();
                });
                let returned = status(self.set.get_configuration(WAIT));
                let _ = aborting.join();
                Ok(returned)
            }
            _ if state == State::Configurable => {
                self.create()?;
                self.await_configuration()
            }
            _ => {
                self.reach(state)?;
                Ok(status(self.set.get_configuration(WAIT)))
            }
        }
    }

    fn open_device(&mut self, state: State, variant: &str) -> Reached<HResult> {
        let open = |set: &CallerSet, name| status(set.open_device(name).map(drop));
        match variant {
            "unknown-name" => {
                self.reach(State::Initializing)?;
                // A name becomes the set's when the server opens it.
                let server = self.server.clone().ok_or("no server")?;
                self.servers.push(server.open_device(&SET)?);
                Ok(open(&self.set, b"nobody"))
            }
            "already-open" => {
                self.devices = 2;
                self.reach(State::Active)?;
                Ok(open(&self.set, &SET))
            }
            "all-open" => {
                self.reach(State::Active)?;
                Ok(open(&self.set, &SET))
            }
            "second-device" => {
                self.devices = 2;
                self.reach(State::Active)?;
                Ok(open(&self.set, SECOND))
            }
            _ => {
                self.reach(state)?;
                Ok(open(&self.set, &SET))
            }
        }
    }

    fn get_command(&mut self, state: State, variant: &str) -> Reached<HResult> {
        match (variant, state) {
            ("", State::DoesNotExist) => self.use_up()?,
            ("", State::Configurable | State::Initializing) => {
                self.use_up()?;
                self.set.create(&SET, &self.config()).map_err(word)?;
                if state == State::Initializing {
                    self.configure()?;
                }
            }
            ("", State::Active) => {
                self.reach(state)?;
                self.servers.first().ok_or("no device")?.send_write()?;
            }
            ("closed", _) => {
                self.reach(State::Active)?;
                for device in &self.servers {
                    device.close_device()?;
                }
            }
            ("one-of-two-closed", _) => {
                self.devices = 2;
                self.reach(State::Active)?;
                self.servers[0].close_device()?;
            }
            ("aborted-by-server", _) => {
                self.reach(State::Active)?;
                self.server.as_ref().ok_or("no server")?.signal_abort();
            }
            ("aborted-meanwhile", _) => {
                self.reach(State::Active)?;
                let set = self.set.clone();
                let aborting = thread::spawn(move || {
                    thread::sleep(Duration::from_millis(30));
                    let _ = set.signal_abort();
                });
                let returned = self.next_command(WAIT)?;
                let _ = aborting.join();
                return Ok(returned);
            }
            ("held-too-long", _) => {
                self.server_time_out = 50;
                self.reach(State::Active)?;
                let _held = self.command()?;
                return self.next_command(WAIT);
            }
            ("timed-out", _) => {
                self.reach(State::Active)?;
                return self.next_command(Some(Duration::from_millis(20)));
            }
            ("polls", _) => {
                self.reach(State::Active)?;
                return self.next_command(Some(Duration::ZERO));
            }
            _ => self.reach(state)?,
        }
        self.next_command(WAIT)
    }

    fn next_command(&self, wait: Option<Duration>) -> Reached<HResult> {
        Ok(status(self.device.as_ref().ok_or("no device")?.get_command(wait).map(drop)))
    }

    fn complete_command(&mut self, state: State) -> Reached<HResult> {
        self.reach(State::Active)?;
        let command = self.command()?;
        match state {
            State::Active => {}
            State::NormallyTerminated => self.terminate()?,
            State::Abort => self.set.signal_abort().map_err(word)?,
            _ => {
                // The set is closed under the command, and perhaps made anew.
                let _ = self.set.close();
                self.leave_server();
                if state != State::DoesNotExist {
                    self.create()?;
                }
                if state == State::Initializing {
                    self.configure()?;
                }
            }
        }
        Ok(status(command.complete(CompletionCode::ERROR_SUCCESS, u64::from(SIZE), 0)))
    }

    fn get_buffer_handle(&mut self) -> Reached<HResult> {
        self.reach(State::Active)?;
        Ok(status(self.command()?.buffer_handle().map(drop)))
    }

    fn map_buffer_handle(&mut self, state: State, variant: &str) -> Reached<HResult> {
        // What has to be refused is not looked at if it is not.
        let ask = |set: &CallerSet, handle| Ok(status(set.buffer_address(handle)));
        let map = |set: &CallerSet, handle| match set.map_buffer_handle(handle, SIZE) {
            Ok(_) => Ok(HResult::NOERROR),
            Err(BufferError::Call(error)) => Ok(error.status),
            Err(error) => Err(error.to_string()),
        };
        self.reach(if variant.is_empty() { state } else { State::Active })?;
        match variant {
            "zero" => ask(&self.set, 0),
            "all-ones" => ask(&self.set, u32::MAX),
            "made-up" => {
                let handle = self.command()?.buffer_handle().map_err(word)?;
                ask(&self.set, handle ^ 0x0000_5A00)
            }
            "other-set" => {
                let handle = self.command()?.buffer_handle().map_err(word)?;
                let environment = self.environment.clone();
                let mut other = Bench::new(&self.drop_in, environment, self.who_serves);
                other.name = b"other";
                other.reach(State::Active)?;
                ask(&other.set, handle)
            }
            "own" => {
                let command = self.command()?;
                map(&self.set, command.buffer_handle().map_err(word)?)
            }
            "secondary" => {
                let handle = self.command()?.buffer_handle().map_err(word)?;
                let secondary = CallerSet::new(&self.drop_in);
                secondary.open_in_secondary(&SET).map_err(word)?;
                map(&secondary, handle)
            }
            _ => ask(&self.set, 1),
        }
    }

    fn open_in_secondary(&mut self, state: State, variant: &str) -> Reached<HResult> {
        let join = |set: &CallerSet, name| status(set.open_in_secondary(name));
        let secondary = CallerSet::new(&self.drop_in);
        match variant {
            "no-such-set" => Ok(join(&secondary, b"nobody")),
            "other-case" => {
                self.reach(State::Initializing)?;
                Ok(join(&secondary, &SET.to_ascii_uppercase()))
            }
            "already-in-set" => {
                self.reach(State::Initializing)?;
                secondary.open_in_secondary(&SET).map_err(word)?;
                Ok(join(&secondary, &SET))
            }
            "primary" => {
                self.reach(State::Initializing)?;
                Ok(join(&self.set, &SET))
            }
            _ => {
                self.reach(state)?;
                Ok(join(&secondary, &SET))
            }
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.signal_abort();
        }
        let _ = self.set.close();
        self.leave_server();
    }
}

fn status<T>(result: Result<T, CallError>) -> HResult {
    match result {
        Ok(_) => HResult::NOERROR,
        Err(error) => error.status,
    }
}
