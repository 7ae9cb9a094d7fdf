//! C++ clients written for SQL Server's SDK, against the registered DLL.
//!
//! They are compiled by scripts/windows, which names their folder in VDISIM_WINDOWS_CLIENTS, and in
//! VDISIM_WINDOWS_CLIENTS_32 that of the same for 32 bits with a DLL for them. Windows has one registration, so
//! that this is one test after the other; it is the machine's, because Wine 8 looks for no other.
#![cfg(windows)]

mod accounts;
mod codes;
mod commands;
mod deaths;
mod judged;
mod names;
mod registration;
mod statements;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng, rngs::StdRng};
use rstest::rstest;
use vdisim_tests::golden::goldens;
use vdisim_tests::{Scene, artefacts};

/// The DLL registered, for as long as this lives.
struct Registration {
    _one_at_a_time: MutexGuard<'static, ()>,
}

impl Registration {
    fn new(scene: &Scene) -> Registration {
        static ONE: Mutex<()> = Mutex::new(());
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        scene.run(scene.vdisim("register --force")).expect(0).says("for all users");
        Registration { _one_at_a_time: one }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let scene = Scene::new();
        scene.run(scene.vdisim("unregister"));
    }
}

const CLIENTS: &str = "VDISIM_WINDOWS_CLIENTS";
const CLIENTS_32: &str = "VDISIM_WINDOWS_CLIENTS_32";

/// What scripts/windows made; None, and a word about it, if it did not.
fn made(folder: &str, name: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os(folder) else {
        eprintln!("SKIP {name}: {folder} names no folder; run scripts/windows");
        return None;
    };
    Some(PathBuf::from(folder).join(name))
}

fn client(scene: &Scene, name: &str) -> Option<Command> {
    client_in(CLIENTS, scene, name)
}

/// A compiled client.
fn client_in(folder: &str, scene: &Scene, name: &str) -> Option<Command> {
    let mut command = Command::new(made(folder, &format!("{name}.exe"))?);
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

/// Backs the files up through the client, one a device, and restores them from what it stored. `mode` is the client's,
/// behind the client's name if that is another than com_client.
fn round_trip(mode: &str, raw: bool, scene: &Scene, files: &[PathBuf]) {
    round_trip_in(CLIENTS, mode, raw, scene, files);
}

fn round_trip_in(folder: &str, mode: &str, raw: bool, scene: &Scene, files: &[PathBuf]) {
    let devices: Vec<_> = (0..files.len())
        .map(|k| if k == 0 { "set".to_owned() } else { format!("set{k}") })
        .collect();
    let stored: Vec<_> = (0..files.len()).map(|k| scene.path(&format!("stored{k}"))).collect();
    let (program, mode) = mode.split_once(' ').unwrap_or(("com_client", mode));
    let steps = [("backup", "--from", files), ("restore", "--compare", stored.as_slice())];
    for (operation, option, others) in steps {
        let Some(mut client) = client_in(folder, scene, program) else { return };
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

/// The DLL for programs of 32 bits, registered beside ours; `unregister` takes both away.
fn register_narrow(scene: &Scene) -> Option<PathBuf> {
    let dll = made(CLIENTS_32, "sqlvdi.dll")?;
    let mut register = scene.vdisim("register --force --sqlvdi");
    register.arg(&dll);
    scene.run(register).expect(0).says("for programs of 32 bits");
    Some(dll)
}

/// Catches: a layout that differs with the width of pointers; a registration in the wrong half of the
/// registry.
#[test]
fn a_client_of_32_bits_meets_a_server_of_64() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let (Some(_), Some(mut probe)) =
        (register_narrow(&scene), client_in(CLIENTS_32, &scene, "com_probe"))
    else {
        return;
    };
    probe.arg("probe");
    scene.run(probe).expect(0).says("ok");
    let files: Vec<_> = (0..4).map(|k| random_file(&scene, &format!("sent{k}"), k)).collect();
    round_trip_in(CLIENTS_32, "processes", true, &scene, &files);
    let Some(golden) = goldens(&["full-2019.bak"]) else { return };
    round_trip_in(CLIENTS_32, "pipe", false, &scene, &golden);
}

/// Catches: a doctor that promises a client the drop-in without asking for whom it is registered.
#[test]
fn doctor_says_what_com_gives_a_client() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let (Some(wide), Some(narrow), Some(dll)) = (
        made(CLIENTS, "com_client.exe"),
        made(CLIENTS_32, "com_client.exe"),
        made(CLIENTS_32, "sqlvdi.dll"),
    ) else {
        return;
    };
    let doctor = |client: &Path| {
        let mut doctor = scene.vdisim("doctor --client");
        doctor.arg(client);
        scene.run(doctor)
    };
    doctor(&wide).expect(0).says("from COM");
    doctor(&narrow).expect(3).says("has 32 bits").says("REGDB_E_CLASSNOTREG (0x80040154)");
    let client = |folder: &str, path: &Path| {
        let mut client = client_in(folder, &scene, "com_client").unwrap();
        client.args(["pipe", "backup", "set"]).arg(path);
        scene.run(client)
    };
    let unused = scene.path("unused");
    client(CLIENTS_32, &unused).expect(1).says("CoCreateInstance: 0x80040154");
    // The wrong DLL under the right key.
    let key = r"HKLM\Software\Classes\WOW6432Node\CLSID\{40700425-0080-11d2-851f-00c04fc21759}\InprocServer32";
    reg(&scene, &["add", key, "/ve", "/d", &artefacts::drop_in().display().to_string(), "/f"]);
    doctor(&narrow).expect(3).says("has 64 bits and is registered for clients of 32");
    reg(&scene, &["delete", key, "/f"]);
    // What no user may read as a file: a folder.
    let key = key.replace(r"WOW6432Node\", "");
    let before = artefacts::drop_in().display().to_string();
    reg(&scene, &["add", &key, "/ve", "/d", &scene.path("").display().to_string(), "/f"]);
    doctor(&wide).expect(3).says("may not read it").says("E_ACCESSDENIED (0x80070005)");
    client(CLIENTS, &unused).expect(1).says("CoCreateInstance: 0x80070005");
    reg(&scene, &["add", &key, "/ve", "/d", &before, "/f"]);
    register_narrow(&scene);
    doctor(&narrow).expect(0).says(&dll.display().to_string());
    scene.run(scene.vdisim("unregister")).expect(0).says("nothing is registered");
    doctor(&wide).expect(3).says("are not registered");
    client(CLIENTS, &unused).expect(1).says("CoCreateInstance: 0x80040154");
}

fn reg(scene: &Scene, words: &[&str]) {
    let mut command = Command::new("reg");
    command.args(words);
    scene.run(command).expect(0);
}

/// The probe ticks off a table of methods and codes and fails for a code that it has not met.
///
/// Catches: a slot of a vtable out of order, a count that keeps the DLL in memory, a return code.
#[test]
fn every_method_and_rule() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let Some(mut probe) = client(&scene, "com_probe") else { return };
    probe.arg("probe");
    scene.run(probe).expect(0).says("ok");
}

/// Catches: a slot that C sees elsewhere than C++ does, or a macro that calls another method.
#[test]
fn a_client_in_c() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let Some(mut probe) = client(&scene, "c_probe") else { return };
    probe.arg("probe");
    scene.run(probe).expect(0).says("ok");
}

