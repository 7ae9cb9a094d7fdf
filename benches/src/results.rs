//! The report for people: Markdown, with the goals, what was missed and why, and bars.

use std::fmt::{self, Display, Write};

use serde_json::{Map, Value};

use crate::report::{Goal, Line, Report, Verdict};
use crate::runner::Estimate;

/// Notes of why goals are missed stand there, as `- NAME: reason` under this heading.
const NOTES: &str = include_str!("../NOTES.md");
const REASONS: &str = "## Why goals are missed";
/// Characters of the longest bar.
const WIDTH: f64 = 40.0;
/// Fewer pairs make no interval worth the name.
const PAIRS: usize = 21;

/// Where, with what and how a run was made.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The command that makes the report again.
    pub command: String,
    /// The commit that was measured.
    pub commit: String,
    /// The compiler.
    pub compiler: String,
    /// The machine: CPUs, memory, kernel.
    pub machine: String,
    /// When, as a date.
    pub date: String,
}

/// A run with its setting and what other programs measured beside it.
#[derive(Debug)]
pub struct Results<'a> {
    /// Where and how.
    pub setting: &'a Setting,
    /// What was measured.
    pub report: &'a Report,
    /// The fake server's numbers, as the programs that measure it print them.
    pub server: &'a Map<String, Value>,
}

impl Display for Results<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { command, commit, compiler, machine, date } = self.setting;
        let (kept, dropped, noise) = self.report.rounds();
        writeln!(f, "# Results\n")?;
        writeln!(f, "Made by `{command}` on {date}; do not edit.\n")?;
        writeln!(f, "- machine: {machine}\n- compiler: {compiler}\n- commit: {commit}")?;
        writeln!(
            f,
            "- pairs: {kept} kept, {dropped} dropped because other programs used the machine; the fewest that a \
             measure rests on: {}",
            self.report.fewest_kept()
        )?;
        writeln!(f, "- noise (how far the ring is from itself): {:.1} %\n", noise * 100.0)?;
        for reason in self.report.invalid() {
            writeln!(f, "**This run is invalid: {reason}.**\n")?;
        }
        if self.report.fewest_kept() < PAIRS {
            writeln!(f, "**A look, no claim: a measure rests on fewer than {PAIRS} pairs.**\n")?;
        }
        writeln!(
            f,
            "A number is the median of interleaved ABBA pairs with the 95 % interval of its bootstrap. A goal is met \
             if the interval reaches it and the median is within the noise of it.\n"
        )?;
        self.goals(f)?;
        self.missed(f)?;
        self.comparisons(f)?;
        self.points(f)?;
        self.reported(f)?;
        self.server(f)
    }
}

impl Results<'_> {
    fn with_goal(&self) -> impl Iterator<Item = &Line> {
        self.report.lines().iter().filter(|line| line.goal != Goal::Reported)
    }

    fn goals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Goals\n")?;
        writeln!(f, "| measure | median (95 %) | to reach | |\n|---|---|---|---|")?;
        for line in self.with_goal() {
            let Line { name, unit, estimate, goal } = line;
            let reached = Reached(&goal.to_string(), &self.report.verdict(line).to_string());
            writeln!(f, "| `{name}` | {} {unit} | {reached} |", Shown(estimate))?;
        }
        writeln!(f)
    }

    fn missed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for line in self.with_goal() {
            let how = match self.report.verdict(line) {
                Verdict::None | Verdict::Met | Verdict::NotMeasured => continue,
                Verdict::MissedByTheMedian => {
                    "the interval reaches the goal, the median is off by more than the noise"
                }
                Verdict::Missed => "the interval does not reach the goal",
            };
            let reason = reason(NOTES, line.name).unwrap_or("no reason is known yet");
            writeln!(text, "- `{}`: {how}; {reason}", line.name)?;
        }
        if !text.is_empty() {
            writeln!(f, "### Missed, and why\n\n{text}")?;
        }
        Ok(())
    }

    fn comparisons(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, bars) in self.report.comparisons() {
            writeln!(f, "## Stream: {title}\n\n```text")?;
            let most = bars.iter().map(|bar| bar.speed.median).fold(f64::NAN, f64::max);
            writeln!(f, "{:18} {:>6} {:>9}", "", "GiB/s", "CPU s/GiB")?;
            for bar in bars {
                let length = (bar.speed.median / most * WIDTH).round().max(0.0) as usize;
                let (speed, cpu) = (bar.speed.median, bar.cpu.median);
                let drawn = "█".repeat(length);
                writeln!(f, "{:18} {speed:6.2} {cpu:9.3} {drawn}", bar.name)?;
            }
            writeln!(f, "```\n")?;
        }
        Ok(())
    }

    fn points(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.report.points().is_empty() {
            return Ok(());
        }
        writeln!(f, "## The whole field\n")?;
        writeln!(f, "Few pairs a point: to see the shape, not to compare two points.\n")?;
        writeln!(
            f,
            "| buffers, devices, client | GiB/s | against a ring whose other side reads |"
        )?;
        writeln!(f, "|---|---|---|")?;
        for (what, speed, ratio) in self.report.points() {
            writeln!(f, "| {what} | {} | {} |", Shown(speed), Shown(ratio))?;
        }
        writeln!(f)
    }

    fn reported(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Everything else\n\n| measure | median (95 %) |\n|---|---|")?;
        for Line { name, unit, estimate, goal } in self.report.lines() {
            if *goal == Goal::Reported {
                writeln!(f, "| `{name}` | {} {unit} |", Shown(estimate))?;
            }
        }
        writeln!(f)
    }

    fn server(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self.server;
        if numbers.is_empty() {
            return Ok(());
        }
        writeln!(f, "## The fake server\n")?;
        writeln!(f, "| measure | median (95 %) | to reach | |\n|---|---|---|---|")?;
        for (name, median) in numbers {
            let of = |what| numbers.get(&format!("{name}_{what}"));
            let interval = of("ci").and_then(Value::as_array);
            if let (Some(median), Some([low, high])) =
                (median.as_f64(), interval.map(Vec::as_slice))
            {
                let [low, high] = [low, high].map(|end| end.as_f64().unwrap_or(f64::NAN));
                let [unit, goal, verdict] = ["unit", "goal", "verdict"]
                    .map(|what| of(what).and_then(Value::as_str).unwrap_or_default());
                let (shown, reached) =
                    (Shown(&Estimate { median, low, high }), Reached(goal, verdict));
                writeln!(f, "| `{name}` | {shown} {unit} | {reached} |")?;
            }
        }
        Ok(())
    }
}

