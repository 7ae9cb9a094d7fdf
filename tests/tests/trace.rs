//! `vdisim trace`: what a run leaves behind is shown, compared and replayed.

use std::fs;
use std::path::{Path, PathBuf};

use rstest::rstest;
use serde_json::Value;
use vdisim::trace::{Kind, Sequence, diff, read};
use vdisim_tests::{Ended, Scene};

/// A traced run of the reference client against a server.
fn record(
    scene: &Scene,
    name: &str,
    verb: &str,
    server: &str,
    client: &str,
) -> (PathBuf, Ended, Ended) {
    let trace = scene.path(name);
    let file = trace.display();
    let mut command = scene.vdisim(&format!("run --trace {file} --"));
    command.arg(vdisim_tests::artefacts::vdisim()).args(["client", verb]);
    command.args(client.split_whitespace());
    let client = scene.start(command);
    let server = scene.run(scene.vdisim(&format!("{verb} --trace {file} {server}")));
    (trace, server, client.wait())
}

fn sequence(trace: &Path) -> Sequence {
    Sequence::new(&read(trace).unwrap())
}

const SERVER: &str = "--set s --device s s1 --size 700000";

fn client(scene: &Scene, set: &str) -> String {
    let (a, b) = (scene.path("a.bak"), scene.path("b.bak"));
    format!("--set {set} --device {set} {set}1 --file {} {}", a.display(), b.display())
}

// Catches: calls, commands, states or processes that are not recorded; a step in another device's lane.
#[test]
fn a_trace_is_shown_step_by_step() {
    let scene = Scene::new();
    let (trace, server, client) = record(&scene, "t", "backup", SERVER, &client(&scene, "s"));
    server.expect(0);
    client.expect(0);
    let sequence = sequence(&trace);
    assert_eq!(sequence.devices, ["s", "s1"]);
    let roles: Vec<_> =
        sequence.processes.iter().map(|process| (process.role, process.ended)).collect();
    assert_eq!(roles.len(), 2);
    assert!(roles.contains(&("server", true)) && roles.contains(&("client", true)), "{roles:?}");
    for device in 0..2 {
        let count = |kind, part: &str| {
            let hit = |step: &&vdisim::trace::Step| {
                step.device == Some(device) && step.kind == kind && step.text.contains(part)
            };
            sequence.steps.iter().filter(hit).count()
        };
        assert_eq!(count(Kind::Sent, "VDC_Flush"), 1);
        assert_eq!(count(Kind::Sent, ""), count(Kind::Completed, "ERROR_SUCCESS"));
        assert_eq!(count(Kind::Call, "CompleteCommand"), count(Kind::Sent, ""));
        assert_eq!(count(Kind::Call, "GetCommand → VDC_Write"), count(Kind::Sent, "VDC_Write"));
        assert_eq!(count(Kind::State, "closed"), 1);
    }
    let shown = scene.run(scene.vdisim(&format!("trace show {}", trace.display())));
    shown.expect(0).says("device 1: s1").says("#1 VDC_Write 4096").says("Create ").says("▲");
    assert!(shown.out.lines().count() >= sequence.steps.len());
}

// Catches: a killed process that looks like one that ended.
#[rstest]
#[case("client", "--fault kill-mid-stream", "")]
#[case("server", "", " --kill-at executed:1")]
fn a_killed_process_has_no_end(#[case] ended: &str, #[case] server: &str, #[case] kill: &str) {
    let scene = Scene::new();
    let client = client(&scene, "s") + kill;
    let (trace, ..) = record(&scene, "t", "backup", &format!("{SERVER} {server}"), &client);
    for process in sequence(&trace).processes {
        assert_eq!(process.ended, process.role == ended, "{process:?}");
    }
    scene
        .run(scene.vdisim(&format!("trace show {}", trace.display())))
        .expect(0)
        .says("no end recorded");
}

// Catches: times, addresses, process ids or names taken for differences; differences that are missed.
#[test]
fn runs_are_compared_by_their_calls() {
    let scene = Scene::new();
    let (first, ..) = record(&scene, "1", "backup", SERVER, &client(&scene, "s"));
    let renamed = SERVER.replace("--set s --device s s1", "--set t --device t t1");
    let (second, ..) = record(&scene, "2", "backup", &renamed, &client(&scene, "t"));
    let larger = SERVER.replace("700000", "900000");
    let (third, ..) = record(&scene, "3", "backup", &larger, &client(&scene, "s"));
    let compared = |a: &Path, b: &Path| {
        scene.run(scene.vdisim(&format!("trace diff {} {}", a.display(), b.display())))
    };
    compared(&first, &second).expect(0).says("alike");
    compared(&first, &third).expect(1).says("- #2 VDC_Write 695904").says("+ #2 VDC_Write 895904");
    let lanes: Vec<_> =
        diff(&sequence(&first), &sequence(&third)).into_iter().map(|d| (d.lane, d.side)).collect();
    let wanted =
        [0, 1].map(|k| (format!("device {k} (s{})", if k == 0 { "" } else { "1" }), "commands"));
    for lane in wanted {
        assert!(lanes.contains(&lane), "{lanes:?}");
    }
}

