//! Older versions of the catalogue, for those who pin one.

use super::{VERSION, all};
use crate::conformance::case::Case;
use crate::conformance::results::Level;

/// A version that the catalogue never had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the catalogue has no version {0}; the newest is {VERSION}, the oldest 1.")]
pub struct UnknownVersion(u32);

/// The catalogue as of a version, or the newest.
///
/// # Errors
/// A version that it never had.
pub fn pinned(version: Option<u32>) -> Result<Vec<Case>, UnknownVersion> {
    let version = version.unwrap_or(VERSION);
    match (1..=VERSION).contains(&version) {
        true => Ok(as_of(all(), version)),
        false => Err(UnknownVersion(version)),
    }
}

/// The rules that a version of the catalogue has, at the levels that they have in it: a must that is
/// new in it, or was tightened in it or later, is a should there. The first version has no news.
fn as_of(cases: Vec<Case>, version: u32) -> Vec<Case> {
    let known = cases.into_iter().filter(|case| case.since <= version);
    let levelled = known.map(|mut case| {
        let binding_since = case.since.max(case.tightened);
        if case.level == Level::Must && binding_since > 1 && binding_since >= version {
            case.level = Level::Should;
        }
        case
    });
    levelled.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::source::Source;

    fn case(id: &str, level: Level, since: u32, tightened: u32) -> Case {
        let case = Case::new(id, level, "A rule.", Source::Page("x"));
        Case { since, tightened, ..case }
    }

    fn levels(version: u32) -> Vec<(String, Level)> {
        let cases = vec![
            case("a/a/first", Level::Must, 1, 1),
            case("a/a/new-must", Level::Must, 2, 2),
            case("a/a/new-should", Level::Should, 2, 2),
            case("a/a/tightened", Level::Must, 1, 3),
        ];
        let of = |case: Case| (case.id.replace("a/a/", ""), case.level);
        as_of(cases, version).into_iter().map(of).collect()
    }

    // Catches: a new must that fails a run of its own version, one that never binds, a rule that an
    // older version did not have, and a tightened rule that is a must before it was.
    #[test]
    fn a_new_must_is_a_should_for_one_version() {
        use Level::{Must, Should};
        let wanted = |levels: &[(&str, Level)]| -> Vec<_> {
            levels.iter().map(|(id, level)| ((*id).to_owned(), *level)).collect()
        };
        assert_eq!(levels(1), wanted(&[("first", Must), ("tightened", Should)]));
        let second =
            [("first", Must), ("new-must", Should), ("new-should", Should), ("tightened", Should)];
        assert_eq!(levels(2), wanted(&second));
        let third =
            [("first", Must), ("new-must", Must), ("new-should", Should), ("tightened", Should)];
        assert_eq!(levels(3), wanted(&third));
        assert_eq!(levels(4).last().unwrap().1, Must);
    }

    // Catches: taking a version that is to come for the newest.
    #[test]
    fn other_versions_are_refused() {
        assert_eq!(pinned(None).unwrap().len(), all().len());
        for wrong in [0, VERSION + 1] {
            let error = pinned(Some(wrong)).unwrap_err().to_string();
            assert!(error.contains(&wrong.to_string()) && error.contains("newest"), "{error}");
        }
    }
}
