//! Every call in every state, held against the tables of the protocol.

mod support;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rstest::rstest;
use support::{client_config, environment, objects_left, server_config, watched};
use vdi_device::{ClientDevice, ClientSet, Environment, Error, Request, ServerDevice, ServerSet};
use vdi_protocol::{
    CommandCode, CompletionCode, HResult, VdConfig,
    state::{Cell, ClientCall, Condition, ServerCall, State, client_transition, server_transition},
};
use vdi_region::Backend;

const NOW: Option<Duration> = Some(Duration::ZERO);
const NAME: &[u8] = b"set";
const SECOND: &[u8] = b"set1";

fn status<T>(result: Result<T, Error>) -> HResult {
    result.map_or_else(|error| error.status(), |_| HResult::NOERROR)
}

fn bare<T>(result: Result<T, HResult>) -> HResult {
    result.map_or_else(|status| status, |_| HResult::NOERROR)
}

/// A set of two devices in some state. In Active the first device is open on both sides.
struct Fixture {
    environment: Environment,
    client: ClientSet,
    /// Of an earlier set of the same object until a device of this set is open.
    device: ClientDevice,
    server: Option<ServerSet>,
    server_devices: Vec<ServerDevice>,
}

impl Fixture {
    fn new(backend: Backend) -> Fixture {
        let environment = environment(backend);
        let client = ClientSet::new(environment.clone());
        let mut fixture = Fixture {
            device: stale_device(&client, &environment),
            environment,
            client,
            server: None,
            server_devices: Vec::new(),
        };
        fixture.client.create(NAME, &client_config(2)).unwrap();
        fixture.server = Some(ServerSet::open(&fixture.environment, None, NAME).unwrap());
        fixture
    }

    fn server(&self) -> &ServerSet {
        self.server.as_ref().unwrap()
    }

    fn configure(&self) {
        self.server().begin_configuration(&server_config()).unwrap();
        self.server().request_buffers(65536, 0, 2).unwrap();
    }

    fn open_first(&mut self) {
        self.server_devices.push(self.server().open_device(NAME).unwrap());
        self.device = self.client.open_device(NAME).unwrap();
    }

    fn terminate(&mut self) {
        self.server_devices.push(self.server().open_device(SECOND).unwrap());
        let second = self.client.open_device(SECOND).unwrap();
        for device in &self.server_devices {
            device.close_device().unwrap();
        }
        for device in [&self.device, &second] {
            assert_eq!(device.get_command(NOW), Err(HResult::VD_E_CLOSE));
        }
    }

    /// A set in `state`, as both halves see it.
    fn in_state(backend: Backend, state: State) -> Fixture {
        let mut fixture = Fixture::new(backend);
        if state == State::Connected {
            return fixture;
        }
        fixture.configure();
        if state == State::Configurable {
            return fixture;
        }
        fixture.server().end_configuration().unwrap();
        fixture.client.get_configuration(None).unwrap();
        if state == State::Initializing {
            return fixture;
        }
        fixture.open_first();
        match state {
            State::DoesNotExist => {
                fixture.terminate();
                fixture.client.close().unwrap();
                fixture.server().close().unwrap();
            }
            State::NormallyTerminated => fixture.terminate(),
            State::Abort => fixture.server().signal_abort(),
            _ => {}
        }
        fixture
    }

    /// The address at which the client has a buffer of the set, while it has one.
    fn buffer(&self) -> (*const u8, u32) {
        let buffer = match self.server().allocate_buffer(512, 0) {
            Ok(buffer) => buffer,
            Err(_) => return (std::ptr::dangling(), 1 << 23),
        };
        let handle = buffer.handle();
        (self.client.map_buffer_handle(handle).unwrap_or(std::ptr::dangling_mut()), handle)
    }

    fn leave(self) {
        let _ = self.client.close();
        if let Some(server) = &self.server {
            let _ = server.close();
        }
        assert_eq!(objects_left(&self.environment), Vec::<String>::new());
    }
}

/// A device of a set that the object has closed.
fn stale_device(client: &ClientSet, environment: &Environment) -> ClientDevice {
    client.create(b"earlier", &client_config(1)).unwrap();
    let server = ServerSet::open(environment, None, b"earlier").unwrap();
    server.begin_configuration(&server_config()).unwrap();
    server.end_configuration().unwrap();
    client.get_configuration(None).unwrap();
    let closing = server.open_device(b"earlier").unwrap();
    let device = client.open_device(b"earlier").unwrap();
    closing.close_device().unwrap();
    assert_eq!(device.get_command(NOW), Err(HResult::VD_E_CLOSE));
    client.close().unwrap();
    server.close().unwrap();
    device
}

