//! Faults on purpose, in single statements and in every case of a run.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rstest::rstest;
use vdisim::server::transfer::{PRESETS, Preset};
use vdisim_tests::{Ended, Scene, is_killed};

use crate::subject::{good_client, results, suite, verdicts};

/// A BACKUP with a fault, and how the server and the good client with a mistake end.
fn backup(scene: &Scene, fault: &str, mistake: &str) -> (Ended, Ended) {
    let server =
        scene.start(scene.vdisim(&format!("backup --set s --size 900000 --fault {fault}")));
    let mut client = scene.vdisim("run --");
    client.arg(good_client()).args(["backup", "pipe", "s"]).arg(scene.path("stored"));
    client.env("CLIENT_BREAKS", mistake);
    let client = scene.run(client);
    (server.wait(), client)
}

// Catches: a failure of the library that looks otherwise than that of SQL Server's own, or that the
// server tells otherwise. Texts: sql-server-samples, issue 752.
#[rstest]
#[case("missing-object", "Open(hBufferMemory): error 2", "there is no shared object")]
#[case("permission", "Open(hBufferMemory): error 13", "no permission to open")]
#[case("memory-refused", "Open(hBufferMemory): error 12", "bytes of shared memory are wanted")]
#[case("version-mismatch", "Open(hBufferMemory): error 0", "has layout version")]
fn the_drop_in_fails_as_the_real_one(
    #[case] preset: &str,
    #[case] library: &str,
    #[case] why: &str,
) {
    let scene = Scene::new();
    let (server, client) = backup(&scene, preset, "");
    let prefix = "Host_s_SQLVDIMemoryName_0: ";
    client
        .expect(1)
        .says(&format!("{prefix}ClientBufferAreaManager::SyncWithGlobalTable: {library}"))
        .says(&format!("{prefix}TriggerAbort: invoked: error 0"))
        .says(&format!("{prefix}TriggerAbort: ChannelSem: error"))
        .says(why)
        .says("OpenDevice");
    server
        .expect(3)
        .says("Msg 18210, Level 16, State 1")
        .says("BackupVirtualDeviceSet::AllocateBuffer: failure on backup device 's'.")
        .says("Operating system error 995(")
        .says("Msg 3013")
        .says("the client could not map a buffer segment");
    let line = format!("client/Write/full --fault {preset} --json");
    let ended = scene.run(suite(&scene, "", &line));
    let results = results(&ended);
    assert_eq!(results["environment"]["fault in every case"], preset);
    assert_eq!(verdicts(&results)["client/Write/full"], "PASS", "it may not do more");
    assert_eq!(verdicts(&results_of_deaf(&scene, preset))["client/Write/full"], "HANG");
}

/// The same of a client that does not hear VD_E_ABORT.
fn results_of_deaf(scene: &Scene, preset: &str) -> serde_json::Value {
    let line = format!("client/Write/full --fault {preset} --stall 2 --json");
    let ended = scene.run(suite(scene, "deaf", &line));
    ended.expect(1);
    results(&ended)
}

// Catches: another account that nobody notices, one that strikes a client whose objects are open to its
// group, and a client that is failed for what the account brought about.
#[test]
fn another_account_meets_what_the_client_lets_it() {
    let scene = Scene::new();
    let (server, client) = backup(&scene, "runs-as-other", "");
    server.expect(0);
    client.expect(0);
    let (server, client) = backup(&scene, "runs-as-other", "private-objects");
    client.expect(1).says("SyncWithGlobalTable: Open(hBufferMemory): error 2").says("OpenDevice");
    server.expect(3).says("Operating system error 995(").says("could not map a buffer segment");

    let verdict = |mistake: &str| {
        let line = "client/Write/stored --fault runs-as-other --json";
        let ended = scene.run(suite(&scene, mistake, line));
        let verdicts = verdicts(&results(&ended));
        let met = ended.out.contains("another account meets");
        (verdicts["client/Write/stored"].clone(), met)
    };
    assert_eq!(verdict("corrupts-size=65536"), ("FAIL".to_owned(), false), "it went on");
    assert_eq!(verdict("private-objects"), ("PASS".to_owned(), true), "it could do no more");
}

