//! The catalogue itself: its size, its levels, its ids, and the table in the docs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use vdisim::conformance::{Case, Need, catalogue};
use vdisim_tests::Scene;

/// Whether an ordinary client, with one pipe-like device, is judged by it.
fn is_ordinary(case: &Case) -> bool {
    case.is_of_clients()
        && case.needs.iter().all(|need| matches!(need, Need::Backup | Need::Restore))
}

// Catches: rules that are dropped, and one that is counted twice.
#[test]
fn there_are_enough_rules_and_each_is_one() {
    let cases = catalogue::all();
    let rules: BTreeSet<_> = cases.iter().map(|case| &case.rule).collect();
    let ids: BTreeSet<_> = cases.iter().map(|case| &case.id).collect();
    assert_eq!(ids.len(), cases.len(), "an id is used twice");
    assert_eq!(rules.len(), cases.len(), "a rule stands twice");
    assert!(rules.len() >= 150, "{} rules", rules.len());
    let ordinary = cases.iter().filter(|case| is_ordinary(case)).count();
    assert!(ordinary >= 80, "{ordinary} rules judge an ordinary client");
}

// Catches: a must that no page of Microsoft states, or on which the pages disagree.
#[test]
fn levels_are_no_stricter_than_their_sources() {
    for case in catalogue::all() {
        assert!(case.source.allows(case.level), "{} is {}: {}", case.id, case.level, case.source);
    }
}

// Catches: words that a reader trips over.
#[test]
fn rules_are_sentences() {
    for case in catalogue::all() {
        let rule = &case.rule;
        assert!(
            rule.ends_with('.') && rule.chars().next().is_some_and(char::is_uppercase),
            "{rule}"
        );
        assert!(case.id.split('/').count() == 3, "{}", case.id);
        assert!(!case.scenario().is_empty() && !case.judgements().is_empty(), "{}", case.id);
    }
}

// Catches: a program's list that lacks what it relies on.
#[test]
fn the_list_is_an_array_of_objects() {
    let scene = Scene::new();
    let ended = scene.run(scene.vdisim("list --json"));
    ended.expect(0);
    let list: Vec<serde_json::Value> = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(list.len(), catalogue::all().len());
    for case in list {
        for name in ["id", "level", "rule", "source"] {
            assert!(case[name].is_string(), "{case}");
        }
        assert!(case["capabilities"].is_array(), "{case}");
    }
    scene
        .run(scene.vdisim("explain client/Flush/durable"))
        .expect(0)
        .says("VDC_Flush page")
        .says("the client is killed")
        .says("every byte comes back");
}

/// The table of the docs.
fn table() -> String {
    let mut areas: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for case in catalogue::all() {
        areas.entry(case.area().to_owned()).or_default().push(case);
    }
    let mut text = String::from(
        "# The rules that clients are judged by\n\n\
         Made from the catalogue; `vdisim list` prints it, `vdisim explain ID` tells how a rule is \
         tried.\n`client/…` judges a client, `interface/…` an implementation of the interface and \
         `server/…` its server half,\n`self-test/…` vdisim itself.\n",
    );
    for (area, cases) in areas {
        let _ = write!(
            text,
            "\n## {area}\n\n| id | level | rule | source | needs |\n|---|---|---|---|---|\n"
        );
        for case in cases {
            let needs: Vec<_> = case.needs.iter().map(ToString::to_string).collect();
            let Case { id, level, rule, source, .. } = &case;
            let _ = writeln!(text, "| {id} | {level} | {rule} | {source} | {} |", needs.join(", "));
        }
    }
    text
}

// Catches: docs that have fallen behind the catalogue. VDISIM_WRITE_DOCS=1 writes them anew.
#[test]
fn the_docs_list_every_rule() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cases.md");
    if std::env::var_os("VDISIM_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, table()).unwrap();
    }
    let docs = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(docs == table(), "docs/cases.md is old: run this test with VDISIM_WRITE_DOCS=1");
}
