//! What the command says and how it exits when things are not as they should be.

use std::fs;
use std::process::Command;

use rstest::rstest;
use vdisim_tests::{Scene, artefacts, is_killed};

/// Stores `bytes` under "stored" as a client would have, and returns them to a restore that is
/// called with these arguments; the restore's end.
fn restored(scene: &Scene, bytes: &[u8], restore: &str) -> vdisim_tests::Ended {
    let stored = scene.file("stored", bytes);
    let mut command = scene.vdisim("client restore --set s --file");
    command.arg(stored);
    let client = scene.start(command);
    let mut command = scene.vdisim("restore --set s");
    command.args(restore.split_whitespace().map(|word| match word.strip_prefix('@') {
        Some(name) => scene.path(name).into_os_string(),
        None => word.into(),
    }));
    let ended = scene.run(command);
    client.wait();
    ended
}

// Catches: a comparison that looks at lengths only, or at nothing.
#[rstest]
#[case::differs(|b: &mut Vec<u8>| b[70_001] ^= 1, "byte 70001 is")]
#[case::first(|b: &mut Vec<u8>| b[0] ^= 0x80, "byte 0 is")]
#[case::short(|b: &mut Vec<u8>| b.truncate(150_000), "ended after 150000 of 200000 bytes")]
#[case::long(|b: &mut Vec<u8>| b.push(0), "goes on after the 200000 bytes")]
fn a_restore_that_differs_fails(#[case] harm: fn(&mut Vec<u8>), #[case] says: &str) {
    let scene = Scene::new();
    let right: Vec<u8> = (0..200_000u32).map(|i| ((i * 7) >> 3) as u8).collect();
    scene.file("right", &right);
    let mut wrong = right.clone();
    restored(&scene, &right, "--compare @right").expect(0);
    harm(&mut wrong);
    restored(&scene, &wrong, "--compare @right")
        .expect(1)
        .says(says)
        .says("RESTORE DATABASE is terminating abnormally.");
}

