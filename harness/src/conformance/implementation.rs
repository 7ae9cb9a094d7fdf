//! Implementations of the interface as subjects: which cells of its tables they can be judged by.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

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
}

/// How long a library may take to be loaded.
const LOADING: Duration = Duration::from_secs(60);

/// The word for the probe that only loads the library.
pub(super) const LOAD: &str = "load";

/// Why a cell cannot be judged for a foreign library.
pub(super) const NEEDS_SERVER: &str = "its state needs a server half, and ours cannot serve this library: the layout of its shared \
     memory is its own";

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
        match (ended, std::fs::read_to_string(&answer)) {
            (Some(_), Ok(said)) if said.is_empty() => {}
            (Some(_), Ok(said)) => return Err(said),
            (Some(status), Err(_)) => return Err(format!("loading {shown} ended with {status}.")),
            (None, _) => return Err(format!("loading {shown} takes for ever.")),
        }
        let is_ours = is_ours(&path).map_err(|error| error.to_string())?;
        Ok(Implementation { path, is_foreign: !is_ours })
    }
}

/// What the probe that only loads the library writes: nothing, or what is wrong with it.
pub(super) fn load(path: &Path, answer: &Path) -> Result<(), TrialError> {
    let said = match sqlvdi::caller::DropIn::load(path) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
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
