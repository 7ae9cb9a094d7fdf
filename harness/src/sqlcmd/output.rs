//! Where rows and messages go.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::directive::Destination;
use super::error::SqlcmdError;

/// What stands at the begin of a file in UTF-16.
const BYTE_ORDER_MARK: &str = "\u{FEFF}";

/// The two streams. After the first failure nothing more is written.
pub(super) struct Output {
    out: Stream,
    err: Stream,
    /// Files are UTF-16.
    unicode: bool,
    failed: Option<io::Error>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Output {
    /// The standard streams, or a file in the place of standard output.
    pub(super) fn new(file: Option<&Path>, unicode: bool) -> Result<Output, SqlcmdError> {
        let out = file.map_or(Destination::Out, |path| Destination::File(path.to_owned()));
        let out = Stream::open(&out, unicode)?;
        let err = Stream::open(&Destination::Err, unicode)?;
        Ok(Output { out, err, unicode, failed: None })
    }

    /// Replaces where rows go.
    pub(super) fn set_out(&mut self, to: &Destination) -> Result<(), SqlcmdError> {
        self.out = Stream::open(to, self.unicode)?;
        Ok(())
    }

    /// Replaces where redirected messages go.
    pub(super) fn set_err(&mut self, to: &Destination) -> Result<(), SqlcmdError> {
        self.err = Stream::open(to, self.unicode)?;
        Ok(())
    }

    /// Writes text to the output at once: a BACKUP's progress is to be seen while it runs.
    pub(super) fn out(&mut self, text: &str) {
        if self.failed.is_none() {
            self.failed = self.out.write(text).err();
        }
    }

    /// Writes text where redirected messages go.
    pub(super) fn err(&mut self, text: &str) {
        if self.failed.is_none() {
            self.failed = self.err.write(text).err();
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

/// Where text goes.
struct Stream {
    to: Box<dyn Write>,
    is_utf16: bool,
}

impl Stream {
    fn open(to: &Destination, unicode: bool) -> Result<Stream, SqlcmdError> {
        let path = match to {
            Destination::Out => return Ok(Stream { to: Box::new(io::stdout()), is_utf16: false }),
            Destination::Err => return Ok(Stream { to: Box::new(io::stderr()), is_utf16: false }),
            Destination::File(path) => path,
        };
        let failed = |error| SqlcmdError::File { path: PathBuf::from(path), error };
        let file = File::create(path).map_err(failed)?;
        let mut stream = Stream { to: Box::new(file), is_utf16: unicode };
        if unicode {
            stream.write(BYTE_ORDER_MARK).map_err(failed)?;
        }
        Ok(stream)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.is_utf16 {
            let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            self.to.write_all(&bytes)?;
        } else {
            self.to.write_all(text.as_bytes())?;
        }
        self.to.flush()
    }
}
