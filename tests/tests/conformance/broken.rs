//! A good client passes everything, and each mistake is named by the right case.

use std::collections::BTreeSet;
use std::time::Duration;

use rstest::rstest;
use vdisim::conformance::results::Level;
use vdisim::conformance::{Need, catalogue, matches};
use vdisim_tests::Scene;

use crate::subject::{is_broken, results, suite, verdicts};

/// After so long a run of the whole catalogue counts as hanging.
const WATCHDOG: Duration = Duration::from_secs(900);

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
        "secondary/abort", "handles/abort", "snapshot/abort", "SignalAbort/with-several-commands",
        "SignalAbort/in-place-of-ClearError",
    ], &[
        "SignalAbort/*", "server-death/*", "GetConfiguration/server-dies-*", "GetConfiguration/exit-code",
        "Complete/abort-exit-code", "Complete/death-before-it", "*/server-death", "*/exit-code", "secondary/*",
    ]),
    broken("flush-is-end", &[
        "GetCommand/until-close", "Close/not-early", "Flush/not-the-end", "Flush/twice", "tape/until-close",
        "disk/until-close",
    ], EVERYTHING),
    broken("waits-for-flush", &["GetCommand/closed-at-once", "GetCommand/closed-mid-backup"], &[
        "CompleteCommand/Read-in-backup", "ClearError/success", "Write/full-medium*", "snapshot/*", "tape/ClearError",
        "disk/ClearError", "tape/full-medium",
    ]),
    broken("waits-for-end", &["GetCommand/closed-mid-restore"], &[
        "OpenDevice/for-restore", "CompleteCommand/Write-in-restore", "Flush/on-restore", "Flush/durable*",
        "Read/in-bounds", "Read/full", "Read/from-the-beginning", "tape/*", "disk/*", "snapshot/MountSnapshot",
        "Complete/durable", "handles/in-bounds",
    ]),
    broken("backwards", &[
        "GetCommand/several-writes", "GetCommand/several-reads", "Flush/behind-writes", "devices/side-by-side",
        "secondary/several-commands", "handles/several-commands",
    ], &["GetCommand/many-writes", "Write/mixed-sizes", "Write/large-stream", "Read/other-sizes", "Read/several-at-end", "Read/behind-end"]),
    broken("forgets=12", &["CompleteCommand/every-command"], EVERYTHING),
    broken("completes-twice", &["CompleteCommand/once"], &[]),
    broken("answer=99:0", &[
        "CompleteCommand/unknown-command", "tape/unknown-command", "disk/unknown-command",
    ], &["tape/ClearError", "disk/ClearError", "CompleteCommand/unknown-in-restore", "ClearError/success", "ClearError/repeated"]),
    broken("rewinds-on-error", &["CompleteCommand/goes-on-after-refusal"], &["CompleteCommand/*", "Read/behind-end"]),
    broken("answer=3:50", &[
        "ClearError/success", "ClearError/in-restore", "tape/ClearError", "disk/ClearError", "ClearError/without-error"], &["tape/*", "disk/*", "CompleteCommand/*", "ClearError/*", "Read/behind-end"]),
    broken("count=2:-1", &["Write/full"], EVERYTHING),
    broken("count=2:512", &["Write/no-more-than-asked"], EVERYTHING),
    broken("corrupts-size=512", &["Write/one-block", "Write/mixed-sizes", "Write/small-transfers"], &[]),
    broken("corrupts-size=1536", &["handles/sizes"], &["Write/mixed-sizes"]),
    broken("corrupts-size=65024", &["Write/odd-blocks"], &[]),
    broken("complete-truncates", &["Complete/durable"], EVERYTHING),
    broken("corrupts-size=65536", &[
        "Write/stored", "Write/one-transfer", "Write/other-blocks", "Write/largest-block", "Flush/last-command", "Complete/whole",
        "Read/returned", "Read/block-by-block", "Read/largest-block", "devices/streams-apart", "devices/eight",
        "devices/thirty-two", "devices/sixty-four", "tape/stored", "disk/stored",
        "handles/streams",
    ], EVERYTHING),
    broken("corrupts-size=4194304", &["Write/largest-transfer", "Read/largest-transfer"], &[]),
    broken("skips-byte=0", &["Write/zeros"], &[]),
    broken("skips-byte=255", &["Write/all-ones"], &[]),
    broken("stores-most=16777216", &["Write/large-stream"], &[]),
    broken("one-area", &["Write/buffers-added", "Read/buffers-added"], &[
        "GetCommand/*", "Write/mixed-sizes", "Write/large-stream", "Write/largest-transfer", "Read/*", "devices/*", "handles/*", "secondary/*",
    ]),
    broken("ignores-errors", &["Write/full-medium", "tape/full-medium"], &["Write/full-medium*"]),
    broken("lazy", &["Flush/durable", "Flush/durable-mid-stream", "tape/durable", "disk/durable"], &["Write/full-medium*", "Flush/synchronises", "Complete/durable", "tape/*", "disk/*"]),
    broken("answer=12:50", &["Flush/success", "tape/Flush", "disk/Flush", "Flush/first-command", "devices/flush-to-all", "snapshot/Flush"], EVERYTHING),
    broken("answer=19:112", &["Complete/success", "CompleteCommand/Complete-unasked"], EVERYTHING),
    broken("half-reads", &["Read/claimed-is-written"], EVERYTHING),
    broken("count=1:512", &["Read/no-more-than-asked"], EVERYTHING),
    broken("fixed-reads", &["Read/other-sizes", "Read/larger-than-written", "Read/odd-blocks"], &[
        "CompleteCommand/unknown-in-restore", "Read/*", "tape/*", "disk/*", "snapshot/MountSnapshot", "GetCommand/*",
        "handles/*",
    ]),
    broken("endless", &[
        "Read/end-in-transfer", "Read/end-on-transfer", "tape/end-on-transfer", "disk/end-on-transfer",
    ], EVERYTHING),
    broken("calls-after-close", &["Close/devices-are-gone"], &["GetCommand/not-after-close"]),
    broken("one-file", &["devices/streams-apart", "secondary/streams"], &["devices/*", "secondary/*"]),
    broken("first-device-only", &["devices/every-device-until-close"], &["devices/*", "secondary/*", "Create/device-count"]),
    broken("answer=4:50", &["tape/Rewind"], &["tape/*"]),
    broken("answer=5:50", &["tape/WriteMark"], &["tape/*"]),
    broken("answer=6:50", &["tape/SkipMarks"], &["tape/SkipMarks-place"]),
    broken("answer=7:50", &["tape/SkipBlocks"], &[]),
    broken("answer=9:50", &["tape/GetPosition"], &["tape/SetPosition", "disk/GetPosition"]),
    broken("answer=10:50", &["tape/SetPosition", "disk/SetPosition"], &[]),
    broken("misses-filemarks", &["tape/filemark-detected"], &[]),
    broken("never-seeks", &["disk/Write-position", "disk/Read-position", "disk/header-again"], &["disk/*"]),
    broken("never-cuts", &["disk/Flush-sets-end"], &[]),
    broken("answer=15:50", &["snapshot/PrepareToFreeze"], &["snapshot/*"]),
    broken("answer=13:50", &["snapshot/Snapshot"], &["snapshot/*"]),
    broken("answer=14:50", &["snapshot/MountSnapshot"], &[]),
    broken("ignores-deaths", &["secondary/death-noticed"], &["secondary/*"]),
    broken("joins-early", &["secondary/joins-in-order"], &[]),
    broken("no-handles", &["handles/mapped-elsewhere"], &[]),
    broken("cuts-handles", &["handles/mapped-elsewhere"], &[]),
    broken("maps-once", &["handles/buffers-added"], &["handles/*"]),
    broken("child-completes", &["handles/asker-completes"], &[]),
    broken("one-process", &["secondary/one-a-device"], &["secondary/death-noticed", "secondary/exit-code"]),
    // Not of must-level cases, but of mistakes that real clients make.
    broken("touches-behind", &["Write/in-bounds", "Read/in-bounds", "buffers/past-the-end", "handles/in-bounds"], EVERYTHING),
    broken("touches-before=0", &["buffers/before-the-zone"], EVERYTHING),
    broken("touches-before=512", &["buffers/before-the-zone"], EVERYTHING),
    broken("touches-late", &["buffers/hands-off"], EVERYTHING),
    broken("wrong-close", &["GetCommand/not-after-close"], EVERYTHING),
    broken("opens-same", &["devices/each-once"], &["devices/*", "Create/device-count"]),
    broken("walks-out=12", &["CompleteCommand/every-command"], EVERYTHING),
    broken("ignores-features", &["Flush/last-command", "GetConfiguration/no-Complete"], EVERYTHING),
    broken("exits-at-abort", &[
        "server-death/nothing-left", "server-death/calls-Close", "SignalAbort/calls-Close",
    ], &["SignalAbort/*", "server-death/*", "secondary/*", "handles/*"]),
    broken("dawdles", &["Create/server-time-out"], &[]),
    broken("miscounts", &["Create/device-count"], &[]),
    broken("answer=8:50", &["tape/Load"], &["CompleteCommand/Load-on-pipe"]),
    broken("changes-command", &["CompleteCommand/read-only-command"], &[]),
    broken("writes-position", &["CompleteCommand/no-position"], &[]),
    broken("asks-on", &["GetCommand/not-after-close"], &[]),
    broken("never-syncs", &["Flush/synchronises"], &[]),
    broken("never-closes", &["Close/called", "secondary/closes", "handles/closes"], &["*/calls-Close", "*exit-code*", "Complete/death-before-it"]),
    broken("private-objects", &["Create/group-access", "Create/runs-as-other"], &[]),
    broken("always-succeeds", &["SignalAbort/exit-code", "server-death/exit-code", "Write/full-medium-exit-code", "SignalAbort/exit-code-of-restore", "secondary/exit-code", "snapshot/exit-code"], &["*exit-code*", "Complete/death-before-it"]),
    // Of cases that no must is.
    broken("asks-bits=65536", &["Create/server-bits", "Create/listed-features"], &[]),
    broken("asks-bits=1048576", &["Create/unknown-bits", "Create/listed-features"], &[]),
    broken("soft-marks", &["Create/soft-filemarks"], &[]),
    broken("sets-outputs", &["Create/output-fields"], &[]),
    broken("strips=123", &["Create/name-with-braces"], &[]),
    broken("strips=45", &["Create/name-with-hyphens"], EVERYTHING),
    broken("strips=32", &["Create/name-with-spaces"], &[]),
    broken("strips=47", &["Create/name-with-slash"], &[]),
    broken("overwrites", &["Write/second-backup"], &[]),
    broken("refuses-vaguely", &["Write/full-medium-code"], &[]),
    broken("uses-up", &["Read/twice", "Read/from-the-beginning"], &["CompleteCommand/Write-in-restore"]),
    broken("answer=4:0", &["CompleteCommand/tape-commands-on-pipe", "disk/tape-commands"], &[]),
    broken("answer=9:0", &["CompleteCommand/positions-on-pipe"], &[]),
    broken("answer=11:112", &["CompleteCommand/Discard-unasked"], &[]),
    broken("answer=13:0", &["CompleteCommand/snapshot-unasked"], &[]),
    broken("answer=15:0", &["CompleteCommand/PrepareToFreeze-unasked"], &[]),
    broken("answer=16:112", &["CompleteCommand/header-only-commands"], &[]),
];

