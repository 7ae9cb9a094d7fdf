//! results.json, junit.xml and results.tap.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use roxmltree::{Document, Node};
use vdisim::conformance::results::{CaseResult, Level, RunResults, Verdict};
use vdisim::report::{FILES, Report, ReportError, junit, schema, tap};
use vdisim_tests::{Scene, assert_schema};

use super::sample::{HOSTILE, all_verdicts, case, run};

fn everything() -> Report {
    let mut cases = all_verdicts();
    for case in &mut cases {
        case.evidence.push(HOSTILE.to_owned());
    }
    cases[1].seen = Some(HOSTILE.to_owned());
    cases[2].reason = Some(HOSTILE.to_owned());
    Report::new(vec![run("./their-client", cases)])
}

/// What the exit code says of a case.
fn fails(case: &CaseResult) -> bool {
    case.verdict == Verdict::Error || run("", Vec::new()).fails(case.level, case.verdict)
}

fn child<'a>(node: Node<'a, 'a>) -> &'a str {
    let outcome = node.children().find(|child| {
        child.is_element() && matches!(child.tag_name().name(), "skipped" | "failure" | "error")
    });
    outcome.map_or("pass", |outcome| outcome.tag_name().name())
}

// Catches: a second root, results that get lost, an outcome that is another one than the exit code's
// (a broken should as <failure>, an unexpected pass as success), skips that count as passed.
#[test]
fn junit_says_of_every_case_what_the_exit_code_says() {
    let report = everything();
    let text = junit(&report);
    let document = Document::parse(&text).unwrap();
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "testsuites");
    let cases: Vec<_> =
        document.descendants().filter(|node| node.has_tag_name("testcase")).collect();
    assert_eq!(cases.len(), report.runs[0].cases.len());
    for case in &report.runs[0].cases {
        let (area, name) = case.id.rsplit_once('/').unwrap();
        let found = cases.iter().find(|node| {
            node.attribute("name") == Some(name)
                && node.attribute("classname") == Some(&area.replace('/', "."))
        });
        let wanted = match case.verdict {
            Verdict::Pass => "pass",
            Verdict::Error => "error",
            _ if fails(case) => "failure",
            _ => "skipped",
        };
        assert_eq!(child(*found.expect(&case.id)), wanted, "{}", case.id);
    }
    let failures = cases.iter().filter(|node| child(**node) == "failure").count();
    assert_eq!(root.attribute("failures"), Some(failures.to_string().as_str()));
    assert_eq!(failures, 3 + 4, "FAIL, CRASH and HANG of the musts, and every XPASS");
}

// Catches: an interrupted run that looks like a smaller one in which everything went well.
#[test]
fn an_interrupted_run_is_no_success_in_any_file() {
    let mut whole = run("c", vec![case("a/b/c", Level::Must, Verdict::Pass)]);
    let said = |run: &RunResults| {
        let report = Report::new(vec![run.clone()]);
        let errors = junit(&report).matches("the run was interrupted").count();
        (errors, tap(&report).matches("Bail out!").count())
    };
    assert_eq!(said(&whole), (0, 0));
    whole.interrupted = true;
    assert_eq!(said(&whole), (1, 1));
}

// Catches: anything that CI systems would refuse: an attribute, an order of elements, a character.
#[test]
fn junit_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let mut cut = run("b", all_verdicts());
    cut.interrupted = true;
    let two = Report::new(vec![run("a", all_verdicts()), cut]);
    for (name, report) in [("one", everything()), ("two", two), ("none", Report::new(Vec::new()))] {
        let file = folder.path().join(format!("{name}.xml"));
        fs::write(&file, junit(&report)).unwrap();
        let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/junit.xsd");
        let done =
            Command::new("xmllint").arg("--noout").arg("--schema").arg(&schema).arg(&file).output();
        match done {
            Ok(done) => assert!(
                done.status.success(),
                "{name}: {}\n{}",
                String::from_utf8_lossy(&done.stderr),
                fs::read_to_string(&file).unwrap()
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                println!("SKIP JUnit schema: no xmllint on PATH (Debian: libxml2-utils)");
                return;
            }
            Err(error) => panic!("xmllint: {error}"),
        }
    }
}

