//! One call of the server half in one state. The loaded drop-in is the client half, which goes along.

use std::sync::{Arc, mpsc};

use vdi_device::{Error, Request, ServerDevice, ServerSet};
use vdi_protocol::state::{Condition, ServerCall};
use vdi_protocol::{CommandCode, DeviceEvent, DeviceState};

use super::serving::decided;
use super::*;
use crate::conformance::case::{Circumstance, ServerCell};
use crate::conformance::implementation::Server as Half;

/// Bytes that are asked for where any buffer will do.
const SMALL: u32 = 512;

impl ServerCell {
    /// Makes the cell's call over a set of two devices; the status that it returned.
    pub(super) fn status(
        self,
        drop_in: &DropIn,
        environment: Environment,
        mistake: Option<Mistake>,
    ) -> Reached<HResult> {
        let mut bench = Bench::new(drop_in, environment, Half::Ours);
        bench.devices = 2;
        let mut server = Server { bench, set: None, devices: Vec::new(), mistake };
        match self.circumstance {
            Circumstance::Plain => server.call(self.call, self.state),
            Circumstance::Condition(condition) => server.under(self.call, self.state, condition),
            Circumstance::Device(event, state) => server.of_device(event, state),
        }
    }
}

/// Both halves, seen from the server's.
struct Server {
    /// The client's half; of the server's it knows the set alone, to leave it.
    bench: Bench,
    set: Option<ServerSet>,
    devices: Vec<ServerDevice>,
    mistake: Option<Mistake>,
}

impl Server {
    fn set(&self) -> Reached<&ServerSet> {
        self.set.as_ref().ok_or_else(|| "no server".to_owned())
    }

    fn device(&self) -> Reached<&ServerDevice> {
        self.devices.first().ok_or_else(|| "no device".to_owned())
    }

    fn begin(&self, max_transfer_size: u32) -> Reached<HResult> {
        let set = self.set()?;
        let asked = set.get_configuration().unwrap_or_else(|_| VdConfig::default());
        Ok(status(set.begin_configuration(&decided(&asked, max_transfer_size))))
    }

    fn signal_abort(&self) -> Reached {
        if self.mistake != Some(Mistake::NeverAborts) {
            self.set()?.signal_abort();
        }
        Ok(())
    }

    /// Takes the server's view of the set to a state; Does Not Exist is a set that was closed. In
    /// Active the first device is open on both sides, and no completion agent runs.
    fn reach(&mut self, state: State) -> Reached {
        self.bench.create()?;
        let (environment, name) = (&self.bench.environment, self.bench.name);
        let set = ServerSet::wait_open(environment, Some(name), WAIT).map_err(word)?;
        self.serve(set.clone());
        if state == State::Connected {
            return Ok(());
        }
        succeed("BeginConfiguration", self.begin(SIZE)?)?;
        if state == State::Configurable {
            return Ok(());
        }
        set.request_buffers(SIZE, 0, 4).map_err(word)?;
        set.end_configuration().map_err(word)?;
        self.bench.set.get_configuration(WAIT).map_err(word)?;
        if state == State::Initializing {
            return Ok(());
        }
        self.open(&SET)?;
        match state {
            State::DoesNotExist => {
                self.terminate()?;
                self.bench.set.close().map_err(word)?;
                set.close().map_err(word)
            }
            State::NormallyTerminated => self.terminate(),
            State::Abort => self.signal_abort(),
            _ => Ok(()),
        }
    }

    /// Opens the next device on both sides.
    fn open(&mut self, name: &'static [u8]) -> Reached<CallerDevice> {
        self.devices.push(self.set()?.open_device(name).map_err(word)?);
        let device = self.bench.set.open_device(name).map_err(word)?;
        self.bench.device.get_or_insert(device.clone());
        Ok(device)
    }

    fn terminate(&mut self) -> Reached {
        let second = self.open(SECOND)?;
        let first = self.bench.device.clone().ok_or("no device")?;
        for device in &self.devices {
            device.close_device().map_err(word)?;
        }
        [first, second].iter().try_for_each(|device| match device.get_command(WAIT) {
            Err(error) if error.status == HResult::VD_E_CLOSE => Ok(()),
            other => Err(format!("GetCommand at the end: {other:?}")),
        })
    }

