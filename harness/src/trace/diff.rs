//! Two traces compared, aligned by call and not by time.
//!
//! What happens at once in several places has no order that two runs share. So each lane is compared
//! by itself, the server's commands and the client's calls apart, and of a device's commands those of
//! one number with each other. Names of sets and devices do not count.

use std::fmt;

use similar::{ChangeTag, TextDiff};
use vdi_protocol::HResult;

use super::sequence::{Kind, Sequence, Step};

/// Steps left and right of a difference that are shown with it.
const AROUND: usize = 2;

/// Where two runs differ, in one lane of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The lane: the set, or a device with its name.
    pub lane: String,
    /// Whose steps.
    pub side: &'static str,
    /// The steps of the first run that the second lacks.
    pub missing: usize,
    /// The steps of the second run that the first lacks.
    pub added: usize,
    /// The steps around each difference, with `-` and `+` before those that differ.
    pub text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { lane, side, missing, added, text } = self;
        writeln!(f, "{lane}, {side}: {missing} steps missing, {added} added")?;
        f.write_str(text)
    }
}

/// All differences; none if the runs are alike.
pub fn diff(a: &Sequence, b: &Sequence) -> Vec<Difference> {
    let count = a.devices.len().max(b.devices.len());
    let mut differences = Vec::new();
    for device in std::iter::once(None).chain((0..count).map(Some)) {
        for (side, kinds) in [
            ("server", &[Kind::State, Kind::Fault, Kind::Death][..]),
            ("commands", &[Kind::Sent, Kind::Completed]),
            ("client's calls", &[Kind::Call]),
        ] {
            let left = steps(a, device, kinds);
            let right = steps(b, device, kinds);
            let lane = match device {
                None => "set".to_owned(),
                Some(k) => {
                    let name = a.devices.get(k).or(b.devices.get(k));
                    format!("device {k} ({})", name.map_or("", String::as_str))
                }
            };
            differences.extend(compare(lane, side, &left, &right));
        }
    }
    differences
}

/// The texts of a lane's steps of these kinds, in an order that two runs share.
fn steps(sequence: &Sequence, device: Option<usize>, kinds: &[Kind]) -> Vec<String> {
    let mine = |step: &&Step| step.device == device && kinds.contains(&step.kind);
    let mut texts: Vec<String> =
        sequence.steps.iter().filter(mine).map(|step| without_chance(sequence, step)).collect();
    if kinds.contains(&Kind::Sent) {
        // By their numbers; "sent" before "completed", which is how they stand for each number.
        texts.sort_by_key(|text| command_number(text));
    }
    // How often a client polled in vain is a matter of time.
    let in_vain = HResult::VD_E_TIMEOUT.to_string();
    texts.dedup_by(|a, b| a == b && a.ends_with(in_vain.as_str()));
    texts
}

/// A step without what differs between two runs that are alike: numbers of devices stand for their
/// names, which many clients invent for each run, and causes say no process ids and times.
fn without_chance(sequence: &Sequence, step: &Step) -> String {
    let mut text = match step.kind {
        Kind::Death => without_numbers(&step.text),
        _ => step.text.clone(),
    };
    for (device, name) in sequence.devices.iter().enumerate() {
        text = text.replace(&format!(" name={name} →"), &format!(" name=(device {device}) →"));
    }
    text
}

/// A cause with placeholders for a process's number and for seconds.
fn without_numbers(cause: &str) -> String {
    let words: Vec<&str> = cause.split(' ').collect();
    let word = |k: usize| words.get(k).copied().unwrap_or_default();
    let plain = |(k, word_here): (usize, &&str)| match word_here.parse::<f64>() {
        Ok(_) if k > 0 && word(k - 1) == "process" => "(process)".to_owned(),
        Ok(_) if word(k + 1) == "s" => "(time)".to_owned(),
        _ => (*word_here).to_owned(),
    };
    words.iter().enumerate().map(plain).collect::<Vec<_>>().join(" ")
}

fn command_number(text: &str) -> u64 {
    text.trim_start_matches('#').split(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default()
}

fn compare(lane: String, side: &'static str, a: &[String], b: &[String]) -> Option<Difference> {
    let (left, right): (Vec<_>, Vec<_>) =
        (a.iter().map(String::as_str).collect(), b.iter().map(String::as_str).collect());
    let diff = TextDiff::from_slices(&left, &right);
    let (mut text, mut missing, mut added) = (String::new(), 0, 0);
    for group in diff.grouped_ops(AROUND) {
        if !text.is_empty() {
            text.push_str("    …\n");
        }
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            match change.tag() {
                ChangeTag::Delete => missing += 1,
                ChangeTag::Insert => added += 1,
                ChangeTag::Equal => {}
            }
            text.push_str(&format!("  {} {}\n", change.tag(), change.value()));
        }
    }
    (missing + added > 0).then_some(Difference { lane, side, missing, added, text })
}
