//! What both targets share: a set with both halves in this process, and a stranger who writes into its
//! control segment from outside.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use arbitrary::Arbitrary;
use vdi_device::{
    ClientDevice, ClientSet, CompletionRoutine, Environment, Namespace, Request, ServerDevice,
    ServerSet,
};
use vdi_protocol::{CommandCode, Features, ServerConfig, VdConfig};
use vdi_region::{Backend, ObjectName, Region};

/// Devices of the set.
pub const DEVICES: usize = 2;

/// Bytes of the segment's constant part, from which on the state follows.
const STATE: usize = 128;
/// Where the doorbell of the agent and the pending bits lie.
const BOARD: usize = STATE + 512;
/// Where the lanes begin, and the distance of two.
const LANES: usize = STATE + 768 + 8 * 64 + 32 * 128;
const LANE: usize = 256 + 2 * 64 * 64 + 1024;
/// The rings within a lane.
const COMMANDS: usize = 256;
const COMPLETIONS: usize = 256 + 64 * 64;

/// A place that is worth aiming at.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Place {
    /// Anywhere.
    Word(u16),
    /// State, configuration and counts.
    State(u8),
    /// Doorbell and bits of the agent.
    Board(u8),
    /// Doorbell and flags of a device.
    Lane(u8, u8),
    /// The slot and word of a command.
    Command(u8, u8, u8),
    /// The slot and word of a completion.
    Completion(u8, u8, u8),
    /// The table of segments and areas.
    Area(u16),
}

impl Place {
    fn offset(self) -> usize {
        let lane = |device: u8| LANES + LANE * (usize::from(device) % DEVICES);
        let slot = |slot: u8, word: u8| 64 * (usize::from(slot) % 64) + 4 * (usize::from(word) % 8);
        match self {
            Place::Word(word) => 4 * usize::from(word),
            Place::State(word) => STATE + 4 * (usize::from(word) % 64),
            Place::Board(word) => BOARD + 4 * (usize::from(word) % 64),
            Place::Lane(device, word) => lane(device) + 4 * (usize::from(word) % 64),
            Place::Command(device, at, word) => lane(device) + COMMANDS + slot(at, word),
            Place::Completion(device, at, word) => lane(device) + COMPLETIONS + slot(at, word),
            Place::Area(word) => STATE + 768 + 4 * (usize::from(word) % 1152),
        }
    }
}

/// What the stranger does to a word.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Scribble {
    /// Writes it.
    Set(u32),
    /// Writes a small number, which is more often a legal one.
    SetSmall(u8),
    /// Adds to it.
    Add(i8),
    /// Turns one bit over.
    Flip(u8),
}

/// A set with both halves, all devices open, and the stranger's view of its control segment.
pub struct Stage {
    /// The client half.
    pub client: ClientSet,
    /// The server half.
    pub server: ServerSet,
    /// Its devices.
    pub client_devices: Vec<ClientDevice>,
    /// As the server has them.
    pub server_devices: Vec<ServerDevice>,
    stranger: Region,
    namespace: Namespace,
    sent: u32,
    called: Arc<AtomicU32>,
}

impl Stage {
    /// A set of its own, in a namespace of its own.
    pub fn set() -> Stage {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = Namespace::new(&format!("fuzz-{}-{count}", std::process::id())).unwrap();
        let environment = Environment::new(namespace.clone(), Backend::Posix);
        let client = ClientSet::new(environment.clone());
        let config = VdConfig { device_count: DEVICES as u32, ..VdConfig::default() };
        client.create(b"set", &config).unwrap();
        let server = ServerSet::open(&environment, None, b"set").unwrap();
        let chosen = ServerConfig {
            features: Features::WRITE_MEDIA,
            block_size: 512,
            alignment: 0,
            max_transfer_size: 65536,
            time_out: 0,
        };
        server.begin_configuration(&chosen).unwrap();
        server.request_buffers(4096, 0, 4).unwrap();
        server.end_configuration().unwrap();
        client.get_configuration(None).unwrap();
        let names = [&b"set"[..], b"set1"];
        let server_devices = names.map(|name| server.open_device(name).unwrap()).into();
        let client_devices = names.map(|name| client.open_device(name).unwrap()).into();
        let object = format!("vdisim.{namespace}.Host_set_SQLVDIMemoryName_0");
        let object = ObjectName::new(&object).unwrap();
        let stranger = Region::open(Backend::Posix, &object).unwrap();
        let (sent, called) = (0, Arc::default());
        Stage { client, server, client_devices, server_devices, stranger, namespace, sent, called }
    }

    /// The stranger writes.
    pub fn scribble(&self, place: Place, scribble: Scribble) {
        let Ok(word) = self.stranger.word(place.offset()) else { return };
        match scribble {
            Scribble::Set(value) => word.store(value, Ordering::SeqCst),
            Scribble::SetSmall(value) => word.store(value.into(), Ordering::SeqCst),
            Scribble::Add(value) => {
                word.fetch_add(i32::from(value) as u32, Ordering::SeqCst);
            }
            Scribble::Flip(bit) => {
                word.fetch_xor(1 << (bit % 32), Ordering::SeqCst);
            }
        }
    }

    /// The server sends a command, with a buffer if one is free.
    pub fn send(&mut self, device: u8, code: u8) {
        let called = Arc::clone(&self.called);
        let routine: CompletionRoutine = Arc::new(move |completed| {
            assert!(completed.bytes <= completed.size);
            called.fetch_add(1, Ordering::Relaxed);
        });
        let buffer = self.server.allocate_buffer(4096, 0).ok();
        let (code, size) = (CommandCode(u32::from(code % 20)), 4096);
        let request = Request { code, size, position: 0, buffer, context: 0, routine };
        let _ = self.server_devices[usize::from(device) % DEVICES].send_command(request);
        self.sent += 1;
    }

    /// The agent's loop, a few times around.
    pub fn agent(&self) {
        let mut looks = 0;
        let mut enough = || {
            looks += 1;
            looks > 2
        };
        let _ = self.server.run_agent_until(&mut enough, None);
    }

    /// Both sides leave: every routine was called once, and no name is left.
    pub fn leave(self) {
        let _ = self.client.close();
        self.server.signal_abort();
        let _ = self.server.close();
        assert_eq!(self.called.load(Ordering::Relaxed), self.sent);
        let prefix = format!("vdisim.{}.", self.namespace);
        let left = vdi_region::list_objects(Backend::Posix, &prefix).unwrap();
        assert!(left.is_empty(), "{left:?}");
    }
}
