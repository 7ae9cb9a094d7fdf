//! Both halves of a set through the classes of the DLL.
#![cfg(windows)]

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use sqlvdi::caller::{
    CallerDevice, CallerServer, CallerServerDevice, CallerSet, Completion, DropIn, ServerCommand,
};
use vdi_protocol::{CommandCode, CompletionCode, Direction, HResult, ServerConfig, VdConfig};

const SIZE: u32 = 64 * 1024;

/// Far beyond what any step needs.
const WATCHDOG: Duration = Duration::from_secs(60);

struct Halves {
    server: CallerServer,
    server_device: CallerServerDevice,
    set: CallerSet,
    device: CallerDevice,
    agent: Receiver<HResult>,
}

fn active(name: &str) -> Halves {
    let test = std::env::current_exe().unwrap();
    let drop_in = DropIn::load(&test.with_file_name("sqlvdi.dll")).unwrap();
    let name = format!("{name}-{}", std::process::id()).into_bytes();
    let set = CallerSet::new(&drop_in);
    let server = CallerServer::new(&drop_in).unwrap();
    assert_eq!(server.open(&name).unwrap_err().status, HResult::VD_E_INVALID);
    set.create(&name, &VdConfig { device_count: 1, ..VdConfig::default() }).unwrap();
    server.open(&name).unwrap();
    let config = ServerConfig {
        features: server.get_configuration().unwrap().features().answer(Direction::Backup, true),
        block_size: 512,
        alignment: 1024,
        max_transfer_size: SIZE,
        time_out: 60_000,
    };
    server.begin_configuration(&config).unwrap();
    server.request_buffers(SIZE, 0, 1).unwrap();
    server.end_configuration().unwrap();
    let decided = set.get_configuration(Some(WATCHDOG)).unwrap();
    assert_eq!((decided.block_size, decided.alignment), (512, 1024));
    let server_device = server.open_device(&name).unwrap();
    let (said, agent) = channel();
    let agents = server.clone();
    thread::spawn(move || {
        let ended = agents.execute_completion_agent();
        said.send(ended.map_or_else(|error| error.status, |()| HResult::NOERROR))
    });
    let device = set.open_device(&name).unwrap();
    Halves { server, server_device, set, device, agent }
}

impl Halves {
    /// Sends a Write of the one buffer.
    fn send(&self) -> (Result<(), HResult>, Receiver<Completion>) {
        let buffer = self.server.allocate_buffer(SIZE, 0).unwrap();
        let command = ServerCommand {
            code: CommandCode::WRITE,
            size: SIZE,
            position: 4096,
            buffer: Some(buffer),
        };
        let (said, completion) = channel();
        let sent = self.server_device.send_command(command, move |end| said.send(end).unwrap());
        (sent.map_err(|error| error.status), completion)
    }
}

/// Catches: a method out of order, arguments exchanged, a completion that is lost or another's, a
/// buffer that does not come back.
#[test]
fn a_command_goes_to_the_client_and_comes_back() {
    let halves = active("classes");
    for (code, bytes) in
        [(CompletionCode::ERROR_SUCCESS, SIZE), (CompletionCode::ERROR_DISK_FULL, 512)]
    {
        let (sent, completion) = halves.send();
        sent.unwrap();
        let full = halves.server.allocate_buffer(SIZE, 0).unwrap_err();
        assert_eq!(full.status, HResult::VD_E_MEMORY);
        let command = halves.device.get_command(Some(WATCHDOG)).unwrap();
        assert_eq!((command.size(), command.position()), (SIZE, 4096));
        command.complete(code, u64::from(bytes), 0).unwrap();
        let end = completion.recv_timeout(WATCHDOG).unwrap();
        assert_eq!((end.code, end.bytes), (code, bytes));
        halves.server.free_buffer(end.buffer.unwrap()).unwrap();
    }
    halves.server_device.close_device().unwrap();
    let end = halves.device.get_command(Some(WATCHDOG)).unwrap_err();
    assert_eq!(end.status, HResult::VD_E_CLOSE);
    assert_eq!(halves.agent.recv_timeout(WATCHDOG).unwrap(), HResult::NOERROR);
    halves.server.close().unwrap();
    halves.set.close().unwrap();
}

/// Catches: a command of which nobody is told when it is refused or aborted.
#[test]
fn a_command_that_never_gets_there_comes_back_as_well() {
    let halves = active("aborted");
    let (sent, completion) = halves.send();
    sent.unwrap();
    halves.server.signal_abort().unwrap();
    let end = completion.recv_timeout(WATCHDOG).unwrap();
    assert_eq!(end.code, CompletionCode::ERROR_OPERATION_ABORTED);
    assert_eq!(halves.agent.recv_timeout(WATCHDOG).unwrap(), HResult::VD_E_ABORT);
    let command = ServerCommand { code: CommandCode::FLUSH, size: 0, position: 0, buffer: None };
    let (said, completion) = channel();
    let sent = halves.server_device.send_command(command, move |end| said.send(end).unwrap());
    assert_eq!(sent.unwrap_err().status, HResult::VD_E_ABORT);
    let end = completion.recv_timeout(WATCHDOG).unwrap();
    assert_eq!(end.code, CompletionCode::ERROR_OPERATION_ABORTED);
    assert!(end.buffer.is_none());
}
