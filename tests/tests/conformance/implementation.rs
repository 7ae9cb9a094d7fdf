//! Implementations of the interface in place of clients: ours, a foreign one, one that is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rstest::rstest;
use serde_json::Value;
use vdisim::conformance::catalogue;
use vdisim_tests::{Scene, artefacts};

use crate::subject::{objects_of, results, verdicts};

/// The foreign implementation, compiled once.
fn foreign() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = folder.join(format!("foreign-{}.so", std::process::id()));
        let built = Command::new("g++")
            .args(["-std=c++11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-o"])
            .arg(&path)
            .arg(root.join("clients/conformance/implementation.cpp"))
            .arg("-I")
            .arg(root.join("../sim/sqlvdi/include"))
            .status()
            .expect("g++ is on PATH: scripts/setup installs it");
        assert!(built.success(), "implementation.cpp does not compile");
        path
    })
}

fn judged(path: &Path, breaks: &str, more: &str, code: i32) -> Value {
    let scene = Scene::new();
    let mut command = scene.vdisim("test --json --implementation");
    command.arg(path).args(more.split_whitespace()).env("IMPLEMENTATION_BREAKS", breaks);
    let ended = scene.run(command);
    ended.expect(code);
    results(&ended)
}

fn counts(results: &Value) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for verdict in verdicts(results).into_values() {
        *counts.entry(verdict).or_default() += 1;
    }
    counts
}

// Catches: cells of ours that are left out, or judged by a server half that does not meet them.
#[test]
fn every_cell_of_ours_is_judged() {
    let results = judged(&artefacts::drop_in(), "", "", 0);
    assert_eq!(counts(&results).keys().collect::<Vec<_>>(), ["PASS"]);
    let ids = verdicts(&results).into_keys();
    let (server, client): (Vec<_>, Vec<_>) = ids.partition(|id| id.starts_with("server/"));
    assert!(client.len() > 70 && server.len() > 80, "{} and {}", client.len(), server.len());
}

// Catches: a foreign library that is failed for what it cannot do with our server, or passed for it,
// or of which nothing is judged; a state that only a server brings about among those without one.
#[test]
fn of_a_foreign_one_only_what_needs_no_server_is_judged() {
    let theirs = judged(foreign(), "", "", 0);
    let ours = judged(&artefacts::drop_in(), "", "--foreign", 0);
    let known = counts(&theirs);
    assert_eq!(known, counts(&ours));
    assert_eq!(known.keys().collect::<Vec<_>>(), ["N/A", "PASS"]);
    assert!(known["PASS"] >= 29, "{known:?}");
    for case in theirs["cases"].as_array().unwrap() {
        if case["verdict"] == "N/A" {
            assert!(case["reason"].as_str().unwrap().contains("layout"), "{case}");
        }
    }
}

// Catches: a wrong return code that no cell tells, or that another cell tells.
#[rstest]
#[case("closes-nothing", "interface/Close/does-not-exist", "Close returns VD_E_PROTOCOL")]
#[case("creates-again", "interface/Create/", "Create returns VD_E_PROTOCOL")]
fn a_mutant_is_named_by_its_cell(#[case] breaks: &str, #[case] id: &str, #[case] says: &str) {
    let results = judged(foreign(), breaks, "", 1);
    let mut failed = 0;
    for case in results["cases"].as_array().unwrap() {
        if case["verdict"] == "FAIL" {
            failed += 1;
            assert!(case["id"].as_str().unwrap().starts_with(id), "{case}");
            assert_eq!(
                (&case["expected"], &case["seen"]),
                (&says.into(), &"it returned NOERROR".into())
            );
        }
    }
    assert!(failed > 0);
}

/// What the cells of a half (`server` or `interface`) say with a mistake, by verdict: ids.
fn broken_half(half: &str, mistake: &str) -> BTreeMap<String, BTreeSet<String>> {
    let scene = Scene::new();
    let line = format!("test {half}/* --stall 10 --json --mistake {mistake} --implementation");
    let mut command = scene.vdisim(&line);
    command.arg(artefacts::drop_in());
    let running = scene.start(command);
    let run = running.id();
    let ended = running.wait();
    assert_eq!(objects_of(run), Vec::<String>::new());
    let results = results(ended.expect(1));
    assert_eq!(results["environment"]["mistake of every probe"], mistake);
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (id, verdict) in verdicts(&results) {
        ids.entry(verdict).or_default().insert(id);
    }
    ids
}

