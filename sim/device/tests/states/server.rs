//! The server's calls.

use std::{sync::mpsc, thread, time::Duration};

use rstest::rstest;
use vdi_device::{ClientSet, ServerSet};
use vdi_protocol::state::{Condition, ServerCall, State, server_transition};
use vdi_protocol::{CommandCode, CompletionCode, HResult};
use vdi_region::Backend;

use crate::fixture::{Fixture, NAME, SECOND, needs_a_full_machine, request, status};
use crate::support::{client_config, server_config, watched};

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
                let result = expected.result;
                let mut next = seen_by_server(expected.next);
                if call == ServerCall::ExecuteCompletionAgent {
                    match state {
                        // It runs until the devices are closed.
                        State::Initializing | State::Active => next = State::NormallyTerminated,
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
            // Whichever is second is refused while the other runs on.
            let (ended, results) = mpsc::channel();
            for _ in 0..2 {
                let (ended, server) = (ended.clone(), fixture.server());
                scope.spawn(move || ended.send(status(server.execute_completion_agent())));
            }
            let second = results.recv().unwrap();
            for name in [NAME, SECOND].into_iter().skip(fixture.server_devices.len()) {
                fixture.server().open_device(name).unwrap().close_device().unwrap();
            }
            fixture.server_devices.iter().for_each(|device| device.close_device().unwrap());
            assert_eq!(results.recv().unwrap(), HResult::NOERROR);
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

fn seen_by_server(state: State) -> State {
    if state == State::Initializing { State::Active } else { state }
}
