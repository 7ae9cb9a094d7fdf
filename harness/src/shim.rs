//! Putting what stands in for SQL Server's files where a client looks for them, and taking it away:
//! the drop-in, for clients that do not heed LD_LIBRARY_PATH, and the commands `sqlcmd` and `osql`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::launch::LIBRARY_NAME;

/// What is in every build of our drop-in and in no other library of the name: the variable that
/// its server side is told apart by.
const MARK: &[u8] = b"VDISIM_NAMESPACE";

/// The names of the commands.
pub const COMMANDS: [&str; 2] = ["sqlcmd", "osql"];

/// Why something was not put there or taken away.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// A file of somebody else has the name.
    #[error(
        "{} is not vdisim's and is left alone; move it away yourself, or choose another folder.",
        .0.display()
    )]
    Foreign(PathBuf),
    /// What should be installed is no drop-in.
    #[error("{} is not vdisim's drop-in; build it, or give its path with --sqlvdi.", .0.display())]
    NotOurs(PathBuf),
    /// Nothing is there to be taken away.
    #[error("there is no {name} in {}; nothing was done.", .folder.display())]
    Nothing {
        /// What was looked for.
        name: &'static str,
        /// Where.
        folder: PathBuf,
    },
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
        return Err(ShimError::Nothing { name: LIBRARY_NAME, folder: folder.to_owned() });
    }
    if !is_ours(&target)? {
        return Err(ShimError::Foreign(target));
    }
    remove(target)
}

/// Puts the commands into `folder`, which is made if need be, as links to `program`, over older ones of
/// ours but over nothing else; if one of them cannot be put there, none is. Returns their paths.
pub fn install_commands(program: &Path, folder: &Path) -> Result<Vec<PathBuf>, ShimError> {
    let targets = COMMANDS.map(|name| folder.join(command_file(name)));
    let mut replaces = Vec::new();
    for target in &targets {
        let is_there = exists(target)?;
        if is_there && !is_our_command(target)? {
            return Err(ShimError::Foreign(target.clone()));
        }
        replaces.push(is_there);
    }
    fs::create_dir_all(folder).map_err(|error| ShimError::Io { path: folder.to_owned(), error })?;
    for (target, replaces) in targets.iter().zip(replaces) {
        let link = folder.join(format!(".{}.{}", file_name(target), std::process::id()));
        let placed = make_link(program, &link)
            .map_err(|error| ShimError::Io { path: link.clone(), error })
            .and_then(|()| name_it(&link, target, replaces));
        // After a rename the name is gone already.
        let _ = fs::remove_file(&link);
        placed?;
    }
    Ok(targets.into())
}

/// Takes the commands out of `folder`; those that are there. Returns the paths they had.
pub fn undo_commands(folder: &Path) -> Result<Vec<PathBuf>, ShimError> {
    let mut found = Vec::new();
    for target in COMMANDS.map(|name| folder.join(command_file(name))) {
        if exists(&target)? {
            if !is_our_command(&target)? {
                return Err(ShimError::Foreign(target));
            }
            found.push(target);
        }
    }
    if found.is_empty() {
        return Err(ShimError::Nothing { name: COMMANDS[0], folder: folder.to_owned() });
    }
    found.into_iter().map(remove).collect()
}

fn remove(path: PathBuf) -> Result<PathBuf, ShimError> {
    match fs::remove_file(&path) {
        Ok(()) => Ok(path),
        Err(error) => Err(ShimError::Io { path, error }),
    }
}

fn command_file(name: &str) -> String {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a command is a link to a `vdisim`, be it one that is gone.
#[cfg(unix)]
fn is_our_command(path: &Path) -> Result<bool, ShimError> {
    match fs::read_link(path) {
        Ok(program) => Ok(program.file_name().is_some_and(|name| name == "vdisim")),
        // It is no link.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(false),
        Err(error) => Err(ShimError::Io { path: path.to_owned(), error }),
    }
}

/// Whether a command is a copy of a `vdisim`.
#[cfg(not(unix))]
fn is_our_command(path: &Path) -> Result<bool, ShimError> {
    is_ours(path)
}

#[cfg(unix)]
fn make_link(program: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(program, link)
}

/// Links need a privilege elsewhere.
#[cfg(not(unix))]
fn make_link(program: &Path, link: &Path) -> io::Result<()> {
    fs::copy(program, link).map(|_| ())
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
    name_it(copy, target, replaces)
}

/// Gives a file its name, in the place of an older one only if `replaces` says so.
fn name_it(copy: &Path, target: &Path, replaces: bool) -> Result<(), ShimError> {
    let failed = |error| ShimError::Io { path: target.to_owned(), error };
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
        assert!(matches!(undo(folder.path()), Err(ShimError::Nothing { .. })));
    }

    // Catches: a command of somebody else replaced or removed, one of two installed, one left behind.
    #[cfg(unix)]
    #[test]
    fn commands_are_links_to_this_program() {
        let folder = tempfile::tempdir().unwrap();
        let program = Path::new("/opt/x/vdisim");
        assert!(matches!(undo_commands(folder.path()), Err(ShimError::Nothing { .. })));
        for _ in 0..2 {
            let placed = install_commands(program, folder.path()).unwrap();
            assert_eq!(placed.len(), 2);
            assert!(placed.iter().all(|path| fs::read_link(path).unwrap() == program));
        }
        assert_eq!(undo_commands(folder.path()).unwrap().len(), 2);
        let theirs = folder.path().join("osql");
        fs::write(&theirs, "theirs").unwrap();
        assert!(matches!(install_commands(program, folder.path()), Err(ShimError::Foreign(_))));
        assert!(matches!(undo_commands(folder.path()), Err(ShimError::Foreign(_))));
        assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let new = folder.path().join("a/b");
        assert_eq!(install_commands(program, &new).unwrap()[0], new.join("sqlcmd"));
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
