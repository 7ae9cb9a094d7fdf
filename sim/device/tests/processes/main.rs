//! Two real processes, one of which is killed: the other learns of it, says who died, and leaves nothing
//! behind.
#![cfg(any(target_os = "linux", windows))]

#[cfg(unix)]
mod forks;
#[cfg(unix)]
mod on_unix;
mod peer;
#[path = "../support/mod.rs"]
mod support;

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use peer::Peer;
use rstest::rstest;
use support::{client_config, device_name, environment, objects_left, server_config, watched};
use vdi_device::{
    AbortKind, ClientDevice, ClientSet, CompletionRoutine, Environment, Request, ServerDevice,
    ServerSet, clean, leftovers, live_sets,
};
use vdi_protocol::{CommandCode, CompletionCode, HResult};
use vdi_region::Backend;

const NOTHING: Vec<String> = Vec::new();

fn name_of(index: usize) -> Vec<u8> {
    device_name("set", index).into_bytes()
}

/// This process as server of the peer's set, as far as it goes.
struct Server {
    set: ServerSet,
    devices: Vec<ServerDevice>,
    answers: Arc<Mutex<Vec<CompletionCode>>>,
}

impl Server {
    fn attach(environment: &Environment) -> Server {
        let set = ServerSet::open(environment, None, b"set").unwrap();
        Server { set, devices: Vec::new(), answers: Arc::default() }
    }

    fn configure(&mut self) {
        self.set.begin_configuration(&server_config()).unwrap();
        self.set.request_buffers(65536, 0, 8).unwrap();
        self.set.end_configuration().unwrap();
    }

    fn open_devices(&mut self) {
        for index in 0..2 {
            self.devices.push(self.set.open_device(&name_of(index)).unwrap());
        }
    }

    fn send(&self, device: usize) {
        let answers = Arc::clone(&self.answers);
        let routine: CompletionRoutine = Arc::new(move |completed| {
            answers.lock().unwrap().push(completed.completion);
        });
        let buffer = Some(self.set.allocate_buffer(65536, 0).unwrap());
        let (code, size) = (CommandCode::WRITE, 512);
        let request = Request { code, size, position: 0, buffer, context: 0, routine };
        self.devices[device].send_command(request).unwrap();
    }
}

/// How far a client gets before it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ClientStep {
    Created,
    WaitsForConfiguration,
    Configured,
    OneDeviceOpen,
    DevicesOpen,
    WaitsForACommand,
    HoldsACommand,
    CompletedOneOfTwo,
    OneDeviceClosed,
}

