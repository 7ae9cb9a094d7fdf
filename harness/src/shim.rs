//! Putting the drop-in where a client looks that does not heed LD_LIBRARY_PATH, and taking it away.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::launch::LIBRARY_NAME;

/// What is in every build of our drop-in and in no other library of the name: the variable that
/// its server side is told apart by.
const MARK: &[u8] = b"VDISIM_NAMESPACE";

/// Why the drop-in was not put there or taken away.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// A file of somebody else has the name.
    #[error(
        "{} is not vdisim's drop-in and is left alone; move it away yourself, or choose another \
         folder.",
        .0.display()
    )]
    Foreign(PathBuf),
    /// What should be installed is no drop-in.
    #[error("{} is not vdisim's drop-in; build it, or give its path with --sqlvdi.", .0.display())]
    NotOurs(PathBuf),
    /// Nothing is there to be taken away.
    #[error("there is no {LIBRARY_NAME} in {}; nothing was done.", .0.display())]
    Nothing(PathBuf),
    /// The operating system refused.
    #[error("{}: {error}.", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Copies the drop-in into `folder`, over an older one of ours but over nothing else. Returns the
/// path of the copy.
pub fn install(drop_in: &Path, folder: &Path) -> Result<PathBuf, ShimError> {
    if !is_ours(drop_in)? {
        return Err(ShimError::NotOurs(drop_in.to_owned()));
    }
    let target = folder.join(LIBRARY_NAME);
    let replaces = match exists(&target)? {
        true if !is_ours(&target)? => return Err(ShimError::Foreign(target)),
        replaces => replaces,
    };
    let copy = folder.join(format!(".{LIBRARY_NAME}.{}", std::process::id()));
    let placed = fs::copy(drop_in, &copy)
        .map_err(|error| ShimError::Io { path: copy.clone(), error })
        .and_then(|_| place(&copy, &target, replaces));
    // After a rename the name is gone already.
    let _ = fs::remove_file(&copy);
    placed.map(|()| target)
}

/// Takes the drop-in out of `folder`. Returns the path it had.
pub fn undo(folder: &Path) -> Result<PathBuf, ShimError> {
    let target = folder.join(LIBRARY_NAME);
    if !exists(&target)? {
        return Err(ShimError::Nothing(folder.to_owned()));
    }
    if !is_ours(&target)? {
        return Err(ShimError::Foreign(target));
    }
    match fs::remove_file(&target) {
        Ok(()) => Ok(target),
        Err(error) => Err(ShimError::Io { path: target, error }),
    }
}

/// Whether a file is a build of our drop-in. What the dynamic linker would not even load is not.
pub fn is_ours(path: &Path) -> Result<bool, ShimError> {
    let failed = |error| ShimError::Io { path: path.to_owned(), error };
    // A link that leads nowhere is somebody's, too.
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        bytes => bytes.map_err(failed)?,
    };
    Ok(object::FileKind::parse(&*bytes).is_ok() && memchr::memmem::find(&bytes, MARK).is_some())
}

/// Whether something has the name, be it a link that leads nowhere.
fn exists(path: &Path) -> Result<bool, ShimError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(ShimError::Io { path: path.to_owned(), error }),
    }
}

/// Gives the copy its name in one step: a client never sees half a library, and a file that came
/// into being meanwhile is not overwritten.
fn place(copy: &Path, target: &Path, replaces: bool) -> Result<(), ShimError> {
    let failed = |error| ShimError::Io { path: target.to_owned(), error };
    File::open(copy).and_then(|file| file.sync_all()).map_err(failed)?;
    let placed = if replaces { fs::rename(copy, target) } else { fs::hard_link(copy, target) };
    match placed {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(ShimError::Foreign(target.to_owned()))
        }
        placed => placed.map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something with an ELF header and, if it is ours, the mark.
    fn library(path: &Path, ours: bool) {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes.extend_from_slice(if ours { MARK } else { b"something else" });
        fs::write(path, bytes).unwrap();
    }

    // Catches: overwriting or removing a file that is not ours, and leaving the copy behind.
    #[test]
    fn a_foreign_library_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let drop_in = folder.path().join("built.so");
        library(&drop_in, true);
        let target = folder.path().join(LIBRARY_NAME);
        library(&target, false);
        let before = fs::read(&target).unwrap();
        assert!(matches!(install(&drop_in, folder.path()), Err(ShimError::Foreign(_))));
        assert!(matches!(undo(folder.path()), Err(ShimError::Foreign(_))));
        assert_eq!(fs::read(&target).unwrap(), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    // Catches: refusing to replace an older drop-in, and an undo that does nothing.
    #[test]
    fn ours_is_installed_replaced_and_undone() {
        let folder = tempfile::tempdir().unwrap();
        let drop_in = folder.path().join("built.so");
        library(&drop_in, true);
        let target = install(&drop_in, folder.path()).unwrap();
        fs::write(&drop_in, [fs::read(&drop_in).unwrap(), b"newer".to_vec()].concat()).unwrap();
        install(&drop_in, folder.path()).unwrap();
        assert_eq!(fs::read(&target).unwrap(), fs::read(&drop_in).unwrap());
        undo(folder.path()).unwrap();
        assert!(!target.exists());
        assert!(matches!(undo(folder.path()), Err(ShimError::Nothing(_))));
    }

    // Catches: following a link that leads nowhere and writing its target.
    #[cfg(unix)]
    #[test]
    fn a_dangling_link_is_somebody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let drop_in = folder.path().join("built.so");
        library(&drop_in, true);
        let elsewhere = folder.path().join("elsewhere.so");
        std::os::unix::fs::symlink(&elsewhere, folder.path().join(LIBRARY_NAME)).unwrap();
        assert!(matches!(install(&drop_in, folder.path()), Err(ShimError::Foreign(_))));
        assert!(!elsewhere.exists());
    }
}
