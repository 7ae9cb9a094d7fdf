//! Clients that invent their set's name and send the statement themselves, by sqlcmd or by TDS.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rstest::rstest;
use vdisim_tests::{Ended, Scene, python};

use crate::subject::{is_broken, results, sqlcmd_client, suite, suite_of, verdicts};

/// What the client supports.
const CAPABILITIES: &str = "devices: 64\nmedia: raw\n";

/// How the client sends its statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// `sqlcmd -E`
    Trusted,
    /// `sqlcmd -U -P`
    Login,
    /// python-tds
    Tds,
}

/// A program that sends a statement with python-tds; none if there is no python-tds.
fn tds_sender(scene: &Scene) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/conformance/send_by_tds.py");
    let text = format!("#!/bin/sh\nexec {} {} \"$@\"\n", python()?.display(), script.display());
    let path = scene.file("sender", text.as_bytes());
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    Some(path)
}

/// `vdisim test` over the client with one mistake, or none; none if the sender is missing.
fn sql_suite(scene: &Scene, sender: Sender, mistake: &str, more: &str) -> Option<Command> {
    let login = if sender == Sender::Trusted { "- -" } else { "{user} {password}" };
    let client =
        format!("{} {{op}} {{server}} {login} {{database}} {{files}}", sqlcmd_client().display());
    let mut command = suite_of(scene, &client, more);
    if sender == Sender::Tds {
        let Some(path) = tds_sender(scene) else {
            println!("SKIP front tds: no Python with python-tds; run scripts/setup");
            return None;
        };
        command.args(["--front", "tds"]).env("SENDER", path);
    }
    command.arg("--capabilities").arg(scene.file("capabilities.yaml", CAPABILITIES.as_bytes()));
    command.env("CLIENT_BREAKS", mistake);
    Some(command)
}

fn ids(verdicts: &BTreeMap<String, String>, wanted: &str) -> BTreeSet<String> {
    let chosen = verdicts.iter().filter(|(_, verdict)| *verdict == wanted);
    chosen.map(|(id, _)| id.clone()).collect()
}

// Catches: a front-end that cannot play a rule which the same client keeps when it is told the set's
// name, a client that is let off too much, or passes a rule about a name that it never heard, a statement
// that finds no server.
#[rstest]
#[case::trusted_1(Sender::Trusted, "--partition 1/4")]
#[case::trusted_2(Sender::Trusted, "--partition 2/4")]
#[case::trusted_3(Sender::Trusted, "--partition 3/4")]
#[case::trusted_4(Sender::Trusted, "--partition 4/4")]
#[case::login(Sender::Login, "client/SQL client/Write client/devices")]
#[case::tds(
    Sender::Tds,
    "client/SQL client/SignalAbort client/server-death client/devices client/Read/returned"
)]
fn a_client_that_invents_its_set_passes_what_it_declares(
    #[case] sender: Sender,
    #[case] chosen: &str,
) {
    let scene = Scene::new();
    let line = format!("--json --strict {chosen}");
    let Some(command) = sql_suite(&scene, sender, "", &line) else { return };
    let ended = scene.run(command);
    ended.expect(0);
    let verdicts = verdicts(&results(&ended));
    let passed = ids(&verdicts, "PASS");
    assert!(passed.len() >= 25, "{verdicts:?}");
    let told = scene.run(suite(&scene, "", &format!("--dry-run {chosen}")));
    let all = told.out.lines().filter(|id| id.starts_with("client/")).count();
    assert_eq!(verdicts.len(), all);
    assert!(!passed.iter().any(|id| id.starts_with("client/Create/name-")), "{passed:?}");
    for id in ids(&verdicts, "N/A") {
        let undeclared = ["tape", "disk", "snapshot", "Complete", "secondary", "handles"];
        let let_off = id.starts_with("client/Create/name-")
            || undeclared.iter().any(|area| id.starts_with(&format!("client/{area}/")))
            || ["client/GetConfiguration/no-Complete", "client/devices/tape"]
                .contains(&id.as_str());
        assert!(let_off, "{id} is not judged");
    }
    assert_eq!(passed.len() + ids(&verdicts, "N/A").len(), verdicts.len(), "{verdicts:?}");
}

/// Runs the client with a mistake on the rules of statements; which it breaks.
fn broken_rules(sender: Sender, mistake: &str, more: &str) -> Option<(BTreeSet<String>, Ended)> {
    let scene = Scene::new();
    let line = format!("client/SQL client/Write/full --json --strict --stall 4 --jobs 4 {more}");
    let ended = scene.run(sql_suite(&scene, sender, mistake, &line)?);
    let broken = verdicts(&results(&ended)).into_iter().filter(|(_, verdict)| is_broken(verdict));
    Some((broken.map(|(id, _)| id).collect(), ended))
}

fn named(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| format!("client/{id}")).collect()
}

/// Failures that are told as successes.
const SWALLOWED: &[&str] = &["SQL/failure-reported", "SQL/failure-of-restore-reported"];

/// Statements that were refused, and for whose server a client waits all the same.
const REFUSED: &[&str] = &["SQL/refused-statement", "SQL/refused-nothing-left"];