fn request(code: CommandCode) -> Request {
    Request { code, size: 0, position: 0, buffer: None, context: 0, routine: Arc::new(|_| {}) }
}

/// The client's state by what its calls answer. Initializing and Active differ only in that a device
/// is open.
fn client_state(fixture: &Fixture) -> State {
    match status(fixture.client.get_configuration(NOW)) {
        HResult::VD_E_PROTOCOL => State::DoesNotExist,
        HResult::VD_E_TIMEOUT => State::Configurable,
        HResult::VD_E_ABORT => State::Abort,
        HResult::NOERROR => {
            let sibling = ClientSet::new(fixture.environment.clone());
            match status(sibling.open_in_secondary(NAME)) {
                HResult::VD_E_PROTOCOL => State::NormallyTerminated,
                HResult::NOERROR => State::Active,
                other => panic!("{other}"),
            }
        }
        other => panic!("{other}"),
    }
}

/// The server's state by what its calls answer.
fn server_state(server: &ServerSet) -> State {
    let refused = vdi_protocol::ServerConfig { block_size: 3, ..server_config() };
    match status(server.get_configuration()) {
        HResult::VD_E_PROTOCOL => State::DoesNotExist,
        HResult::VD_E_ABORT => State::Abort,
        HResult::NOERROR => match status(server.begin_configuration(&refused)) {
            HResult::VD_E_INVALID => State::Connected,
            _ if server.allocate_buffer(512, 0).is_ok() => State::Active,
            _ if server.query_available_buffers(512, 0).is_ok() => State::Configurable,
            _ => State::NormallyTerminated,
        },
        other => panic!("{other}"),
    }
}

/// States that the calls of the half under test can tell apart.
fn seen_by_client(state: State) -> State {
    match state {
        State::Connected => State::Configurable,
        State::Initializing => State::Active,
        other => other,
    }
}

fn seen_by_server(state: State) -> State {
    if state == State::Initializing { State::Active } else { state }
}

fn call_client(fixture: &mut Fixture, call: ClientCall, state: State) -> HResult {
    let client = &fixture.client;
    match call {
        ClientCall::Create => status(client.create(NAME, &client_config(2))),
        ClientCall::OpenInSecondary => {
            status(ClientSet::new(fixture.environment.clone()).open_in_secondary(NAME))
        }
        ClientCall::GetConfiguration => {
            match state {
                State::Connected => {
                    fixture.configure();
                    fixture.server().end_configuration().unwrap();
                }
                State::Configurable => fixture.server().end_configuration().unwrap(),
                _ => {}
            }
            status(client.get_configuration(None))
        }
        ClientCall::OpenDevice => {
            let name = if state == State::Active { SECOND } else { NAME };
            if let Some(server) = &fixture.server
                && state == State::Active
            {
                server.open_device(SECOND).unwrap();
            }
            status(client.open_device(name))
        }
        ClientCall::GetCommand => {
            if state == State::Active {
                fixture.server_devices[0].send_command(request(CommandCode::FLUSH)).unwrap();
            }
            bare(fixture.device.get_command(NOW))
        }
        ClientCall::CompleteCommand => {
            let mut id = 0;
            if state == State::Active {
                fixture.server_devices[0].send_command(request(CommandCode::FLUSH)).unwrap();
                id = fixture.device.get_command(None).unwrap().id;
            }
            bare(fixture.device.complete_command(id, CompletionCode::ERROR_SUCCESS, 0, 0))
        }
        ClientCall::GetBufferHandle => {
            let (address, _) = BUFFER.with(std::cell::Cell::get).unwrap_or(fixture.buffer());
            bare(client.get_buffer_handle(address))
        }
        ClientCall::MapBufferHandle => {
            let (_, handle) = BUFFER.with(std::cell::Cell::get).unwrap_or(fixture.buffer());
            bare(client.map_buffer_handle(handle))
        }
        ClientCall::SignalAbort => status(client.signal_abort()),
        ClientCall::Close => status(client.close()),
    }
}