/// Catches: a manifest that names another class, another file or no model of threads.
#[test]
fn a_manifest_stands_in_for_the_registration() {
    let scene = Scene::new();
    let registration = Registration::new(&scene);
    // Nobody else's meanwhile.
    scene.run(scene.vdisim("unregister")).expect(0);
    let manifest = scene.run(scene.vdisim("register --manifest"));
    let manifest = scene.file("sqlvdi.manifest", manifest.expect(0).out.as_bytes());
    fs::copy(artefacts::drop_in(), scene.path("sqlvdi.dll")).unwrap();
    let Some(mut probe) = client(&scene, "c_probe") else { return };
    probe.arg("probe");
    scene.run(probe).expect(1).says("CoCreateInstance");
    let mut probe = client(&scene, "com_probe").unwrap();
    probe.arg("probe").arg(manifest);
    scene.run(probe).expect(0).says("ok");
    drop(registration);
}

/// Catches: a failure that nobody can look up, one written elsewhere than the registry says, or although that was
/// turned off.
#[test]
fn an_abort_is_logged_where_the_registry_says_unless_logs_are_off() {
    let key = r"HKLM\Software\Microsoft\SQL Virtual Device Interface";
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let usual = scene.path("vdisim").join("VDI.LOG");
    let named = scene.path("a folder").join("other.log");
    for (file, logs) in
        [(None, Some(&usual)), (Some(named.as_path()), Some(&named)), (Some(Path::new("")), None)]
    {
        if let Some(file) = file {
            reg(&scene, &["add", key, "/v", "Log File", "/d", &file.display().to_string(), "/f"]);
        }
        let Some(mut probe) = client(&scene, "com_probe") else { return };
        probe.arg("probe").env("LOCALAPPDATA", scene.path(""));
        scene.run(probe).expect(0);
        let abort = "SQLVDI: Loc=TriggerAbort. Desc=invoked. ErrorCode=(0). Process=";
        let missing = "SQLVDI: Loc=SVDS::Open. Desc=Open(Control). ErrorCode=(2)";
        let (client, server) = (
            r". Client. Instance=MSSQLSERVER. VD=Global\probe_SQLVDIMemoryName_0.",
            r". Server. Instance=MSSQLSERVER. VD=Global\no such set_SQLVDIMemoryName_0.",
        );
        for log in [&usual, &named] {
            let said = fs::read_to_string(log).unwrap_or_default();
            for (start, end) in [(abort, client), (missing, server)] {
                let found = said.lines().any(|line| line.starts_with(start) && line.ends_with(end));
                assert_eq!(found, logs == Some(log), "{}: {said}", log.display());
            }
            let _ = fs::remove_file(log);
        }
    }
    reg(&scene, &["delete", key, "/v", "Log File", "/f"]);
}

