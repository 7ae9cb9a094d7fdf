//! Implementations of the interface as subjects: which cells of its tables they can be judged by.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlvdi::caller::{CallerServer, DropIn};
use vdi_protocol::{ClientCall, State};

use super::case::Cell;
use super::trial::TrialError;
use crate::process::ProcessGroup;
use crate::shim::is_ours;

/// A library with the interface's symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Implementation {
    /// Its file.
    pub path: PathBuf,
    /// Whether its shared memory has a layout that nobody else knows.
    pub is_foreign: bool,
    /// Why it has no server half that a program can call, if it has none.
    pub serverless: Option<String>,
}

/// Who serves the sets of a library that is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Server {
    /// Our server half.
    #[default]
    Ours,
    /// The library's own.
    Own,
    /// Nobody.
    Nobody,
}

impl Server {
    /// As the probe's command line has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Server::Ours => "ours",
            Server::Own => "own",
            Server::Nobody => "nobody",
        }
    }
}

/// What the probe that only loads a library writes.
#[derive(Serialize, Deserialize)]
enum Loaded {
    /// It is one; and why it has no server half.
    Library { serverless: Option<String> },
    /// It is none; why.
    NoLibrary(String),
}

/// How long a library may take to be loaded.
const LOADING: Duration = Duration::from_secs(60);

/// The word for the probe that only loads the library.
pub(super) const LOAD: &str = "load";

/// Why no cell of the server half can be judged with a foreign library.
pub(super) const NO_SERVER: &str = "the server half that is called is ours, and cannot serve this library: the layout of its shared \
     memory is its own";

impl Implementation {
    /// Loads the library, in a process of its own, to see whether it is one. Ours, whichever build,
    /// and mutants of it are known by the mark that they bear.
    ///
    /// # Errors
    /// In words: there is no such file, or it is no library with the interface's symbols.
    pub fn examine(vdisim: &Path, path: &Path) -> Result<Implementation, String> {
        let shown = path.display();
        let absolute = std::path::absolute(path).ok().filter(|path| path.is_file());
        let path = absolute.ok_or_else(|| format!("there is no file {shown}."))?;
        let words = |error: std::io::Error| format!("{shown} cannot be tried: {error}.");
        let folder = tempfile::tempdir().map_err(words)?;
        let answer = folder.path().join("answer");
        let mut command = Command::new(vdisim);
        command.args(["probe", LOAD]).arg(&answer).env("VDISIM_SQLVDI", &path);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = ProcessGroup::spawn(&mut command).map_err(words)?;
        let ended = process.wait_within(LOADING).map_err(words)?;
        let Some(status) = ended else { return Err(format!("loading {shown} takes for ever.")) };
        let said = std::fs::read(&answer).ok().and_then(|said| serde_json::from_slice(&said).ok());
        let serverless = match said {
            Some(Loaded::Library { serverless }) => serverless,
            Some(Loaded::NoLibrary(why)) => return Err(why),
            None => return Err(format!("loading {shown} ended with {status}.")),
        };
        let is_ours = is_ours(&path).map_err(|error| error.to_string())?;
        Ok(Implementation { path, is_foreign: !is_ours, serverless })
    }

    /// Who serves its sets.
    pub(super) fn server(&self) -> Server {
        match (self.is_foreign, &self.serverless) {
            (false, _) => Server::Ours,
            (true, None) => Server::Own,
            (true, Some(_)) => Server::Nobody,
        }
    }

    /// Why the cells that need a server half cannot be judged, if they cannot.
    pub(super) fn unserved(&self) -> Option<String> {
        let why = self.serverless.as_ref().filter(|_| self.is_foreign)?;
        Some(format!(
            "its state needs a server half, and ours cannot serve this library: the layout of its \
             shared memory is its own; {why}"
        ))
    }
}

/// What the probe does that only loads the library.
pub(super) fn load(path: &Path, answer: &Path) -> Result<(), TrialError> {
    let said = match DropIn::load(path) {
        Ok(library) => {
            let serverless = CallerServer::new(&library).err().map(|error| error.to_string());
            Loaded::Library { serverless }
        }
        Err(error) => Loaded::NoLibrary(error.to_string()),
    };
    let said = serde_json::to_vec(&said).map_err(|error| TrialError::Bug(error.to_string()))?;
    Ok(std::fs::write(answer, said)?)
}

/// Whether a cell can only be reached with a server half.
pub(super) fn needs_server(cell: &Cell) -> bool {
    use ClientCall::{
        Close, CompleteCommand, Create, GetBufferHandle, GetCommand, GetConfiguration,
        MapBufferHandle, OpenDevice, OpenInSecondary, SignalAbort,
    };
    let without_server = match (cell.call, cell.variant) {
        (GetCommand | CompleteCommand | GetBufferHandle, _) => false,
        (Create, "") => is_reached_alone(cell.state),
        (Create, variant) => variant != "after-close",
        (GetConfiguration, "timed-out" | "polls") | (OpenInSecondary, "no-such-set") => true,
        (GetConfiguration, "") => {
            // A configurable set gets its configuration from a server.
            cell.state != State::Configurable && is_reached_alone(cell.state)
        }
        (MapBufferHandle, "") => cell.state == State::DoesNotExist,
        (OpenDevice | OpenInSecondary | SignalAbort | Close, "") => is_reached_alone(cell.state),
        _ => false,
    };
    !without_server
}

fn is_reached_alone(state: State) -> bool {
    matches!(state, State::DoesNotExist | State::Configurable | State::Abort)
}
