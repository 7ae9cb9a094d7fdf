//! A client for each verdict, and how the command ends with it.

use std::fs;

use nix::sys::signal::Signal;
use rstest::rstest;
use vdisim_tests::Scene;

use crate::subject::{
    await_object_of, good_client, objects_of, processes_of, results, suite, suite_of, verdicts,
};

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

// Catches: a case without an end, because a client that never answers a command goes on asking for the next
// one, and calls count as progress.
#[test]
fn a_client_that_only_calls_on_hangs() {
    let scene = Scene::new();
    let ended = scene.run(suite(&scene, "calls-on", &format!("{ONE} --json --stall 1")));
    ended.expect(1);
    let case = &results(&ended)["cases"][0];
    assert_eq!(case["verdict"], "HANG", "{case}");
    assert!(case["seen"].as_str().unwrap().contains("called on and on"), "{case}");
}

// Catches: patience that a client declared and does not get, patience that everybody gets, and that for
// starting given with a command in hand.
#[rstest]
#[case::starts_late("starts-late=2500", "start-time: 50s", "devices: 1")]
#[case::holds_flush("holds-flush=2500", "flush-hold: 50s", "start-time: 50s")]
fn slow_clients_get_the_time_that_they_declare(
    #[case] mistake: &str,
    #[case] patience: &str,
    #[case] other: &str,
) {
    for (capability, code, wanted) in [(patience, 0, "PASS"), (other, 1, "HANG")] {
        let scene = Scene::new();
        let declared = scene.file("slow.yaml", capability.as_bytes());
        let client = format!("{} {{op}} {{mode}} {{set}} {{file}}", good_client().display());
        let mut command = suite_of(&scene, &client, &format!("{ONE} --json --stall 1"));
        command.arg("--capabilities").arg(declared).env("CLIENT_BREAKS", mistake);
        let ended = scene.run(command);
        ended.expect(code);
        assert_eq!(verdicts(&results(&ended))[ONE], wanted, "{mistake} with {capability}");
    }
}