/// The cases of the good client: it sends no statement itself.
fn of_clients() -> Vec<String> {
    let cases = catalogue::all().into_iter();
    let its = cases.filter(|case| case.is_of_clients() && !case.needs.contains(&Need::Sql));
    its.map(|case| case.id).collect()
}

fn short(id: &str) -> &str {
    id.strip_prefix("client/").unwrap_or(id)
}

// Catches: a case that a client which keeps every rule does not pass.
#[test]
fn the_good_client_passes_everything_it_declares() {
    let scene = Scene::new();
    let ended = scene.start(suite(&scene, "", "--json --strict")).wait_within(WATCHDOG);
    ended.expect(0);
    let verdicts = verdicts(&results(&ended));
    for id in of_clients() {
        assert_eq!(verdicts[&id], "PASS", "{id}");
    }
}

// Catches: a reference client that breaks a rule which it is there to show; of any level.
#[test]
fn our_own_client_keeps_every_rule() {
    let scene = Scene::new();
    let ended = scene.start(scene.vdisim("test --strict")).wait_within(WATCHDOG);
    ended.expect(0).says("0 broken rules must be kept, 0 should be");
}

// Catches: a rule at level must that nobody has seen broken.
#[test]
fn every_must_of_a_client_has_a_client_that_breaks_it() {
    let named: BTreeSet<_> = BROKEN.iter().flat_map(|broken| broken.own).copied().collect();
    let mine = of_clients();
    for case in catalogue::all() {
        if case.level == Level::Must && case.is_of_clients() {
            assert!(named.contains(short(&case.id)), "no client breaks {}", case.id);
        }
    }
    for own in named {
        assert!(mine.contains(&format!("client/{own}")), "{own} is no case");
    }
}

