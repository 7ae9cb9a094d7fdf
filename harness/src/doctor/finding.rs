//! One thing that was looked at.

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// Works, but not for everybody or not for long.
    Warning,
    /// Does not work.
    Bad,
}

/// What was found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in one or two words.
    pub subject: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found, as a sentence.
    pub text: String,
    /// What helps, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    pub(crate) fn new(subject: &'static str, level: Level, text: impl Into<String>) -> Self {
        Finding { subject, level, text: text.into(), remedy: None }
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// `warning  shared memory: 64 MiB …` and the remedy on a line of its own.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Good => "good",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Bad => "BAD",
        };
        write!(f, "{level:8} {}: {}", self.subject, self.text)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n{:8} {remedy}", ""),
            None => Ok(()),
        }
    }
}
