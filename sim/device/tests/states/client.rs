//! The client's calls.

use std::thread;
use std::time::Duration;

use rstest::rstest;
use vdi_device::ClientSet;
use vdi_protocol::state::{Cell, ClientCall, Condition, State, client_transition};
use vdi_protocol::{CommandCode, CompletionCode, HResult, VdConfig};
use vdi_region::Backend;

use crate::fixture::{Fixture, NAME, NOW, SECOND, bare, needs_a_full_machine, request, status};
use crate::support::{client_config, watched};

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

/// States that the calls of the half under test can tell apart.
fn seen_by_client(state: State) -> State {
    match state {
        State::Connected => State::Configurable,
        State::Initializing => State::Active,
        other => other,
    }
}