/// Catches: a wait that is not alertable, an old identity with the old vtable, a secondary's Close
/// that ends the set, a handle that means another buffer in another process, a completion that is taken for another
/// command's or from the command's own thread alone.
#[rstest]
#[case::one("pipe", 1)]
#[case::by_the_older_interface("old", 1)]
#[case::from_procedure_calls("apc", 1)]
#[case::a_thread_a_device("threads", 4)]
#[case::a_process_a_device("processes", 4)]
#[case::by_handle("workers_client handles", 1)]
#[case::by_a_pool_of_threads("workers_client pool", 1)]
fn bytes_come_back(#[case] mode: &str, #[case] devices: usize) {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let files: Vec<_> =
        (0..devices).map(|k| random_file(&scene, &format!("sent{k}"), k as u64)).collect();
    round_trip(mode, true, &scene, &files);
}

/// Catches: a limit of the DLL's, of the waits or of the names below what the interface has.
#[test]
fn sixty_four_devices() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let file = |k: usize| scene.file(&format!("sent{k}"), &vec![k as u8; 70_000 + 512 * k]);
    let files: Vec<_> = (0..64).map(file).collect();
    round_trip("threads", true, &scene, &files);
}

/// A device for each.
const FOUR: [&str; 4] =
    ["chain-2016/full.bak", "chain-2016/diff.bak", "chain-2016/log1.trn", "chain-2016/log2.trn"];

/// Catches: a byte of a real stream lost, doubled or moved to another device.
#[rstest]
#[case::one(&["full-2019.bak"], "pipe")]
#[case::from_procedure_calls(&["full-2019.bak"], "apc")]
#[case::striped(&["stripe-2008r2/family1.bak", "stripe-2008r2/family2.bak"], "threads")]
#[case::four_by_threads(&FOUR, "threads")]
#[case::four_by_processes(&FOUR, "processes")]
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

/// Catches: a SignalAbort that the server's process does not hear of, or takes for a Close or a death.
#[test]
fn a_signalled_abort_ends_a_backup() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let Some(mut client) = client(&scene, "com_client") else { return };
    client.args(["threads", "backup", "set"]).arg(scene.path("stored"));
    let client = scene.start({
        client.env("CLIENT_BREAKS", "gives-up");
        client
    });
    let server = "backup --set set --maxtransfersize 65536 --size 1300000 --raw";
    let ended = scene.run(scene.vdisim(server));
    ended.expect(1).says("the client called SignalAbort").says("terminating abnormally");
    client.wait().expect(1);
}

/// Catches: a page that stays accessible, a fault that nobody is told of, one that is blamed on another
/// buffer, command or module; a handler that lets the client go on.
#[rstest]
#[case::behind("touches-behind", "the client wrote 1 bytes past the end of buffer ")]
#[case::late("reads-late", "the client read byte 0 of buffer ")]
fn a_stray_access_is_named(#[case] mistake: &str, #[case] says: &str) {
    const ACCESS_VIOLATION: i32 = 0xC000_0005_u32.cast_signed();
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let Some(mut client) = client(&scene, "com_client") else { return };
    client.args(["pipe", "backup", "set"]).arg(scene.path("stored"));
    let client = scene.start({
        client.env("CLIENT_BREAKS", mistake);
        client
    });
    let server = scene.run(scene.vdisim("backup --set set --size 300000 --guard"));
    let client = client.wait();
    assert_eq!(client.code(), Some(ACCESS_VIOLATION), "it ends as it would without us");
    client.says(says).says("VDC_Write, command 1 of device 0").says("com_client.exe");
    server.expect(1).says(says.trim_start_matches("the "));
}
