//! What a run of ratios says: a table for a person on stderr, one JSON object for a program on stdout.

use std::fmt::{self, Display};

use serde_json::{Map, Value, json};

use crate::runner::{Estimate, Rounds};

/// What a ratio should reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Nothing: it is there to be known.
    Reported,
}

/// One measured number.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) estimate: Estimate,
    pub(crate) goal: Goal,
}

/// What became of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There was none.
    None,
    Met,
    /// The interval reaches it, but the median misses it by more than noise.
    MissedByTheMedian,
    /// Not even the interval reaches it.
    Missed,
    /// Others used the machine in all rounds.
    NotMeasured,
}

/// One bar of a comparison: a contestant, GiB a second, and CPU seconds a GiB.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub(crate) name: &'static str,
    pub(crate) speed: Estimate,
    pub(crate) cpu: Estimate,
}

/// All that a run found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    lines: Vec<Line>,
    comparisons: Vec<(String, Vec<Bar>)>,
    points: Vec<(String, Estimate, Estimate)>,
    demands: Vec<&'static str>,
    kept: usize,
    dropped: usize,
    fewest: Option<usize>,
    noise: f64,
}

impl Report {
    /// Counts the rounds of an experiment.
    pub fn count(&mut self, rounds: &Rounds) {
        self.kept += rounds.kept();
        self.dropped += rounds.dropped();
        self.fewest = Some(self.fewest.map_or(rounds.kept(), |fewest| fewest.min(rounds.kept())));
    }

    /// Adds a comparison of all contestants of an experiment, to be shown as bars.
    pub fn compare(&mut self, title: String, rounds: &Rounds) {
        let bar = |name| Bar { name, speed: rounds.value(name), cpu: rounds.cpu(name) };
        self.comparisons.push((title, rounds.names().map(bar).collect()));
    }

    /// Adds a point of the whole field: GiB a second, and the ratio to the ring.
    pub fn add_point(&mut self, what: String, speed: Estimate, ratio: Estimate) {
        self.points.push((what, speed, ratio));
    }

    /// Adds the ratio of a baseline to itself; how far its interval goes from 1 is what noise does to every other.
    pub fn add_noise(&mut self, name: &'static str, ratio: Estimate) {
        // Also where nothing was measured, and the interval is no number.
        self.noise = (ratio.high - 1.0).max(1.0 - ratio.low).max(0.0);
        self.add(name, "", ratio, Goal::Reported);
    }

    /// Adds a number; `unit` is empty for a ratio.
    pub fn add(&mut self, name: &'static str, unit: &'static str, estimate: Estimate, goal: Goal) {
        self.lines.push(Line { name, unit, estimate, goal });
    }

    /// Adds a number without whose goal the machine is not fit to measure on, and the whole run is worth nothing.
    pub fn demand(&mut self, name: &'static str, unit: &'static str, value: Estimate, goal: Goal) {
        self.demands.push(name);
        self.add(name, unit, value, goal);
    }

    /// Why the run is worth nothing; empty if it is worth something.
    pub fn invalid(&self) -> Vec<String> {
        let demanded = self.lines.iter().filter(|line| self.demands.contains(&line.name));
        demanded
            .filter(|line| !line.goal.is_met(Estimate::exactly(line.estimate.median), 0.0))
            .map(|Line { name, unit, estimate, goal }| {
                let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
                format!("{name} is {:.3}{unit}, and has to be {goal}{unit}", estimate.median)
            })
            .collect()
    }

    /// The fewest rounds that an experiment kept.
    pub fn fewest_kept(&self) -> usize {
        self.fewest.unwrap_or(0)
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    pub(crate) fn comparisons(&self) -> &[(String, Vec<Bar>)] {
        &self.comparisons
    }

    pub(crate) fn points(&self) -> &[(String, Estimate, Estimate)] {
        &self.points
    }

    /// Rounds kept, rounds dropped, and how far the baseline differs from itself.
    pub(crate) fn rounds(&self) -> (usize, usize, f64) {
        (self.kept, self.dropped, self.noise)
    }

    pub(crate) fn verdict(&self, Line { estimate, goal, .. }: &Line) -> Verdict {
        match goal {
            _ if estimate.median.is_nan() => Verdict::NotMeasured,
            Goal::Reported => Verdict::None,
            goal if goal.is_met(*estimate, self.noise) => Verdict::Met,
            goal if goal.is_met(*estimate, f64::INFINITY) => Verdict::MissedByTheMedian,
            _ => Verdict::Missed,
        }
    }

    /// The numbers as an object: `NAME` is the median, `NAME_ci` its interval, `NAME_unit` its unit unless it is a
    /// ratio, and of a number that has a goal `NAME_goal` that and `NAME_verdict` what became of it.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        for line in &self.lines {
            let Line { name, unit, estimate: Estimate { median, low, high }, goal } = line;
            object.insert((*name).to_owned(), json!(median));
            object.insert(format!("{name}_ci"), json!([low, high]));
            if !unit.is_empty() {
                object.insert(format!("{name}_unit"), json!(unit));
            }
            if *goal != Goal::Reported {
                object.insert(format!("{name}_goal"), json!(goal.to_string()));
                object.insert(format!("{name}_verdict"), json!(self.verdict(line).to_string()));
            }
        }
        object.insert("pairs_kept".to_owned(), json!(self.kept));
        object.insert("pairs_dropped".to_owned(), json!(self.dropped));
        Value::Object(object)
    }
}

