//! Bad input: each ends with the right exit code and says what to do.

use rstest::rstest;
use vdisim_tests::Scene;

use crate::subject::suite_of;

const ONE: &str = "client/Write/full";

// Catches: exit codes that do not tell who has to act, and words that do not say what.
#[rstest]
#[case::missing("/nonexistent/client {op}", 4, "/nonexistent/client")]
#[case::not_executable("/etc/hostname {op}", 4, "/etc/hostname")]
#[case::no_words("", 2, "--client is empty")]
#[case::quotes("client 'a", 2, "quotation mark")]
#[case::placeholder("client {set} {server}", 2, "{server}")]
#[case::not_a_client("true", 1, "it never did; the client ended with exit code 0")]
#[case::fails("false", 1, "exit code 1")]
fn a_client_that_is_none(#[case] client: &str, #[case] code: i32, #[case] says: &str) {
    let scene = Scene::new();
    scene.run(suite_of(&scene, client, &format!("{ONE} --stall 2"))).expect(code).says(says);
}

// Catches: a limit within which nobody can do anything, so that every client hangs.
#[test]
fn no_time_is_refused() {
    let scene = Scene::new();
    scene.run(scene.vdisim("test client/Flush/* --stall 0")).expect(2).says("nothing can happen");
}

// Catches: waiting for ever for what never comes, and a SIGTERM that is thought to be enough.
#[rstest]
#[case::never_opens("sleep 1000")]
#[case::ignores_sigterm("sh -c 'trap \"\" TERM; while :; do sleep 1; done'")]
fn a_client_that_hangs_is_ended(#[case] client: &str) {
    let scene = Scene::new();
    let ended = scene.run(suite_of(&scene, client, &format!("{ONE} --stall 1")));
    ended.expect(1).says("HANG");
}

// Catches: a disk that fills up with what a client says, and bytes that are no text.
#[test]
fn a_client_that_talks_for_ever_is_ended() {
    let scene = Scene::new();
    let ended = scene.run(suite_of(&scene, "cat /dev/zero", &format!("{ONE} --stall 5")));
    ended.expect(1).says("the client said more than");
}

// Catches: bytes of a client that make a report nobody can read.
#[test]
fn a_client_that_prints_binary_is_quoted_as_text() {
    let scene = Scene::new();
    let folder = scene.path("report");
    let line = format!("{ONE} --report {}", folder.display());
    let client = "sh -c 'head -c 5000 /dev/urandom; printf \"\\033[31m]]>\\000\"'";
    scene.run(suite_of(&scene, client, &line)).expect(1);
    let text = std::fs::read_to_string(folder.join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(results["runs"][0]["cases"][0]["evidence"][0].as_str().unwrap().contains("]]>"));
    let junit = std::fs::read_to_string(folder.join("junit.xml")).unwrap();
    roxmltree::Document::parse(&junit).unwrap();
}

// Catches: a mistake in a file that is not told with its place.
#[rstest]
#[case("--capabilities", "devices: 1\nmodes: [pipe, drum]\n", "drum")]
#[case("--capabilities", "devices: 1\n  modes: [\n", "line 1 column 10")]
#[case("--capabilities", "media: raw\ndevices: 65\n", "line 2 column 10: a set has 1 to 64")]
#[case("--capabilities", "start-time: 5 parsecs\n", "line 1 column 13")]
#[case("--expected-failures", "- id: client/Write/full\n  reason: [x\n", "line 2 column 11")]
#[case("--expected-failures", "- id: client/Write/full\n  reson: x\n", "reson")]
#[case("--expected-failures", "- id: client/Write/fill\n  reason: x\n", "client/Write/full")]
fn a_file_that_cannot_be_understood(#[case] option: &str, #[case] text: &str, #[case] says: &str) {
    let scene = Scene::new();
    let file = scene.file("file.yaml", text.as_bytes());
    let mut command = suite_of(&scene, "true", ONE);
    command.arg(option).arg(file);
    scene.run(command).expect(2).says("file.yaml").says(says);
}

// Catches: an unknown id that is taken for nothing to do, and one without a suggestion.
#[rstest]
#[case("test client/Flush/durabel", "client/Flush/durable")]
#[case("explain client/Flush/durabel", "client/Flush/durable")]
#[case("list client/Fluss", "client/Flush")]
#[case("test no-such-case", "vdisim list")]
fn unknown_ids_are_suggested(#[case] line: &str, #[case] says: &str) {
    let scene = Scene::new();
    scene.run(scene.vdisim(line)).expect(2).says(says);
}