// Catches: a plan that counts wrong, a failure that TAP's readers take for fatal though it is not,
// text that ends a line or begins a directive.
#[test]
fn tap_has_a_line_for_every_case() {
    let report = everything();
    let text = tap(&report);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("TAP version 14"));
    let count = report.runs[0].cases.len();
    assert_eq!(lines.next(), Some(format!("1..{count}").as_str()));
    let points: Vec<_> =
        lines.filter(|line| line.starts_with("ok ") || line.starts_with("not ok ")).collect();
    assert_eq!(points.len(), count);
    for (k, (line, case)) in points.iter().zip(&report.runs[0].cases).enumerate() {
        assert!(line.contains(&format!(" {} - {}", k + 1, case.id)), "{line}");
        let fatal = line.starts_with("not ok") && !line.contains(" # TODO");
        assert_eq!(fatal, fails(case), "{line}");
        let skipped = matches!(case.verdict, Verdict::Skip | Verdict::NotApplicable);
        assert_eq!(line.contains(" # SKIP"), skipped, "{line}");
    }
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}

// Catches: a field that is written and not read, or the other way about; a file half written.
#[test]
fn a_folder_reads_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("a/b");
    let report = everything();
    report.write(&inside).unwrap();
    assert_eq!(Report::read(&inside).unwrap(), report);
    assert_eq!(Report::read(&inside.join("results.json")).unwrap(), report);
    let mut names: Vec<_> =
        fs::read_dir(&inside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let mut wanted = FILES;
    wanted.sort_unstable();
    assert_eq!(names, wanted);
}

// Catches: an error without the file, the line or a way out.
#[test]
fn what_is_no_report_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("results.json");
    let error = |text: Option<&str>| {
        if let Some(text) = text {
            fs::write(&file, text).unwrap();
        }
        Report::read(folder.path()).unwrap_err()
    };
    assert!(matches!(error(None), ReportError::Read { .. }));
    assert!(matches!(
        error(Some(r#"{"version": 99, "lanes": 3}"#)),
        ReportError::Version { found: 99, .. }
    ));
    let malformed = error(Some("{\"version\": 1,\n \"runs\": 7}")).to_string();
    assert!(malformed.contains("results.json") && malformed.contains("line 2"), "{malformed}");
    let taken = folder.path().join("results.json");
    assert!(matches!(everything().write(&taken), Err(ReportError::Write { .. })));
}

// Catches: a change of results.json that its published schema does not have.
#[test]
fn the_published_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/results.schema.json");
    let published: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&path).unwrap_or_default()).unwrap_or_default();
    assert!(
        published == schema(),
        "docs/results.schema.json is not current; write it anew: \
         cargo run -- report schema > docs/results.schema.json, and raise VERSION if a field went \
         away or has another meaning"
    );
}

// Catches: a schema that results do not keep, of a run or of every kind that there is, and one that takes everything.
#[test]
fn what_is_written_keeps_the_published_schema() {
    let scene = Scene::new();
    everything().write(&scene.path("made")).unwrap();
    let mut run = scene.vdisim("test client/Write/full client/SQL/failure-reported --report");
    run.arg(scene.path("run"));
    scene.run(run).expect(0);
    for folder in ["made", "run"] {
        let good = scene.path(folder).join("results.json");
        let text = fs::read_to_string(&good).unwrap();
        let mut bad: serde_json::Value = serde_json::from_str(&text).unwrap();
        bad["runs"][0]["cases"][0]["verdict"] = "GOOD".into();
        let bad = scene.file("bad.json", bad.to_string().as_bytes());
        assert_schema("results.schema.json", &good, &bad);
    }
}
