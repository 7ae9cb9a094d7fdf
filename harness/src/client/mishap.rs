//! Steps at which the reference client dies or stops on purpose, as clients do that crash or hang.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fake_sqlserver::transfer::kill_this_process;

/// A step of a client. Commands count over all devices of the process, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Create has returned.
    Created,
    /// GetConfiguration has returned.
    Configured,
    /// The process' devices are open.
    Opened,
    /// A command was received and not yet executed.
    Received(u64),
    /// A command was executed and not yet completed.
    Executed(u64),
    /// A command was completed.
    Completed(u64),
    /// Every device was closed by the server; before Close.
    Ended,
    /// Close has returned.
    Closed,
}

impl Step {
    /// Whether the process that serves a device takes this step, where that is another one than the
    /// primary.
    pub fn is_of_a_device(self) -> bool {
        matches!(self, Step::Opened | Step::Received(_) | Step::Executed(_) | Step::Completed(_))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Created => f.write_str("created"),
            Step::Configured => f.write_str("configured"),
            Step::Opened => f.write_str("opened"),
            Step::Received(n) => write!(f, "received:{n}"),
            Step::Executed(n) => write!(f, "executed:{n}"),
            Step::Completed(n) => write!(f, "completed:{n}"),
            Step::Ended => f.write_str("ended"),
            Step::Closed => f.write_str("closed"),
        }
    }
}

/// A word that is no step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no step '{0}'; the steps are created, configured, opened, received:N, executed:N, \
     completed:N, ended and closed"
)]
pub struct StepError(String);

impl FromStr for Step {
    type Err = StepError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let unknown = || StepError(given.to_owned());
        let (word, n) = match given.split_once(':') {
            Some((word, n)) => (word, Some(n.parse().map_err(|_| unknown())?)),
            None => (given, None),
        };
        Ok(match (word, n) {
            ("created", None) => Step::Created,
            ("configured", None) => Step::Configured,
            ("opened", None) => Step::Opened,
            ("received", n) => Step::Received(n.unwrap_or(1)),
            ("executed", n) => Step::Executed(n.unwrap_or(1)),
            ("completed", n) => Step::Completed(n.unwrap_or(1)),
            ("ended", None) => Step::Ended,
            ("closed", None) => Step::Closed,
            _ => return Err(unknown()),
        })
    }
}

/// Where to die and where to stop.
#[derive(Clone, Debug, Default)]
pub struct Mishaps {
    /// The process kills itself there.
    pub kill_at: Option<Step>,
    /// The thread stops there for ever.
    pub stall_at: Option<Step>,
    commands: Arc<AtomicU64>,
}

impl Mishaps {
    /// Mishaps at these steps.
    pub fn new(kill_at: Option<Step>, stall_at: Option<Step>) -> Self {
        Mishaps { kill_at, stall_at, commands: Arc::default() }
    }

    /// The number of the command that was just received.
    pub(crate) fn next_command(&self) -> u64 {
        self.commands.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The client is at this step.
    pub(crate) fn at(&self, step: Step) {
        if self.kill_at == Some(step) {
            kill_this_process();
        }
        if self.stall_at == Some(step) {
            loop {
                std::thread::park();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: accepting a count where it means nothing, and numbers that are none.
    #[test]
    fn steps_are_words_with_a_count_where_there_are_several() {
        assert_eq!("received".parse(), Ok(Step::Received(1)));
        assert_eq!("completed:7".parse(), Ok(Step::Completed(7)));
        for step in ["created", "opened", "executed:3", "closed"] {
            assert_eq!(step.parse::<Step>().unwrap().to_string(), step);
        }
        for wrong in ["open", "created:2", "received:x", ""] {
            assert!(wrong.parse::<Step>().is_err(), "{wrong}");
        }
    }
}