/// The other cases that a mistake is tried on: all of them if VDISIM_EVERY_CASE is set, as
/// scripts/mistakes does, else every tenth, another tenth for each mistake.
fn others(k: usize) -> Vec<String> {
    let all = std::env::var_os("VDISIM_EVERY_CASE").is_some();
    let chosen = |(i, _): &(usize, String)| all || i % 10 == k % 10;
    of_clients().into_iter().enumerate().filter(chosen).map(|(_, id)| id).collect()
}

// Catches: a case that a broken client passes, and one that fails for another's mistake.
#[rstest]
fn a_mistake_is_named_by_its_case(#[values(0, 1, 2, 3)] part: usize) {
    let mut wrong = Vec::new();
    for (k, broken) in BROKEN.iter().enumerate().filter(|(k, _)| k % 4 == part) {
        let Broken { mistake, own, also } = broken;
        let mut ids: BTreeSet<_> = own.iter().map(|own| format!("client/{own}")).collect();
        if *also != EVERYTHING {
            ids.extend(others(k));
        }
        let scene = Scene::new();
        let mut command = suite(&scene, mistake, "--json --stall 4 --jobs 4");
        command.args(&ids);
        for (id, verdict) in verdicts(&results(&scene.start(command).wait_within(WATCHDOG))) {
            let id = short(&id);
            let declared = also.iter().any(|glob| matches(glob, id));
            let right = match is_broken(&verdict) {
                true => own.contains(&id) || declared,
                false => verdict == "PASS" && !own.contains(&id),
            };
            if !right {
                wrong.push(format!("{mistake}: {id} says {verdict}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// Catches: a must that fails a client for what SQL Server takes from it. Under each habit: where to
// look at it beside a tenth of all cases, and the cases that may mention it.
#[rstest]
#[case::short_reads("short-reads", "client/Read", &["Read/full"])]
#[case::empty_read_at_the_end("zero-end", "client/Read", &["Read/says-end"])]
#[case::no_flush_on_restore("refuses-on-restore", "client/Flush", &[])]
#[case::positions_of_writes("writes-position", "client/Write", &["CompleteCommand/no-position"])]
#[case::buffers_reused("scribbles", "client/Write", &[])]
#[case::size_changed_in_place("changes-command", "client/CompleteCommand", &["CompleteCommand/read-only-command"])]
#[case::polling("polls", "client/GetCommand", &[])]
// Whoever only moves the bytes cannot know what SQL Server said behind a plain close.
#[case::exit_code_behind_a_close("exit-code=7", "client/Close", &[])]
fn what_works_is_no_failure(#[case] habit: &str, #[case] area: &str, #[case] mentioned: &[&str]) {
    let scene = Scene::new();
    let mut command = suite(&scene, habit, "--json --stall 10");
    command.arg(area).args(others(habit.len()));
    let ended = scene.start(command).wait_within(WATCHDOG);
    ended.expect(0);
    for (id, verdict) in verdicts(&results(&ended)) {
        let id = short(&id);
        let wanted = if mentioned.contains(&id) { "FAIL" } else { "PASS" };
        assert_eq!(verdict, wanted, "{habit}: {id}\n{}", ended.err);
    }
}