    fn call(&mut self, call: ServerCall, state: State) -> Reached<HResult> {
        if call == ServerCall::Open {
            self.bench.create()?;
            return Ok(status(self.open_set(&SET)));
        }
        self.reach(state)?;
        let set = self.set()?.clone();
        Ok(match call {
            ServerCall::Open => HResult::VD_E_UNEXPECTED,
            ServerCall::GetConfiguration => status(set.get_configuration()),
            ServerCall::BeginConfiguration => self.begin(SIZE)?,
            ServerCall::RequestBuffers => status(set.request_buffers(SMALL, 0, 1)),
            ServerCall::QueryAvailableBuffers => status(set.query_available_buffers(SMALL, 0)),
            ServerCall::EndConfiguration => status(set.end_configuration()),
            ServerCall::OpenDevice => {
                status(set.open_device(if state == State::Active { SECOND } else { &SET }))
            }
            ServerCall::ExecuteCompletionAgent => self.run_agent(state)?,
            ServerCall::AllocateBuffer => status(set.allocate_buffer(SMALL, 0)),
            ServerCall::FreeBuffer => free_buffer(&set)?,
            ServerCall::IsSharedBuffer => is_shared_buffer(&set)?,
            ServerCall::SendCommand => status(self.device()?.send_command(request(FLUSH))),
            ServerCall::CloseDevice => status(self.device()?.close_device()),
            ServerCall::SignalAbort => {
                self.signal_abort()?;
                // It returns nothing: what it has done is seen.
                match status(set.get_configuration()) {
                    HResult::VD_E_ABORT => HResult::NOERROR,
                    other => unexpected("the set is not aborted", other),
                }
            }
            ServerCall::Close => status(set.close()),
        })
    }

    fn open_set(&mut self, name: &[u8]) -> Result<(), Error> {
        let environment = &self.bench.environment;
        let set = ServerSet::open(environment, None, name)?;
        self.serve(set);
        Ok(())
    }

    fn serve(&mut self, set: ServerSet) {
        self.bench.server = Some(Arc::new(set.clone()));
        self.set = Some(set);
    }

    /// The agent's work goes on until every device is closed, which has to happen meanwhile.
    fn run_agent(&mut self, state: State) -> Reached<HResult> {
        let set = self.set()?.clone();
        if !matches!(state, State::Initializing | State::Active) {
            return Ok(status(set.execute_completion_agent()));
        }
        let agent = thread::spawn(move || status(set.execute_completion_agent()));
        thread::sleep(MOMENT);
        if agent.is_finished() {
            return Ok(unexpected("the agent left early", joined(agent)?));
        }
        self.close_all()?;
        joined(agent)
    }

    /// Opens what devices are left and closes all.
    fn close_all(&mut self) -> Reached {
        for name in [SET.as_slice(), SECOND].into_iter().skip(self.devices.len()) {
            let device = self.set()?.open_device(name).map_err(word)?;
            self.devices.push(device);
        }
        self.devices.iter().try_for_each(|device| device.close_device().map_err(word))
    }

    fn under(&mut self, call: ServerCall, state: State, condition: Condition) -> Reached<HResult> {
        if condition == Condition::NoSuchSet {
            return Ok(status(self.open_set(b"nobody")));
        }
        self.reach(state)?;
        let set = self.set()?.clone();
        Ok(match (call, condition) {
            (_, Condition::ConfigurationRefused) => self.begin(1)?,
            (ServerCall::RequestBuffers, Condition::OutOfMemory) => status(ask_for_all(&set)),
            (ServerCall::EndConfiguration, Condition::OutOfMemory) => {
                ask_for_all(&set).map_err(word)?;
                status(set.end_configuration())
            }
            (ServerCall::AllocateBuffer, Condition::OutOfMemory) => {
                let free = set.query_available_buffers(SMALL, 0).map_err(word)?;
                let take = |_| set.allocate_buffer(SMALL, 0).map_err(word);
                let taken = (0..free).map(take).collect::<Reached<Vec<_>>>()?;
                let returned = status(set.allocate_buffer(SMALL, 0));
                drop(taken);
                returned
            }
            (_, Condition::AllDevicesOpen) => {
                self.open(SECOND)?;
                status(set.open_device(b"probe2"))
            }
            (_, Condition::AgentRunning) => self.run_two_agents()?,
            (_, Condition::AbortedMeanwhile) => {
                let agent = thread::spawn(move || status(set.execute_completion_agent()));
                thread::sleep(MOMENT);
                self.signal_abort()?;
                joined(agent)?
            }
            (_, Condition::QueueFull) => {
                let device = self.device()?;
                let send = || device.send_command(request(FLUSH));
                (0..vdi_device::MAX_OUTSTANDING).try_for_each(|_| send()).map_err(word)?;
                status(send())
            }
            (_, Condition::DeviceInError) => {
                self.fail_device()?;
                status(self.device()?.send_command(request(FLUSH)))
            }
            (ServerCall::SendCommand, Condition::DeviceClosed) => {
                self.device()?.close_device().map_err(word)?;
                status(self.device()?.send_command(request(FLUSH)))
            }
            (_, Condition::DeviceClosed) => {
                self.device()?.close_device().map_err(word)?;
                status(self.device()?.close_device())
            }
            (_, Condition::LastDeviceClosed) => {
                self.open(SECOND)?;
                self.device()?.close_device().map_err(word)?;
                status(self.devices[1].close_device())
            }
            (_, Condition::DevicesOpen) => status(set.close()),
            other => return Err(format!("nobody can bring about {other:?}")),
        })
    }