thread_local! {
    /// A buffer that was known before the set went into a state in which none is given out.
    static BUFFER: std::cell::Cell<Option<(*const u8, u32)>> = const { std::cell::Cell::new(None) };
}

/// As [`Fixture::in_state`], remembering a buffer from the time when the set was Active.
fn client_fixture(backend: Backend, state: State) -> Fixture {
    BUFFER.set(None);
    if !matches!(state, State::NormallyTerminated | State::Abort | State::DoesNotExist) {
        return Fixture::in_state(backend, state);
    }
    let mut fixture = Fixture::in_state(backend, State::Active);
    BUFFER.set(Some(fixture.buffer()));
    match state {
        State::Abort => fixture.server().signal_abort(),
        _ => fixture.terminate(),
    }
    if state == State::DoesNotExist {
        fixture.client.close().unwrap();
        fixture.server().close().unwrap();
    }
    fixture
}

/// Catches: a call allowed in a state where the table refuses it or the other way round, another code,
/// a state that does not change or changes where it should not.
#[rstest]
fn the_client_keeps_its_table(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        for call in ClientCall::ALL {
            for state in State::ALL {
                let cell = client_transition(call, state);
                let mut fixture = client_fixture(backend, state);
                // With a device open that the server has not closed, Close is one of the exceptions.
                let expected = match (call, state) {
                    (ClientCall::Close, State::Active) => {
                        cell.when(Condition::DevicesOpen).unwrap()
                    }
                    _ => cell,
                };
                let result = call_client(&mut fixture, call, state);
                assert_eq!(result, expected.result, "{call:?} in {state}");
                let after = client_state(&fixture);
                assert_eq!(after, seen_by_client(expected.next), "{call:?} in {state}: the state");
                fixture.leave();
            }
        }
    });
}

fn except_client(
    backend: Backend,
    call: ClientCall,
    state: State,
    condition: Condition,
) -> (Fixture, HResult) {
    let mut fixture = client_fixture(backend, state);
    let result = match (call, condition) {
        (ClientCall::Create, Condition::NameTaken) => {
            let other = ClientSet::new(fixture.environment.clone());
            other.create(NAME, &client_config(1)).unwrap();
            let result = status(fixture.client.create(NAME, &client_config(1)));
            other.close().unwrap();
            result
        }
        (ClientCall::Create, Condition::ConfigurationRefused) => {
            status(fixture.client.create(NAME, &VdConfig { alignment: 3, ..client_config(1) }))
        }
        (ClientCall::OpenInSecondary, Condition::AlreadyInSet) => {
            status(fixture.client.open_in_secondary(NAME))
        }
        (ClientCall::OpenInSecondary, Condition::NoSuchSet) => {
            status(ClientSet::new(fixture.environment.clone()).open_in_secondary(b"SET"))
        }
        (ClientCall::GetConfiguration, Condition::TimedOut) => {
            status(fixture.client.get_configuration(Some(Duration::from_millis(5))))
        }
        (ClientCall::GetConfiguration, Condition::AbortedMeanwhile) => thread::scope(|scope| {
            let waiting = scope.spawn(|| status(fixture.client.get_configuration(None)));
            thread::sleep(Duration::from_millis(5));
            fixture.server().signal_abort();
            waiting.join().unwrap()
        }),
        (ClientCall::OpenDevice, Condition::UnknownName) => {
            for name in [NAME, SECOND].into_iter().skip(fixture.server_devices.len()) {
                fixture.server().open_device(name).unwrap();
            }
            status(fixture.client.open_device(b"unknown"))
        }
        (ClientCall::OpenDevice, Condition::DeviceAlreadyOpen) => {
            if state == State::Initializing {
                // Opened in another process of the set, whose state is Active by that.
                let sibling = ClientSet::new(fixture.environment.clone());
                sibling.open_in_secondary(NAME).unwrap();
                let opened = sibling.open_device(NAME).unwrap();
                let result = status(fixture.client.open_device(NAME));
                drop((opened, sibling));
                return (fixture, result);
            }
            status(fixture.client.open_device(NAME))
        }
        (ClientCall::OpenDevice, Condition::AllDevicesOpen) => {
            for name in [NAME, SECOND].into_iter().skip(fixture.server_devices.len()) {
                fixture.server().open_device(name).unwrap();
                fixture.client.open_device(name).unwrap();
            }
            // Asked before the name is.
            status(fixture.client.open_device(b"unknown"))
        }
        (ClientCall::GetCommand, Condition::TimedOut) => {
            bare(fixture.device.get_command(Some(Duration::from_millis(5))))
        }
        (ClientCall::GetCommand, Condition::DeviceClosed) => {
            fixture.server_devices[0].close_device().unwrap();
            assert_eq!(fixture.device.get_command(None), Err(HResult::VD_E_CLOSE));
            // Again, as long as another device has not been told.
            bare(fixture.device.get_command(None))
        }
        (ClientCall::GetCommand, Condition::LastDeviceClosed) => {
            fixture.server_devices.push(fixture.server().open_device(SECOND).unwrap());
            let second = fixture.client.open_device(SECOND).unwrap();
            fixture.server_devices.iter().for_each(|device| device.close_device().unwrap());
            assert_eq!(second.get_command(None), Err(HResult::VD_E_CLOSE));
            bare(fixture.device.get_command(None))
        }
        (ClientCall::GetCommand, Condition::AbortedMeanwhile) => thread::scope(|scope| {
            let waiting = scope.spawn(|| bare(fixture.device.get_command(None)));
            thread::sleep(Duration::from_millis(5));
            fixture.server().signal_abort();
            waiting.join().unwrap()
        }),
        (ClientCall::CompleteCommand, Condition::NotACommand) => {
            fixture.server_devices[0].send_command(request(CommandCode::FLUSH)).unwrap();
            let id = fixture.device.get_command(None).unwrap().id;
            let complete =
                |id| bare(fixture.device.complete_command(id, CompletionCode::ERROR_SUCCESS, 0, 0));
            assert_eq!(complete(id), HResult::NOERROR);
            assert_eq!(complete(u32::MAX), HResult::VD_E_INVALID);
            complete(id)
        }
        (ClientCall::CompleteCommand, Condition::DeviceClosed) => {
            fixture.server_devices[0].close_device().unwrap();
            assert_eq!(fixture.device.get_command(None), Err(HResult::VD_E_CLOSE));
            bare(fixture.device.complete_command(0, CompletionCode::ERROR_SUCCESS, 0, 0))
        }
        (ClientCall::GetBufferHandle, Condition::NotABuffer) => {
            bare(fixture.client.get_buffer_handle(std::ptr::dangling()))
        }
        (ClientCall::MapBufferHandle, Condition::NotABuffer) => {
            bare(fixture.client.map_buffer_handle(0))
        }
        (ClientCall::Close, Condition::DevicesOpen) => status(fixture.client.close()),
        other => panic!("no test makes {other:?} happen"),
    };
    (fixture, result)
}

