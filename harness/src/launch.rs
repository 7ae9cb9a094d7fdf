//! Starting a client so that it finds the drop-in and meets our server.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where programs are looked for.
const PATH: &str = "PATH";

/// The file name under which clients look for the library.
pub use sqlvdi::caller::LIBRARY_NAME;

/// Where the dynamic linker looks first.
#[cfg(not(windows))]
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";
/// Where a client that loads the library by its name finds it; COM asks the registry instead, see
/// `vdisim register`.
#[cfg(windows)]
const LIBRARY_PATH: &str = PATH;

/// What separates the folders of a search path.
const SEPARATOR: &str = if cfg!(windows) { ";" } else { ":" };

/// What a client's environment has to hold.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The drop-in.
    pub drop_in: PathBuf,
    /// VDISIM_NAMESPACE, if it is to be another one than ours.
    pub namespace: Option<String>,
    /// VDISIM_BACKEND, if it is to be another one than ours.
    pub backend: Option<String>,
    /// VDISIM_TRACE.
    pub trace: Option<PathBuf>,
    /// The folder with the commands that stand in for SQL Server's.
    pub shims: Option<PathBuf>,
}

/// A drop-in that the dynamic linker cannot find by its name.
#[derive(Debug, thiserror::Error)]
#[error(
    "the drop-in {} cannot be found by clients: they look for a file named {LIBRARY_NAME}; give \
     the path of a file with that name.",
    .0.display()
)]
pub struct WrongName(PathBuf);

impl Launch {
    /// The drop-in with our own namespace and backend.
    pub fn new(drop_in: PathBuf) -> Launch {
        Launch { drop_in, namespace: None, backend: None, trace: None, shims: None }
    }

    /// Puts the environment in place for `command`.
    pub fn prepare(&self, command: &mut Command) -> Result<(), WrongName> {
        let named = self.drop_in.file_name().is_some_and(|name| name == LIBRARY_NAME);
        let folder = self.drop_in.parent().filter(|_| named);
        let folder = folder.ok_or_else(|| WrongName(self.drop_in.clone()))?;
        prepend(command, LIBRARY_PATH, folder);
        command.env("VDISIM_SQLVDI", &self.drop_in);
        if let Some(namespace) = &self.namespace {
            command.env("VDISIM_NAMESPACE", namespace);
        }
        if let Some(backend) = &self.backend {
            command.env("VDISIM_BACKEND", backend);
        }
        if let Some(shims) = &self.shims {
            prepend(command, PATH, shims);
        }
        if let Some(trace) = &self.trace {
            command.env("VDISIM_TRACE", trace);
        }
        Ok(())
    }
}

/// Puts a folder in front of the search path that the command has, or inherits from us.
pub(crate) fn prepend(command: &mut Command, variable: &str, folder: &Path) {
    let own = command.get_envs().find(|(name, _)| *name == variable);
    let rest = match own {
        Some((_, value)) => value.map(OsString::from),
        None => std::env::var_os(variable),
    };
    command.env(variable, in_front(folder, rest));
}

/// The search path `rest` with a folder before everything else. An empty part would mean the
/// present folder, so none is made.
fn in_front(folder: &Path, rest: Option<OsString>) -> OsString {
    let mut path = folder.as_os_str().to_owned();
    if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
        path.push(SEPARATOR);
        path.push(rest);
    }
    path
}

/// Replaces this process with the command, so that its exit code or signal is ours; returns only
/// when that failed.
#[cfg(unix)]
pub fn become_client(command: &mut Command) -> Result<std::convert::Infallible, std::io::Error> {
    use std::os::unix::process::CommandExt;
    Err(command.exec())
}

/// Runs the command and exits with its exit code; returns only when it could not be started.
#[cfg(not(unix))]
pub fn become_client(command: &mut Command) -> Result<std::convert::Infallible, std::io::Error> {
    let status = command.status()?;
    std::process::exit(status.code().unwrap_or(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: an empty part in LD_LIBRARY_PATH, which loads libraries from the present folder.
    #[test]
    fn no_empty_part_in_the_search_path() {
        let folder = Path::new("/opt/x");
        assert_eq!(in_front(folder, None), "/opt/x");
        assert_eq!(in_front(folder, Some("".into())), "/opt/x");
        let more = in_front(folder, Some("/a".into())).into_string().unwrap();
        assert_eq!(more, format!("/opt/x{}/a", SEPARATOR));
    }

    // Catches: starting a client with a library that it will not find.
    #[test]
    fn a_drop_in_needs_its_name() {
        let launch = Launch::new("/opt/x/other.so".into());
        let error = launch.prepare(&mut Command::new("true")).unwrap_err().to_string();
        assert!(error.contains("/opt/x/other.so") && error.contains(LIBRARY_NAME), "{error}");
    }
}
