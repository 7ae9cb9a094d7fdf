//! Either side killed with SIGKILL at every step, and at random moments.

use std::process::Command;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rstest::rstest;
use vdisim_tests::{Ended, Running, Scene, is_killed};

/// Bytes of a stream: some twenty transfers.
const SIZE: &str = "1300000";

fn client(scene: &Scene, more: &str) -> Running {
    let mut command = scene.vdisim("client backup --set s --features RequestComplete");
    command.args(more.split_whitespace()).arg("--file").arg(scene.path("stored"));
    scene.start(command)
}

fn server(scene: &Scene) -> Command {
    scene.vdisim(&format!("backup --set s --maxtransfersize 65536 --size {SIZE}"))
}

/// What the drop-in's and the server's objects must come to once both are gone.
fn nothing_left(scene: &Scene) {
    assert_eq!(scene.objects(), Vec::<String>::new());
}

/// Waits until the server that traces to the scene's file has come to its stall.
fn await_stall(scene: &Scene) {
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while !std::fs::read_to_string(scene.path("trace")).is_ok_and(|trace| trace.contains("stall")) {
        assert!(std::time::Instant::now() < end, "the server does not stall");
        thread::sleep(Duration::from_millis(5));
    }
}

fn was_killed(ended: &Ended) {
    assert!(is_killed(ended.status), "{} was not killed", ended.status);
}

// Catches: a client that hangs, crashes or reports a backup when the server dies, and objects that
// only the server would have removed.
#[rstest]
#[case::attached("{at: {stage: attached}, do: kill}", 1)]
#[case::configuring("{at: {stage: configuring}, do: kill}", 1)]
#[case::configured("{at: {stage: configured}, do: kill}", 1)]
#[case::opened("{at: {stage: opened}, do: kill}", 1)]
#[case::first("{at: {nth: 1}, do: kill}", 1)]
#[case::seventh("{at: {nth: 7}, do: kill}", 1)]
#[case::flush("{at: {command: flush}, do: kill}", 1)]
#[case::flushed("{at: {stage: flushed}, do: kill}", 1)]
#[case::complete("{at: {command: complete}, do: kill}", 1)]
#[case::completed("{at: {stage: completed}, do: kill}", 1)]
// Every device was closed: what happens to the server then is no longer the client's business.
#[case::closed("{at: {stage: closed}, do: kill}", 0)]
fn the_server_dies(#[case] fault: &str, #[case] code: i32) {
    let scene = Scene::new();
    let client = client(&scene, "");
    let mut command = server(&scene);
    command.args(["--fault", fault]);
    was_killed(&scene.run(command));
    client.wait().expect(code);
    nothing_left(&scene);
}

// Catches: a server that hangs, crashes or reports success when the client dies, and objects that
// only the client would have removed.
#[rstest]
#[case::configured("configured", 1)]
#[case::opened("opened", 1)]
#[case::received("received:1", 1)]
#[case::executed("executed:1", 1)]
#[case::completed("completed:1", 1)]
#[case::received_later("received:9", 1)]
#[case::completed_later("completed:9", 1)]
// 1 Write of the header, 20 of data, Flush, Complete.
#[case::at_flush("received:22", 1)]
#[case::at_complete("received:23", 1)]
#[case::before_the_last_answer("executed:23", 1)]
#[case::ended("ended", 0)]
#[case::closed("closed", 0)]
fn the_client_dies(
    #[case] step: &str,
    #[case] code: i32,
    #[values("", "--by-handle")] arrangement: &str,
) {
    let scene = Scene::new();
    let client = client(&scene, &format!("--kill-at {step} {arrangement}"));
    let server = scene.run(server(&scene));
    server.expect(code);
    if code == 1 {
        server.says("ended").says("BACKUP DATABASE is terminating abnormally.");
    }
    was_killed(&client.wait());
    if step == "ended" {
        // The client may be the last to go, and does not get to its Close.
        scene.run(scene.vdisim("doctor --clean")).expect(0);
    }
    nothing_left(&scene);
}

