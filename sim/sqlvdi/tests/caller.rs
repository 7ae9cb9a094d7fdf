//! The safe caller, with the drop-in and the server half in this process.

#![cfg(target_os = "linux")]

mod support;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rstest::rstest;
use sqlvdi::caller::{BufferError, CallError, CallerDevice, CallerSet, Command, DropIn, LoadError};
use support::server::{Server, TRANSFER, stream};
use support::{WATCHDOG, drop_in};
use vdi_device::Environment;
use vdi_protocol::{CommandCode, CompletionCode, Direction, HResult, VdConfig};

/// A set of this test's own, served; its name is unique, as the environment cannot be changed in a
/// process with threads.
struct Served {
    name: String,
    set: CallerSet,
    devices: Vec<CallerDevice>,
    server: Server,
}

impl Served {
    fn new(devices: u32, direction: Direction) -> Served {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("caller-{}-{number}", std::process::id());
        let names: Vec<_> = (0..devices).map(|index| device_name(&name, index)).collect();

        let set = CallerSet::new(&DropIn::load(&drop_in()).unwrap());
        let config = VdConfig { device_count: devices, ..VdConfig::default() };
        set.create(name.as_bytes(), &config).unwrap();
        let server = {
            let (name, names) = (name.clone(), names.clone());
            std::thread::spawn(move || {
                let environment = Environment::from_process().unwrap();
                Server::attach_in(&environment, &name, &names, direction)
            })
        };
        let config = set.get_configuration(Some(WATCHDOG)).unwrap();
        assert_eq!(config.max_transfer_size, TRANSFER);
        let server = server.join().unwrap();
        let open = |name: &String| set.open_device(name.as_bytes()).unwrap();
        let devices = names.iter().map(open).collect();
        Served { name, set, devices, server }
    }

    /// Fails if anything of the set is left in shared memory.
    fn assert_gone(name: &str) {
        let left = std::fs::read_dir("/dev/shm").unwrap();
        let mut left = left.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        assert_eq!(left.find(|object| object.contains(name)), None);
    }
}

fn device_name(set: &str, index: u32) -> String {
    if index == 0 { set.to_owned() } else { format!("{set}{index}") }
}

fn status<T: std::fmt::Debug>(result: Result<T, CallError>) -> HResult {
    result.unwrap_err().status
}

/// The next command, or `None` at the normal end.
fn next(device: &CallerDevice) -> Option<Command> {
    match device.get_command(Some(WATCHDOG)) {
        Ok(command) => Some(command),
        Err(error) if error.status == HResult::VD_E_CLOSE => None,
        Err(error) => panic!("{error}"),
    }
}

/// Serves a device to the end, writing to a file straight from the buffers.
fn receive(device: &CallerDevice, file: &Path) {
    let file = File::create(file).unwrap();
    while let Some(command) = next(device) {
        let mut done = 0;
        if command.code() == CommandCode::WRITE {
            let size = command.size() as usize;
            while done < size {
                done += command.buffer().unwrap().write_to(done, size - done, &file, None).unwrap();
            }
        }
        command.complete(CompletionCode::ERROR_SUCCESS, done as u64, 0).unwrap();
    }
}

/// Serves a device to the end, reading from a file straight into the buffers.
fn send(device: &CallerDevice, file: &Path) {
    let file = File::open(file).unwrap();
    let mut offset = 0;
    while let Some(command) = next(device) {
        let (size, mut done) = (command.size() as usize, 0);
        while done < size {
            let at = Some(offset + done as u64);
            match command.buffer().unwrap().read_from(done, size - done, &file, at).unwrap() {
                0 => break,
                read => done += read,
            }
        }
        offset += done as u64;
        let end = if done < size {
            CompletionCode::ERROR_HANDLE_EOF
        } else {
            CompletionCode::ERROR_SUCCESS
        };
        command.complete(end, done as u64, 0).unwrap();
    }
}

fn each_device(
    devices: &[CallerDevice],
    files: &[PathBuf],
    serve: fn(&CallerDevice, &Path),
    serve_the_other_side: impl FnOnce(),
) {
    std::thread::scope(|scope| {
        for (device, file) in devices.iter().zip(files) {
            scope.spawn(move || serve(device, file));
        }
        serve_the_other_side();
    });
}

/// Catches: bytes lost on the way between buffer and file, calls that cannot run at the same time
/// (one device waits while another moves bytes), an end that is not seen.
#[rstest]
#[timeout(WATCHDOG)]
fn bytes_pass_between_buffers_and_files_on_several_threads() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<_> = (0..3).map(|index| folder.path().join(index.to_string())).collect();
    let streams: Vec<_> = (0..3).map(|index| stream(index, 1_000_003)).collect();

    let Served { name, set, devices, server } = Served::new(3, Direction::Backup);
    each_device(&devices, &files, receive, || server.backup(&streams));
    set.close().unwrap();
    server.close();
    Served::assert_gone(&name);
    for (file, stream) in files.iter().zip(&streams) {
        assert!(std::fs::read(file).unwrap() == *stream, "{} differs", file.display());
    }

    let Served { set, devices, server, .. } = Served::new(3, Direction::Restore);
    let mut restored = Vec::new();
    each_device(&devices, &files, send, || restored = server.restore());
    set.close().unwrap();
    server.close();
    assert!(restored == streams, "the bytes differ");
}

