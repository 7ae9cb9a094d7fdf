//! A client for each verdict, and how the command ends with it.

use std::fs;

use rstest::rstest;
use vdisim_tests::Scene;

use crate::subject::{good_client, results, suite, suite_of, verdicts};

const ONE: &str = "client/Write/full";

/// The verdict of one case of the good client with a mistake.
fn verdict(mistake: &str, more: &str, code: i32) -> String {
    let scene = Scene::new();
    let ended = scene.run(suite(&scene, mistake, &format!("{ONE} --json --stall 2 {more}")));
    ended.expect(code);
    verdicts(&results(&ended)).remove(ONE).expect("a verdict")
}

// Catches: a verdict that is another one's, and an exit code that does not follow from it.
#[rstest]
#[case::pass("", 0, "PASS")]
#[case::fail("count=2:-1", 1, "FAIL")]
#[case::crash("crashes", 1, "CRASH")]
#[case::hang("forgets=2", 1, "HANG")]
#[case::never_there("fails-to-start", 1, "FAIL")]
fn each_verdict_has_a_client(#[case] mistake: &str, #[case] code: i32, #[case] wanted: &str) {
    assert_eq!(verdict(mistake, "", code), wanted);
}

// Catches: failing for a `should` without being asked to, and not failing when asked to.
#[test]
fn strict_makes_a_should_count() {
    let scene = Scene::new();
    let line = "client/Close/called --json";
    scene.run(suite(&scene, "never-closes", line)).expect(0);
    scene.run(suite(&scene, "never-closes", &format!("{line} --strict"))).expect(1);
}

// Catches: an expected failure that fails the run, and an unexpected pass that does not.
#[test]
fn known_failures_are_expected() {
    let scene = Scene::new();
    let file =
        scene.file("known.yaml", b"- id: client/Write/fu*l\n  reason: known\n  ticket: A-1\n");
    let known = format!("--expected-failures {}", file.display());
    assert_eq!(verdict("count=2:-1", &known, 0), "XFAIL");
    assert_eq!(verdict("", &known, 1), "XPASS");
}

// Catches: a run of which nothing was judged and which passes all the same.
#[test]
fn nothing_judged_is_no_success() {
    let scene = Scene::new();
    let line = "client/handles --json";
    let ended = scene.run(suite(&scene, "", line));
    ended.expect(1).says("nothing could be judged");
    assert!(verdicts(&results(&ended)).values().all(|verdict| verdict == "N/A"));
    let mut command = suite(&scene, "", "client/Flush/synchronises --json");
    command.env("PATH", "/nonexistent");
    let ended = scene.run(command);
    ended.expect(1);
    let results = results(&ended);
    assert_eq!(results["cases"][0]["verdict"], "SKIP");
    assert_eq!(results["cases"][0]["reason"], "no strace");
}

// Catches: a failure that leaves its reader alone.
#[test]
fn a_failure_explains_itself() {
    let scene = Scene::new();
    let ended = scene.run(suite(&scene, "count=2:-1", ONE));
    ended.expect(1);
    for part in [
        "FAIL  client/Write/full (must)",
        "A Write that succeeds is completed with ERROR_SUCCESS",
        "[VDI, VDC_Write page]",
        "is answered with 0 ERROR_SUCCESS and 65536 bytes",
        "65535 bytes",
        "CompleteCommand code 0, 65535 bytes",
        "vdisim test client/Write/full --seed 1 --client",
    ] {
        ended.says(part);
    }
}

// Catches: permissions that nobody but their owner meets, and a failure that is not SQL Server's.
#[test]
fn another_account_meets_the_permissions() {
    let scene = Scene::new();
    let ended = scene.run(suite(&scene, "private-objects", "client/Create/runs-as-other --strict"));
    ended.expect(1);
    for part in [
        "belongs to user ",
        "mode 0640",
        "Host_vdisim-set_SQLVDIMemoryName_0: ClientBufferAreaManager::SyncWithGlobalTable: \
         Open(hBufferMemory): error 2",
        "TriggerAbort: ChannelSem: error 2",
        // GetConfiguration has returned success before.
        "OpenDevice: 0x80770004",
        "client GetConfiguration NOERROR",
    ] {
        ended.says(part);
    }
}

