//! JUnit's XML, as CI systems read it: one root, a suite for each area, a case for each result.
//!
//! What does not fail the run must not fail the CI job either: a broken `should` of a run that is
//! not strict, an expected failure and what is not applicable are `<skipped>`, with their text.

use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::Report;
use crate::conformance::results::{CaseResult, RunResults, Verdict};

/// The content of `junit.xml`.
pub fn junit(report: &Report) -> String {
    let mut document = quick_junit::Report::new("vdisim");
    document.set_time(report.runs.iter().map(|run| seconds(run.seconds)).sum());
    for run in &report.runs {
        let mut suites: Vec<TestSuite> = Vec::new();
        for case in &run.cases {
            let name = suite_name(report, run, case);
            let k =
                suites.iter().position(|suite| suite.name.as_str() == name).unwrap_or_else(|| {
                    suites.push(TestSuite::new(name));
                    suites.len() - 1
                });
            suites[k].add_test_case(test_case(run, case));
        }
        if run.interrupted {
            suites.push(incomplete(report, run));
        }
        for mut suite in suites {
            let time = suite.test_cases.iter().filter_map(|case| case.time).sum();
            suite.set_time(time);
            document.add_test_suite(suite);
        }
    }
    // Writing to memory cannot fail, and every string is valid XML by its type.
    document.to_string().unwrap_or_default()
}

/// A run of which cases are missing must not look like a smaller one that went well.
fn incomplete(report: &Report, run: &RunResults) -> TestSuite {
    let name = match report.runs.len() {
        1 => "run".to_owned(),
        _ => format!("{}: run", run.client),
    };
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message("the run was interrupted; what was not reached is missing");
    let mut test = TestCase::new("complete", status);
    test.set_classname("run");
    let mut suite = TestSuite::new(name);
    suite.add_test_case(test);
    suite
}

fn suite_name(report: &Report, run: &RunResults, case: &CaseResult) -> String {
    match report.runs.len() {
        1 => case.area().to_owned(),
        _ => format!("{}: {}", run.client, case.area()),
    }
}

fn test_case(run: &RunResults, case: &CaseResult) -> TestCase {
    let name = case.id.strip_prefix(case.area()).unwrap_or(&case.id).trim_start_matches('/');
    let name = match case.repetition {
        0 | 1 => name.to_owned(),
        repetition => format!("{name} (repetition {repetition})"),
    };
    let mut test = TestCase::new(name, status(run, case));
    test.set_classname(case.area().replace('/', ".")).set_time(seconds(case.seconds));
    if !case.evidence.is_empty() {
        test.set_system_out(case.evidence.join("\n"));
    }
    test
}

fn status(run: &RunResults, case: &CaseResult) -> TestCaseStatus {
    let fails = run.fails(case.level, case.verdict);
    let mut status = match case.verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
        _ if fails => TestCaseStatus::non_success(NonSuccessKind::Failure),
        _ => TestCaseStatus::skipped(),
    };
    let reason = case.reason.as_deref().or(case.seen.as_deref()).unwrap_or(&case.rule);
    if case.verdict.is_broken() && !fails {
        let level = case.level;
        status.set_message(format!(
            "{} at level {level}, which fails no run: {reason}",
            case.verdict
        ));
    } else {
        status.set_message(format!("{}: {reason}", case.verdict));
    }
    status.set_type(case.verdict.name());
    if !matches!(case.verdict, Verdict::Skip | Verdict::NotApplicable) {
        status.set_description(description(case));
    }
    status
}

fn description(case: &CaseResult) -> String {
    let optional = [("expected", &case.expected), ("seen", &case.seen), ("hint", &case.hint)];
    let mut lines =
        vec![format!("rule ({}): {}", case.level, case.rule), format!("source: {}", case.source)];
    lines.extend(
        optional.iter().filter_map(|(name, text)| Some(format!("{name}: {}", text.as_ref()?))),
    );
    lines.push(format!("reproduce: {}", case.reproduce));
    lines.join("\n")
}

/// Seconds of a file that may say anything.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
