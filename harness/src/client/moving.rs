//! Moving bytes between a command's buffer and a file: here, or in a second process by handle.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout};

use sqlvdi::caller::{BufferError, Command};

use super::error::ClientError;

/// How the bytes of a device get to its file and back.
pub(crate) trait Mover: Send {
    /// Writes all of the command's buffer to the file at `offset`.
    fn store(&mut self, command: &Command, offset: u64) -> Result<(), MoveError>;

    /// Reads up to `len` bytes of the file at `offset` into the command's buffer; fewer only at the
    /// end of the file. Returns their number.
    fn fetch(&mut self, command: &Command, offset: u64, len: u64) -> Result<u64, MoveError>;

    /// Makes durable what was stored; with `end`, makes the file end there first.
    fn settle(&mut self, end: Option<u64>) -> Result<(), MoveError>;

    /// No more bytes come.
    fn finish(self: Box<Self>) -> Result<(), ClientError>;
}

/// Why bytes were not moved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MoveError {
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<io::Error> for MoveError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => MoveError::Full,
            _ => MoveError::Other(error.to_string()),
        }
    }
}

impl From<BufferError> for MoveError {
    fn from(error: BufferError) -> Self {
        match error {
            BufferError::Io(error) => error.into(),
            error => MoveError::Other(error.to_string()),
        }
    }
}

/// Moves the bytes in this process.
#[derive(Debug)]
pub(crate) struct Here {
    pub(crate) file: File,
}

impl Mover for Here {
    fn store(&mut self, command: &Command, offset: u64) -> Result<(), MoveError> {
        store_all(command.size() as usize, |at, len| {
            command.buffer()?.write_to(at, len, &self.file, Some(offset + at as u64))
        })
    }

    fn fetch(&mut self, command: &Command, offset: u64, len: u64) -> Result<u64, MoveError> {
        fetch_all(len.min(u64::from(command.size())) as usize, |at, len| {
            command.buffer()?.read_from(at, len, &self.file, Some(offset + at as u64))
        })
    }

    fn settle(&mut self, end: Option<u64>) -> Result<(), MoveError> {
        Ok(settle_file(&self.file, end)?)
    }

    fn finish(self: Box<Self>) -> Result<(), ClientError> {
        Ok(())
    }
}

/// Repeats `write(at, len)` until all of `size` bytes are written.
pub(crate) fn store_all(
    size: usize,
    mut write: impl FnMut(usize, usize) -> Result<usize, BufferError>,
) -> Result<(), MoveError> {
    let mut done = 0;
    while done < size {
        match write(done, size - done)? {
            0 => return Err(MoveError::Full),
            written => done += written,
        }
    }
    Ok(())
}

/// Repeats `read(at, len)` until all of `size` bytes are read or the file ends.
pub(crate) fn fetch_all(
    size: usize,
    mut read: impl FnMut(usize, usize) -> Result<usize, BufferError>,
) -> Result<u64, MoveError> {
    let mut done = 0;
    while done < size {
        match read(done, size - done)? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done as u64)
}

/// Makes a file's bytes durable. A pipe or a device has nothing to make durable and says so.
pub(crate) fn settle_file(file: &File, end: Option<u64>) -> io::Result<()> {
    if !file.metadata()?.is_file() {
        return Ok(());
    }
    if let Some(end) = end {
        file.set_len(end)?;
    }
    match file.sync_all() {
        // Windows has nothing to make durable for a handle that cannot write.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        settled => settled,
    }
}

/// Has the bytes moved by a second process that maps the buffers by their handles. A request is a
/// line, and so is its answer: `store HANDLE SIZE OFFSET`, `fetch HANDLE SIZE OFFSET LEN`,
/// `settle [END]`; `ok BYTES`, `full`, `error TEXT`.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    device: usize,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Elsewhere {
    /// The process must have been started with both pipes.
    pub(crate) fn new(device: usize, mut child: Child) -> Result<Self, ClientError> {
        let pipes = child.stdin.take().zip(child.stdout.take());
        let no_pipes = || ClientError::NotStarted(io::ErrorKind::BrokenPipe.into());
        let (requests, answers) = pipes.ok_or_else(no_pipes)?;
        Ok(Elsewhere { device, child, requests, answers: BufReader::new(answers) })
    }

    fn ask(&mut self, request: &str) -> Result<u64, MoveError> {
        writeln!(self.requests, "{request}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        match answer.trim_end().split_once(' ') {
            Some(("ok", bytes)) => bytes.parse().map_err(|_| MoveError::Other(answer)),
            Some(("error", text)) => Err(MoveError::Other(text.to_owned())),
            _ if answer.trim_end() == "full" => Err(MoveError::Full),
            _ => Err(MoveError::Other(format!("the second process answered '{answer}'"))),
        }
    }

    fn handle(command: &Command) -> Result<u32, MoveError> {
        command.buffer_handle().map_err(|error| MoveError::Other(error.to_string()))
    }
}

impl Mover for Elsewhere {
    fn store(&mut self, command: &Command, offset: u64) -> Result<(), MoveError> {
        let handle = Self::handle(command)?;
        self.ask(&format!("store {handle} {} {offset}", command.size())).map(|_| ())
    }

    fn fetch(&mut self, command: &Command, offset: u64, len: u64) -> Result<u64, MoveError> {
        let handle = Self::handle(command)?;
        let size = command.size();
        let bytes = self.ask(&format!("fetch {handle} {size} {offset} {len}"))?;
        if bytes > len {
            let text = format!("the second process claims {bytes} of {len} bytes");
            return Err(MoveError::Other(text));
        }
        Ok(bytes)
    }

    fn settle(&mut self, end: Option<u64>) -> Result<(), MoveError> {
        let end = end.map_or_else(String::new, |end| format!(" {end}"));
        self.ask(&format!("settle{end}")).map(|_| ())
    }

    fn finish(self: Box<Self>) -> Result<(), ClientError> {
        let Elsewhere { device, mut child, requests, .. } = *self;
        drop(requests);
        let failed = |how: String| ClientError::Helper { device, how };
        match child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(failed(status.to_string())),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}
