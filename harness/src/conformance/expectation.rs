//! Failures that are known and expected, from a file.

use std::path::Path;

use serde::Deserialize;

use super::selection::matches;

/// A known failure.
///
/// ```yaml
/// - id: client/Flush/*
///   reason: the storage acknowledges early
///   ticket: ABC-123
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The id, or a glob of ids.
    pub id: String,
    /// Why it fails.
    pub reason: String,
    /// Where that is followed up.
    #[serde(default)]
    pub ticket: Option<String>,
}

impl Expectation {
    /// What a report says of it.
    pub fn to_reason(&self) -> String {
        match &self.ticket {
            Some(ticket) => format!("{} ({ticket})", self.reason),
            None => self.reason.clone(),
        }
    }
}

/// Every known failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectations(pub Vec<Expectation>);

impl Expectations {
    /// Reads a file of expected failures.
    ///
    /// # Errors
    /// A sentence that says what is wrong and where.
    pub fn read(path: &Path) -> Result<Expectations, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("the expected failures {shown} cannot be read: {error}."))?;
        serde_saphyr::from_str(&text).map(Expectations).map_err(|error| {
            format!("the expected failures {shown} cannot be understood:\n{error}")
        })
    }

    /// The known failure of a case.
    pub fn of(&self, id: &str) -> Option<&Expectation> {
        self.0.iter().find(|expectation| matches(&expectation.id, id))
    }

    /// An id or glob that belongs to no case of the catalogue.
    pub fn stray<'e>(&'e self, ids: &[&str]) -> Option<&'e str> {
        let known = |expectation: &&Expectation| ids.iter().any(|id| matches(&expectation.id, id));
        self.0.iter().find(|expectation| !known(expectation)).map(|it| it.id.as_str())
    }
}