// Catches: a process id or a time in a cause of failure that is taken for a difference, and a number
// that has nothing to do with them and is not.
#[test]
fn causes_are_compared_without_chance() {
    let scene = Scene::new();
    let one = "--set s --size 300000 --maxtransfersize 65536";
    let dying = |name: &str, at: u32| {
        let file = scene.path("a.bak");
        let client = format!("--set s --file {} --kill-at executed:{at}", file.display());
        record(&scene, name, "backup", one, &client).0
    };
    let causes = |a: &Path, b: &Path| {
        let all = diff(&sequence(a), &sequence(b));
        all.iter().filter(|it| it.text.contains("failed:")).count()
    };
    let (first, second, later) = (dying("1", 2), dying("2", 2), dying("3", 4));
    assert_eq!(causes(&first, &second), 0);
    assert_eq!(causes(&first, &later), 1);
    let shown = scene.run(scene.vdisim(&format!("trace show {}", first.display())));
    shown.expect(0).says("ended; device 0").says("features=VDF_WriteMedia");
}

// Catches: a replay that sends other sizes, another order or nothing; that ignores what the client does.
#[rstest]
#[case("", "")]
#[case("--maxtransfersize 65536 --blocksize 4096 --buffercount 4", "")]
#[case("--maxtransfersize 65536", "--features LikeTape")]
#[case("--maxtransfersize 65536", "--features LikeDisk")]
#[case("--maxtransfersize 65536 --profile sql2019", "--features RequestComplete")]
fn a_client_is_driven_as_recorded(#[case] server: &str, #[case] features: &str) {
    let scene = Scene::new();
    // The sizes of Writes do not depend on time; whole blocks of every size above.
    let server = format!("{} {server}", SERVER.replace("700000", "720896"));
    let like = |set: &str| format!("{} {features}", client(&scene, set));
    for verb in ["backup", "restore"] {
        let (trace, done, ended) = record(&scene, verb, verb, &server, &like("s"));
        done.expect(0);
        ended.expect(0);
        let again = scene.path(&format!("{verb}-again"));
        let mut replay = scene.vdisim(&format!(
            "trace replay {} --trace {} --",
            trace.display(),
            again.display()
        ));
        replay.arg(vdisim_tests::artefacts::vdisim()).args(["client", verb]);
        replay.args(like("other").split_whitespace());
        let replayed = scene.run(replay);
        replayed.expect(0).says("successfully processed");
        if verb == "backup" {
            assert!(!replayed.err.contains("left the recording"), "{}", replayed.err);
            let alike = scene.run(scene.vdisim(&format!(
                "trace diff {} {}",
                trace.display(),
                again.display()
            )));
            let commands = alike.out.lines().filter(|line| line.contains(", commands:")).count();
            assert_eq!(commands, 0, "{}", alike.out);
        }
    }
}

// Catches: a replay that takes a client's failure, or one that never comes, for success.
#[test]
fn a_replay_says_what_the_client_did_wrong() {
    let scene = Scene::new();
    let (trace, ..) = record(&scene, "t", "backup", SERVER, &client(&scene, "s"));
    let replay = |more: &str, program: &str, words: &str| {
        let mut command = scene.vdisim(&format!("trace replay {} {more} --", trace.display()));
        command.arg(program).args(words.split_whitespace());
        scene.run(command)
    };
    let vdisim = vdisim_tests::artefacts::vdisim();
    let dying = client(&scene, "s") + " --kill-at executed:1";
    replay("", vdisim.to_str().unwrap(), &format!("client backup {dying}"))
        .expect(1)
        .says("did not fail");
    replay("--wait 0.1", "true", "").expect(1);
    replay("", "/no/such/client", "").expect(4).says("/no/such/client");
    let (aborted, ..) = record(
        &scene,
        "u",
        "backup",
        &format!("{SERVER} --fault abort-mid-stream"),
        &client(&scene, "s"),
    );
    let mut command = scene.vdisim(&format!("trace replay {} --", aborted.display()));
    command.arg(&vdisim).args(["client", "backup"]).args(client(&scene, "s").split_whitespace());
    scene.run(command).expect(1).says("the recorded run failed").says("abort");
}

// Catches: an error without file and line, or a crash on what is no trace.
#[rstest]
#[case("", "is empty")]
#[case(
    "{\"version\":1,\"time\":1,\"pid\":1,\"event\":\"opened\",\"details\":{}}\nnonsense\n",
    "line 2"
)]
#[case("{\"version\":7,\"time\":1,\"pid\":1}\n", "line 1: the trace has version 7")]
#[case("{\"version\":1,\"pid\":1}\n", "`time`")]
#[case("{\"version\":1,\"time\":1,\"pid\":1,\"call\":\"Close\"}\n", "neither `call` nor `event`")]
#[case("[1,2]\n", "`version`")]
#[case("\u{fffd}\n{", "line 1")]
fn what_is_no_trace_is_refused_by_line(#[case] text: &str, #[case] says: &str) {
    let scene = Scene::new();
    let file = scene.file("broken", text.as_bytes());
    for line in ["trace show", "trace replay"] {
        let end = if line.ends_with("replay") { " -- true" } else { "" };
        let done = scene.run(scene.vdisim(&format!("{line} {}{end}", file.display())));
        done.expect(2).says(says).says("broken");
    }
    scene.run(scene.vdisim("trace show /no/such/trace")).expect(2).says("/no/such/trace");
}

// Catches: a line of a real trace without what every line has.
#[test]
fn every_line_says_version_time_and_process() {
    let scene = Scene::new();
    let (trace, ..) = record(&scene, "t", "backup", SERVER, &client(&scene, "s"));
    for line in fs::read_to_string(trace).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["version"], 1);
        assert!(line["time"].is_u64() && line["pid"].is_u64(), "{line}");
        assert!(line["call"].is_string() != line["event"].is_string(), "{line}");
    }
}