/// Catches: an access beyond a buffer, or after Close took it away; a handle whose size is believed.
#[rstest]
#[timeout(WATCHDOG)]
fn no_access_leaves_the_buffer_or_outlives_the_set() {
    let Served { name, set, devices, server } = Served::new(1, Direction::Backup);
    let writer = std::thread::spawn(move || {
        let _ = server.write(0, &[0xA5; 1000]);
        server
    });
    let command = next(&devices[0]).unwrap();
    assert_eq!((command.code(), command.size()), (CommandCode::WRITE, 1000));
    let mut bytes = [0; 1000];
    command.buffer().unwrap().copy_to(0, &mut bytes).unwrap();
    assert_eq!(bytes, [0xA5; 1000]);
    let beyond = |result| matches!(result, Err(BufferError::OutOfBounds { size: 1000, .. }));
    assert!(beyond(command.buffer().unwrap().copy_to(1, &mut bytes)));
    assert!(beyond(command.buffer().unwrap().copy_from(1001, &[])));
    assert!(beyond(command.buffer().unwrap().copy_from(usize::MAX, &[0])));
    command.buffer().unwrap().copy_from(1000, &[]).unwrap();

    // A secondary in the same process has the same bytes under the handle.
    let other = CallerSet::new(&DropIn::load(&drop_in()).unwrap());
    other.open_in_secondary(name.as_bytes()).unwrap();
    let handle = command.buffer_handle().unwrap();
    let mapped = other.map_buffer_handle(handle, 1000).unwrap();
    assert_eq!(mapped.size(), 1000);
    command.buffer().unwrap().copy_from(500, &[1, 2, 3]).unwrap();
    let mut three = [0; 3];
    mapped.copy_to(500, &mut three).unwrap();
    assert_eq!(three, [1, 2, 3]);
    assert!(beyond(mapped.copy_to(998, &mut three)));
    let too_large = other.map_buffer_handle(handle, u32::MAX);
    assert!(matches!(too_large, Err(BufferError::NotShared { .. })), "{too_large:?}");
    let wrong = other.map_buffer_handle(0, 1);
    assert!(
        matches!(wrong, Err(BufferError::Call(error)) if error.status == HResult::VD_E_INVALID)
    );

    other.close().unwrap();
    assert!(matches!(mapped.copy_to(0, &mut three), Err(BufferError::Closed)));
    assert_eq!(status(set.close()), HResult::VD_E_OPEN);
    assert!(matches!(command.buffer().unwrap().copy_to(0, &mut three), Err(BufferError::Closed)));
    let late = command.complete(CompletionCode::ERROR_SUCCESS, 0, 0);
    assert_eq!(status(late), HResult::VD_E_PROTOCOL);
    writer.join().unwrap().close();
    Served::assert_gone(&name);
}

/// Catches: a waiting call that an abort from another thread does not wake.
#[rstest]
#[timeout(WATCHDOG)]
fn an_abort_from_another_thread_ends_a_wait() {
    let Served { name, set, devices, server } = Served::new(1, Direction::Backup);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| status(devices[0].get_command(None)));
        std::thread::sleep(Duration::from_millis(20));
        set.signal_abort().unwrap();
        assert_eq!(waiting.join().unwrap(), HResult::VD_E_ABORT);
    });
    set.close().unwrap();
    server.close();
    Served::assert_gone(&name);
}

/// Catches: an object that is destroyed under its devices, or never.
#[rstest]
#[timeout(WATCHDOG)]
fn the_set_ends_when_the_last_that_uses_it_is_dropped() {
    let Served { name, set, devices, server } = Served::new(1, Direction::Backup);
    drop(set);
    assert_eq!(status(devices[0].get_command(Some(Duration::ZERO))), HResult::VD_E_TIMEOUT);
    drop(devices);
    server.wait_for_abort();
    server.close();
    Served::assert_gone(&name);
}

/// Catches: a second copy of the library's state when it is loaded twice; a name that ends at a zero
/// byte without a word.
#[rstest]
#[timeout(WATCHDOG)]
fn a_library_is_loaded_once_and_names_are_passed_whole() {
    let sets = [0, 1].map(|_| CallerSet::new(&DropIn::load(&drop_in()).unwrap()));
    let name = format!("caller-{}-twice", std::process::id());
    let config = VdConfig { device_count: 1, ..VdConfig::default() };
    sets[0].create(name.as_bytes(), &config).unwrap();
    assert_eq!(status(sets[1].create(name.as_bytes(), &config)), HResult::VD_E_PROTOCOL);
    assert_eq!(status(sets[1].create(b"a\0b", &config)), HResult::VD_E_INVALID);
    sets[0].close().unwrap();
    assert_eq!(status(sets[0].close()), HResult::VD_E_PROTOCOL);
}

/// Catches: calling into a library that is none of the kind.
#[rstest]
#[timeout(WATCHDOG)]
fn what_is_no_drop_in_is_refused() {
    let text = tempfile::NamedTempFile::new().unwrap();
    let error = DropIn::load(text.path()).unwrap_err();
    assert!(matches!(error, LoadError::NotLoadable { .. }), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libother.so");
    let mut compiler = std::process::Command::new("gcc");
    support::must(compiler.args(["-shared", "-x", "c", "/dev/null", "-o"]).arg(&library));
    let error = DropIn::load(&library).unwrap_err();
    assert!(matches!(error, LoadError::NoSymbol { .. }), "{error}");
    assert!(error.to_string().contains("libother.so"), "{error}");
}