// Catches: a digest over something else than the stream.
#[test]
fn a_raw_restore_tells_the_digest() {
    let scene = Scene::new();
    restored(&scene, b"abc", "--raw")
        .expect(0)
        .says("3 bytes, SHA-256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

// Catches: exit codes and messages that do not tell who has to act.
#[rstest]
#[case("backup --set s --database nothing", 1, "Msg 911")]
#[case("backup --set s", 2, "--from")]
#[case("restore --set s --wait 0.05", 1, "No client created the set 's'")]
#[case("restore --set s --raw --database db", 2, "--raw")]
#[case("backup --set s --device t --size 1", 2, "must have the set's name 's'")]
#[case("backup --set s --device s t t --size 1", 2, "'t' is named twice")]
#[case("backup --set s --device s t u --from /dev/null /dev/null", 2, "2 files for 3 devices")]
#[case("backup --set s --from /nonexistent/file", 2, "/nonexistent/file")]
#[case("backup --set s --size 1 --blocksize 1000", 2, "Msg 3253")]
#[case("backup --set s --size 1 --maxtransfersize 65537", 2, "Msg 3217")]
#[case("backup --set s --size 1 --buffercount 0", 2, "Msg 3250")]
#[case("backup --set s --size 1 --fault no-such", 2, "late-attach")]
#[case("backup --set s --size 1 --profile sql1999", 2, "sql2019-linux")]
#[case("backup --set a\\b --size 1 --wait 0", 2, "backslash")]
#[case("backup --set s --size 1 --wait 0.05", 1, "0x80070002")]
#[case("client backup --set s --file x --sqlvdi /nonexistent.so", 3, "/nonexistent.so")]
#[case("test --sqlvdi /nonexistent.so", 3, "/nonexistent.so")]
#[case("test no-such-case", 2, "vdisim list")]
#[case("explain 0x80770003", 0, "VD_E_TIMEOUT")]
#[case("explain 995", 0, "ERROR_OPERATION_ABORTED")]
#[case("explain -2139684860", 0, "VD_E_ABORT")]
#[case("explain rubbish", 2, "rubbish")]
#[case("run /nonexistent/client", 4, "/nonexistent/client")]
fn the_exit_code_tells_who_has_to_act(#[case] line: &str, #[case] code: i32, #[case] says: &str) {
    let scene = Scene::new();
    scene.run(scene.vdisim(line)).expect(code).says(says);
}

// Catches: sending a last block that is not full from what should be a backup.
#[test]
fn a_backup_has_whole_blocks() {
    let scene = Scene::new();
    let file = scene.file("odd", &[7; 1000]);
    let mut command = scene.vdisim("backup --set s --from");
    command.arg(&file);
    scene.run(command).expect(2).says("1000 bytes").says("512");
    let mut command = scene.vdisim("client backup --set s --file");
    command.arg(scene.path("stored"));
    let client = scene.start(command);
    let mut command = scene.vdisim("backup --set s --raw --from");
    command.arg(&file);
    scene.run(command).expect(0);
    client.wait().expect(0);
    assert_eq!(fs::read(scene.path("stored")).unwrap(), [7; 1000]);
}

// Catches: giving up at once, or forgetting the messages of a BACKUP without a client.
#[test]
fn a_backup_without_a_client_says_what_sql_server_says() {
    let scene = Scene::new();
    scene
        .run(scene.vdisim("backup --set nobody --size 1 --wait 0.1"))
        .expect(1)
        .says(
            "Msg 18210, Level 16, State 1, Line 1\nBackupVirtualDeviceSet::Initialize: Open failure \
             on backup device 'nobody'. Operating system error 0x80070002(The system cannot find \
             the file specified.).",
        )
        .says("Msg 3041")
        .says("BACKUP DATABASE is terminating abnormally.")
        .says("No client created the set 'nobody' within 0.1 s");
}

// Catches: a transfer that begins though client and statement disagree about the devices.
#[test]
fn another_number_of_devices_is_refused_with_3261() {
    let scene = Scene::new();
    let mut command = scene.vdisim("client backup --set s --device s t --file");
    command.args([scene.path("1"), scene.path("2")]);
    let client = scene.start(command);
    scene.run(scene.vdisim("backup --set s --size 1")).expect(1).says("Msg 3261").says("2 devices");
    client.wait().expect(1);
}

// Catches: a profile that does not change what it is for.
#[test]
fn sql_server_2019_on_linux_refuses_a_disk() {
    let scene = Scene::new();
    let mut command = scene.vdisim("client backup --set s --features LikeDisk --file");
    command.arg(scene.path("1"));
    let client = scene.start(command);
    scene
        .run(scene.vdisim("backup --set s --size 1 --profile sql2019-linux"))
        .expect(1)
        .says("Msg 3261")
        .says("known bug");
    client.wait().expect(1);
}

// Catches: a server that waits for ever for a client that hangs, or does not name the command.
#[test]
fn a_client_that_hangs_is_aborted_after_two_intervals() {
    let scene = Scene::new();
    let mut command =
        scene.vdisim("client backup --set s --server-time-out 150 --stall-at executed:3 --file");
    command.arg(scene.path("1"));
    let client = scene.start(command);
    scene
        .run(scene.vdisim("backup --set s --size 9000000"))
        .expect(1)
        .says("two server time-out intervals of 150 ms")
        .says("command 3 (VDC_Write")
        .says("995(");
    // The stalled thread never sees the abort; the scene's end kills it.
    drop(client);
}

// Catches: a client that takes a full disk for a success, or a server that does.
#[test]
fn a_full_disk_fails_the_backup() {
    let scene = Scene::new();
    if !fs::exists("/dev/full").unwrap() {
        println!("SKIP full disk: there is no /dev/full");
        return;
    }
    let client = scene.start(scene.vdisim("client backup --set s --file /dev/full"));
    scene
        .run(scene.vdisim("backup --set s --size 9000000"))
        .expect(1)
        .says("Write on \"s\" failed: 112(There is not enough space on the disk.)");
    client.wait().expect(1).says("ERROR_DISK_FULL");
}

// Catches: faults that do something else than they say, and clients that call the rest a backup.
#[rstest]
#[case("abort-mid-stream", "Msg 3204")]
#[case("close-mid-stream", "close in place of command 3")]
#[case("{at: {command: flush}, do: abort}", "(VDC_Flush)")]
#[case("{at: {stage: configured}, do: abort}", "Configured")]
fn a_fault_fails_both_sides(#[case] fault: &str, #[case] says: &str) {
    let scene = Scene::new();
    let mut command = scene.vdisim("client backup --set s --features RequestComplete --file");
    command.arg(scene.path("1"));
    let client = scene.start(command);
    let mut command = scene.vdisim("backup --set s --size 9000000 --fault");
    command.arg(fault);
    scene.run(command).expect(1).says(says);
    client.wait().expect(1);
    assert_eq!(scene.objects(), Vec::<String>::new());
}

// Catches: a trace without the commands, and lines that are no JSON or have no version.
#[test]
fn a_trace_has_every_command() {
    let scene = Scene::new();
    let mut command = scene.vdisim("client backup --set s --file");
    command.arg(scene.path("1"));
    let client = scene.start(command);
    let mut command = scene.vdisim("backup --set s --size 3000000 --trace");
    command.arg(scene.path("trace"));
    scene.run(command).expect(0);
    client.wait().expect(0);
    let mut sent = Vec::new();
    for line in fs::read_to_string(scene.path("trace")).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["version"], 1);
        if line["event"] == "sent" {
            sent.push(line["details"]["command"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(sent, ["VDC_Write", "VDC_Write", "VDC_Write", "VDC_Write", "VDC_Flush"]);
}

// Catches: JSON that lacks what a program would look for.
#[test]
fn json_is_for_programs() {
    let scene = Scene::new();
    let mut command = scene.vdisim("client backup --set s --json --file");
    command.arg(scene.path("1"));
    let client = scene.start(command);
    let server = scene.run(scene.vdisim("backup --set s --size 100 --json"));
    server.expect(0);
    let client = client.wait();
    client.expect(0);
    let server: serde_json::Value = serde_json::from_str(&server.out).unwrap();
    assert_eq!(server["succeeded"], true);
    assert_eq!(server["devices"][0]["bytes"], 100);
    assert_eq!(server["messages"][0]["number"], 3014);
    let client: serde_json::Value = serde_json::from_str(&client.out).unwrap();
    assert_eq!(client["devices"][0]["bytes"], 100);
    assert_eq!(client["features"], "VDF_WriteMedia");
}

// Catches: a runner that swallows exit codes or signals, or starts clients without the drop-in.
#[test]
fn run_passes_exit_codes_signals_and_the_environment_on() {
    let scene = Scene::new();
    let run = |script: &str| {
        let mut command = scene.vdisim("run -- sh -c");
        command.arg(script);
        scene.run(command)
    };
    run("exit 0").expect(0);
    run("exit 77").expect(77);
    assert!(is_killed(run("kill -9 $$").status));
    let folder = artefacts::drop_in().parent().unwrap().display().to_string();
    run("echo $LD_LIBRARY_PATH $VDISIM_NAMESPACE").expect(0).says(&folder).says(scene.namespace());
}

// Catches: a doctor that calls a machine unusable which just ran a backup, or misses the drop-in.
#[test]
fn the_doctor_finds_this_machine_usable() {
    let scene = Scene::new();
    scene.run(scene.vdisim("doctor")).expect(0).says("libsqlvdi.so");
    let json = scene.run(scene.vdisim("doctor --json"));
    let json: serde_json::Value = serde_json::from_str(&json.expect(0).out).unwrap();
    assert_eq!(json["usable"], true);
    scene.run(scene.vdisim("doctor --sqlvdi /nonexistent.so")).expect(3).says("BAD");
}

// Catches: a clean-up that removes what it did not make, or what lives.
#[test]
fn the_doctor_cleans_up_behind_killed_processes_only() {
    let scene = Scene::new();
    let foreign = format!("/dev/shm/Host_{}_SQLVDIMemoryName_0", scene.namespace());
    fs::write(&foreign, b"a real SQL Server's").unwrap();
    let mut command = scene.vdisim("client backup --set dead --kill-at created --file");
    command.arg(scene.path("1"));
    scene.run(command);
    let mut command = scene.vdisim("client backup --set alive --file");
    command.arg(scene.path("2"));
    let client = scene.start(command);
    scene.await_object("Host_alive");

    let look = scene.run(scene.vdisim("doctor"));
    look.expect(0).says("Host_dead").says("left by killed processes").says("'alive'");
    assert!(scene.objects().iter().any(|name| name.contains("Host_dead")), "doctor removed it");
    scene.run(scene.vdisim("doctor --clean")).expect(0).says("removed").says("left alone");
    assert!(!scene.objects().iter().any(|name| name.contains("Host_dead")), "doctor left it");
    assert!(scene.objects().iter().any(|name| name.contains("Host_alive")), "doctor removed a set");
    let kept = fs::read(&foreign);
    fs::remove_file(&foreign).unwrap();
    assert_eq!(kept.unwrap(), b"a real SQL Server's");
    scene.run(scene.vdisim("backup --set alive --size 10")).expect(0);
    client.wait().expect(0);
}

/// Compiles a program that calls nothing, with these options; skips by name without a compiler.
fn program(scene: &Scene, options: &[&str]) -> Option<std::path::PathBuf> {
    let source = scene.file("main.c", b"int main(void) { return 0; }\n");
    let program = scene.path("client");
    let library = artefacts::drop_in().parent().unwrap().to_owned();
    let built = Command::new("cc")
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(library)
        .args(options)
        .status();
    match built {
        Ok(status) if status.success() => Some(program),
        _ => {
            println!("SKIP doctor of a {options:?} program: cc cannot compile one");
            None
        }
    }
}

// Catches: missing what keeps a client from loading the drop-in, or crying wolf.
#[test]
fn the_doctor_tells_which_clients_cannot_load_the_drop_in() {
    let scene = Scene::new();
    let doctor = |path: &std::path::Path| {
        let mut command = scene.vdisim("doctor --client");
        command.arg(path);
        scene.run(command)
    };
    let needs = ["-Wl,--no-as-needed", "-lsqlvdi"];
    let Some(plain) = program(&scene, &needs) else { return };
    doctor(&plain).expect(0).says("will load the drop-in");

    // The library's folder in DT_RPATH comes first, and a foreign library lies there.
    let folder = scene.path("lib");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("libsqlvdi.so"), b"not ours").unwrap();
    let rpath = format!("-Wl,--disable-new-dtags,-rpath,{}", folder.display());
    let Some(client) = program(&scene, &[needs[0], needs[1], &rpath]) else { return };
    doctor(&client).expect(3).says("DT_RPATH").says("shim install --lib");
    // DT_RUNPATH comes behind LD_LIBRARY_PATH and is harmless.
    let runpath = format!("-Wl,--enable-new-dtags,-rpath,{}", folder.display());
    let Some(client) = program(&scene, &[needs[0], needs[1], &runpath]) else { return };
    doctor(&client).expect(0);

    let mut mode = fs::metadata(&client).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o4755);
    fs::set_permissions(&client, mode).unwrap();
    doctor(&client).expect(3).says("set-user-ID");

    let Some(client) = program(&scene, &["-static"]) else { return };
    doctor(&client).expect(3).says("statically");
    doctor(&scene.path("nowhere")).expect(3).says("nowhere");
}

// Catches: a shim that does not load, or that stays after --undo.
#[test]
fn a_shim_is_installed_and_taken_away() {
    let scene = Scene::new();
    let folder = scene.path("lib");
    fs::create_dir(&folder).unwrap();
    let shim = |more: &str| {
        let mut command = scene.vdisim("shim install --lib");
        command.arg(&folder).args(more.split_whitespace());
        scene.run(command)
    };
    shim("").expect(0);
    let library = folder.join("libsqlvdi.so");
    assert!(fs::read(&library).unwrap() == fs::read(artefacts::drop_in()).unwrap());
    shim("").expect(0);
    shim("--undo").expect(0);
    assert!(!library.exists());
    shim("--undo").expect(1);
    fs::write(&library, b"somebody else's").unwrap();
    shim("").expect(1).says("left alone");
    shim("--undo").expect(1).says("left alone");
    assert_eq!(fs::read(&library).unwrap(), b"somebody else's");
}

// Catches: a self-test that passes whatever happens: here the drop-in is no drop-in.
#[test]
fn the_self_test_goes_through_the_drop_in() {
    let scene = Scene::new();
    let fake = scene.file("libsqlvdi.so", &fs::read(artefacts::vdisim()).unwrap()[..4096]);
    let mut command = scene.vdisim("test self-test/round-trip/pipe --sqlvdi");
    command.arg(fake);
    scene.run(command).expect(3);
    let two = "test self-test/round-trip/one-byte self-test/round-trip/empty";
    scene.run(scene.vdisim(two)).expect(0).says("2 PASS");
}
