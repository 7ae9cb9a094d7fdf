//! Too little memory, foreign hands in the shared objects, and objects of other users.
#![cfg(target_os = "linux")]

use std::fs::{self, File, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use rstest::rstest;
use vdisim_tests::{Ended, Running, Scene, artefacts};

/// The server stops for a while before its tenth command, with buffers under way.
const PAUSE: &str = "{at: {nth: 10}, do: {delay: 1s}}";

fn client(scene: &Scene) -> Running {
    let mut command = scene.vdisim("client backup --set s --file");
    command.arg(scene.path("stored"));
    scene.start(command)
}

fn pausing_server(scene: &Scene) -> Running {
    let mut command = scene.vdisim("backup --set s --size 9000000 --trace");
    command.arg(scene.path("trace")).args(["--fault", PAUSE]);
    scene.start(command)
}

/// Waits until the server pauses.
fn await_pause(scene: &Scene) {
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while !fs::read_to_string(scene.path("trace")).is_ok_and(|trace| trace.contains("\"fault\"")) {
        assert!(std::time::Instant::now() < end, "the server does not pause");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a signal ended it.
fn crashed(ended: &Ended) -> bool {
    ended.code().is_none()
}

// Catches: a server that dies of SIGBUS, or finds out about missing memory only in the transfer.
#[rstest]
#[case::buffers("", "VD_E_MEMORY")]
#[case::few("--buffercount 1 --maxtransfersize 65536", "")]
fn a_small_shared_memory_is_noticed_at_configuration(#[case] options: &str, #[case] says: &str) {
    let scene = Scene::new();
    let script = format!(
        "mount -t tmpfs -o size=1m,mode=1777 tmpfs /dev/shm || exit 99
         \"$0\" client backup --set s --file \"$1\" & client=$!
         \"$0\" backup --set s --size 700000 {options}; echo \"server $?\"
         wait $client; echo \"client $?\"",
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &script]);
    command.arg(artefacts::vdisim()).arg(scene.path("stored"));
    scene.place(&mut command);
    if Command::new("unshare")
        .args(["--mount", "--map-root-user", "true"])
        .status()
        .is_ok_and(|s| !s.success())
    {
        println!("SKIP full /dev/shm: this user cannot unshare a mount namespace");
        return;
    }
    let ended = scene.run(command);
    if says.is_empty() {
        ended.says("server 0").says("client 0");
    } else {
        ended.says("server 3").says("client 1").says(says).says("/dev/shm");
    }
}

// Catches: a server that SIGBUS kills when somebody cuts an object that it has mapped.
#[rstest]
#[case::buffers(|name: &str| name.contains("Name_0_B"))]
#[case::control(|name: &str| name.ends_with("Name_0"))]
fn a_shrunk_object_is_an_error_of_the_environment(#[case] object: fn(&str) -> bool) {
    let scene = Scene::new();
    let client = client(&scene);
    let server = pausing_server(&scene);
    await_pause(&scene);
    let name = scene.objects().into_iter().find(|name| object(name)).unwrap();
    let path = Path::new("/dev/shm").join(name);
    File::options().write(true).open(path).unwrap().set_len(0).unwrap();
    server.wait().expect(3).says("shrunk by another process").says("Msg 3013");
    // A client is not protected: its own program may die of it.
    drop(client);
}

// Catches: believing what stands in a segment: a crash, a hang, or a success.
#[rstest]
fn a_scribbled_control_segment_is_an_error(#[values(1, 2, 3, 4, 5, 6, 7, 8)] seed: u64) {
    let scene = Scene::new();
    let client = client(&scene);
    let server = pausing_server(&scene);
    await_pause(&scene);
    let path = scene.await_object("_B0.");
    let control = path.to_str().unwrap().split("_B0.").next().unwrap().to_owned();
    let len = fs::metadata(&control).unwrap().len();
    let mut file = File::options().write(true).open(&control).unwrap();
    let mut rng = StdRng::seed_from_u64(seed);
    // All of it, or one part after the other.
    let parts = if seed < 5 { 1 } else { 8 };
    for part in 0..parts {
        let mut bytes = vec![0; (len / parts) as usize];
        rng.fill_bytes(&mut bytes);
        file.seek(SeekFrom::Start(part * (len / parts))).unwrap();
        file.write_all(&bytes).unwrap();
    }
    let server = server.wait();
    assert!(!crashed(&server) && server.code() != Some(0), "seed {seed}: {server:?}");
    let client = client.wait();
    assert!(!crashed(&client) && client.code() != Some(0), "seed {seed}: {client:?}");
}

// Catches: reading a segment of another version as if it were ours, and not saying so.
#[rstest]
fn another_layout_version_is_named(#[values(0, 999)] version: u32) {
    let scene = Scene::new();
    let mut command = scene.vdisim("client backup --set s --stall-at created --file");
    command.arg(scene.path("stored"));
    let client = scene.start(command);
    let control = scene.await_object("Host_s_SQLVDIMemoryName_0");
    // Behind the eight bytes of the magic number.
    let mut file = File::options().write(true).open(control).unwrap();
    file.seek(SeekFrom::Start(8)).unwrap();
    file.write_all(&version.to_ne_bytes()).unwrap();
    scene
        .run(scene.vdisim("backup --set s --size 1 --wait 5"))
        .expect(3)
        .says(&format!("version {version}"));
    drop(client);
}

// Catches: two clients that both believe to own the set, or none that gets it.
#[test]
fn of_many_creates_of_one_name_one_succeeds() {
    for _ in 0..10 {
        let scene = Scene::new();
        let clients: Vec<_> = (0..4)
            .map(|k| {
                let mut command = scene.vdisim("client backup --set s --file");
                command.arg(scene.path(&format!("stored{k}")));
                scene.start(command)
            })
            .collect();
        // All of them have tried before a server lets the first one go.
        let has_lost = |client: &&Running| client.err().contains("VD_E_PROTOCOL");
        let end = std::time::Instant::now() + Duration::from_secs(60);
        while clients.iter().filter(has_lost).count() < 3 {
            assert!(std::time::Instant::now() < end, "not all but one have lost: {clients:?}");
            thread::sleep(Duration::from_millis(5));
        }
        scene.run(scene.vdisim("backup --set s --size 5000")).expect(0);
        let ended: Vec<_> = clients.into_iter().map(Running::wait).collect();
        let winners = ended.iter().filter(|client| client.code() == Some(0)).count();
        assert_eq!(winners, 1, "{ended:?}");
        for loser in ended.iter().filter(|client| client.code() != Some(0)) {
            loser.expect(1).says("VD_E_PROTOCOL");
        }
        assert_eq!(scene.objects(), Vec::<String>::new());
    }
}

/// A command of the scene under another user's id; the binaries are copied to where everybody may
/// read them.
fn as_user(scene: &Scene, user: u32, line: &str) -> Command {
    let folder = scene.path("shared");
    if !folder.exists() {
        let open = |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
        open(scene.path("").as_path());
        fs::create_dir(&folder).unwrap();
        open(&folder);
        for binary in [artefacts::vdisim(), artefacts::drop_in()] {
            fs::copy(&binary, folder.join(binary.file_name().unwrap())).unwrap();
        }
    }
    let mut command = Command::new(folder.join("vdisim"));
    command.args(line.split_whitespace());
    scene.place(&mut command);
    command.env("VDISIM_SQLVDI", folder.join("libsqlvdi.so")).uid(user).gid(user);
    command.current_dir(&folder);
    command
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("SKIP several users: only root can play several users");
    }
    root
}

// Catches: a leftover that nobody is told how to remove, or that is removed from under its owner.
#[test]
fn a_leftover_of_another_user_is_named_with_its_remedy() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    scene.run(as_user(&scene, 65_000, "client backup --set s --kill-at created --file a"));
    let left = scene.objects();
    assert!(!left.is_empty(), "Create has made nothing");
    scene
        .run(as_user(&scene, 65_001, "client backup --set s --timeout 1 --file b"))
        .expect(1)
        .says("VD_E_SECURITY");
    scene.run(as_user(&scene, 65_001, "doctor --clean")).says("65000").says("rm ");
    assert_eq!(scene.objects(), left);
    scene.run(as_user(&scene, 65_000, "doctor --clean")).expect(0).says("removed");
    assert_eq!(scene.objects(), Vec::<String>::new());
}

// Catches: a server that waits in silence for a set that it may not open.
#[test]
fn a_set_of_another_user_is_an_error_of_the_environment() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let client = scene.start(as_user(&scene, 65_000, "client backup --set s --file a"));
    scene.await_object("Host_s_SQLVDIMemoryName_0");
    scene
        .run(as_user(&scene, 65_001, "backup --set s --size 1 --wait 5"))
        .expect(3)
        .says("VD_E_SECURITY")
        .says("65000");
    drop(client);
}
