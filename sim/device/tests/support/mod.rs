//! What the tests of the device set share: namespaces of their own, a watchdog, a configured pair.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part")]

use std::{
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use vdi_device::{ClientDevice, ClientSet, Environment, Namespace, ServerDevice, ServerSet};
use vdi_protocol::{Features, HResult, ServerConfig, VdConfig};
use vdi_region::Backend;

/// Longer than anything here takes, also on a loaded machine with a sanitizer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A namespace that no other test and no other process has.
pub fn environment(backend: Backend) -> Environment {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("dev-{}-{count}", std::process::id());
    Environment::new(Namespace::new(&name).unwrap(), backend)
}

/// Runs `test` on a thread of its own and aborts the process if it hangs.
pub fn watched(test: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        let _done = done;
        test();
    });
    if wait.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
        eprintln!("the test hangs");
        std::process::abort();
    }
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// What most tests configure.
pub fn server_config() -> ServerConfig {
    ServerConfig {
        features: Features::WRITE_MEDIA,
        block_size: 512,
        alignment: 0,
        max_transfer_size: 65536,
        time_out: 0,
    }
}

pub fn client_config(devices: u32) -> VdConfig {
    VdConfig { device_count: devices, ..VdConfig::default() }
}

/// A client's and a server's end of one set, all devices open on both sides.
pub struct Pair {
    pub environment: Environment,
    pub client: ClientSet,
    pub server: ServerSet,
    pub client_devices: Vec<ClientDevice>,
    pub server_devices: Vec<ServerDevice>,
}

/// The name of device `index` of the set `name`.
pub fn device_name(name: &str, index: usize) -> String {
    if index == 0 { name.to_owned() } else { format!("{name}{index}") }
}

impl Pair {
    pub fn new(backend: Backend, config: VdConfig, buffers: u32) -> Pair {
        Pair::with_timeouts(backend, config, buffers)
    }

    fn with_timeouts(backend: Backend, config: VdConfig, buffers: u32) -> Pair {
        let environment = environment(backend);
        let client = ClientSet::new(environment.clone());
        client.create(b"set", &config).unwrap();
        let server = ServerSet::open(&environment, None, b"set").unwrap();
        server.begin_configuration(&server_config()).unwrap();
        server.request_buffers(65536, 0, buffers).unwrap();
        server.end_configuration().unwrap();
        client.get_configuration(None).unwrap();
        let mut client_devices = Vec::new();
        let mut server_devices = Vec::new();
        for index in 0..config.device_count as usize {
            let name = device_name("set", index);
            server_devices.push(server.open_device(name.as_bytes()).unwrap());
            client_devices.push(client.open_device(name.as_bytes()).unwrap());
        }
        Pair { environment, client, server, client_devices, server_devices }
    }

    /// Starts the completion agent on a thread of its own. A set that was closed before the thread got to
    /// run needed none.
    pub fn agent(&self) -> thread::JoinHandle<Result<(), vdi_device::Error>> {
        let server = self.server.clone();
        thread::spawn(move || match server.execute_completion_agent() {
            Err(error) if error.status() == HResult::VD_E_PROTOCOL => Ok(()),
            ended => ended,
        })
    }
}

/// The names in shared memory that belong to `environment`.
pub fn objects_left(environment: &Environment) -> Vec<String> {
    let prefix = format!("vdisim.{}.", environment.namespace);
    let objects = vdi_region::list_objects(environment.backend, &prefix).unwrap();
    objects.into_iter().map(|object| object.name.to_string()).collect()
}