/// A median with its interval.
struct Shown<'a>(&'a Estimate);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Estimate { median, low, high } = *self.0;
        let digits = if median.abs() >= 100.0 { 0 } else { 3 };
        write!(f, "{median:.digits$} ({low:.digits$}–{high:.digits$})")
    }
}

/// A goal and what became of it: two columns.
struct Reached<'a>(&'a str, &'a str);

impl Display for Reached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reached(goal, verdict) = self;
        let goal = goal.replace(">=", "≥").replace("<=", "≤");
        match *verdict {
            "" | "met" => write!(f, "{goal} | {verdict}"),
            _ => write!(f, "{goal} | **{verdict}**"),
        }
    }
}

/// What the notes say about a missed goal.
fn reason<'n>(notes: &'n str, name: &str) -> Option<&'n str> {
    let (_, section) = notes.split_once(REASONS)?;
    let section = section.split("\n## ").next()?;
    section.lines().find_map(|line| line.strip_prefix(&format!("- `{name}`: ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn setting() -> Setting {
        let [command, commit, compiler, machine, date] =
            ["scripts/bench", "abc", "rustc 1", "2 CPUs", "today"].map(str::to_owned);
        Setting { command, commit, compiler, machine, date }
    }

    /// Catches: a missed goal without a word on why; the fake server's numbers or what became of their goals left out; an invalid run that looks like any other.
    #[test]
    fn the_report_says_what_was_missed_and_why_and_whether_it_is_worth_anything() {
        let mut report = Report::default();
        let low = Estimate { median: 0.4, low: 0.39, high: 0.41 };
        report.add("stream_cold_vs_ring", "", low, Goal::AtLeast(0.95));
        report.demand("ring_vs_memcpy", "", low, Goal::AtLeast(0.5));
        let server = json!({"backup_vs_stream": 0.55, "backup_vs_stream_ci": [0.5, 0.58], "backup_vs_stream_goal": ">= 0.6",
                "backup_vs_stream_verdict": "missed", "memcpy": 9.0, "memcpy_ci": [8.0, 9.5], "memcpy_unit": "GiB/s",
                "pairs_kept": 3});
        let setting = setting();
        let results =
            Results { setting: &setting, report: &report, server: server.as_object().unwrap() };
        let text = results.to_string();
        assert!(text.contains("This run is invalid: ring_vs_memcpy is 0.400"), "{text}");
        assert!(text.contains("A look, no claim"), "{text}");
        assert!(
            text.contains("| `stream_cold_vs_ring` | 0.400 (0.390–0.410)  | ≥ 0.95 | **missed** |"),
            "{text}"
        );
        assert!(
            text.contains("- `stream_cold_vs_ring`: the interval does not reach the goal; "),
            "{text}"
        );
        let line = "| `backup_vs_stream` | 0.550 (0.500–0.580)  | ≥ 0.6 | **missed** |";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("| `memcpy` | 9.000 (8.000–9.500) GiB/s |  |  |"), "{text}");
        assert!(!text.contains("pairs_kept"), "{text}");
    }

    /// Catches: a reason of another section, or of a measure whose name begins alike.
    #[test]
    fn the_reason_of_a_miss_comes_from_its_section_of_the_notes() {
        let notes = "- `a`: no\n## Why goals are missed\n\n- `ab`: other\n- `a`: memory\n\n## Next\n- `b`: no\n";
        assert_eq!(reason(notes, "a"), Some("memory"));
        assert_eq!(reason(notes, "b"), None);
    }
}
