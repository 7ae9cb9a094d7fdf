//! Either side ended with TerminateProcess at every step that a client of COM takes.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rstest::rstest;
use vdisim_tests::{Running, Scene};

use crate::{Registration, client, random_file, round_trip};

/// Far more than a slow machine takes for any step.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Starts the client, which asks for VDC_Complete and stops at `step`.
fn start_client(scene: &Scene, operation: &str, stored: &Path, step: &str) -> Option<Running> {
    let mut command = client(scene, "com_client")?;
    command.args(["complete", operation, "set"]).arg(stored).env("COM_CLIENT_STOP", step);
    Some(scene.start(command))
}

/// Starts the server of a stream of some twenty transfers; what it does is in the scene's file `trace`.
fn start_server(scene: &Scene, more: &[&str]) -> Running {
    let mut command =
        scene.vdisim("backup --set set --maxtransfersize 65536 --size 1300000 --raw --trace");
    command.arg(scene.path("trace")).args(more);
    scene.start(command)
}

fn await_trace(scene: &Scene, word: &str) {
    let end = Instant::now() + WATCHDOG;
    while !fs::read_to_string(scene.path("trace")).is_ok_and(|trace| trace.contains(word)) {
        assert!(Instant::now() < end, "the server's trace never says '{word}'");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the namespace has objects, of the living or the dead.
fn has_objects(scene: &Scene) -> bool {
    scene.run(scene.vdisim("doctor")).out.contains(&format!("vdisim.{}.", scene.namespace()))
}

/// Nothing is left, and the name serves at once for a round trip.
fn all_is_well(scene: &Scene) {
    assert!(!has_objects(scene), "an object outlived both sides");
    round_trip("pipe", true, scene, &[random_file(scene, "sent", 1)]);
}

/// Catches: a server that hangs, crashes, or reports a backup when its client dies; a name that stays taken.
#[rstest]
#[case::created("created")]
#[case::configured("configured")]
#[case::opened("opened")]
#[case::with_its_first_command("received:1")]
#[case::with_a_command_mid_stream("received:9")]
#[case::with_data_that_it_stored("executed:9")]
#[case::between_commands("completed:9")]
#[case::at_flush("received:flush")]
#[case::between_flush_and_complete("completed:flush")]
#[case::at_complete("received:complete")]
#[case::before_its_last_answer("executed:complete")]
fn the_client_dies(#[case] step: &str) {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let Some(mut client) = start_client(&scene, "backup", &scene.path("stored"), step) else {
        return;
    };
    let server = start_server(&scene, &[]);
    client.await_line(&format!("at {step}"));
    await_trace(&scene, "\"configured\"");
    assert!(has_objects(&scene), "doctor sees no living set");
    client.kill();
    server
        .wait()
        .expect(1)
        .says(&format!("the client's process {} ended", client.id()))
        .says("BACKUP DATABASE is terminating abnormally.");
    client.wait().expect(1);
    all_is_well(&scene);
}

/// Catches: a server that waits for a Close that never comes; a name that stays taken without one.
#[test]
fn the_client_dies_when_all_is_done() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let Some(mut client) = start_client(&scene, "backup", &scene.path("stored"), "closed") else {
        return;
    };
    start_server(&scene, &[]).wait().expect(0).says("successfully processed");
    client.await_line("at closed");
    client.kill();
    client.wait().expect(1);
    all_is_well(&scene);
}

/// Catches: the same where Reads are under way.
#[rstest]
#[case::with_a_command("received:9")]
#[case::with_data("executed:9")]
fn the_client_dies_in_a_restore(#[case] step: &str) {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let stored = random_file(&scene, "stored", 2);
    let Some(mut client) = start_client(&scene, "restore", &stored, step) else { return };
    let server = scene.start(scene.vdisim("restore --set set --raw --maxtransfersize 65536"));
    client.await_line(&format!("at {step}"));
    client.kill();
    server.wait().expect(1).says(&format!("the client's process {} ended", client.id()));
    client.wait().expect(1);
    all_is_well(&scene);
}

/// Catches: a set of a dead client that a server takes up, or that the next Create trips over.
#[test]
fn the_client_dies_before_there_is_a_server() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let Some(mut client) = start_client(&scene, "backup", &scene.path("stored"), "created") else {
        return;
    };
    client.await_line("at created");
    client.kill();
    client.wait().expect(1);
    start_server(&scene, &["--wait", "0.2"]).wait().expect(1).says("'set'");
    all_is_well(&scene);
}

