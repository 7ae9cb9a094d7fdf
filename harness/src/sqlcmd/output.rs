//! Where rows and messages go.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::directive::Destination;
use super::error::SqlcmdError;

/// The two streams. After the first failure nothing more is written.
pub(super) struct Output {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    failed: Option<io::Error>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Output {
    /// The standard streams, or a file in the place of standard output.
    pub(super) fn new(file: Option<&Path>) -> Result<Output, SqlcmdError> {
        let out = match file {
            Some(path) => open(&Destination::File(path.to_owned()))?,
            None => Box::new(io::stdout()),
        };
        Ok(Output { out, err: Box::new(io::stderr()), failed: None })
    }

    /// Replaces where rows go.
    pub(super) fn set_out(&mut self, to: &Destination) -> Result<(), SqlcmdError> {
        self.out = open(to)?;
        Ok(())
    }

    /// Replaces where redirected messages go.
    pub(super) fn set_err(&mut self, to: &Destination) -> Result<(), SqlcmdError> {
        self.err = open(to)?;
        Ok(())
    }

    /// Writes text to the output at once: a BACKUP's progress is to be seen while it runs.
    pub(super) fn out(&mut self, text: &str) {
        if self.failed.is_none() {
            self.failed = write(&mut self.out, text).err();
        }
    }

    /// Writes text where redirected messages go.
    pub(super) fn err(&mut self, text: &str) {
        if self.failed.is_none() {
            self.failed = write(&mut self.err, text).err();
        }
    }

    /// Whether something could not be written.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Why.
    pub(super) fn failure(&mut self) -> Option<SqlcmdError> {
        self.failed.take().map(SqlcmdError::Output)
    }
}

fn write(to: &mut Box<dyn Write>, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

fn open(to: &Destination) -> Result<Box<dyn Write>, SqlcmdError> {
    Ok(match to {
        Destination::Out => Box::new(io::stdout()),
        Destination::Err => Box::new(io::stderr()),
        Destination::File(path) => {
            let failed = |error| SqlcmdError::File { path: PathBuf::from(path), error };
            Box::new(File::create(path).map_err(failed)?)
        }
    })
}