/// Conditions that need a machine short of memory have a test of their own with real processes.
fn needs_a_full_machine(condition: Condition) -> bool {
    condition == Condition::OutOfMemory
}

/// Catches: a condition that has another code than the table says, or is not looked at.
#[rstest]
fn the_client_keeps_its_exceptions(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        for call in ClientCall::ALL {
            for state in State::ALL {
                for (condition, cell) in client_transition(call, state).exceptions() {
                    if needs_a_full_machine(condition) {
                        continue;
                    }
                    let (fixture, result) = except_client(backend, call, state, condition);
                    check_client(&fixture, result, &cell, (call, state, condition));
                    fixture.leave();
                }
            }
        }
    });
}

fn check_client(
    fixture: &Fixture,
    result: HResult,
    cell: &Cell,
    what: (ClientCall, State, Condition),
) {
    assert_eq!(result, cell.result, "{what:?}");
    // A sibling that leaves its device open takes the set with it, which is another cell.
    if what != (ClientCall::OpenDevice, State::Initializing, Condition::DeviceAlreadyOpen) {
        assert_eq!(client_state(fixture), seen_by_client(cell.next), "{what:?}: the state");
    }
}

/// A server object in `state`; "does not exist" is one that was closed.
fn call_server(fixture: &mut Fixture, call: ServerCall, state: State) -> Option<HResult> {
    let server = fixture.server();
    Some(match call {
        ServerCall::Open if state == State::DoesNotExist => {
            let client = ClientSet::new(fixture.environment.clone());
            client.create(NAME, &client_config(1)).unwrap();
            let opened = ServerSet::open(&fixture.environment, None, NAME);
            let result = status(opened.clone());
            fixture.server = opened.ok();
            fixture.client = client;
            result
        }
        // An object comes into being by Open, so that it cannot be called again.
        ServerCall::Open => return None,
        ServerCall::GetConfiguration => status(server.get_configuration()),
        ServerCall::BeginConfiguration => status(server.begin_configuration(&server_config())),
        ServerCall::RequestBuffers => status(server.request_buffers(512, 0, 1)),
        ServerCall::QueryAvailableBuffers => status(server.query_available_buffers(512, 0)),
        ServerCall::EndConfiguration => status(server.end_configuration()),
        ServerCall::OpenDevice => {
            let name = if state == State::Active { SECOND } else { NAME };
            status(server.open_device(name))
        }
        ServerCall::ExecuteCompletionAgent => match state {
            State::Initializing | State::Active => thread::scope(|scope| {
                let agent = scope.spawn(|| status(server.execute_completion_agent()));
                thread::sleep(Duration::from_millis(5));
                assert!(!agent.is_finished(), "the agent leaves before its work is done");
                for name in [NAME, SECOND].into_iter().skip(fixture.server_devices.len()) {
                    server.open_device(name).unwrap().close_device().unwrap();
                }
                for device in &fixture.server_devices {
                    device.close_device().unwrap();
                }
                agent.join().unwrap()
            }),
            _ => status(server.execute_completion_agent()),
        },
        ServerCall::AllocateBuffer => status(server.allocate_buffer(512, 0)),
        // A buffer is its own proof that it is one, and can be had in no state that refuses it.
        ServerCall::FreeBuffer => return None,
        ServerCall::IsSharedBuffer => {
            let _ = server.is_shared_buffer(std::ptr::dangling());
            return None;
        }
        ServerCall::SendCommand => match fixture.server_devices.first() {
            Some(device) => status(device.send_command(request(CommandCode::FLUSH))),
            None => return None,
        },
        ServerCall::CloseDevice => match fixture.server_devices.first() {
            Some(device) => status(device.close_device()),
            None => return None,
        },
        ServerCall::SignalAbort => {
            server.signal_abort();
            if state == State::DoesNotExist {
                return None;
            }
            HResult::NOERROR
        }
        ServerCall::Close => status(server.close()),
    })
}

