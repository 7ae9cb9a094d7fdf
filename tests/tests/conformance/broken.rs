//! A good client passes everything, and each mistake is named by the right case.

use std::collections::BTreeSet;

use rstest::rstest;
use vdisim::conformance::results::Level;
use vdisim::conformance::{Need, catalogue, matches};
use vdisim_tests::Scene;

use crate::subject::{is_broken, results, suite, verdicts};

/// A mistake, the cases that must name it, and the cases that may fail as a consequence.
struct Broken {
    mistake: &'static str,
    own: &'static [&'static str],
    also: &'static [&'static str],
}

const fn broken(
    mistake: &'static str,
    own: &'static [&'static str],
    also: &'static [&'static str],
) -> Broken {
    Broken { mistake, own, also }
}

/// A mistake in what every backup or restore does breaks everything that needs one.
const EVERYTHING: &[&str] = &["*"];

const NAMES: &[&str] = &["Create/name-*", "devices/each-once", "OpenDevice/*"];

#[rustfmt::skip]
const BROKEN: &[Broken] = &[
    broken("creates-twice", &["Create/once"], &[]),
    broken("opens-early", &["GetConfiguration/before-OpenDevice"], NAMES),
    broken("opens-wrong-name", &["OpenDevice/each-once", "OpenDevice/for-restore", "devices/each-once"], NAMES),
    broken("deaf", &[
        "GetConfiguration/abort-while-waiting", "GetConfiguration/abort-behind-it", "OpenDevice/abort-behind-it",
        "CompleteCommand/abort-with-command-held", "Complete/abort-before-it", "SignalAbort/mid-backup",
        "SignalAbort/before-Flush", "SignalAbort/after-Flush", "SignalAbort/mid-restore",
        "SignalAbort/end-of-restore", "devices/abort", "tape/abort", "disk/abort",
    ], &[
        "SignalAbort/*", "server-death/*", "GetConfiguration/server-dies-*", "GetConfiguration/exit-code",
        "Complete/abort-exit-code", "Complete/death-before-it", "devices/server-death",
    ]),
    broken("flush-is-end", &["GetCommand/until-close", "Close/not-early", "Flush/not-the-end", "Flush/twice"], EVERYTHING),
    broken("waits-for-flush", &["GetCommand/closed-at-once", "GetCommand/closed-mid-backup"], &[
        "CompleteCommand/Read-in-backup", "ClearError/success", "Write/full-medium*", "snapshot/*",
    ]),
    broken("waits-for-end", &["GetCommand/closed-mid-restore"], &[
        "OpenDevice/for-restore", "CompleteCommand/Write-in-restore", "Flush/on-restore", "Flush/durable*",
        "Read/in-bounds", "Read/full", "Read/from-the-beginning", "tape/*", "disk/*", "snapshot/MountSnapshot",
    ]),
    broken("backwards", &[
        "GetCommand/several-writes", "GetCommand/several-reads", "Flush/behind-writes", "devices/side-by-side",
    ], &["GetCommand/many-writes", "Write/mixed-sizes", "Write/large-stream", "Read/other-sizes", "Read/several-at-end", "Read/behind-end"]),
    broken("forgets=12", &["CompleteCommand/every-command"], EVERYTHING),
    broken("completes-twice", &["CompleteCommand/once"], &[]),
    broken("answer=99:0", &["CompleteCommand/unknown-command"], &["CompleteCommand/unknown-in-restore", "ClearError/success", "ClearError/repeated"]),
    broken("rewinds-on-error", &["CompleteCommand/goes-on-after-refusal"], &["CompleteCommand/*", "Read/behind-end"]),
    broken("answer=3:50", &["ClearError/success", "ClearError/in-restore"], &["CompleteCommand/*", "ClearError/*", "Read/behind-end"]),
    broken("count=2:-1", &["Write/full"], EVERYTHING),
    broken("count=2:512", &["Write/no-more-than-asked"], EVERYTHING),
    broken("corrupts-size=512", &["Write/one-block", "Write/mixed-sizes", "Write/small-transfers"], &[]),
    broken("corrupts-size=65536", &[
        "Write/stored", "Write/one-transfer", "Write/largest-block", "Flush/last-command", "Complete/whole",
        "Read/returned", "Read/block-by-block", "Read/largest-block", "devices/streams-apart", "devices/eight",
        "devices/sixty-four", "tape/stored", "disk/stored",
    ], EVERYTHING),
    broken("corrupts-size=4194304", &["Write/largest-transfer", "Read/largest-transfer"], &[]),
    broken("skips-byte=0", &["Write/zeros"], &[]),
    broken("skips-byte=255", &["Write/all-ones"], &[]),
    broken("stores-most=16777216", &["Write/large-stream"], &[]),
    broken("one-area", &["Write/buffers-added", "Read/buffers-added"], &[
        "GetCommand/*", "Write/mixed-sizes", "Write/large-stream", "Write/largest-transfer", "Read/*", "devices/*",
    ]),
    broken("ignores-errors", &["Write/full-medium"], &["Write/full-medium*"]),
    broken("lazy", &["Flush/durable", "Flush/durable-mid-stream"], &["Write/full-medium*", "Flush/synchronises", "tape/*", "disk/*"]),
    broken("answer=12:50", &["Flush/success"], EVERYTHING),
    broken("answer=19:112", &["Complete/success"], EVERYTHING),
    broken("half-reads", &["Read/claimed-is-written"], EVERYTHING),
    broken("count=1:512", &["Read/no-more-than-asked"], EVERYTHING),
    broken("fixed-reads", &["Read/other-sizes", "Read/larger-than-written"], &[
        "CompleteCommand/unknown-in-restore", "Read/*", "tape/*", "disk/*", "snapshot/MountSnapshot", "GetCommand/*",
    ]),
    broken("endless", &["Read/end-in-transfer", "Read/end-on-transfer"], EVERYTHING),
    broken("calls-after-close", &["Close/devices-are-gone"], &["GetCommand/not-after-close"]),
    broken("one-file", &["devices/streams-apart"], &["devices/*"]),
    broken("first-device-only", &["devices/every-device-until-close"], &["devices/*"]),
    broken("answer=4:50", &["tape/Rewind"], &["tape/*"]),
    broken("answer=5:50", &["tape/WriteMark"], &["tape/*"]),
    broken("answer=6:50", &["tape/SkipMarks"], &["tape/SkipMarks-place"]),
    broken("answer=7:50", &["tape/SkipBlocks"], &[]),
    broken("answer=9:50", &["tape/GetPosition"], &["tape/SetPosition"]),
    broken("answer=10:50", &["tape/SetPosition", "disk/SetPosition"], &[]),
    broken("misses-filemarks", &["tape/filemark-detected"], &[]),
    broken("never-seeks", &["disk/Write-position", "disk/Read-position", "disk/header-again"], &["disk/*"]),
    broken("never-cuts", &["disk/Flush-sets-end"], &[]),
    broken("answer=15:50", &["snapshot/PrepareToFreeze"], &["snapshot/*"]),
    broken("answer=13:50", &["snapshot/Snapshot"], &["snapshot/*"]),
    broken("answer=14:50", &["snapshot/MountSnapshot"], &[]),
    // Not of must-level cases, but of mistakes that real clients make.
    broken("touches-behind", &["Write/in-bounds", "Read/in-bounds"], EVERYTHING),
    broken("changes-command", &["CompleteCommand/read-only-command"], &[]),
    broken("asks-on", &["GetCommand/not-after-close"], &[]),
    broken("never-syncs", &["Flush/synchronises"], &[]),
    broken("never-closes", &["Close/called"], &["*/calls-Close", "*exit-code*", "Complete/death-before-it"]),
    broken("private-objects", &["Create/group-access", "Create/runs-as-other"], &[]),
    broken("always-succeeds", &["SignalAbort/exit-code", "server-death/exit-code"], &["*exit-code*", "Complete/death-before-it"]),
];

