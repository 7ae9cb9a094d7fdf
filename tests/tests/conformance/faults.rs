//! Faults on purpose, in single statements and in every case of a run.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use rstest::rstest;
use vdisim::server::transfer::{PRESETS, Preset};
use vdisim_tests::{Ended, Scene};

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
    ("objects that the other side cannot open", &["missing-object", "permission"]),
    (
        "data lost between Write, Flush and Complete",
        &["flush-mid-stream", "kill-before-flush", "kill-before-complete", "abort-before-flush"],
    ),
    ("hung backups", &["stall-mid-stream", "stall-at-flush", "slow-server"]),
    ("too little memory", &["exhaust-memory", "memory-refused", "disk-full", "random-disk-full"]),
    ("milliseconds or seconds", &["slow-server", "late-attach"]),
    ("the wrong library", &["version-mismatch"]),
    ("a server that ends early", &["close-mid-stream", "kill-mid-stream"]),
];

fn table() -> String {
    let mut text = String::from(
        "# Faults with names\n\nFor `--fault` of `vdisim backup`, `restore` and `test`; `vdisim list \
         --faults` prints them, `vdisim explain NAME` one of them.\n",
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