impl Goal {
    /// Whether the interval reaches the goal and the median misses it by no more than `noise` of it.
    fn is_met(self, estimate: Estimate, noise: f64) -> bool {
        match self {
            Goal::AtLeast(goal) => estimate.high >= goal && estimate.median >= goal * (1.0 - noise),
            Goal::AtMost(goal) => estimate.low <= goal && estimate.median <= goal * (1.0 + noise),
            Goal::Reported => true,
        }
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::None => "",
            Verdict::Met => "met",
            Verdict::MissedByTheMedian | Verdict::Missed => "missed",
            Verdict::NotMeasured => "not measured",
        })
    }
}

impl Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::AtLeast(goal) => f.pad(&format!(">= {goal}")),
            Goal::AtMost(goal) => f.pad(&format!("<= {goal}")),
            Goal::Reported => f.pad(""),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:28} {:>10} {:5} {:>22}  to reach",
            "measure", "median", "", "95 % interval"
        )?;
        for line in &self.lines {
            let Line { name, unit, estimate: Estimate { median, low, high }, goal } = line;
            let verdict = match self.verdict(line) {
                Verdict::NotMeasured => "not measured: others used the machine".to_owned(),
                verdict @ (Verdict::MissedByTheMedian | Verdict::Missed) => {
                    verdict.to_string().to_uppercase()
                }
                verdict => verdict.to_string(),
            };
            let interval = format!("{low:.3} .. {high:.3}");
            let row =
                format!("{name:28} {median:10.3} {unit:5} {interval:>22}  {goal:8} {verdict}");
            writeln!(f, "{}", row.trim_end())?;
        }
        if self.kept + self.dropped == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "rounds kept {}, dropped because others used the machine {}",
            self.kept, self.dropped
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(median: f64) -> Estimate {
        Estimate { median, low: median - 0.1, high: median + 0.1 }
    }

    /// Catches: a goal met by its interval alone, by its median alone, or in the wrong direction.
    #[test]
    fn a_goal_is_met_when_the_interval_reaches_it_and_the_median_nearly_does() {
        assert!(Goal::AtLeast(0.9).is_met(about(0.89), 0.02));
        assert!(!Goal::AtLeast(0.9).is_met(about(0.85), 0.02), "the median is too far away");
        assert!(!Goal::AtLeast(0.9).is_met(about(0.79), 0.2), "the interval does not reach it");
        assert!(Goal::AtMost(3.0).is_met(about(3.05), 0.02));
        assert!(!Goal::AtMost(3.0).is_met(about(3.09), 0.02));
        assert!(!Goal::AtMost(3.0).is_met(about(3.2), 0.2));
        assert!(
            !Goal::AtLeast(0.0).is_met(about(f64::NAN), 0.0),
            "nothing measured is nothing met"
        );
        assert!(!Goal::AtMost(0.0).is_met(about(f64::NAN), 0.0), "nothing measured is nothing met");
    }

    /// Catches: a run on a machine that is too slow or disturbed passing for a measurement; a demand met by noise alone.
    #[test]
    fn a_run_is_worth_nothing_when_a_demand_is_not_met() {
        let mut report = Report::default();
        report.add_noise("aa", about(1.0));
        report.demand("spin", "ns", about(999.0), Goal::AtMost(1000.0));
        assert!(report.invalid().is_empty());
        report.demand("ring_vs_memcpy", "", about(0.49), Goal::AtLeast(0.5));
        assert_eq!(report.invalid(), ["ring_vs_memcpy is 0.490, and has to be >= 0.5"]);
        report.demand("nothing", "", about(f64::NAN), Goal::AtLeast(0.5));
        assert_eq!(report.invalid().len(), 2);
    }

    /// Catches: calling a goal missed by the median one that the interval does not reach, or the reverse.
    #[test]
    fn a_verdict_tells_how_a_goal_was_missed() {
        let mut report = Report::default();
        for median in [1.0, 0.9, 0.7, f64::NAN] {
            report.add("x", "", about(median), Goal::AtLeast(0.95));
        }
        let verdicts: Vec<_> = report.lines().iter().map(|line| report.verdict(line)).collect();
        let [met, by_median, missed, nothing] = verdicts[..] else { panic!("{verdicts:?}") };
        assert_eq!(met, Verdict::Met);
        assert_eq!(by_median, Verdict::MissedByTheMedian);
        assert_eq!((missed, nothing), (Verdict::Missed, Verdict::NotMeasured));
    }

    /// Catches: a table that hides a missed goal; JSON without the interval or the counts.
    #[test]
    fn a_missed_goal_stands_in_the_table_and_the_interval_in_the_json() {
        let mut report = Report::default();
        report.add("rtt", "", about(4.0), Goal::AtMost(3.0));
        report.add("memcpy", "GiB/s", about(11.0), Goal::Reported);
        let table = report.to_string();
        assert!(
            table.lines().any(|line| line.starts_with("rtt") && line.ends_with("MISSED")),
            "{table}"
        );
        assert!(
            table.lines().any(|line| line.starts_with("memcpy") && line.contains("GiB/s")),
            "{table}"
        );
        let json = report.to_json();
        assert_eq!(json["rtt"], 4.0);
        assert_eq!(json["rtt_ci"].as_array().unwrap().len(), 2);
        assert_eq!(json["pairs_kept"], 0);
    }
}