// Catches: a client that is failed for the unit that its time-out is read in, and one that leaves
// under both readings and is failed for a rule that it never came to.
#[test]
fn leaving_on_a_time_out_is_disputed() {
    let one = |mistake: &str, line: &str, code: i32| {
        let scene = Scene::new();
        let ended = scene.run(suite(&scene, mistake, &format!("{line} --json --stall 10")));
        ended.expect(code);
        results(&ended)["cases"][0].clone()
    };
    // 400 ms end in the pause of the case, 400 s do not.
    let case = one("leaves=400", "client/GetCommand/pause", 0);
    assert_eq!(case["verdict"], "PASS", "{case}");
    let evidence = case["evidence"][0].as_str().unwrap();
    assert!(evidence.starts_with("with time-outs read as seconds; as milliseconds: FAIL"));
    // Its second device keeps the server waiting for longer than either of 1 ms and 1 s.
    let case = one("leaves=1:2500", "client/devices/streams-apart", 0);
    assert_eq!((&case["verdict"], &case["level"]), (&"FAIL".into(), &"disputed".into()), "{case}");
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
    // One that declares nothing beyond a pipe.
    let client = format!("{} {{op}} {{mode}} {{set}} {{file}}", good_client().display());
    let ended = scene.run(suite_of(&scene, &client, "client/handles --json"));
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
    let client = format!("{} {{op}} {{mode}} {{set}} {{file}}", executable(&scene, &script));
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

// Catches: a seed without effect, and bytes that another run with the same seed does not send.
#[test]
fn the_seed_chooses_the_bytes() {
    let scene = Scene::new();
    let stored = |seed: u32, name: &str| {
        let kept = scene.path(name);
        let script = format!(
            "#!/bin/sh\n{} \"$@\" && cp \"$4\" {}\n",
            good_client().display(),
            kept.display()
        );
        let client = format!("{} {{op}} {{mode}} {{set}} {{file}}", executable(&scene, &script));
        scene.run(suite_of(&scene, &client, &format!("{ONE} --seed {seed}"))).expect(0);
        fs::read(kept).unwrap()
    };
    let first = stored(1, "first");
    assert!(!first.is_empty());
    assert!(first == stored(1, "again"), "the seed does not say it all");
    assert!(first != stored(2, "other"), "the seed says nothing");
}

// Catches: a terminal that shows nothing of a run, and a log that is full of what was only to be seen.
#[test]
fn progress_is_for_terminals() {
    let scene = Scene::new();
    let command = suite(&scene, "", ONE);
    let quiet = scene.run(command);
    assert_eq!(quiet.expect(0).err, "");
    assert!(!quiet.out.contains(ONE), "{}", quiet.out);
    let words = suite(&scene, "", ONE);
    let words = std::iter::once(words.get_program()).chain(words.get_args());
    let words: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
    // A terminal for its three streams.
    let mut shown = std::process::Command::new("script");
    shown.args(["-qec", &shell_words::join(words), "/dev/null"]).env("TERM", "xterm");
    scene.place(&mut shown);
    scene.run(shown).expect(0).says("0 of 1").says(ONE);
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

// Catches: Ctrl-C, or what a service manager or a closed terminal sends, that leaves processes or
// shared memory, or loses what was known.
#[rstest]
#[case::ctrl_c(Signal::SIGINT)]
#[case::terminated(Signal::SIGTERM)]
#[case::hung_up(Signal::SIGHUP)]
fn a_signal_ends_everything_and_what_is_known_is_told(#[case] signal: Signal) {
    let scene = Scene::new();
    let folder = scene.path("report");
    let line = format!("{ONE} client/Write/stored --stall 60 --report {}", folder.display());
    let running = scene.start(suite(&scene, "forgets=2", &line));
    let id = running.id();
    // The client holds a command by then, and would for a minute.
    await_object_of(id);
    let pid = nix::unistd::Pid::from_raw(id.cast_signed());
    nix::sys::signal::kill(pid, signal).unwrap();
    running.wait().expect(1).says("interrupted");
    assert_eq!(objects_of(id), Vec::<String>::new());
    assert_eq!(processes_of(id), Vec::<i32>::new());
    let text = fs::read_to_string(folder.join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(results["runs"][0]["interrupted"], true);
    for name in ["junit.xml", "results.tap"] {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        assert!(text.contains("the run was interrupted") || text.contains("Bail out!"), "{text}");
    }
}

// Catches: a daemon that left its process group and lives on, unseen.
#[test]
fn a_client_that_leaves_a_daemon_is_told_and_the_daemon_ended() {
    let scene = Scene::new();
    let script = format!(
        "#!/bin/sh\nsetsid sleep 1000 >/dev/null 2>&1 &\nexec {} \"$@\"\n",
        good_client().display()
    );
    let client = format!("{} {{op}} {{mode}} {{set}} {{file}}", executable(&scene, &script));
    let line = format!("client/Close/nobody-left {ONE} --json");
    let running = scene.start(suite_of(&scene, &client, &line));
    let id = running.id();
    let ended = running.wait();
    ended.expect(0);
    assert_eq!(processes_of(id), Vec::<i32>::new());
    let verdicts = verdicts(&results(&ended));
    assert_eq!(verdicts["client/Close/nobody-left"], "FAIL");
    assert_eq!(verdicts[ONE], "PASS");
}

// Catches: the death of our own half that is told as the client's failure.
#[test]
fn what_goes_wrong_with_us_is_an_error() {
    let scene = Scene::new();
    // A client that kills the process of vdisim that plays its server.
    let script = "#!/bin/sh\nfor process in /proc/[0-9]*; do\n\
        tr '\\0' '\\n' <$process/environ 2>/dev/null | grep -qx VDISIM_NAMESPACE=$VDISIM_NAMESPACE &&\n\
        tr '\\0' '\\n' <$process/cmdline | grep -qx play && kill -9 ${process#/proc/}\n\
        done\nexit 0\n";
    let client = executable(&scene, script);
    let ended = scene.run(suite_of(&scene, &client, &format!("{ONE} --json")));
    ended.expect(5);
    let results = results(&ended);
    assert_eq!(results["cases"][0]["verdict"], "ERROR", "{results}");
    assert!(results["cases"][0]["reason"].as_str().unwrap().contains("signal: 9"), "{results}");
}

/// A script of the scene, as a word of a command line.
fn executable(scene: &Scene, script: &str) -> String {
    let path = scene.file("client.sh", script.as_bytes());
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path.display().to_string()
}
