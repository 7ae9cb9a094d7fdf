//! C++ clients written for SQL Server's SDK, against the registered DLL.
//!
//! They are compiled by scripts/windows, which names their folder in VDISIM_WINDOWS_CLIENTS. Windows has
//! one registration a user, so that this is one test after the other.
#![cfg(windows)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng, rngs::StdRng};
use rstest::rstest;
use vdisim_tests::golden::goldens;
use vdisim_tests::{Scene, artefacts};

/// The DLL registered for this user, for as long as this lives.
struct Registration {
    _one_at_a_time: MutexGuard<'static, ()>,
}

impl Registration {
    fn new(scene: &Scene) -> Registration {
        static ONE: Mutex<()> = Mutex::new(());
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        scene.run(scene.vdisim("register --user --force")).expect(0).says("for this user");
        Registration { _one_at_a_time: one }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let scene = Scene::new();
        scene.run(scene.vdisim("unregister --user"));
    }
}

/// A compiled client; None, and a word about it, if there is none.
fn client(scene: &Scene, name: &str) -> Option<Command> {
    let Some(folder) = std::env::var_os("VDISIM_WINDOWS_CLIENTS") else {
        eprintln!("SKIP {name}: VDISIM_WINDOWS_CLIENTS names no folder; run scripts/windows");
        return None;
    };
    let mut command = Command::new(PathBuf::from(folder).join(format!("{name}.exe")));
    scene.place(&mut command);
    Some(command)
}

/// A file of a few transfers that is no multiple of one.
fn random_file(scene: &Scene, name: &str, seed: u64) -> PathBuf {
    let mut bytes = vec![0; 3 * 1024 * 1024 + 512 * 7];
    StdRng::seed_from_u64(seed).fill(bytes.as_mut_slice());
    scene.file(name, &bytes)
}

fn same(one: &Path, other: &Path) -> bool {
    fs::read(one).unwrap() == fs::read(other).unwrap()
}

/// Backs the files up through the client, one a device, and restores them from what it stored.
fn round_trip(mode: &str, raw: bool, scene: &Scene, files: &[PathBuf]) {
    let devices: Vec<_> = (0..files.len())
        .map(|k| if k == 0 { "set".to_owned() } else { format!("set{k}") })
        .collect();
    let stored: Vec<_> = (0..files.len()).map(|k| scene.path(&format!("stored{k}"))).collect();
    let steps = [("backup", "--from", files), ("restore", "--compare", stored.as_slice())];
    for (operation, option, others) in steps {
        let Some(mut client) = client(scene, "com_client") else { return };
        let client = scene.start({
            client.args([mode, operation, "set"]).args(&stored);
            client
        });
        let mut server = scene.vdisim(operation);
        server.args(["--set", "set"]).args(devices.iter().flat_map(|name| ["--device", name]));
        server.arg(option).args(others).args(raw.then_some("--raw"));
        scene.run(server).expect(0).says("successfully processed");
        client.wait().expect(0);
        for (sent, stored) in files.iter().zip(&stored) {
            assert!(same(sent, stored), "{mode} {operation}: {} differs", sent.display());
        }
    }
}

/// Catches: a slot of a vtable out of order, a count that keeps the DLL in memory, a return code.
#[test]
fn every_method_and_rule() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let Some(mut probe) = client(&scene, "com_probe") else { return };
    probe.arg("probe");
    scene.run(probe).expect(0).says("ok");
}

/// Catches: a wait that is not alertable, an old identity with the old vtable, a secondary's Close
/// that ends the set.
#[rstest]
#[case::one("pipe", 1)]
#[case::by_the_older_interface("old", 1)]
#[case::from_procedure_calls("apc", 1)]
#[case::a_thread_a_device("threads", 4)]
#[case::a_process_a_device("processes", 4)]
fn bytes_come_back(#[case] mode: &str, #[case] devices: usize) {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let files: Vec<_> =
        (0..devices).map(|k| random_file(&scene, &format!("sent{k}"), k as u64)).collect();
    round_trip(mode, true, &scene, &files);
}

#[rstest]
#[case::one(&["full-2019.bak"], "pipe")]
#[case::striped(&["stripe-2008r2/family1.bak", "stripe-2008r2/family2.bak"], "threads")]
fn real_backups_come_back(#[case] names: &[&str], #[case] mode: &str) {
    let Some(files) = goldens(names) else { return };
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    round_trip(mode, false, &scene, &files);
}

/// Catches: a death that the other side does not notice.
#[rstest]
#[case::the_client(true)]
#[case::the_server(false)]
fn who_is_left_learns_of_a_death(#[case] client_dies: bool) {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let Some(mut client) = client(&scene, "com_client") else { return };
    let stored = scene.path("stored");
    client.args(["pipe", "backup", "set"]).arg(&stored);
    let mut client = scene.start(client);
    // Far more than is moved before the kill.
    let mut server = scene.start(scene.vdisim("backup --set set --size 68719476736 --raw"));
    let moved = || fs::metadata(&stored).is_ok_and(|about| about.len() > 1 << 20);
    let end = Instant::now() + Duration::from_secs(60);
    while !moved() {
        assert!(Instant::now() < end, "no byte arrives");
        std::thread::sleep(Duration::from_millis(2));
    }
    if client_dies {
        client.kill();
        server.wait().expect(1);
    } else {
        server.kill();
        client.wait().expect(1).says("GetCommand: 0x80770004");
    }
}

/// Catches: a registration that takes another's away for good, or without being asked.
#[test]
fn anothers_registration_is_left_alone_and_put_back() {
    let scene = Scene::new();
    let registration = Registration::new(&scene);
    let run = |line: &str| scene.run(scene.vdisim(line));
    run("unregister --user").expect(0).says("nothing is registered");
    run("register --user").expect(0);
    run("doctor").expect(0).says("is registered, for clients of 64 bits");
    let key = r"HKCU\Software\Classes\CLSID\{40700425-0080-11d2-851f-00c04fc21759}\InprocServer32";
    let reg = |words: &[&str]| {
        let mut command = Command::new("reg");
        command.args(words);
        scene.run(command).expect(0);
    };
    run("unregister --user").expect(0);
    reg(&["add", key, "/ve", "/d", r"C:\other\sqlvdi.dll", "/f"]);
    run("register --user").expect(3).says(r"C:\other\sqlvdi.dll");
    run("register --user --force").expect(0);
    run("unregister --user").expect(0).says(r"C:\other\sqlvdi.dll is registered");
    reg(&["delete", key, "/f"]);
    drop(registration);
    assert!(artefacts::drop_in().is_file());
}