// Catches: a line that reproduces nothing, because a quote or an option is missing.
#[test]
fn the_reproduction_reproduces() {
    let scene = Scene::new();
    let ended = scene.run(suite(&scene, "count=2:-1", &format!("{ONE} --json --seed 7")));
    let line = results(&ended)["cases"][0]["reproduce"].as_str().unwrap().to_owned();
    assert!(line.contains("--seed 7"), "{line}");
    let mut command = std::process::Command::new("sh");
    let vdisim = vdisim_tests::artefacts::vdisim();
    let script = line.replacen("vdisim", &vdisim.display().to_string(), 1);
    command.args(["-c", &script]).env("CLIENT_BREAKS", "count=2:-1");
    scene.place(&mut command);
    scene.run(command).expect(1).says("FAIL  client/Write/full");
}

// Catches: a process that ends at once and leaves another behind, unseen or unkilled.
#[test]
fn a_client_that_forks_and_leaves_is_waited_for_and_named() {
    let scene = Scene::new();
    let script = format!(
        "#!/bin/sh\n{} \"$@\" >/dev/null 2>&1 &\nexec sleep 0.05\n",
        good_client().display()
    );
    let path = scene.file("daemon", script.as_bytes());
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let client = format!("{} {{op}} {{mode}} {{set}} {{file}}", path.display());
    let ended = scene.run(suite_of(&scene, &client, &format!("{ONE} --json")));
    ended.expect(0);
}

// Catches: cases left out or run twice when the work is shared by machines.
#[test]
fn parts_make_the_whole() {
    let scene = Scene::new();
    let list = |more: &str| {
        let ended = scene.run(suite(&scene, "", &format!("--dry-run {more}")));
        ended.expect(0);
        ended.out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut parts: Vec<_> = (1..=3).flat_map(|k| list(&format!("--partition {k}/3"))).collect();
    let mut whole = list("");
    parts.sort();
    whole.sort();
    assert_eq!(parts, whole);
}

// Catches: going on after a failure, and forgetting that each case is to be repeated.
#[test]
fn the_first_failure_may_end_the_run_and_cases_be_repeated() {
    let scene = Scene::new();
    let count = |mistake: &str, more: &str| {
        let ended = scene.run(suite(&scene, mistake, &format!("client/Write/f* --json {more}")));
        results(&ended)["cases"].as_array().unwrap().len()
    };
    let all = count("", "");
    assert_eq!(count("", "--repeat 3"), 3 * all);
    assert_eq!(count("count=2:-1", "--fail-fast --jobs 1"), 1);
}

// Catches: a report that lacks a file, and a folder that cannot be written and is found out too late.
#[test]
fn a_run_leaves_a_report() {
    let scene = Scene::new();
    let folder = scene.path("report");
    let line = format!("{ONE} --report {}", folder.display());
    scene.run(suite(&scene, "", &line)).expect(0).says("index.html");
    for name in ["index.html", "results.json", "junit.xml", "results.tap"] {
        assert!(fs::metadata(folder.join(name)).unwrap().len() > 0, "{name}");
    }
    scene.file("taken", b"");
    let line = format!("{ONE} --report {}/x", scene.path("taken").display());
    scene.run(suite(&scene, "", &line)).expect(2).says("taken/x");
}

// Catches: Ctrl-C that leaves processes or shared memory, or loses what was known.
#[test]
fn ctrl_c_ends_everything_and_tells_what_is_known() {
    let scene = Scene::new();
    let folder = scene.path("report");
    let line = format!("{ONE} client/Write/stored --stall 60 --report {}", folder.display());
    let running = scene.start(suite(&scene, "forgets=2", &line));
    // Far less than the cases would take, and enough to be in the midst of them.
    std::thread::sleep(std::time::Duration::from_millis(700));
    let id = running.id();
    let pid = nix::unistd::Pid::from_raw(id.cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    running.wait().expect(1).says("interrupted");
    let ours = format!("vdisim.t{id}-");
    let objects = fs::read_dir("/dev/shm").unwrap();
    let left = objects
        .filter(|object| object.as_ref().unwrap().file_name().to_string_lossy().starts_with(&ours));
    assert_eq!(left.count(), 0);
    let text = fs::read_to_string(folder.join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(results["runs"][0]["interrupted"], true);
}
