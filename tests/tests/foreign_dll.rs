//! Foreign DLLs in place of clients, served by their own server classes: one around ours, right or with
//! something wrong (tests/clients/windows/library/foreign.cpp).
#![cfg(windows)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rstest::rstest;
use serde_json::Value;
use vdisim_tests::{Scene, artefacts};

/// The foreign DLL, which scripts/windows compiled; None, and a word about it, if it did not.
fn foreign() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("VDISIM_WINDOWS_CLIENTS") else {
        eprintln!("SKIP foreign.dll: VDISIM_WINDOWS_CLIENTS names no folder; run scripts/windows");
        return None;
    };
    Some(Path::new(&folder).join("foreign.dll"))
}

/// The cases of a run that ends with `code`.
fn judged(path: &Path, breaks: &str, more: &str, code: i32) -> Vec<Value> {
    let scene = Scene::new();
    let mut command = scene.vdisim("test --json --implementation");
    command.arg(path).args(more.split_whitespace());
    command.env("FOREIGN_WRAPS", artefacts::drop_in()).env("FOREIGN_BREAKS", breaks);
    let ended = scene.run(command);
    ended.expect(code);
    let results: Value = serde_json::from_str(&ended.out).expect(&ended.out);
    results["cases"].as_array().expect("cases").clone()
}

fn verdicts(cases: &[Value]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for case in cases {
        *counts.entry(case["verdict"].as_str().unwrap()).or_default() += 1;
    }
    counts
}

// Catches: cells that are left out although the DLL has a server half, or that it does not bring about.
#[test]
fn every_cell_of_a_dll_with_server_classes_is_judged() {
    let Some(foreign) = foreign() else { return };
    let cases = judged(&foreign, "", "interface/*", 0);
    assert_eq!(verdicts(&cases).into_keys().collect::<Vec<_>>(), ["PASS"]);
    assert!(cases.len() > 70);
}

// Catches: a wrong code in a state that only the DLL's own server half brings about, which no cell
// tells, or another one; a server half of which a failure is taken for a bug of ours, or for a pass.
#[rstest]
#[case::client("maps-zero", "interface/MapBufferHandle/zero", "it returned NOERROR")]
#[case::server(
    "sends-nothing",
    "interface/GetCommand/active",
    "the server's SendCommand returned 0x8077000C"
)]
fn a_mutant_is_named_by_its_cell(#[case] breaks: &str, #[case] id: &str, #[case] says: &str) {
    let Some(foreign) = foreign() else { return };
    let right = "interface/GetCommand/closed";
    let cases = judged(&foreign, breaks, &format!("{id} {right}"), 1);
    let case = |id: &str| cases.iter().find(|case| case["id"] == id).unwrap();
    assert_eq!(case(id)["verdict"], "FAIL", "{}", case(id));
    assert!(case(id)["seen"].as_str().unwrap().contains(says), "{}", case(id));
    assert_eq!(case(right)["verdict"], "PASS", "{}", case(right));
}

// Catches: a DLL without the classes that is failed for it, or that ours is taken to serve.
#[test]
fn without_server_classes_the_reason_says_so() {
    let Some(foreign) = foreign() else { return };
    let cases = judged(&foreign, "serves-not", "interface/Close/*", 0);
    assert_eq!(verdicts(&cases).into_keys().collect::<Vec<_>>(), ["N/A", "PASS"]);
    for case in cases.iter().filter(|case| case["verdict"] == "N/A") {
        let reason = case["reason"].as_str().unwrap();
        assert!(reason.contains("offers no IServerVirtualDeviceSet2"), "{reason}");
        assert!(reason.contains("0x80040111"), "{reason}");
    }
}

// Catches: a crash of the DLL that ends as a bug of ours.
#[test]
fn a_crash_is_the_dlls() {
    let Some(foreign) = foreign() else { return };
    let cases = judged(&foreign, "crashes", "interface/Close/active", 0);
    assert_eq!(cases[0]["verdict"], "CRASH", "{}", cases[0]);
    assert_eq!(cases[0]["seen"], "exception 0xc0000005");
}
