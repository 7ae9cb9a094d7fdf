//! Memory does not depend on the size of a database.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use fake_sqlserver::catalogue::{RecoveryModel, Server, SyntheticDatabase};
use fake_sqlserver::messages::MemoryLog;
use fake_sqlserver::session::{Instance, Login, Session, TextClient};
use vdi_device::{ClientSet, Environment, Namespace};
use vdi_protocol::{CommandCode, CompletionCode, Profile, VdConfig};
use vdi_region::Backend;

/// Tells a process of this program the size of its database in MiB, and whether its stream goes over
/// virtual devices.
const SIZE: &str = "VDISIM_TEST_MEBIBYTES";
const DEVICES: &str = "VDISIM_TEST_DEVICES";

/// Before the peak in KiB, on standard output.
const MARK: &str = "peak: ";

fn run(instance: &Arc<Instance>, batch: &str) {
    let mut client = TextClient::default();
    let mut session = Session::new(Arc::clone(instance), Login::default());
    session.execute(batch, &[], &mut client).unwrap();
    assert!(!client.lines.iter().any(|line| line.starts_with("3013")), "{:?}", client.lines);
}

/// A backup that is verified meanwhile.
fn through_a_pipe(instance: &Arc<Instance>, pipe: &Path) {
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let pipe = pipe.display();
    thread::scope(|scope| {
        scope.spawn(|| {
            run(instance, &format!("BACKUP DATABASE big TO DISK='{pipe}' WITH CHECKSUM"))
        });
        run(instance, &format!("RESTORE VERIFYONLY FROM DISK='{pipe}' WITH CHECKSUM"));
    });
}

/// A backup to a virtual device that is restored from another one meanwhile.
fn over_devices(instance: &Arc<Instance>) {
    let [out, back] = ["out", "back"].map(|name| {
        let set = ClientSet::new(instance.environment.clone());
        set.create(name.as_bytes(), &VdConfig { device_count: 1, ..VdConfig::default() }).unwrap();
        set
    });
    let (send, receive) = mpsc::sync_channel::<Vec<u8>>(2);
    thread::scope(|scope| {
        scope.spawn(move || {
            let answer = |code, piece: &mut Vec<u8>| {
                if code == CommandCode::WRITE {
                    send.send(piece.clone()).unwrap();
                }
                (CompletionCode::ERROR_SUCCESS, piece.len())
            };
            serve(&out, b"out", answer);
        });
        scope.spawn(move || {
            let mut rest = Vec::new();
            serve(&back, b"back", |_, piece| {
                while rest.len() < piece.len() {
                    let Ok(more) = receive.recv() else { break };
                    rest.extend(more);
                }
                let count = piece.len().min(rest.len());
                piece[..count].copy_from_slice(&rest[..count]);
                rest.drain(..count);
                match count == piece.len() {
                    true => (CompletionCode::ERROR_SUCCESS, count),
                    false => (CompletionCode::ERROR_HANDLE_EOF, count),
                }
            });
        });
        scope.spawn(|| run(instance, "BACKUP DATABASE big TO VIRTUAL_DEVICE='out'"));
        let moved = "MOVE 'big' TO 'c:\\copy.mdf', MOVE 'big_log' TO 'c:\\copy.ldf'";
        run(instance, &format!("RESTORE DATABASE copy FROM VIRTUAL_DEVICE='back' WITH {moved}"));
    });
}

/// Answers the commands of a set's one device: `answer` takes what a Write brings, and puts in what a
/// Read is to get.
fn serve(
    set: &ClientSet,
    name: &[u8],
    mut answer: impl FnMut(CommandCode, &mut Vec<u8>) -> (CompletionCode, usize),
) {
    set.get_configuration(None).unwrap();
    let device = set.open_device(name).unwrap();
    let mut piece = Vec::new();
    while let Ok(command) = device.get_command(None) {
        let buffer = || set.map_buffer(set.get_buffer_handle(command.buffer).unwrap()).unwrap();
        piece.resize(command.size as usize, 0);
        if command.code == CommandCode::WRITE {
            buffer().slice().unwrap().copy_to(0, &mut piece).unwrap();
        }
        let (code, bytes) = match command.code {
            CommandCode::WRITE | CommandCode::READ => answer(command.code, &mut piece),
            _ => (CompletionCode::ERROR_SUCCESS, 0),
        };
        if command.code == CommandCode::READ {
            buffer().slice().unwrap().copy_from(0, &piece[..bytes]).unwrap();
        }
        device.complete_command(command.id, code, bytes as u64, 0).unwrap();
    }
    let _ = set.close();
}

// A part of the test below, in a process of its own.
#[test]
#[ignore = "memory_does_not_grow_with_the_database runs it"]
fn a_backup_goes_into_a_restore() {
    // Opening a pipe waits for the other side.
    thread::spawn(|| {
        thread::sleep(Duration::from_secs(300));
        eprintln!("the test hangs");
        std::process::abort();
    });
    let mebibytes: u64 = std::env::var(SIZE).unwrap().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let namespace = Namespace::new(&format!("memory-{}", std::process::id())).unwrap();
    let environment = Environment::new(namespace, Backend::platform_default());
    let server = Server::open(folder.path()).unwrap();
    let (size, recovery_model) = (mebibytes << 20, RecoveryModel::Full);
    let big = SyntheticDatabase { name: "big".to_owned(), size, seed: 1, recovery_model };
    server
        .update(|catalogue| {
            catalogue.put(big.build(20, Default::default()));
            Ok::<_, ()>(())
        })
        .unwrap()
        .unwrap();
    let log = Arc::new(MemoryLog::default());
    let instance = Arc::new(Instance::new(server, environment, Profile::SQL2016, "HOST", log));
    match std::env::var_os(DEVICES) {
        Some(_) => over_devices(&instance),
        None => through_a_pipe(&instance, &folder.path().join("pipe")),
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{MARK}{}", peak.trim_end_matches("kB").trim());
}

/// Peak of the resident memory, in KiB, of a process that backs up a database and reads the stream.
fn peak(mebibytes: u64, over_devices: bool) -> u64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_backup_goes_into_a_restore", "--ignored", "--nocapture"]);
    command.env(SIZE, mebibytes.to_string());
    if over_devices {
        command.env(DEVICES, "");
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let mark = said.find(MARK).unwrap_or_else(|| panic!("{said}"));
    said[mark + MARK.len()..].lines().next().unwrap().parse().unwrap()
}

// Catches: extents, pages or log kept until the end, a buffer as large as the stream; over files or
// virtual devices, verified or restored.
#[test]
fn memory_does_not_grow_with_the_database() {
    for (over_devices, less, more) in [(false, 64, 1024), (true, 32, 256)] {
        let (small, large) = (peak(less, over_devices), peak(more, over_devices));
        // What is kept of an extent is its number, a few bytes of 65,536.
        let sizes = format!("{small} KiB for {less} MiB, {large} KiB for {more} MiB");
        assert!(large < small + 4096, "{sizes}, over devices: {over_devices}");
    }
}