// Catches: a cell of either half that no answer fails, and a wrong answer that passes.
#[rstest]
#[case("server", 9)]
#[case("interface", 7)]
fn every_cell_can_fail(#[case] half: &str, #[case] answers: usize) {
    let forgiving = broken_half(half, "forgives-all");
    let refusing = broken_half(half, "refuses-all");
    let mut seen = BTreeSet::new();
    for case in catalogue::all().iter().filter(|case| case.area().starts_with(half)) {
        let wants = case.judgements().remove(0);
        let fails =
            |mistake: &BTreeMap<String, BTreeSet<String>>| mistake["FAIL"].contains(&case.id);
        assert_eq!(fails(&forgiving), !wants.ends_with(" NOERROR"), "{}", case.id);
        assert_eq!(fails(&refusing), !wants.ends_with(" VD_E_PROTOCOL"), "{}", case.id);
        seen.insert(wants);
    }
    assert!(seen.len() >= answers, "{seen:?}");
}

// Catches: cells whose call meets another state than the one in their names, an abort that is believed
// because nothing was returned, and a set that stays behind a probe which hung and was killed.
#[test]
fn a_server_half_that_never_aborts_is_named_by_its_cells() {
    let verdicts = broken_half("server", "never-aborts");
    let failed = &verdicts["FAIL"];
    for call in ["GetConfiguration", "AllocateBuffer", "SendCommand", "CloseDevice", "SignalAbort"]
    {
        assert!(failed.contains(&format!("server/{call}/abort")), "{call}: {failed:?}");
    }
    for id in failed {
        let is_of_aborts = id.ends_with("/abort") || id.starts_with("server/SignalAbort/");
        assert!(is_of_aborts, "{id}");
    }
}

// Catches: a mistake for the suite's own test that a run of a client may meet.
#[test]
fn no_client_meets_the_mistake_of_a_probe() {
    let scene = Scene::new();
    let line = "test client/Write/full --mistake refuses-all";
    scene.run(scene.vdisim(line)).expect(2).says("--implementation");
    // Where the two are at odds, the one does not ask for the other.
    scene.run(scene.vdisim(&format!("{line} --client true"))).expect(2).says("--client");
}

// Catches: a file that is no library, and one without the symbols, that end as bugs or as failures.
#[test]
fn what_is_no_implementation_is_said() {
    let scene = Scene::new();
    let text = scene.file("text.so", b"no library");
    for (path, says) in [
        (text.as_path(), "text.so"),
        (Path::new("/nonexistent.so"), "there is no file /nonexistent.so"),
        (Path::new("/lib/x86_64-linux-gnu/libc.so.6"), "_ZN"),
    ] {
        let mut command = scene.vdisim("test --implementation");
        command.arg(path);
        scene.run(command).expect(2).says(says);
    }
}

// Catches: a pinned version that is not heeded, or one that never was.
#[test]
fn the_catalogue_can_be_pinned() {
    let scene = Scene::new();
    let newest = scene.run(scene.vdisim("list --json"));
    let first = scene.run(scene.vdisim("list --json --catalogue 1"));
    let list: Vec<Value> = serde_json::from_str(&first.out).unwrap();
    assert!(list.iter().all(|case| case["since"] == 1));
    let all: Vec<Value> = serde_json::from_str(&newest.out).unwrap();
    assert_eq!(list.len(), all.iter().filter(|case| case["since"] == 1).count());
    scene.run(scene.vdisim("list --catalogue 0")).expect(2).says("no version 0");
    scene.run(scene.vdisim("test --catalogue 99")).expect(2).says("no version 99");
    let line = "test interface/Close/does-not-exist --json --catalogue 1";
    let ended = scene.run(scene.vdisim(line));
    assert_eq!(results(ended.expect(0))["catalogue"], 1);
}