/// Waits until whoever runs in the scene's namespace has left settings for its clients.
fn await_settings(scene: &Scene) {
    let object = format!("/dev/shm/vdisim.{}.rendezvous", scene.namespace());
    let begin = Instant::now();
    while !Path::new(&object).exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{object} was never left");
        thread::sleep(Duration::from_millis(5));
    }
}

// Catches: a Create that succeeds all the same, that fails otherwise than on such a machine, or that goes
// on failing when the statement is over.
#[rstest]
#[case("create-refused", "Create: 0x8077000A", "bytes of shared memory are wanted")]
#[case("create-forbidden", "Create: 0x80770005", "no permission to create the shared object")]
fn create_fails_before_there_is_a_server(
    #[case] preset: &str,
    #[case] status: &str,
    #[case] why: &str,
) {
    let scene = Scene::new();
    let create = || {
        let mut client = scene.vdisim("run --");
        client.arg(good_client()).args(["backup", "pipe", "s"]).arg(scene.path("stored"));
        client
    };
    let refusing = |wait: &str| {
        let line = format!("backup --set s --size 900000 --wait {wait} --fault {preset}");
        scene.start(scene.vdisim(&line))
    };
    // Waits for longer than any client takes to come.
    let mut server = refusing("3600");
    await_settings(&scene);
    scene.run(create()).expect(1).says(status).says(why);
    server.kill();
    assert!(is_killed(server.wait().status));
    refusing("0.1").wait().expect(1).says("The fault plan said so: drop-in").says("Msg 3013");
    let server = scene.start(scene.vdisim("backup --set s --size 900000"));
    scene.run(create()).expect(0);
    server.wait().expect(0);
}

// Catches: a client without a set that is judged by what it could not do, that may claim success, or
// that may try for ever; a client excused though it never called Create, or asked for what is refused
// anyway.
#[rstest]
#[case::heeds("", "PASS")]
#[case::claims("claims-a-set", "FAIL")]
#[case::insists("insists", "HANG")]
#[case::leaves("fails-to-start", "FAIL")]
#[case::asks_for_too_much("too-many-devices", "FAIL")]
fn a_client_that_is_refused_its_set_has_to_say_so(#[case] mistake: &str, #[case] wanted: &str) {
    let scene = Scene::new();
    let id = "client/SignalAbort/exit-code";
    let line = format!("{id} client/Close/called --fault create-refused --stall 2 --json");
    let ended = scene.run(suite(&scene, mistake, &line));
    let verdicts = verdicts(&results(&ended));
    assert_eq!(verdicts[id], wanted, "{}", ended.out);
    let closes = if mistake == "claims-a-set" { "PASS" } else { wanted };
    assert_eq!(verdicts["client/Close/called"], closes, "{}", ended.out);
}

// Catches: buffers beyond all memory that are a crash or an abort without a reason.
#[test]
fn memory_that_is_not_there_is_named() {
    let scene = Scene::new();
    let (server, client) = backup(&scene, "exhaust-memory", "");
    server.expect(3).says("VD_E_MEMORY").says("bytes of shared memory are wanted");
    client.expect(1).says("GetConfiguration");
}

// Catches: a Flush that never comes or comes behind everything, and a client that takes it for the
// end and is believed.
#[test]
fn a_flush_is_not_the_end() {
    let scene = Scene::new();
    let (server, client) = backup(&scene, "flush-mid-stream", "");
    server.expect(0);
    client.expect(0);
    assert_eq!(fs::metadata(scene.path("stored")).unwrap().len(), 900_000);
    let (server, _) = backup(&scene, "flush-mid-stream", "flush-is-end");
    server.expect(1);
}

// Catches: a preset that the suite's server half does not know, or dies of.
#[test]
fn every_preset_strikes_in_the_suite() {
    let scene = Scene::new();
    // These take longer than a test may.
    let slow = ["late-attach", "never-attach", "stall-mid-stream", "stall-at-flush"];
    for preset in PRESETS.iter().filter(|preset| !slow.contains(&preset.name)) {
        let line = format!("client/Write/stored --fault {} --json", preset.name);
        let ended = scene.run(suite(&scene, "", &line));
        assert_eq!(ended.code(), Some(0), "{}: {}{}", preset.name, ended.out, ended.err);
        let verdicts = verdicts(&results(&ended));
        assert_eq!(verdicts["client/Write/stored"], "PASS", "{}", preset.name);
    }
}