/// Catches: a client that hangs, crashes, or takes a cut stream for a whole one when the server dies; a name
/// that stays taken.
#[rstest]
#[case::attached("{stage: attached}", Some("GetConfiguration"))]
#[case::configuring("{stage: configuring}", Some("GetConfiguration"))]
#[case::configured("{stage: configured}", None)]
#[case::opened("{stage: opened}", Some("GetCommand"))]
#[case::before_the_first_command("{nth: 1}", Some("GetCommand"))]
#[case::mid_stream("{nth: 9}", None)]
#[case::before_flush("{command: flush}", None)]
#[case::flushed("{stage: flushed}", None)]
#[case::before_complete("{command: complete}", None)]
#[case::completed("{stage: completed}", None)]
fn the_server_dies(#[case] at: &str, #[case] call: Option<&str>) {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let Some(client) = start_client(&scene, "backup", &scene.path("stored"), "never") else {
        return;
    };
    let mut server = start_server(&scene, &["--fault", &format!("{{at: {at}, do: stall}}")]);
    await_trace(&scene, "stall");
    server.kill();
    // VD_E_ABORT, from the call that was waiting or the next.
    let call = call.unwrap_or_default();
    client.wait().expect(1).says(&format!("{call}: 0x80770004"));
    server.wait().expect(1);
    all_is_well(&scene);
}

/// The same where the bytes go the other way. Catches: a client that takes what it was asked for so far for all of it.
#[rstest]
#[case::attached("{stage: attached}", "GetConfiguration")]
#[case::configuring("{stage: configuring}", "GetConfiguration")]
#[case::configured("{stage: configured}", "")]
#[case::opened("{stage: opened}", "GetCommand")]
#[case::before_the_first_read("{nth: 1}", "GetCommand")]
#[case::mid_stream("{nth: 9}", "")]
#[case::when_all_was_read("{stage: transferred}", "GetCommand")]
#[case::completed("{stage: completed}", "GetCommand")]
fn the_server_dies_in_a_restore(#[case] at: &str, #[case] call: &str) {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let stored = random_file(&scene, "stored", 2);
    let Some(client) = start_client(&scene, "restore", &stored, "never") else { return };
    let mut server = scene.vdisim("restore --set set --raw --maxtransfersize 65536 --trace");
    server.arg(scene.path("trace")).args(["--fault", &format!("{{at: {at}, do: stall}}")]);
    let mut server = scene.start(server);
    await_trace(&scene, "stall");
    server.kill();
    // VD_E_ABORT, from the call that was waiting or the next.
    client.wait().expect(1).says(&format!("{call}: 0x80770004"));
    server.wait().expect(1);
    all_is_well(&scene);
}

/// Catches: a client that calls a backup failed of which it has every byte and the server's word.
#[test]
fn the_server_dies_when_all_is_done() {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let Some(client) = start_client(&scene, "backup", &scene.path("stored"), "never") else {
        return;
    };
    let mut server = start_server(&scene, &["--fault", "{at: {stage: closed}, do: stall}"]);
    client.wait().expect(0);
    server.kill();
    server.wait().expect(1);
    all_is_well(&scene);
}

/// Catches: secondaries that outlive their primary or wait for ever, and a primary that does not notice that the
/// server is gone.
#[rstest]
#[case::primary(true)]
#[case::server(false)]
fn processes_of_one_client(#[case] primary_dies: bool) {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let Some(mut command) = client(&scene, "com_client") else { return };
    command.args(["processes", "backup", "set"]).args([scene.path("1"), scene.path("2")]);
    let mut client = scene.start(command);
    let mut server = start_server(
        &scene,
        &["--device", "set", "--device", "set1", "--fault", "{at: {nth: 9}, do: stall}"],
    );
    await_trace(&scene, "stall");
    let (ended, left) = if primary_dies {
        client.kill();
        (client.wait(), server.wait())
    } else {
        server.kill();
        (server.wait(), client.wait())
    };
    ended.expect(1);
    left.expect(1).says(if primary_dies { "ended" } else { "0x80770004" });
    let end = Instant::now() + WATCHDOG;
    // What a secondary does once its call has returned takes its time.
    while has_objects(&scene) {
        assert!(Instant::now() < end, "a secondary does not close");
    }
    all_is_well(&scene);
}