/// Catches: as for the client; an abort that hides the code of a call which the table refuses anyway.
#[rstest]
fn the_server_keeps_its_table(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        for call in ServerCall::ALL {
            for state in State::ALL {
                let cell = server_transition(call, state);
                let mut fixture = Fixture::in_state(backend, state);
                let expected = match (call, state) {
                    (ServerCall::Close, State::Active) => {
                        cell.when(Condition::DevicesOpen).unwrap()
                    }
                    _ => cell,
                };
                let mut result = expected.result;
                let mut next = seen_by_server(expected.next);
                if call == ServerCall::ExecuteCompletionAgent {
                    match state {
                        // It runs until the devices are closed.
                        State::Initializing | State::Active => next = State::NormallyTerminated,
                        // A thread that comes to its work late finds it done, which is no failure.
                        State::NormallyTerminated => result = HResult::NOERROR,
                        _ => {}
                    }
                }
                if let Some(answer) = call_server(&mut fixture, call, state) {
                    assert_eq!(answer, result, "{call:?} in {state}");
                    let after = server_state(fixture.server());
                    assert_eq!(after, next, "{call:?} in {state}: the state");
                }
                fixture.leave();
            }
        }
    });
}

fn except_server(
    backend: Backend,
    call: ServerCall,
    state: State,
    condition: Condition,
) -> Option<(Fixture, HResult)> {
    let mut fixture = Fixture::in_state(backend, state);
    let abort_by_client = |fixture: &Fixture| fixture.client.signal_abort().unwrap();
    let result = match (call, condition) {
        (ServerCall::Open, Condition::NoSuchSet) => {
            status(ServerSet::open(&fixture.environment, None, b"no such set"))
        }
        (ServerCall::BeginConfiguration, Condition::ConfigurationRefused) => {
            let config = vdi_protocol::ServerConfig { max_transfer_size: 1, ..server_config() };
            status(fixture.server().begin_configuration(&config))
        }
        (ServerCall::OpenDevice, Condition::AllDevicesOpen) => {
            for name in [NAME, SECOND].into_iter().skip(fixture.server_devices.len()) {
                fixture.server().open_device(name).unwrap();
            }
            status(fixture.server().open_device(b"set2"))
        }
        (ServerCall::ExecuteCompletionAgent, Condition::AgentRunning) => thread::scope(|scope| {
            let agent = scope.spawn(|| fixture.server().execute_completion_agent());
            let mut second = HResult::NOERROR;
            let deadline = Instant::now() + Duration::from_secs(60);
            while second != HResult::VD_E_PROTOCOL && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(5));
                second = status(fixture.server().execute_completion_agent());
            }
            for name in [NAME, SECOND].into_iter().skip(fixture.server_devices.len()) {
                fixture.server().open_device(name).unwrap().close_device().unwrap();
            }
            fixture.server_devices.iter().for_each(|device| device.close_device().unwrap());
            agent.join().unwrap().unwrap();
            second
        }),
        (ServerCall::ExecuteCompletionAgent, Condition::AbortedMeanwhile) => {
            thread::scope(|scope| {
                let agent = scope.spawn(|| status(fixture.server().execute_completion_agent()));
                thread::sleep(Duration::from_millis(5));
                abort_by_client(&fixture);
                agent.join().unwrap()
            })
        }
        (ServerCall::AllocateBuffer, Condition::OutOfMemory) => {
            let held: Vec<_> =
                (0..2).map(|_| fixture.server().allocate_buffer(65536, 0).unwrap()).collect();
            let result = status(fixture.server().allocate_buffer(1, 0));
            drop(held);
            result
        }
        (ServerCall::SendCommand, Condition::QueueFull) => {
            for _ in 0..vdi_device::MAX_OUTSTANDING {
                fixture.server_devices[0].send_command(request(CommandCode::FLUSH)).unwrap();
            }
            status(fixture.server_devices[0].send_command(request(CommandCode::FLUSH)))
        }
        (ServerCall::SendCommand, Condition::DeviceInError) => {
            let device = &fixture.server_devices[0];
            thread::scope(|scope| {
                scope.spawn(|| {
                    let command = fixture.device.get_command(None).unwrap();
                    let code = CompletionCode::ERROR_WRITE_FAULT;
                    fixture.device.complete_command(command.id, code, 0, 0).unwrap();
                });
                device.execute(CommandCode::FLUSH, 0, 0, None).unwrap();
            });
            status(device.send_command(request(CommandCode::FLUSH)))
        }
        (ServerCall::SendCommand, Condition::DeviceClosed) => {
            fixture.server_devices[0].close_device().unwrap();
            status(fixture.server_devices[0].send_command(request(CommandCode::FLUSH)))
        }
        (ServerCall::CloseDevice, Condition::DeviceClosed) => {
            fixture.server_devices[0].close_device().unwrap();
            status(fixture.server_devices[0].close_device())
        }
        (ServerCall::CloseDevice, Condition::LastDeviceClosed) => {
            let second = fixture.server().open_device(SECOND).unwrap();
            fixture.server_devices[0].close_device().unwrap();
            let result = status(second.close_device());
            fixture.server_devices.push(second);
            result
        }
        (ServerCall::Close, Condition::DevicesOpen) => status(fixture.server().close()),
        // Aborts in the midst of calls that do not wait can't be timed from outside; what is left of
        // them is the Abort column.
        (_, Condition::AbortedMeanwhile) => return None,
        // EndConfiguration does not wait for anybody here; no request comes without a routine; a buffer
        // is its own proof.
        (_, Condition::TimedOut | Condition::NoRoutine | Condition::NotABuffer) => return None,
        (_, condition) if needs_a_full_machine(condition) => return None,
        other => panic!("no test makes {other:?} happen"),
    };
    Some((fixture, result))
}

/// Catches: as for the client's exceptions.
#[rstest]
fn the_server_keeps_its_exceptions(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        for call in ServerCall::ALL {
            for state in State::ALL {
                for (condition, cell) in server_transition(call, state).exceptions() {
                    let Some((fixture, result)) = except_server(backend, call, state, condition)
                    else {
                        continue;
                    };
                    assert_eq!(result, cell.result, "{call:?} in {state}, {condition:?}");
                    let next = match condition {
                        Condition::AgentRunning => State::NormallyTerminated,
                        _ => seen_by_server(cell.next),
                    };
                    let after = server_state(fixture.server());
                    assert_eq!(after, next, "{call:?} in {state}, {condition:?}: the state");
                    fixture.leave();
                }
            }
        }
    });
}