/// Catches: a server that waits for ever for a dead client, a routine not called or called twice, a
/// cause that blames another, names left in shared memory.
#[rstest]
fn a_killed_client_is_noticed(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(
        ClientStep::Created,
        ClientStep::WaitsForConfiguration,
        ClientStep::Configured,
        ClientStep::OneDeviceOpen,
        ClientStep::DevicesOpen,
        ClientStep::WaitsForACommand,
        ClientStep::HoldsACommand,
        ClientStep::CompletedOneOfTwo,
        ClientStep::OneDeviceClosed
    )]
    step: ClientStep,
) {
    watched(move || {
        let environment = environment(backend);
        let mut client = Peer::after(&environment, &["create 2"]);
        let mut server = Server::attach(&environment);
        let mut expected = Vec::new();
        if step >= ClientStep::WaitsForConfiguration {
            client.tell("configure");
            thread::sleep(Duration::from_millis(20));
        }
        if step >= ClientStep::Configured {
            server.configure();
            assert_eq!(client.answer(), HResult::NOERROR.to_string());
            server.open_devices();
        }
        if step >= ClientStep::OneDeviceOpen {
            client.obey(&["open 0"]);
        }
        if step >= ClientStep::DevicesOpen {
            client.obey(&["open 1"]);
        }
        if step == ClientStep::WaitsForACommand {
            client.tell("get 0");
            thread::sleep(Duration::from_millis(20));
        }
        if step >= ClientStep::HoldsACommand {
            server.send(0);
            server.send(0);
            client.obey(&["get 0"]);
            expected = vec![CompletionCode::ERROR_OPERATION_ABORTED; 2];
        }
        if step >= ClientStep::CompletedOneOfTwo {
            client.obey(&["complete 0"]);
            // What was published before the death counts.
            expected[0] = CompletionCode::ERROR_SUCCESS;
        }
        if step == ClientStep::OneDeviceClosed {
            server.devices[1].close_device().unwrap();
        }
        let pid = client.pid();
        let runs_agent = step >= ClientStep::Configured;
        let agent = runs_agent.then(|| {
            let set = server.set.clone();
            thread::spawn(move || set.execute_completion_agent())
        });
        client.kill();
        match agent {
            Some(agent) => {
                let ended = agent.join().unwrap().unwrap_err();
                assert_eq!(ended.status(), HResult::VD_E_ABORT, "{ended}");
                assert!(ended.to_string().contains(&format!("process {pid} ended")), "{ended}");
            }
            None => while server.set.get_configuration().is_ok() {},
        }
        let cause = server.set.abort_cause().unwrap();
        assert_eq!((cause.kind, cause.detail), (AbortKind::ClientDied, pid));
        if step == ClientStep::HoldsACommand {
            assert_eq!((cause.device, cause.command), (Some(0), Some(CommandCode::WRITE)));
        }
        assert_eq!(*server.answers.lock().unwrap(), expected);
        let _ = server.set.close();
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: a close that is taken back, an abort although everything had been said, names left behind.
#[rstest]
fn a_client_killed_after_the_last_close_spoils_nothing(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let mut client = Peer::after(&environment, &["create 2"]);
        let mut server = Server::attach(&environment);
        server.configure();
        server.open_devices();
        client.obey(&["configure", "open 0", "open 1"]);
        server.send(0);
        client.obey(&["get 0", "complete 0"]);
        let agent = {
            let set = server.set.clone();
            thread::spawn(move || set.execute_completion_agent())
        };
        server.devices.iter().for_each(|device| device.close_device().unwrap());
        agent.join().unwrap().unwrap();
        client.kill();
        server.set.close().unwrap();
        assert_eq!(server.set.abort_cause(), None);
        assert_eq!(*server.answers.lock().unwrap(), [CompletionCode::ERROR_SUCCESS]);
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// How far a server gets before it is killed.
const SERVER_STEPS: [&str; 8] =
    ["serve", "begin", "request", "end", "devices", "send 0", "send 0", "finish 1"];

/// Catches: a client that waits for ever for a dead server, a cause that blames another, buffers of the
/// dead left in shared memory.
#[rstest]
fn a_killed_server_is_noticed(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(1, 2, 3, 4, 5, 6, 7, 8)] steps: usize,
    #[values(false, true)] holds_a_command: bool,
) {
    watched(move || {
        let environment = environment(backend);
        let client = ClientSet::new(environment.clone());
        client.create(b"set", &client_config(2)).unwrap();
        let mut server = Peer::after(&environment, &SERVER_STEPS[..steps]);
        let mut devices: Vec<ClientDevice> = Vec::new();
        if steps >= 4 {
            client.get_configuration(None).unwrap();
            devices.push(client.open_device(&name_of(0)).unwrap());
        }
        if steps >= 5 {
            devices.push(client.open_device(&name_of(1)).unwrap());
        }
        let held = (steps >= 6 && holds_a_command).then(|| devices[0].get_command(None).unwrap());
        // Blocked while it happens, in the call that a client would be in at this point.
        let killer = thread::spawn({
            let delay = Duration::from_millis(if holds_a_command { 0 } else { 20 });
            move || {
                thread::sleep(delay);
                let pid = server.pid();
                server.kill();
                pid
            }
        });
        let status = match devices.as_slice() {
            [] => client.get_configuration(None).unwrap_err().status(),
            [.., last] if steps < 8 => take_until_error(last),
            [first, ..] => take_until_error(first),
        };
        assert_eq!(status, HResult::VD_E_ABORT);
        let pid = killer.join().unwrap();
        if let Some(held) = held {
            let late = devices[0].complete_command(held.id, CompletionCode::ERROR_SUCCESS, 512, 0);
            assert_eq!(late, Err(HResult::VD_E_ABORT));
        }
        let cause = client.last_abort().unwrap();
        assert_eq!((cause.kind, cause.detail), (AbortKind::ServerDied, pid));
        client.close().unwrap();
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

fn take_until_error(device: &ClientDevice) -> HResult {
    loop {
        if let Err(status) = device.get_command(None) {
            return status;
        }
    }
}

/// Catches: an abort after the server had said all it had to say.
#[rstest]
fn a_server_killed_after_the_last_close_lets_the_client_end(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let client = ClientSet::new(environment.clone());
        client.create(b"set", &client_config(2)).unwrap();
        let mut server = Peer::after(&environment, &SERVER_STEPS[..6]);
        client.get_configuration(None).unwrap();
        let devices = [0, 1].map(|index| client.open_device(&name_of(index)).unwrap());
        server.obey(&["finish 0", "finish 1"]);
        server.kill();
        thread::sleep(Duration::from_millis(20));
        let command = devices[0].get_command(None).unwrap();
        devices[0].complete_command(command.id, CompletionCode::ERROR_SUCCESS, 512, 0).unwrap();
        for device in &devices {
            assert_eq!(device.get_command(None), Err(HResult::VD_E_CLOSE));
        }
        client.close().unwrap();
        assert_eq!(client.last_abort(), None);
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: a secondary that outlives both primaries in a wait, an abort that only the server hears.
#[rstest]
fn secondaries_learn_of_every_death(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(&["client"], &["server"], &["client", "server"], &["server", "client"])]
    killed: &'static [&'static str],
) {
    watched(move || {
        let environment = environment(backend);
        let mut client = Peer::after(&environment, &["create 2"]);
        let mut server = Peer::after(&environment, &SERVER_STEPS[..5]);
        client.obey(&["configure", "open 0"]);
        let secondary = ClientSet::new(environment.clone());
        secondary.open_in_secondary(b"set").unwrap();
        let device = secondary.open_device(&name_of(1)).unwrap();
        let waiting = thread::spawn(move || device.get_command(None).map(drop));
        thread::sleep(Duration::from_millis(20));
        for name in killed {
            if *name == "client" { client.kill() } else { server.kill() }
        }
        assert_eq!(waiting.join().unwrap(), Err(HResult::VD_E_ABORT));
        let kind = secondary.last_abort().unwrap().kind;
        assert!(matches!(kind, AbortKind::ClientDied | AbortKind::ServerDied), "{kind:?}");
        let _ = secondary.close();
        // The dead can't take their names away; whoever looks after them can.
        client.kill();
        server.kill();
        for leftover in leftovers(backend, Some(&environment.namespace)).unwrap() {
            clean(&leftover).unwrap();
        }
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: a set that cannot end because a secondary is gone.
#[rstest]
fn a_killed_secondary_is_the_applications_business(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let client = ClientSet::new(environment.clone());
        client.create(b"set", &client_config(2)).unwrap();
        let mut server = Server::attach(&environment);
        server.configure();
        server.open_devices();
        client.get_configuration(None).unwrap();
        let first = client.open_device(&name_of(0)).unwrap();
        let mut secondary = Peer::after(&environment, &["join", "open 1"]);
        server.send(1);
        secondary.obey(&["get 1"]);
        secondary.kill();
        let agent = {
            let set = server.set.clone();
            thread::spawn(move || set.execute_completion_agent())
        };
        // The set lives on.
        server.send(0);
        let command = first.get_command(None).unwrap();
        first.complete_command(command.id, CompletionCode::ERROR_SUCCESS, 512, 0).unwrap();
        while server.answers.lock().unwrap().is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        client.signal_abort().unwrap();
        assert_eq!(agent.join().unwrap().unwrap_err().status(), HResult::VD_E_ABORT);
        let kind = server.set.abort_cause().unwrap().kind;
        assert_eq!(kind, AbortKind::ClientSignalled);
        assert_eq!(
            *server.answers.lock().unwrap(),
            [CompletionCode::ERROR_SUCCESS, CompletionCode::ERROR_OPERATION_ABORTED]
        );
        client.close().unwrap();
        server.set.close().unwrap();
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: clean-up that takes the living for dead or the dead for living, or forgets buffer segments.
#[rstest]
fn what_a_killed_pair_leaves_is_found_and_removed(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(false, true)] by_next_create: bool,
) {
    watched(move || {
        let environment = environment(backend);
        let namespace = Some(&environment.namespace);
        let mut client = Peer::after(&environment, &["create 2"]);
        let mut server = Peer::after(&environment, &SERVER_STEPS[..5]);
        assert!(leftovers(backend, namespace).unwrap().is_empty());
        let live = live_sets(backend, namespace).unwrap();
        let [set] = live.as_slice() else { panic!("{live:?}") };
        assert_eq!((set.name.as_slice(), set.client.pid), (&b"set"[..], client.pid()));
        assert_eq!(set.server.map(|s| s.pid), Some(server.pid()));
        assert!(set.bytes >= 4 * 65536);
        client.kill();
        server.kill();
        assert!(live_sets(backend, namespace).unwrap().is_empty());
        let found = leftovers(backend, namespace).unwrap();
        if backend == Backend::Windows {
            // Objects end with their last user there.
            assert_eq!(objects_left(&environment), NOTHING);
            assert!(found.is_empty());
            ClientSet::new(environment).create(b"set", &client_config(1)).unwrap();
            return;
        }
        let [leftover] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(leftover.objects.len(), objects_left(&environment).len());
        let next = ClientSet::new(environment.clone());
        if by_next_create {
            next.create(b"set", &client_config(1)).unwrap();
            // What was listed before is another object now and stays.
            clean(leftover).unwrap();
            assert_eq!(objects_left(&environment).len(), 1);
            next.close().unwrap();
        } else {
            clean(leftover).unwrap();
        }
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: a name that stays taken until the server of a dead client has noticed.
#[rstest]
fn a_name_is_free_as_soon_as_its_client_is_dead(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let mut client = Peer::after(&environment, &["create 2"]);
        let mut server = Peer::after(&environment, &SERVER_STEPS[..4]);
        client.kill();
        let next = ClientSet::new(environment.clone());
        next.create(b"set", &client_config(1)).unwrap();
        server.kill();
        ServerSet::open(&environment, None, b"set").unwrap().close().unwrap();
        next.close().unwrap();
        for leftover in leftovers(backend, Some(&environment.namespace)).unwrap() {
            clean(&leftover).unwrap();
        }
        assert_eq!(objects_left(&environment), NOTHING);
    });
}

/// Catches: a handle that means another buffer elsewhere, a data start that is aligned in one process
/// only, an area that a process which joined before never maps.
#[rstest]
fn handles_and_bytes_cross_processes(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let environment = environment(backend);
        let client = ClientSet::new(environment.clone());
        client.create(b"set", &client_config(2)).unwrap();
        let mut server = Server::attach(&environment);
        server.configure();
        server.open_devices();
        client.get_configuration(None).unwrap();
        let mut secondary = Peer::after(&environment, &["join"]);
        let alignment = if backend == Backend::platform_default() { 65536 } else { 4096 };
        server.set.request_buffers(512, alignment, 1).unwrap();
        let added = server.set.allocate_buffer(512, alignment).unwrap();
        let first = server.set.allocate_buffer(65536, 0).unwrap();
        for (byte, buffer) in [(7, &first), (9, &added)] {
            buffer.slice().fill(byte);
            let answer = secondary.ask(&format!("map {}", buffer.handle()));
            let words: Vec<_> = answer.rsplitn(3, ' ').collect();
            let [same, address, bytes] = words[..] else { panic!("{answer}") };
            assert_eq!((bytes, same), (format!("{:?}", [byte; 16]).as_str(), "true"));
            let least = if byte == 9 { alignment as usize } else { 512 };
            assert_eq!(address.parse::<usize>().unwrap() % least, 0);
            assert_eq!(buffer.as_ptr().addr() % least, 0);
        }
        assert_eq!(secondary.ask("map 0"), HResult::VD_E_INVALID.to_string());
        secondary.obey(&["close"]);
        drop((added, first));
        client.close().unwrap();
        server.set.close().unwrap();
        assert_eq!(objects_left(&environment), NOTHING);
    });
}
