//! How `vdisim sql` finds the running `vdisim serve` of its namespace: a small file in the
//! namespace's data folder with the server's address and a login.
//!
//! ```text
//! <data folder>/serve.lock   empty; locked by the server while it lives
//! <data folder>/serve.json   address, process id, login; only its owner may read it
//! ```
//!
//! The system drops the lock with its holder, so a file that a killed server left is told apart
//! from a living server's, whatever process has its id by now.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Version of the file.
const VERSION: u32 = 1;

/// A reader holds the lock for the blink of an eye; a server holds it for longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a server is, and how to log in there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendezvous {
    version: u32,
    /// An address that reaches it from this machine.
    pub address: SocketAddr,
    /// Its process id.
    pub pid: u32,
    /// A login with every right.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Where it keeps its databases; none if in memory.
    pub data: Option<PathBuf>,
    /// The certificate of its run as PEM; none if it has no TLS.
    pub certificate: Option<String>,
}

/// Without the password.
impl std::fmt::Debug for Rendezvous {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rendezvous")
            .field("address", &self.address)
            .field("pid", &self.pid)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Why a server could not be announced or looked for.
#[derive(Debug, thiserror::Error)]
pub enum RendezvousError {
    /// The operating system refused.
    #[error("{}: {error}; see that the namespace's data folder is yours.", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The file is not ours, or of another version.
    #[error(
        "{} does not say where the server is ({reason}); end the server and start it again with \
         the vdisim that you use.",
        .path.display()
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A server of the namespace is running.
    #[error(
        "a server of this namespace is running already{}; end it, or set VDISIM_NAMESPACE to \
         another word for this one.",
        shown(.0)
    )]
    Running(Option<Box<Rendezvous>>),
}

fn shown(running: &Option<Box<Rendezvous>>) -> String {
    running
        .as_ref()
        .map_or_else(String::new, |server| format!(" (process {}, {})", server.pid, server.address))
}

/// A server's announcement, taken back when dropped.
#[derive(Debug)]
pub struct Announcement {
    path: PathBuf,
    /// Locked.
    _lock: File,
}

impl Rendezvous {
    /// What a server of this process announces that listens on `listens` and keeps its databases in
    /// `data`.
    pub fn new(
        listens: SocketAddr,
        user: &str,
        password: &str,
        data: Option<&Path>,
        certificate: Option<&str>,
    ) -> Self {
        Rendezvous {
            version: VERSION,
            address: reachable(listens),
            pid: std::process::id(),
            user: user.to_owned(),
            password: password.to_owned(),
            data: data.map(Path::to_owned),
            certificate: certificate.map(str::to_owned),
        }
    }
}

/// The running server of the namespace whose data folder is `folder`, if there is one.
///
/// # Errors
///
/// Files that cannot be read, or are of another version.
pub fn find(folder: &Path) -> Result<Option<Rendezvous>, RendezvousError> {
    let path = lock_path(folder);
    let lock = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        lock => lock.map_err(|error| RendezvousError::Io { path: path.clone(), error })?,
    };
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read(folder),
        // Nobody holds it. Ours ends with the file.
        Ok(()) => Ok(None),
        Err(TryLockError::Error(error)) => Err(RendezvousError::Io { path, error }),
    }
}

/// Takes the place of the namespace's server. Until [`Place::announce`] nobody finds it.
///
/// # Errors
///
/// [`RendezvousError::Running`] if there is one, or a folder that cannot be used.
pub fn take_place(folder: &Path) -> Result<Place, RendezvousError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| RendezvousError::Io { path, error }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let path = lock_path(folder);
    let lock = private(OpenOptions::new().create(true).truncate(false).write(true))
        .open(&path)
        .map_err(failed(&path))?;
    let begin = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => {
                // An unreadable file changes nothing about the server that runs.
                return Err(RendezvousError::Running(
                    read(folder).unwrap_or_default().map(Box::new),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&path)(error)),
        }
    }
    // A dead server's: this one is found once it listens.
    remove(&file_path(folder));
    Ok(Place { folder: folder.to_owned(), lock })
}

