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
struct Line {
    name: &'static str,
    unit: &'static str,
    estimate: Estimate,
    goal: Goal,
}

/// All that a run found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    lines: Vec<Line>,
    kept: usize,
    dropped: usize,
    noise: f64,
}

impl Report {
    /// Counts the rounds of an experiment.
    pub fn count(&mut self, rounds: &Rounds) {
        self.kept += rounds.kept();
        self.dropped += rounds.dropped();
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

    /// The numbers as an object: `NAME` is the median and `NAME_ci` its interval.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        for Line { name, estimate: Estimate { median, low, high }, .. } in &self.lines {
            object.insert((*name).to_owned(), json!(median));
            object.insert(format!("{name}_ci"), json!([low, high]));
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
        for Line { name, unit, estimate, goal } in &self.lines {
            let Estimate { median, low, high } = *estimate;
            let verdict = match goal {
                _ if median.is_nan() => "not measured: others used the machine",
                Goal::Reported => "",
                goal if goal.is_met(*estimate, self.noise) => "met",
                _ => "MISSED",
            };
            let interval = format!("{low:.3} .. {high:.3}");
            let row =
                format!("{name:28} {median:10.3} {unit:5} {interval:>22}  {goal:8} {verdict}");
            writeln!(f, "{}", row.trim_end())?;
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