/// What the good client does not do: it has no second process, and sends no statement.
const BEYOND: [Need; 3] = [Need::Processes, Need::Handles, Need::Sql];

fn of_clients() -> Vec<String> {
    let cases = catalogue::all();
    let its = cases.iter().filter(|case| {
        case.is_of_clients() && !case.needs.iter().any(|need| BEYOND.contains(need))
    });
    its.map(|case| case.id.clone()).collect()
}

fn short(id: &str) -> &str {
    id.strip_prefix("client/").unwrap_or(id)
}

// Catches: a case that a client which keeps every rule does not pass.
#[test]
fn the_good_client_passes_everything_it_declares() {
    let scene = Scene::new();
    let ended = scene.run(suite(&scene, "", "--json --strict"));
    ended.expect(0);
    let verdicts = verdicts(&results(&ended));
    for id in of_clients() {
        assert_eq!(verdicts[&id], "PASS", "{id}");
    }
    assert!(verdicts.len() > of_clients().len(), "what it does not declare is reported, too");
}

// Catches: a rule at level must that nobody has seen broken.
#[test]
fn every_must_of_a_client_has_a_client_that_breaks_it() {
    let named: BTreeSet<_> = BROKEN.iter().flat_map(|broken| broken.own).copied().collect();
    let mine = of_clients();
    for case in catalogue::all() {
        if case.level == Level::Must && mine.contains(&case.id) {
            assert!(named.contains(short(&case.id)), "no client breaks {}", case.id);
        }
    }
    for own in named {
        assert!(mine.contains(&format!("client/{own}")), "{own} is no case");
    }
}

/// The other cases that a mistake is tried on: all of them if VDISIM_EVERY_CASE is set, else every
/// tenth, another tenth for each mistake.
fn others(k: usize) -> Vec<String> {
    let all = std::env::var_os("VDISIM_EVERY_CASE").is_some();
    let chosen = |(i, _): &(usize, String)| all || i % 10 == k % 10;
    of_clients().into_iter().enumerate().filter(chosen).map(|(_, id)| id).collect()
}

// Catches: a case that a broken client passes, and one that fails for another's mistake.
#[rstest]
fn a_mistake_is_named_by_its_case(#[values(0, 1, 2, 3)] part: usize) {
    for (k, broken) in BROKEN.iter().enumerate().filter(|(k, _)| k % 4 == part) {
        let mut ids: BTreeSet<_> = broken.own.iter().map(|own| format!("client/{own}")).collect();
        if broken.also != EVERYTHING {
            ids.extend(others(k));
        }
        let scene = Scene::new();
        let mut command = suite(&scene, broken.mistake, "--json --stall 4 --jobs 4");
        command.args(&ids);
        let ended = scene.run(command);
        let Broken { mistake, own, also } = broken;
        for (id, verdict) in verdicts(&results(&ended)) {
            let id = short(&id);
            if own.contains(&id) {
                assert!(is_broken(&verdict), "{mistake}: {id} says {verdict}");
            } else if verdict != "PASS" {
                let declared = also.iter().any(|glob| matches(glob, id));
                assert!(
                    declared && is_broken(&verdict),
                    "{mistake}: {id} says {verdict}\n{}",
                    ended.err
                );
            }
        }
    }
}
