//! A client that touches what is not its own ends at the instruction that does it.

use rstest::rstest;
use vdisim_tests::Scene;

use crate::subject::{results, suite, verdicts};

// Catches: taking access away from a buffer that the client has, or leaving its own end out of it.
#[test]
fn the_good_client_does_not_notice_the_guard() {
    let scene = Scene::new();
    let line = "client/buffers client/Write client/Read client/devices client/disk --guard --json";
    let ended = scene.run(suite(&scene, "", line));
    ended.expect(0);
    for (id, verdict) in verdicts(&results(&ended)) {
        assert_eq!(verdict, "PASS", "{id}");
    }
}

// Catches: a page that stays accessible, a fault that is blamed on another buffer or command, a
// distance off by one, a client whose death tells no more than its signal.
#[rstest]
#[case::behind("touches-behind", "past-the-end", "wrote 1 bytes past the end of buffer 3 ")]
#[case::before(
    "touches-before=0",
    "before-the-zone",
    "wrote 1 bytes before the start of buffer 0 "
)]
#[case::before_zone(
    "touches-before=4096",
    "before-the-zone",
    "wrote 1 bytes before the prefix zone of buffer 0 "
)]
#[case::late_write("touches-late", "hands-off", "read byte 0 of buffer 0 ")]
#[case::late_read("reads-late", "hands-off", "after completing VDC_Write, command 1 of device 0")]
fn a_stray_access_is_named(#[case] mistake: &str, #[case] case: &str, #[case] says: &str) {
    let scene = Scene::new();
    let line = format!("client/buffers/{case} --guard --strict --json");
    let ended = scene.run(suite(&scene, mistake, &line));
    ended.expect(1);
    let results = results(&ended);
    let case = &results["cases"][0];
    assert_eq!(case["verdict"], "FAIL", "{case}");
    let seen = case["seen"].as_str().unwrap();
    assert!(seen.contains(says) && seen.contains("(address 0x"), "{seen}");
    assert!(seen.contains("VDC_Write, command ") && seen.contains("good_client"), "{seen}");
    assert_eq!(results["environment"]["around buffers"], "pages (--guard)");
}

// Catches: a transfer that is smaller than its buffer, behind whose end the rest of the buffer stays
// accessible.
#[test]
fn every_transfer_ends_at_a_page() {
    let scene = Scene::new();
    let line = "client/Write/one-block --guard --json";
    let ended = scene.run(suite(&scene, "touches-behind", line));
    ended.expect(1);
    let results = results(&ended);
    let seen = results["cases"][0]["seen"].as_str().unwrap();
    assert!(
        seen.contains("past the end of buffer 0 (512 bytes) while it held VDC_Write"),
        "{seen}"
    );
}

// Catches: canaries that nobody looks at, in front of the zone, behind the end and in free buffers;
// reads, which leave no mark, are the guard's alone.
#[rstest]
#[case::behind("touches-behind", "past-the-end", "byte 65536 of the buffer was written")]
#[case::before("touches-before=0", "before-the-zone", "byte -1 of the buffer was written")]
#[case::before_zone("touches-before=512", "before-the-zone", "byte -513 of the buffer")]
#[case::around_a_free_one(
    "touches-around-late=3",
    "before-the-zone",
    "byte -1 of the buffer was written"
)]
#[case::late("touches-late", "hands-off", "the buffer of #1 of device 0 was written")]
fn canaries_tell_of_stray_writes(#[case] mistake: &str, #[case] case: &str, #[case] says: &str) {
    let scene = Scene::new();
    let line = format!("client/buffers/{case} --strict --json");
    let ended = scene.run(suite(&scene, mistake, &line));
    ended.expect(1);
    let results = results(&ended);
    let seen = results["cases"][0]["seen"].as_str().unwrap();
    assert!(seen.contains(says), "{seen}");
}

// Catches: a guard that the processes of one client cannot work behind.
#[test]
fn buffers_that_travel_by_handle_stay_accessible() {
    let scene = Scene::new();
    let mut command = scene.vdisim("test");
    command.args(["client/handles", "client/devices", "--guard", "--json"]);
    let ended = scene.run(command);
    ended.expect(0);
    assert!(verdicts(&results(&ended)).values().all(|verdict| verdict == "PASS"), "{}", ended.out);
}

// Catches: a BACKUP whose client died of the guard, and which says no more than that it died.
#[test]
fn backup_names_the_stray_access() {
    let scene = Scene::new();
    let server = scene.start(scene.vdisim("backup --set s --size 300000 --guard"));
    let mut client = scene.vdisim("run --");
    client.arg(crate::subject::good_client()).args(["backup", "pipe", "s"]);
    client.arg(scene.path("stored")).env("CLIENT_BREAKS", "touches-behind");
    let client = scene.run(client);
    assert_eq!(client.code(), None, "a signal ends it as it would without us");
    client.says("vdisim: the client wrote 1 bytes past the end of buffer ").says("good_client");
    server.wait().expect(1).says("The client wrote 1 bytes past the end of buffer ");
}