// Catches: the same in the other direction, where Reads are under way.
#[rstest]
#[case::server_dies("", "{at: {command: read, nth: 9}, do: kill}")]
#[case::client_dies("--kill-at received:9", "{at: {command: write}, do: kill}")]
#[case::client_dies_with_data("--kill-at executed:9", "{at: {command: write}, do: kill}")]
fn either_dies_in_a_restore(#[case] mishap: &str, #[case] fault: &str) {
    let scene = Scene::new();
    let stored = scene.file("stored", &vec![5; 1_300_000]);
    let mut command = scene.vdisim("client restore --set s --file");
    command.arg(stored).args(mishap.split_whitespace());
    let client = scene.start(command);
    let mut command = scene.vdisim("restore --set s --raw --maxtransfersize 65536 --fault");
    command.arg(fault);
    let server = scene.run(command);
    let (dead, left) = match mishap.is_empty() {
        true => (server, client.wait()),
        false => (client.wait(), server),
    };
    was_killed(&dead);
    left.expect(1);
    nothing_left(&scene);
}

// Catches: a set of a dead client that a server takes up, or that the next Create trips over.
#[test]
fn the_client_dies_before_there_is_a_server() {
    let scene = Scene::new();
    was_killed(&client(&scene, "--kill-at created").wait());
    assert!(!scene.objects().is_empty(), "Create has made nothing");
    let mut command = server(&scene);
    command.args(["--wait", "0.2"]);
    scene.run(command).expect(1);
    // The next Create of the name clears up.
    let client = client(&scene, "");
    scene.run(server(&scene)).expect(0);
    client.wait().expect(0);
    nothing_left(&scene);
}

// Catches: secondaries that hang when their primary dies, and a primary that does not notice one of
// them dying.
#[test]
fn processes_of_one_client_die() {
    let scene = Scene::new();
    let start = |more: &str| {
        let mut command = scene.vdisim("client backup --set s --device s t --processes --file");
        command.args([scene.path("1"), scene.path("2")]).args(more.split_whitespace());
        scene.start(command)
    };
    let mut client = start("");
    let mut command = scene.vdisim("backup --set s --device s t --size 300000 --fault");
    command.args(["{at: {stage: transferred}, do: stall}", "--trace"]).arg(scene.path("trace"));
    let server = scene.start(command);
    await_stall(&scene);
    client.kill();
    server.wait().expect(1).says("ended");
    was_killed(&client.wait());
    // The secondaries close by themselves once their calls return VD_E_ABORT.
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while !scene.objects().is_empty() && std::time::Instant::now() < end {
        thread::sleep(Duration::from_millis(20));
    }
    nothing_left(&scene);
}

// Catches: a primary that waits for ever for a secondary that has died, as the interface tells it
// nothing of that.
#[test]
fn a_secondary_dies() {
    let scene = Scene::new();
    let mut command = scene.vdisim("client backup --set s --device s t --processes --file");
    command.args([scene.path("1"), scene.path("2")]).args(["--kill-at", "executed:3"]);
    let client = scene.start(command);
    scene
        .run(scene.vdisim("backup --set s --device s t --size 9000000"))
        .expect(1)
        .says("the client called SignalAbort")
        .says("With the client for longest: command");
    client.wait().expect(1).says("device 0").says("signal: 9");
    nothing_left(&scene);
}

// Catches: a stalled server that outlives its client.
#[test]
fn a_stalled_server_ends_with_its_client() {
    let scene = Scene::new();
    let mut client = client(&scene, "");
    let mut command = server(&scene);
    command.args(["--fault", "stall-mid-stream", "--trace"]).arg(scene.path("trace"));
    let server = scene.start(command);
    await_stall(&scene);
    client.kill();
    server.wait().expect(1).says("ended");
    was_killed(&client.wait());
    nothing_left(&scene);
}

// Catches: what only a kill at an unlucky moment shows: hangs, crashes, objects that nobody clears.
#[rstest]
fn killed_at_random_moments(#[values(1, 2, 3, 4)] seed: u64) {
    let scene = Scene::new();
    let mut rng = StdRng::seed_from_u64(seed);
    for round in 0..50 {
        // Whose other side died before they met waits no longer than that.
        let mut client = client(&scene, "--timeout 1");
        let mut command = server(&scene);
        command.args(["--wait", "1"]);
        let mut server = scene.start(command);
        thread::sleep(Duration::from_micros(rng.random_range(0..80_000)));
        let which: u32 = rng.random_range(1..=3);
        if which & 1 != 0 {
            client.kill();
        }
        if which & 2 != 0 {
            server.kill();
        }
        for ended in [client.wait(), server.wait()] {
            let crashed = ended.status.code().is_none() && !is_killed(ended.status);
            assert!(!crashed, "seed {seed}, round {round}: {ended:?}");
        }
        scene.run(scene.vdisim("doctor --clean"));
        assert_eq!(scene.objects(), Vec::<String>::new(), "seed {seed}, round {round}");
    }
}
