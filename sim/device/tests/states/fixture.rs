//! A set of two devices, brought into any state.

use std::sync::Arc;
use std::time::Duration;

use vdi_device::{ClientDevice, ClientSet, Environment, Error, Request, ServerDevice, ServerSet};
use vdi_protocol::state::{Condition, State};
use vdi_protocol::{CommandCode, HResult};
use vdi_region::Backend;

use crate::support::{client_config, environment, objects_left, server_config};

pub(crate) const NOW: Option<Duration> = Some(Duration::ZERO);
pub(crate) const NAME: &[u8] = b"set";
pub(crate) const SECOND: &[u8] = b"set1";

pub(crate) fn status<T>(result: Result<T, Error>) -> HResult {
    result.map_or_else(|error| error.status(), |_| HResult::NOERROR)
}

pub(crate) fn bare<T>(result: Result<T, HResult>) -> HResult {
    result.map_or_else(|status| status, |_| HResult::NOERROR)
}

/// A set of two devices in some state. In Active the first device is open on both sides.
pub(crate) struct Fixture {
    pub(crate) environment: Environment,
    pub(crate) client: ClientSet,
    /// Of an earlier set of the same object until a device of this set is open.
    pub(crate) device: ClientDevice,
    pub(crate) server: Option<ServerSet>,
    pub(crate) server_devices: Vec<ServerDevice>,
}

impl Fixture {
    pub(crate) fn new(backend: Backend) -> Fixture {
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

    pub(crate) fn server(&self) -> &ServerSet {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn configure(&self) {
        self.server().begin_configuration(&server_config()).unwrap();
        self.server().request_buffers(65536, 0, 2).unwrap();
    }

    pub(crate) fn open_first(&mut self) {
        self.server_devices.push(self.server().open_device(NAME).unwrap());
        self.device = self.client.open_device(NAME).unwrap();
    }

    pub(crate) fn terminate(&mut self) {
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
    pub(crate) fn in_state(backend: Backend, state: State) -> Fixture {
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
    pub(crate) fn buffer(&self) -> (*const u8, u32) {
        let buffer = match self.server().allocate_buffer(512, 0) {
            Ok(buffer) => buffer,
            Err(_) => return (std::ptr::dangling(), 1 << 23),
        };
        let handle = buffer.handle();
        (self.client.map_buffer_handle(handle).unwrap_or(std::ptr::dangling_mut()), handle)
    }

    pub(crate) fn leave(self) {
        let _ = self.client.close();
        if let Some(server) = &self.server {
            let _ = server.close();
        }
        assert_eq!(objects_left(&self.environment), Vec::<String>::new());
    }
}

/// A device of a set that the object has closed.
pub(crate) fn stale_device(client: &ClientSet, environment: &Environment) -> ClientDevice {
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

pub(crate) fn request(code: CommandCode) -> Request {
    Request { code, size: 0, position: 0, buffer: None, context: 0, routine: Arc::new(|_| {}) }
}

/// Conditions that need a machine short of memory have a test of their own with real processes.
pub(crate) fn needs_a_full_machine(condition: Condition) -> bool {
    condition == Condition::OutOfMemory
}
