//! The server half of a test: enough of a BACKUP or RESTORE to exercise a client.

#![allow(dead_code, reason = "each test crate uses its own part")]

use std::thread::JoinHandle;
use std::time::Duration;

use vdi_device::{Completed, Environment, Error, Namespace, ServerDevice, ServerSet};
use vdi_protocol::{CommandCode, CompletionCode, Direction, ServerConfig};

use super::WATCHDOG;

/// Bytes of every transfer but the last one of a stream.
pub(crate) const TRANSFER: u32 = 64 * 1024;

pub(crate) struct Server {
    pub(crate) set: ServerSet,
    pub(crate) devices: Vec<ServerDevice>,
    agent: Option<JoinHandle<Result<(), Error>>>,
}

impl Server {
    /// Waits for the client's set, configures it and opens its devices.
    pub(crate) fn attach(
        namespace: &super::Namespace,
        name: &str,
        devices: &[String],
        direction: Direction,
    ) -> Server {
        let backend = namespace.backend;
        let namespace = Namespace::new(namespace.name()).unwrap();
        let environment = Environment::new(namespace, backend);
        Server::attach_in(&environment, name, devices, direction)
    }

    /// The same, where this process's environment says.
    pub(crate) fn attach_in(
        environment: &Environment,
        name: &str,
        devices: &[String],
        direction: Direction,
    ) -> Server {
        let set = ServerSet::wait_open(environment, Some(name.as_bytes()), Some(WATCHDOG)).unwrap();
        let features = set.get_configuration().unwrap().features().answer(direction, true);
        set.begin_configuration(&ServerConfig {
            features,
            block_size: 512,
            alignment: 0,
            max_transfer_size: TRANSFER,
            time_out: 0,
        })
        .unwrap();
        set.request_buffers(TRANSFER, 0, 2 * devices.len() as u32).unwrap();
        set.end_configuration().unwrap();
        let devices =
            devices.iter().map(|name| set.open_device(name.as_bytes()).unwrap()).collect();
        let agent = Some(std::thread::spawn({
            let set = set.clone();
            move || set.execute_completion_agent()
        }));
        Server { set, devices, agent }
    }

    /// One command without a buffer.
    pub(crate) fn command(&self, device: usize, code: CommandCode) -> Result<Completed, Error> {
        self.devices[device].execute(code, 0, 0, None)
    }

    /// One Write of these bytes.
    pub(crate) fn write(&self, device: usize, bytes: &[u8]) -> Result<Completed, Error> {
        write(&self.set, &self.devices[device], bytes)
    }

    /// A BACKUP: each device gets its stream, a Flush, and the close.
    pub(crate) fn backup(&self, streams: &[Vec<u8>]) {
        std::thread::scope(|scope| {
            for (device, stream) in self.devices.iter().zip(streams) {
                scope.spawn(move || {
                    for piece in stream.chunks(TRANSFER as usize) {
                        let done = write(&self.set, device, piece).unwrap();
                        assert_eq!(done.completion, CompletionCode::ERROR_SUCCESS);
                        assert_eq!(done.bytes as usize, piece.len());
                    }
                    let flushed = device.execute(CommandCode::FLUSH, 0, 0, None).unwrap();
                    assert_eq!(flushed.completion, CompletionCode::ERROR_SUCCESS);
                    device.close_device().unwrap();
                });
            }
        });
    }

    /// A RESTORE: reads each device to its end and closes it.
    pub(crate) fn restore(&self) -> Vec<Vec<u8>> {
        std::thread::scope(|scope| {
            let readers: Vec<_> = self
                .devices
                .iter()
                .map(|device| {
                    scope.spawn(move || {
                        let stream = read_to_end(&self.set, device);
                        device.close_device().unwrap();
                        stream
                    })
                })
                .collect();
            readers.into_iter().map(|reader| reader.join().unwrap()).collect()
        })
    }

    /// Closes all devices, without more commands.
    pub(crate) fn close_devices(&self) {
        self.devices.iter().for_each(|device| device.close_device().unwrap());
    }

    /// Waits until the set is aborted; gives the cause in words.
    pub(crate) fn wait_for_abort(&self) -> String {
        let began = std::time::Instant::now();
        loop {
            if let Some(cause) = self.set.abort_cause() {
                return cause.to_string();
            }
            assert!(began.elapsed() < WATCHDOG, "the set is never aborted");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends the server half.
    pub(crate) fn close(mut self) {
        let agent = self.agent.take().unwrap();
        let _ = agent.join().unwrap();
        let _ = self.set.close();
    }
}

fn write(set: &ServerSet, device: &ServerDevice, bytes: &[u8]) -> Result<Completed, Error> {
    let buffer = set.allocate_buffer_wait(bytes.len() as u32, 0, Some(WATCHDOG))?;
    buffer.slice().copy_from(0, bytes).unwrap();
    device.execute(CommandCode::WRITE, bytes.len() as u32, 0, Some(buffer))
}

fn read_to_end(set: &ServerSet, device: &ServerDevice) -> Vec<u8> {
    let mut stream = Vec::new();
    loop {
        let buffer = set.allocate_buffer_wait(TRANSFER, 0, Some(WATCHDOG)).unwrap();
        let done = device.execute(CommandCode::READ, TRANSFER, 0, Some(buffer)).unwrap();
        let mut piece = vec![0; done.bytes as usize];
        done.buffer.as_ref().unwrap().slice().copy_to(0, &mut piece).unwrap();
        stream.extend(piece);
        if done.completion != CompletionCode::ERROR_SUCCESS {
            assert_eq!(done.completion, CompletionCode::ERROR_HANDLE_EOF);
            return stream;
        }
    }
}

/// Bytes that differ from place to place and from stream to stream.
pub(crate) fn stream(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}
