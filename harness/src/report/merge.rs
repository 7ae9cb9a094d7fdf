//! Several runs become one report: partitions of a run one run, different runs a column each.

use std::collections::HashSet;

use super::Report;
use crate::conformance::results::{CaseResult, RunResults};

/// Runs that do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// A run's parts are not all there.
    #[error(
        "of the run of '{client}' the partitions {missing} of {of} are missing; add their folders, \
         or a client that was judged in part would pass for a client that was judged."
    )]
    Missing {
        /// The client.
        client: String,
        /// The partitions that are not there.
        missing: String,
        /// How many there should be.
        of: u32,
    },
    /// A part is there twice.
    #[error(
        "of the run of '{client}' the partition {index}/{of} is there twice: in {first} and {second}."
    )]
    Twice {
        /// The client.
        client: String,
        /// The partition.
        index: u32,
        /// Of how many.
        of: u32,
        /// A folder.
        first: String,
        /// The other.
        second: String,
    },
    /// Two parts have a case in common.
    #[error(
        "'{id}' is in two partitions of the run of '{client}'; they were not made from one catalogue."
    )]
    Overlap {
        /// The client.
        client: String,
        /// The case.
        id: String,
    },
}

/// A run and where it was found.
struct Found {
    run: RunResults,
    place: String,
}

/// Merges reports, each with the name of its place. Partitions of the same run (client, command,
/// versions, seed, strictness and number of partitions) become one run; every other run stays a run
/// of its own, named after its place too if several have one name.
pub fn merge(reports: Vec<(String, Report)>) -> Result<Report, MergeError> {
    let mut groups: Vec<Vec<Found>> = Vec::new();
    for (place, report) in reports {
        for run in report.runs {
            let found = Found { run, place: place.clone() };
            match groups.iter_mut().find(|group| belongs(&group[0].run, &found.run)) {
                Some(group) => group.push(found),
                None => groups.push(vec![found]),
            }
        }
    }
    let mut whole = groups.into_iter().map(unite).collect::<Result<Vec<_>, _>>()?;
    name_apart(&mut whole);
    Ok(Report::new(whole.into_iter().map(|found| found.run).collect()))
}

/// Whether two runs are parts of one.
fn belongs(a: &RunResults, b: &RunResults) -> bool {
    let of = |run: &RunResults| run.partition.map(|partition| partition.of);
    let key =
        |run: &RunResults| (run.kind, run.vdisim.clone(), run.catalogue, run.seed, run.strict);
    of(a).is_some()
        && of(a) == of(b)
        && key(a) == key(b)
        && a.client == b.client
        && a.command == b.command
}

fn unite(mut parts: Vec<Found>) -> Result<Found, MergeError> {
    let index = |found: &Found| found.run.partition.map_or(0, |partition| partition.index);
    parts.sort_by_key(index);
    let first = &parts[0].run;
    let Some(partition) = first.partition else { return Ok(parts.remove(0)) };
    let (client, of) = (first.client.clone(), partition.of);
    if let Some(pair) = parts.windows(2).find(|pair| index(&pair[0]) == index(&pair[1])) {
        let (first, second) = (pair[0].place.clone(), pair[1].place.clone());
        return Err(MergeError::Twice { client, index: index(&pair[0]), of, first, second });
    }
    let there: HashSet<_> = parts.iter().map(index).collect();
    let missing: Vec<_> = (1..=of).filter(|k| !there.contains(k)).map(|k| k.to_string()).collect();
    if !missing.is_empty() {
        return Err(MergeError::Missing { client, missing: missing.join(", "), of });
    }
    let place = parts[0].place.clone();
    let mut runs: Vec<_> = parts.into_iter().map(|found| found.run).collect();
    let cases = in_turns(runs.iter_mut().map(|run| std::mem::take(&mut run.cases)).collect());
    let mut seen = HashSet::new();
    if let Some(case) = cases.iter().find(|case| !seen.insert((&case.id, case.repetition))) {
        return Err(MergeError::Overlap { client, id: case.id.clone() });
    }
    let started = runs.iter().map(|run| run.started).min().unwrap_or_default();
    let seconds = runs.iter().map(|run| run.seconds).fold(0.0, f64::max);
    let interrupted = runs.iter().any(|run| run.interrupted);
    let mut run = runs.swap_remove(0);
    for other in runs {
        // A fact on which the machines differ is none of the whole run.
        run.environment.retain(|name, value| other.environment.get(name) == Some(value));
    }
    Ok(Found {
        run: RunResults { partition: None, started, seconds, interrupted, cases, ..run },
        place,
    })
}

/// One case of each part in turn, as they were dealt out.
fn in_turns(parts: Vec<Vec<CaseResult>>) -> Vec<CaseResult> {
    let mut parts: Vec<_> = parts.into_iter().map(|part| part.into_iter().peekable()).collect();
    let mut all = Vec::new();
    while parts.iter_mut().any(|part| part.peek().is_some()) {
        all.extend(parts.iter_mut().filter_map(Iterator::next));
    }
    all
}

/// Gives runs of one name the name of their place as well.
fn name_apart(runs: &mut [Found]) {
    let names: Vec<_> = runs.iter().map(|found| found.run.client.clone()).collect();
    for (found, name) in runs.iter_mut().zip(&names) {
        if names.iter().filter(|other| *other == name).count() > 1 {
            found.run.client = format!("{name} ({})", found.place);
        }
    }
}
