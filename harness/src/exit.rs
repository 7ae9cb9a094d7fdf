//! How the command ends.

use std::process::ExitCode;

use fake_sqlserver::transfer::{Fate, TransferError};

/// The exit codes of `vdisim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All well.
    Success = 0,
    /// The BACKUP or RESTORE, or a required check, failed.
    Failed = 1,
    /// The command line or a file it names makes no sense.
    Usage = 2,
    /// The machine lacks something: shared memory, permissions, the drop-in.
    Environment = 3,
    /// The client could not be started.
    NotStarted = 4,
    /// A bug of ours.
    Bug = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<Fate> for Exit {
    fn from(fate: Fate) -> Exit {
        match fate {
            Fate::Usage => Exit::Usage,
            Fate::Environment => Exit::Environment,
            Fate::Failed => Exit::Failed,
        }
    }
}

/// Why a command ends with something else than success.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A BACKUP or RESTORE failed.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// A statement of T-SQL failed.
    #[error("{cause}")]
    Statement {
        /// Who has to act on it.
        exit: Exit,
        /// What really happened.
        cause: String,
    },
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The environment is unusable.
    #[error("{0}")]
    Environment(String),
    /// Something that was to be checked is not as it should be.
    #[error("{0}")]
    Failed(String),
    /// A program could not be started.
    #[error("{program} could not be started: {error}.")]
    NotStarted {
        /// The program.
        program: String,
        /// Why.
        error: std::io::Error,
    },
    /// vdisim itself went wrong.
    #[error("{0}")]
    Bug(String),
    /// Standard output could not be written.
    #[error("the output could not be written: {0}.")]
    Output(#[from] std::io::Error),
}

impl Failure {
    /// The exit code that belongs to it.
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Transfer(error) => error.cause.fate().into(),
            Failure::Statement { exit, .. } => *exit,
            Failure::Usage(_) => Exit::Usage,
            Failure::Environment(_) => Exit::Environment,
            Failure::Failed(_) | Failure::Output(_) => Exit::Failed,
            Failure::NotStarted { .. } => Exit::NotStarted,
            Failure::Bug(_) => Exit::Bug,
        }
    }
}

impl From<sqlvdi::caller::LocateError> for Failure {
    fn from(error: sqlvdi::caller::LocateError) -> Self {
        Failure::Environment(error.to_string())
    }
}

impl From<sqlvdi::caller::LoadError> for Failure {
    fn from(error: sqlvdi::caller::LoadError) -> Self {
        Failure::Environment(error.to_string())
    }
}
