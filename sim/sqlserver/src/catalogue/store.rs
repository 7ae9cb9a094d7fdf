//! The catalogue on disk, shared by all servers of a data folder.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::database::{Content, Database};
use super::default::default_databases;
use super::history::History;
use super::memory_file::MemoryFile;

/// Version of the file.
const VERSION: u32 = 1;

/// Everything the server keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Catalogue {
    version: u32,
    /// The databases, by id.
    pub databases: Vec<Database>,
    /// Backups and restores.
    pub history: History,
}

impl Catalogue {
    /// The catalogue of a new server.
    pub fn new() -> Self {
        let databases = default_databases();
        Catalogue { version: VERSION, databases, history: History::default() }
    }

    /// The database of this name, in any case.
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.iter().find(|database| same_name(&database.name, name))
    }

    /// The same, to be changed.
    pub fn database_mut(&mut self, name: &str) -> Option<&mut Database> {
        self.databases.iter_mut().find(|database| same_name(&database.name, name))
    }

    /// Puts a database in, in the place of the one of the same name.
    pub fn put(&mut self, database: Database) {
        self.databases.retain(|old| !same_name(&old.name, &database.name));
        self.databases.push(database);
        self.databases.sort_by_key(|database| database.id);
    }

    /// The database that has a file in this place.
    pub fn owner_of(&self, place: &str) -> Option<&Database> {
        let is_there = |database: &&Database| {
            database.files.iter().any(|file| place_key(&file.physical_name) == place_key(place))
        };
        self.databases.iter().find(is_there)
    }

    /// The files on disk that belong to databases.
    fn stored(&self) -> HashSet<PathBuf> {
        self.databases.iter().flat_map(Database::stored).map(Path::to_owned).collect()
    }

    /// The lowest id that no user database has.
    pub fn free_id(&self) -> u16 {
        let is_free = |id: &u16| self.databases.iter().all(|database| database.id != *id);
        (5..).find(is_free).unwrap_or(u16::MAX)
    }
}

impl Default for Catalogue {
    fn default() -> Self {
        Catalogue::new()
    }
}

/// A path as paths are compared: without regard to case and to the kind of separators.
pub(crate) fn place_key(path: &str) -> String {
    path.replace('/', "\\").to_lowercase()
}

/// Names are compared without regard to case.
fn same_name(left: &str, right: &str) -> bool {
    left.to_lowercase() == right.to_lowercase()
}

/// Deletes a file of a database.
pub(crate) fn remove_stored(path: &Path) {
    // One that is gone needs no removal. One that cannot be removed is tried again with the next
    // restore of a database of that name, if it is in the data folder.
    let _ = fs::remove_file(path);
}

/// Deletes the files that were named `before`, and are not `now` by any name.
fn remove_unnamed(before: &HashSet<PathBuf>, now: &HashSet<PathBuf>) {
    let mut unnamed = before.difference(now).peekable();
    if unnamed.peek().is_none() {
        return;
    }
    let same = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let named: HashSet<_> = now.iter().map(|path| same(path)).collect();
    unnamed.filter(|path| !named.contains(&same(path))).for_each(|path| remove_stored(path));
}

/// The catalogue's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("{}: {error}; see that the data folder can be written to", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Its content is no catalogue.
    #[error(
        "{}: {error}; the file was damaged or written by another version: move it away to start \
         with a new server",
        .path.display()
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: serde_json::Error,
    },
    /// Its version is another one.
    #[error(
        "{}: the catalogue has version {found} and not {VERSION}; move it away to start with a \
         new server",
        .path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

/// A database's name as a name of files.
fn digest(name: &str) -> String {
    Sha256::digest(name)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The log of a database among what is reserved; no database has such a name.
fn log_of(name: &str) -> String {
    format!("{}\0log", name.to_lowercase())
}

/// A server's data folder. Several processes may use it at once: every access reads the file, and
/// every change is made under a lock and replaces it in one step.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    /// The catalogue of a server that keeps nothing on disk.
    memory: Option<Mutex<Catalogue>>,
    here: Mutex<()>,
    /// Databases whose pages or log are being backed up or restored, in lower case.
    reserved: Mutex<HashSet<String>>,
}

/// How often the lock of a database is tried, and how long after each other: whoever only asks for it
/// holds it for the blink of an eye.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// The sole right to back up or restore the pages of a database, or its log, until it is dropped or its process
/// ends.
#[derive(Debug)]
pub struct Reservation<'s> {
    server: &'s Server,
    name: String,
    /// Locked against other processes.
    _lock: File,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.server.reserved().remove(&self.name);
    }
}

impl Server {
    /// The server that keeps its data in `folder`, which is made if need be.
    ///
    /// # Errors
    ///
    /// A folder that cannot be made, or a catalogue in it that cannot be read.
    pub fn open(folder: &Path) -> Result<Server, StoreError> {
        fs::create_dir_all(folder)
            .map_err(|error| StoreError::Io { path: folder.to_owned(), error })?;
        let server = Server::with(folder, None);
        server.read()?;
        Ok(server)
    }

    /// A new server whose databases are gone when it is dropped. `folder` is where DISK devices
    /// without an absolute path are; nothing else is kept there.
    pub fn in_memory(folder: &Path) -> Server {
        Server::with(folder, Some(Mutex::new(Catalogue::new())))
    }