// Catches: a mistake in a plan that is found only when the cases run, or without its place.
#[rstest]
#[case("{at: {nth: 0}, do: abort}", "line 1, column 1")]
#[case("- at: {nth: 1}\n  do: abort\n- at: {stage: opened}\n  do: flush\n", "line 3, column 3")]
#[case("no-such-preset", "late-attach")]
fn a_bad_plan_is_refused_at_once(#[case] plan: &str, #[case] says: &str) {
    let scene = Scene::new();
    let mut command = suite(&scene, "", "client/Write/full");
    command.args(["--fault", plan]);
    scene.run(command).expect(2).says(says);
}

/// What each of the pains that users tell of is tried with.
const PAINS: &[(&str, &[&str])] = &[
    ("\"OS error 995\" hides the true cause", &["error-995", "abort-mid-stream", "random-abort"]),
    (
        "0x80770003 from GetConfiguration",
        &["late-attach", "never-attach", "abort-while-configuring"],
    ),
    (
        "objects that the other side cannot open",
        &["missing-object", "permission", "runs-as-other", "create-forbidden"],
    ),
    (
        "data lost between Write, Flush and Complete",
        &["flush-mid-stream", "kill-before-flush", "kill-before-complete", "abort-before-flush"],
    ),
    ("hung backups", &["stall-mid-stream", "stall-at-flush", "slow-server"]),
    (
        "too little memory",
        &["exhaust-memory", "memory-refused", "create-refused", "disk-full", "random-disk-full"],
    ),
    ("milliseconds or seconds", &["slow-server", "late-attach"]),
    ("the wrong library", &["version-mismatch"]),
    ("a server that ends early", &["close-mid-stream", "kill-mid-stream"]),
];

fn table() -> String {
    let mut text = String::from(
        "# Faults with names\n\nFor `--fault` of `vdisim backup`, `restore` and `test`; `vdisim list \
         --faults` prints them, `vdisim explain NAME` one of them.\n\nA plan of your own is a file of such \
         lines, each a place (`at`) and what happens there (`do`). Two of them strike before the server does \
         anything wrong:\n\n- `{stage: creating}` is the client's own Create, which no server has a part in; \
         `{drop-in: memory}` or `{drop-in: permission}` has it fail while the statement runs. Start the \
         client behind `vdisim backup`; `vdisim test` sees to that.\n- `{runs-as: other}` at the stage \
         `attached` or `configuring` has the server run under another account of the group that the \
         client's objects belong to. A client whose umask keeps the group out fails, another one notices \
         nothing.\n",
    );
    for (pain, names) in PAINS {
        let _ =
            write!(text, "\n## {pain}\n\n| preset | what a client meets | plan |\n|---|---|---|\n");
        for name in *names {
            let preset = PRESETS.iter().find(|preset| preset.name == *name);
            let Preset { name, about, yaml } = preset.expect("a preset");
            let _ = writeln!(text, "| {name} | {about} | `{yaml}` |");
        }
    }
    text
}

// Catches: a preset that no pain is tried with, docs that have fallen behind, a name that neither
// command knows. VDISIM_WRITE_DOCS=1 writes the docs anew.
#[test]
fn every_preset_is_told() {
    let scene = Scene::new();
    let list = scene.run(scene.vdisim("list --faults"));
    for preset in PRESETS {
        assert!(PAINS.iter().any(|(_, names)| names.contains(&preset.name)), "{}", preset.name);
        list.says(preset.name);
        let mut command = scene.vdisim("explain");
        command.arg(preset.name);
        scene.run(command).expect(0).says(preset.about);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md");
    if std::env::var_os("VDISIM_WRITE_DOCS").is_some() {
        fs::write(&path, table()).unwrap();
    }
    let docs = fs::read_to_string(&path).unwrap_or_default();
    assert!(docs == table(), "docs/faults.md is old: run this test with VDISIM_WRITE_DOCS=1");
}
