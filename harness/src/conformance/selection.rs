//! Which cases are meant: ids and globs, and one part of several machines' work.

use std::str::FromStr;

use super::case::Case;
use super::results::Partition;

/// Whether an id is meant by an id or glob: `*` is any run of characters, `?` is one.
pub fn matches(glob: &str, id: &str) -> bool {
    let (glob, id): (Vec<char>, Vec<char>) = (glob.chars().collect(), id.chars().collect());
    let (mut g, mut i) = (0, 0);
    // Where to go on if the last star has to take one character more.
    let mut again = None;
    while i < id.len() {
        match glob.get(g) {
            Some('*') => {
                again = Some((g, i));
                g += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == id[i] => (g, i) = (g + 1, i + 1),
            _ => match again {
                Some((star, taken)) => {
                    again = Some((star, taken + 1));
                    (g, i) = (star + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|rest| *rest == '*')
}

/// A word that means no case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no case '{word}'{}; `vdisim list` names them all.", suggest(suggestions))]
pub struct UnknownCase {
    word: String,
    suggestions: Vec<String>,
}

fn suggest(suggestions: &[String]) -> String {
    match suggestions {
        [] => String::new(),
        all => format!("; perhaps {} is meant", all.join(" or ")),
    }
}

/// The cases that the words mean, in the catalogue's order; all of them if there are no words.
///
/// # Errors
/// A word that means none.
pub fn select<'c>(cases: &'c [Case], words: &[String]) -> Result<Vec<&'c Case>, UnknownCase> {
    for word in words {
        if !cases.iter().any(|case| is_meant(word, &case.id)) {
            return Err(unknown(cases, word));
        }
    }
    let meant =
        |case: &&Case| words.is_empty() || words.iter().any(|word| is_meant(word, &case.id));
    Ok(cases.iter().filter(meant).collect())
}

/// A word means an id, a glob of ids, or everything below it.
fn is_meant(word: &str, id: &str) -> bool {
    matches(word, id)
        || id.strip_prefix(word.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
}

/// The error for a word that means no case, with the ids that are most like it.
pub fn unknown(cases: &[Case], word: &str) -> UnknownCase {
    let likeness = |id: &str| {
        let last = id.rsplit('/').next().unwrap_or(id);
        strsim::jaro_winkler(word, id).max(strsim::jaro_winkler(word, last))
    };
    let mut by_likeness: Vec<_> =
        cases.iter().map(|case| (likeness(&case.id), case.id.clone())).collect();
    by_likeness.sort_by(|a, b| b.0.total_cmp(&a.0));
    let close = by_likeness.into_iter().take_while(|(likeness, _)| *likeness > 0.75);
    UnknownCase { word: word.to_owned(), suggestions: close.take(3).map(|(_, id)| id).collect() }
}

/// What `--partition` was given and is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no part of a whole such as 2/5")]
pub struct PartitionError(String);

impl FromStr for Partition {
    type Err = PartitionError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (index, of) = given.split_once('/')?;
            let (index, of) = (index.parse().ok()?, of.parse().ok()?);
            (index >= 1 && index <= of).then_some(Partition { index, of })
        };
        parse().ok_or_else(|| PartitionError(given.to_owned()))
    }
}

impl Partition {
    /// Every N-th of them, beginning with the K-th: neighbours cost alike, so the parts do too.
    pub fn part<T>(self, all: Vec<T>) -> Vec<T> {
        let mine = |i: usize| i % self.of as usize == self.index as usize - 1;
        all.into_iter().enumerate().filter(|(i, _)| mine(*i)).map(|(_, it)| it).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: a star that takes too little or too much, a glob that matches a part of an id.
    #[test]
    fn globs_mean_whole_ids() {
        for (glob, id) in [
            ("*", "client/Read/full"),
            ("client/*/full", "client/Read/full"),
            ("client/Re?d/full", "client/Read/full"),
            ("*a*a*", "banana"),
            ("client/Read/full", "client/Read/full"),
        ] {
            assert!(matches(glob, id), "{glob} {id}");
        }
        for (glob, id) in
            [("client", "client/Read"), ("*/full", "client/Read/fuller"), ("?", ""), ("a*b", "abc")]
        {
            assert!(!matches(glob, id), "{glob} {id}");
        }
    }

    // Catches: parts that overlap or leave a case out.
    #[test]
    fn parts_make_a_whole() {
        let all: Vec<u32> = (0..11).collect();
        let mut together: Vec<u32> =
            (1..=4).flat_map(|index| Partition { index, of: 4 }.part(all.clone())).collect();
        together.sort_unstable();
        assert_eq!(together, all);
        for wrong in ["0/3", "4/3", "3", "a/b", ""] {
            assert!(wrong.parse::<Partition>().is_err(), "{wrong}");
        }
    }
}