    fn with(folder: &Path, memory: Option<Mutex<Catalogue>>) -> Server {
        let (here, reserved) = Default::default();
        Server { folder: folder.to_owned(), memory, here, reserved }
    }

    /// Where the pages of a new data file of a database go. Its name says whose it is.
    pub(crate) fn place_file(&self, database: &str, name: &str) -> Content {
        match self.memory {
            Some(_) => Content::Memory(MemoryFile::default()),
            None => {
                let name = format!("{}-{name}", digest(&database.to_lowercase()));
                Content::Stored(self.folder.join("data").join(name))
            }
        }
    }

    /// Deletes the files of a database that the catalogue does not know: a process that was killed
    /// left them. The caller has the sole right to the database.
    pub(crate) fn remove_strays(&self, catalogue: &Catalogue, database: &str) {
        let prefix = format!("{}-", digest(&database.to_lowercase()));
        let stored = catalogue.stored();
        let known: HashSet<_> = stored.iter().filter_map(|path| path.file_name()).collect();
        // Without the folder there are no files.
        let files = fs::read_dir(self.folder.join("data")).into_iter().flatten().flatten();
        for file in files {
            let name = file.file_name();
            let is_own = name.to_str().is_some_and(|name| name.starts_with(&prefix));
            if is_own && !known.contains(name.as_os_str()) {
                remove_stored(&file.path());
            }
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes the sole right to a database's pages; none if another statement has it, of this process
    /// or another one.
    pub fn reserve(&self, name: &str) -> Option<Reservation<'_>> {
        self.take(name.to_lowercase())
    }

    /// Takes the sole right to back up a database's log or restore it, likewise.
    pub fn reserve_log(&self, name: &str) -> Option<Reservation<'_>> {
        self.take(log_of(name))
    }

    fn take(&self, name: String) -> Option<Reservation<'_>> {
        if !self.reserved().insert(name.clone()) {
            return None;
        }
        match self.lock(&name) {
            Some(lock) => Some(Reservation { server: self, name, _lock: lock }),
            None => {
                self.reserved().remove(&name);
                None
            }
        }
    }

    /// Locks a database against other processes; the file's end ends the lock.
    fn lock(&self, name: &str) -> Option<File> {
        let folder = self.folder.join("locks");
        fs::create_dir_all(&folder).ok()?;
        let file = File::create(folder.join(digest(name))).ok()?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Some(file),
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(_)) => return None,
            }
        }
        None
    }

    /// Whether somebody has the sole right to a database's pages.
    pub fn is_reserved(&self, name: &str) -> bool {
        self.is_taken(&name.to_lowercase())
    }

    /// Whether somebody has the sole right to its log.
    pub fn is_log_reserved(&self, name: &str) -> bool {
        self.is_taken(&log_of(name))
    }

    fn is_taken(&self, name: &str) -> bool {
        self.reserved().contains(name) || self.lock(name).is_none()
    }

    fn reserved(&self) -> MutexGuard<'_, HashSet<String>> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The catalogue as it is now.
    ///
    /// # Errors
    ///
    /// A file that cannot be read.
    pub fn read(&self) -> Result<Catalogue, StoreError> {
        if let Some(catalogue) = &self.memory {
            return Ok(catalogue.lock().unwrap_or_else(PoisonError::into_inner).clone());
        }
        let path = self.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Catalogue::new()),
            Err(error) => return Err(StoreError::Io { path, error }),
        };
        let catalogue: Catalogue = serde_json::from_slice(&bytes)
            .map_err(|error| StoreError::Content { path: path.clone(), error })?;
        match catalogue.version {
            VERSION => Ok(catalogue),
            found => Err(StoreError::Version { path, found }),
        }
    }

    /// Changes the catalogue; what `change` leaves after an error is not kept. Files of databases that
    /// the catalogue no longer names are deleted.
    ///
    /// # Errors
    ///
    /// The outer one: a file that cannot be read, locked or written. The inner one is `change`'s.
    pub fn update<T, E>(
        &self,
        change: impl FnOnce(&mut Catalogue) -> Result<T, E>,
    ) -> Result<Result<T, E>, StoreError> {
        let _here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(memory) = &self.memory {
            let mut catalogue = memory.lock().unwrap_or_else(PoisonError::into_inner);
            let mut changed = catalogue.clone();
            let result = change(&mut changed);
            if result.is_ok() {
                remove_unnamed(&catalogue.stored(), &changed.stored());
                *catalogue = changed;
            }
            return Ok(result);
        }
        let path = self.folder.join("catalogue.lock");
        let failed = |error| StoreError::Io { path: path.clone(), error };
        let lock = File::create(&path).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut catalogue = self.read()?;
        let before = catalogue.stored();
        let result = change(&mut catalogue);
        if result.is_ok() {
            self.write(&catalogue)?;
            remove_unnamed(&before, &catalogue.stored());
        }
        Ok(result)
    }

    fn write(&self, catalogue: &Catalogue) -> Result<(), StoreError> {
        let path = self.path();
        let next = path.with_extension("next");
        let write = || {
            let mut file = File::create(&next)?;
            file.write_all(&serde_json::to_vec(catalogue)?)?;
            file.sync_data()?;
            fs::rename(&next, &path)
        };
        write().map_err(|error| StoreError::Io { path: path.clone(), error })
    }

    fn path(&self) -> PathBuf {
        self.folder.join("catalogue.json")
    }
}