// Catches: a statement's failure that a client may hide, a client that waits for a server that will
// not come, a statement that fits its set by chance.
#[rstest]
#[case::exit_0_although_it_failed(Sender::Trusted, "ignores-the-statement", SWALLOWED)]
#[case::waits_for_ever(Sender::Login, "waits-for-ever", REFUSED)]
#[case::swallows(Sender::Tds, "swallows", &[SWALLOWED[0], SWALLOWED[1], REFUSED[0], REFUSED[1]])]
#[case::names_one_device(Sender::Trusted, "names-one-device", &["SQL/every-device-named"])]
#[case::always_fails(
    Sender::Trusted,
    "says-failure",
    &["SQL/success-reported", "SQL/success-of-restore-reported"]
)]
#[case::too_early(Sender::Trusted, "statement-first", &[
    "SQL/set-before-statement", "SQL/every-device-named", "SQL/success-reported",
    "SQL/success-of-restore-reported", SWALLOWED[0], SWALLOWED[1], "Write/full",
])]
fn a_mistake_with_the_statement_is_named_by_its_case(
    #[case] sender: Sender,
    #[case] mistake: &str,
    #[case] own: &[&str],
) {
    let Some((broken, ended)) = broken_rules(sender, mistake, "") else { return };
    assert_eq!(broken, named(own), "{}", ended.err);
}

// Catches: a refused Create that does not reach a client which invents its set's name; a client that is
// failed for sending no statement then; a failure that it may hide.
#[test]
fn a_client_that_invents_its_set_may_be_refused_it() {
    let run = |mistake: &str, code: i32| {
        let scene = Scene::new();
        let line = "client/SQL/failure-reported client/SignalAbort/exit-code client/Write/full \
                    --fault create-refused --json --strict";
        let ended = scene.run(sql_suite(&scene, Sender::Login, mistake, line).unwrap());
        ended.expect(code);
        assert!(ended.out.contains("drop-in memory in Create"), "{}", ended.out);
        ids(&verdicts(&results(&ended)), "PASS")
    };
    assert_eq!(run("", 0), named(&["SQL/failure-reported", "SignalAbort/exit-code", "Write/full"]));
    // Of its transfers nothing can be said.
    assert_eq!(run("claims-a-set", 1), named(&["Write/full"]));
}

// Catches: words of the client that count for nothing beside its exit code, or that are looked for
// on one of its streams alone.
#[test]
fn words_replace_the_exit_code() {
    let says_it = ("says-failure", "--success-pattern well$ --failure-pattern FAILED");
    let (broken, ended) = broken_rules(Sender::Trusted, says_it.0, says_it.1).unwrap();
    assert_eq!(broken, named(&[]), "{}", ended.err);
    // It exits with an error as it should, and says something else.
    let (broken, _) = broken_rules(Sender::Trusted, "", "--success-pattern .").unwrap();
    let lies = [SWALLOWED, &REFUSED[..1]].concat();
    assert_eq!(broken, named(&lies));
    // A failure's words are on standard error.
    let (broken, _) =
        broken_rules(Sender::Trusted, "", "--failure-pattern GetConfiguration").unwrap();
    assert_eq!(broken, named(SWALLOWED));
    let scene = Scene::new();
    let command = sql_suite(&scene, Sender::Trusted, "", "--success-pattern (").unwrap();
    scene.run(command).expect(2).says("success-pattern");
}

// Catches: rules about the statement that a client fails which sends none, a placeholder that stays
// in a command line, a front-end that is silently another one.
#[test]
fn who_is_told_the_name_meets_no_sql() {
    let scene = Scene::new();
    let ended = scene.run(suite(&scene, "", "client/SQL client/Write/full --json"));
    let results = results(&ended);
    let verdicts = verdicts(&results);
    assert_eq!(ids(&verdicts, "PASS"), named(&["Write/full"]));
    assert_eq!(ids(&verdicts, "N/A").len(), verdicts.len() - 1);
    let reasons =
        results["cases"].as_array().unwrap().iter().filter_map(|case| case["reason"].as_str());
    assert!(reasons.clone().count() > 0);
    for reason in reasons {
        assert_eq!(reason, "the client does not send the statement itself");
    }
    let said = scene.run(suite_of(&scene, "./client {set} -S {server}", ""));
    said.expect(2).says("--front sqlcmd").says("{server}");
}

// Catches: a run whose servers, folders or shared memory outlive it, or that touches the data of the
// user's own server.
#[test]
fn servers_of_cases_leave_nothing() {
    let scene = Scene::new();
    let line = "client/SQL/refused-statement client/Write/full client/server-death/mid-backup";
    let command = sql_suite(&scene, Sender::Login, "", line).unwrap();
    let running = scene.start(command);
    let ours = format!("vdisim.t{}-", running.id());
    running.wait().expect(0);
    let objects = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let left = objects.filter(|object| object.file_name().to_string_lossy().starts_with(&ours));
    assert_eq!(left.count(), 0);
    assert!(!scene.path("vdisim").exists(), "XDG_DATA_HOME was used");
}
