//! Memory does not depend on the size of a database.
#![cfg(target_os = "linux")]

use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fake_sqlserver::catalogue::{RecoveryModel, Server, SyntheticDatabase};
use fake_sqlserver::messages::MemoryLog;
use fake_sqlserver::session::{Instance, Login, Session, TextClient};
use vdi_device::{Environment, Namespace};
use vdi_protocol::Profile;
use vdi_region::Backend;

/// Tells a process of this program the size of its database in MiB.
const SIZE: &str = "VDISIM_TEST_MEBIBYTES";

/// Before the peak in KiB, on standard output.
const MARK: &str = "peak: ";

fn run(instance: &Arc<Instance>, batch: &str) {
    let mut client = TextClient::default();
    let mut session = Session::new(Arc::clone(instance), Login::default());
    session.execute(batch, &[], &mut client).unwrap();
    assert!(!client.lines.iter().any(|line| line.starts_with("3013")), "{:?}", client.lines);
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
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let pipe = pipe.display();
    thread::scope(|scope| {
        scope.spawn(|| {
            run(&instance, &format!("BACKUP DATABASE big TO DISK='{pipe}' WITH CHECKSUM"))
        });
        run(&instance, &format!("RESTORE VERIFYONLY FROM DISK='{pipe}' WITH CHECKSUM"));
    });
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{MARK}{}", peak.trim_end_matches("kB").trim());
}

/// Peak of the resident memory, in KiB, of a process that backs up a database and reads the stream.
fn peak(mebibytes: u64) -> u64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_backup_goes_into_a_restore", "--ignored", "--nocapture"])
        .env(SIZE, mebibytes.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let mark = said.find(MARK).unwrap_or_else(|| panic!("{said}"));
    said[mark + MARK.len()..].lines().next().unwrap().parse().unwrap()
}

// Catches: extents, pages or log kept until the end, a buffer as large as the stream.
#[test]
fn memory_does_not_grow_with_the_database() {
    let (small, large) = (peak(64), peak(1024));
    // 16 times the database; what is kept of an extent is its number, 16 bytes of 65,536.
    assert!(large < small + 4096, "{small} KiB for 64 MiB, {large} KiB for 1 GiB");
}