/// The sole right to be the namespace's server.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    lock: File,
}

impl Place {
    /// Lets others find the server. The file appears in one step.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub fn announce(self, server: &Rendezvous) -> Result<Announcement, RendezvousError> {
        let path = file_path(&self.folder);
        let next = path.with_extension("next");
        let write = || {
            remove(&next);
            let mut file = private(OpenOptions::new().create_new(true).write(true)).open(&next)?;
            file.write_all(&serde_json::to_vec(server)?)?;
            fs::rename(&next, &path)
        };
        write().map_err(|error| RendezvousError::Io { path: path.clone(), error })?;
        Ok(Announcement { path, _lock: self.lock })
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // Before the lock goes, so that no other server's file is hit.
        remove(&self.path);
    }
}

fn read(folder: &Path) -> Result<Option<Rendezvous>, RendezvousError> {
    let path = file_path(folder);
    let bytes = match fs::read(&path) {
        // It does not listen yet, or has just ended.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(|error| RendezvousError::Io { path: path.clone(), error })?,
    };
    match serde_json::from_slice::<Rendezvous>(&bytes) {
        Ok(server) if server.version == VERSION => Ok(Some(server)),
        Ok(server) => {
            let reason = format!("version {} instead of {VERSION}", server.version);
            Err(RendezvousError::Content { path, reason })
        }
        Err(error) => Err(RendezvousError::Content { path, reason: error.to_string() }),
    }
}

/// Removes a file that may be gone already.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

fn lock_path(folder: &Path) -> PathBuf {
    folder.join("serve.lock")
}

fn file_path(folder: &Path) -> PathBuf {
    folder.join("serve.json")
}

/// Files that only their owner may read and write. On Windows the data folder sees to that.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// An address of this machine for one that may stand for all of them.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Rendezvous {
        Rendezvous::new(
            SocketAddr::from(([0, 0, 0, 0], 4711)),
            "sa",
            "secret",
            Some(Path::new("/data")),
            None,
        )
    }

    // Catches: a server found before it listens or after it ended, an address that reaches nobody.
    #[test]
    fn a_server_is_found_while_it_is_announced() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(find(folder.path()).unwrap(), None);
        let place = take_place(folder.path()).unwrap();
        assert_eq!(find(folder.path()).unwrap(), None);
        let announcement = place.announce(&server()).unwrap();
        let found = find(folder.path()).unwrap().unwrap();
        assert_eq!((found.user.as_str(), found.password.as_str()), ("sa", "secret"));
        assert_eq!(found.address, SocketAddr::from(([127, 0, 0, 1], 4711)));
        assert_eq!(found.pid, std::process::id());
        drop(announcement);
        assert_eq!(find(folder.path()).unwrap(), None);
    }

    // Catches: two servers that both believe to be the one that is found.
    #[test]
    fn there_is_one_server_a_namespace() {
        let folder = tempfile::tempdir().unwrap();
        let first = take_place(folder.path()).unwrap().announce(&server()).unwrap();
        match take_place(folder.path()) {
            Err(RendezvousError::Running(Some(running))) => assert_eq!(*running, server()),
            other => panic!("{other:?}"),
        }
        drop(first);
        take_place(folder.path()).unwrap();
    }

    // Catches: believing the file of a server that was killed, whose lock is gone.
    #[test]
    fn a_dead_servers_file_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let announcement = take_place(folder.path()).unwrap().announce(&server()).unwrap();
        let bytes = fs::read(file_path(folder.path())).unwrap();
        drop(announcement);
        fs::write(file_path(folder.path()), bytes).unwrap();
        assert_eq!(find(folder.path()).unwrap(), None);
    }

    // Catches: a password that others can read, and one in the log.
    #[cfg(unix)]
    #[test]
    fn the_password_is_its_owners() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let _announcement = take_place(folder.path()).unwrap().announce(&server()).unwrap();
        let metadata = fs::metadata(file_path(folder.path())).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o600);
        assert!(!format!("{:?}", server()).contains("secret"));
    }
}
