//! `vdisim report merge`.

use rstest::rstest;
use vdisim::conformance::results::{CaseResult, Level, RunResults, Verdict};
use vdisim::report::{MergeError, Report, merge};
use vdisim_tests::Scene;

use super::sample::{all_verdicts, case, many, part, run};

/// A run's cases dealt out to `of` machines.
fn dealt(client: &str, cases: &[CaseResult], of: u32) -> Vec<RunResults> {
    let mine = |index: u32| {
        cases
            .iter()
            .enumerate()
            .filter(move |(k, _)| *k as u32 % of == index)
            .map(|(_, case)| case.clone())
    };
    (0..of).map(|index| part(client, index + 1, of, mine(index).collect())).collect()
}

fn named(runs: Vec<RunResults>) -> Vec<(String, Report)> {
    let report = |(k, run)| (format!("folder-{k}"), Report::new(vec![run]));
    runs.into_iter().enumerate().map(report).collect()
}

// Catches: cases lost, doubled or out of order, whatever the number and order of the folders; runs of
// different clients thrown together.
#[rstest]
fn partitions_of_clients_become_a_column_each(
    #[values(1, 2, 3, 7)] of: u32,
    #[values(1, 2, 3)] clients: usize,
    #[values(false, true)] backwards: bool,
) {
    let all = all_verdicts();
    let mut runs: Vec<_> =
        (0..clients).flat_map(|client| dealt(&format!("client-{client}"), &all, of)).collect();
    if backwards {
        runs.reverse();
    }
    let merged = merge(named(runs)).unwrap();
    assert_eq!(merged.runs.len(), clients);
    for run in &merged.runs {
        assert_eq!(run.cases, all);
        assert_eq!(run.partition, None);
    }
}

// Catches: a client that was judged in part and passes for one that was judged.
#[test]
fn a_missing_or_doubled_partition_is_refused() {
    let mut runs = dealt("c", &many(10), 4);
    let doubled = runs[2].clone();
    runs.remove(1);
    let missing = merge(named(runs.clone())).unwrap_err();
    assert_eq!(missing, MergeError::Missing { client: "c".into(), missing: "2".into(), of: 4 });
    runs[1] = doubled.clone();
    runs.push(doubled);
    assert!(matches!(merge(named(runs)), Err(MergeError::Twice { index: 3, .. })));
    let both = vec![part("c", 1, 2, many(3)), part("c", 2, 2, many(3))];
    assert!(matches!(merge(named(both)), Err(MergeError::Overlap { .. })));
}

// Catches: two versions of one client that can't be told apart; facts of one machine claimed for all.
#[test]
fn runs_of_one_name_are_named_apart() {
    let merged =
        merge(named(vec![run("c", many(3)), run("c", many(3)), run("d", many(3))])).unwrap();
    let names: Vec<_> = merged.runs.iter().map(|run| run.client.as_str()).collect();
    assert_eq!(names, ["c (folder-0)", "c (folder-1)", "d"]);
    let mut parts = dealt("c", &many(4), 2);
    parts[1].environment.insert("cpus".into(), "2".into());
    parts[0].environment.insert("cpus".into(), "64".into());
    let merged = merge(named(parts)).unwrap();
    assert_eq!(merged.runs[0].environment.keys().collect::<Vec<_>>(), ["os"]);
}

// Catches: a command that merges and forgets to write, to judge, or to refuse.
#[test]
fn the_command_writes_one_report_and_ends_as_the_runs() {
    let scene = Scene::new();
    for (k, run) in dealt("good", &many(1), 1).into_iter().enumerate() {
        Report::new(vec![run]).write(&scene.path(&format!("bad-{k}"))).unwrap();
    }
    let kept =
        vec![case("a/b", Level::Must, Verdict::Pass), case("a/c", Level::Must, Verdict::Pass)];
    for (k, run) in dealt("good", &kept, 2).into_iter().enumerate() {
        Report::new(vec![run]).write(&scene.path(&format!("part-{k}"))).unwrap();
    }
    let merged = |folders: &[&str]| {
        let mut command = scene.vdisim("report merge");
        command.args(folders.iter().map(|folder| scene.path(folder)));
        command.arg("--output").arg(scene.path("all"));
        scene.run(command)
    };
    merged(&["part-0", "part-1"]).expect(0).says("good, 2 results");
    assert_eq!(Report::read(&scene.path("all")).unwrap().runs[0].cases, kept);
    assert!(scene.path("all/index.html").is_file());
    merged(&["part-0"]).expect(2).says("partitions 2 of 2 are missing");
    merged(&["part-0", "part-1", "bad-0"]).expect(1).says("1 of 1 cases failed");
    merged(&["nowhere"]).expect(2).says("nowhere");
}