    /// Which of two agents comes second is refused, while the other works on.
    fn run_two_agents(&mut self) -> Reached<HResult> {
        let (ended, results) = mpsc::channel();
        for _ in 0..2 {
            let (ended, set) = (ended.clone(), self.set()?.clone());
            thread::spawn(move || ended.send(status(set.execute_completion_agent())));
        }
        let second = results.recv().map_err(word)?;
        self.close_all()?;
        match results.recv().map_err(word)? {
            HResult::NOERROR => Ok(second),
            other => Ok(unexpected("the first agent failed", other)),
        }
    }

    fn of_device(&mut self, event: DeviceEvent, state: DeviceState) -> Reached<HResult> {
        self.reach(State::Active)?;
        match state {
            DeviceState::Active => {}
            DeviceState::IoError => self.fail_device()?,
            DeviceState::Closed => self.device()?.close_device().map_err(word)?,
        }
        let device = self.device()?;
        Ok(match event {
            DeviceEvent::CloseDevice => status(device.close_device()),
            _ => status(device.send_command(request(CommandCode::CLEAR_ERROR))),
        })
    }

    /// Has the client fail a command.
    fn fail_device(&self) -> Reached {
        let client = self.bench.device.clone().ok_or("no device")?;
        let failing = thread::spawn(move || {
            let command = client.get_command(WAIT).map_err(word)?;
            command.complete(CompletionCode::ERROR_WRITE_FAULT, 0, 0).map_err(word)
        });
        self.device()?.execute(FLUSH, 0, 0, None).map_err(word)?;
        failing.join().map_err(|_| "the client's thread panicked".to_owned())?
    }
}

const FLUSH: CommandCode = CommandCode::FLUSH;

/// How long a thread gets to be where it is to be met.
const MOMENT: Duration = Duration::from_millis(30);

fn request(code: CommandCode) -> Request {
    Request { code, size: 0, position: 0, buffer: None, context: 0, routine: Arc::new(drop) }
}

/// More buffers than any machine has memory for.
fn ask_for_all(set: &ServerSet) -> Result<(), Error> {
    set.request_buffers(1 << 31, 0, 1 << 16)
}

/// It returns nothing: a buffer that was given back can be had again.
fn free_buffer(set: &ServerSet) -> Reached<HResult> {
    let free = || set.query_available_buffers(SMALL, 0).map_err(word);
    let before = free()?;
    let buffer = set.allocate_buffer(SMALL, 0).map_err(word)?;
    let meanwhile = free()?;
    set.free_buffer(buffer);
    Ok(match (meanwhile < before, free()? == before) {
        (true, true) => HResult::NOERROR,
        _ => HResult::VD_E_UNEXPECTED,
    })
}

/// It tells yes or no: yes of a buffer, no of what lies within one and of what is none.
fn is_shared_buffer(set: &ServerSet) -> Reached<HResult> {
    let buffer = set.allocate_buffer(SMALL, 0).map_err(word)?;
    let start = buffer.as_ptr().cast_const();
    let knows = set.is_shared_buffer(start)
        && !set.is_shared_buffer(start.wrapping_add(1))
        && !set.is_shared_buffer(std::ptr::dangling());
    Ok(if knows { HResult::NOERROR } else { HResult::VD_E_UNEXPECTED })
}

fn succeed(call: &str, returned: HResult) -> Reached {
    match returned {
        HResult::NOERROR => Ok(()),
        other => Err(format!("{call} returned {other}")),
    }
}

fn unexpected(why: &str, returned: HResult) -> HResult {
    eprintln!("{why}: {returned}");
    HResult::VD_E_UNEXPECTED
}

fn joined(thread: JoinHandle<HResult>) -> Reached<HResult> {
    thread.join().map_err(|_| "a thread of the server half panicked".to_owned())
}

fn status<T>(result: Result<T, Error>) -> HResult {
    result.map_or_else(|error| error.status(), |_| HResult::NOERROR)
}
