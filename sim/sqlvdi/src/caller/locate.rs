//! Where the drop-in is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::LocateError;
use super::native::LIBRARY_NAME;

/// The path of the drop-in, in this order: `given` (an option of the command line), the variable
/// `VDISIM_SQLVDI`, then the newer of the one beside the executable and the one in `deps/` below.
///
/// A path that was given but is no file is an error, not a reason to look further.
///
/// # Errors
/// [`LocateError`] names the path or folder and what to do.
pub fn locate(given: Option<&Path>) -> Result<PathBuf, LocateError> {
    if let Some(path) = given {
        return existing("--sqlvdi", path);
    }
    if let Some(path) = std::env::var_os("VDISIM_SQLVDI").filter(|path| !path.is_empty()) {
        return existing("VDISIM_SQLVDI", Path::new(&path));
    }
    let executable = std::env::current_exe().map_err(LocateError::NoExecutable)?;
    let folder = executable.parent().unwrap_or(Path::new("/"));
    newest_in(folder, LIBRARY_NAME)
}

fn existing(origin: &'static str, path: &Path) -> Result<PathBuf, LocateError> {
    // An absolute path: a bare file name would make the linker search its own folders.
    std::path::absolute(path)
        .ok()
        .filter(|path| path.is_file())
        .ok_or_else(|| LocateError::Given { origin, path: path.to_owned() })
}

fn newest_in(folder: &Path, name: &'static str) -> Result<PathBuf, LocateError> {
    [folder.join(name), folder.join("deps").join(name)]
        .into_iter()
        .filter_map(|path| Some((modified(path.as_os_str())?, path)))
        .max()
        .map(|(_, path)| path)
        .ok_or_else(|| LocateError::Missing { name, folder: folder.to_owned() })
}

fn modified(path: &OsStr) -> Option<SystemTime> {
    std::fs::metadata(path).ok().filter(|it| it.is_file())?.modified().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::{File, create_dir};
    use std::time::Duration;

    use super::*;

    /// Catches: taking the first, or always the one in `deps/`, instead of the newer.
    #[test]
    fn the_newer_of_the_two_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        create_dir(folder.path().join("deps")).unwrap();
        let beside = folder.path().join("x.so");
        let deps = folder.path().join("deps/x.so");

        assert!(matches!(newest_in(folder.path(), "x.so"), Err(LocateError::Missing { .. })));
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        File::create(&deps).unwrap().set_modified(old).unwrap();
        assert_eq!(newest_in(folder.path(), "x.so").unwrap(), deps);
        let file = File::create(&beside).unwrap();
        file.set_modified(old + Duration::from_secs(1)).unwrap();
        assert_eq!(newest_in(folder.path(), "x.so").unwrap(), beside);
        file.set_modified(old - Duration::from_secs(1)).unwrap();
        assert_eq!(newest_in(folder.path(), "x.so").unwrap(), deps);
    }

    /// Catches: falling back to another library when the one asked for is not there.
    #[test]
    fn a_given_path_must_exist() {
        let error = locate(Some(Path::new("/nonexistent/libsqlvdi.so"))).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/libsqlvdi.so"), "{error}");
    }
}
