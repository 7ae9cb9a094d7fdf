//! A folder of small files, three an object: two to lock, which are the leases, as the
//! `shared_memory` crate has no descriptor for them; and an entry with the object's length,
//! generation and name, as there is no other list of objects on every platform.
//!
//! Who holds the creator's lock owns the object's name: the files are made, written and removed
//! under it. The lock goes with the process, also when it is killed. (The entry is a file of its own
//! because some platforms do not let others read a file that is locked.)

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::{Lease, LeaseRole, ObjectName, Owner, RegionError, process_token};

/// The longest name that all platforms take: macOS allows 31 bytes with the slash.
const OS_NAME_MAX: usize = 30;

/// The operating system's name of an object, without the slash that POSIX wants. A prefix keeps it
/// apart from objects of the `posix` backend; what is too long is hashed.
pub(crate) fn os_name(name: &ObjectName) -> String {
    let plain = format!("vdip.{name}");
    if plain.len() <= OS_NAME_MAX && plain.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return plain;
    }
    let digest = Sha256::digest(name.as_str());
    let hex: String = digest[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("vdip-{hex}")
}

/// What the registry says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: ObjectName,
    pub(crate) len: u64,
    pub(crate) generation: u64,
}

impl Entry {
    fn parse(text: &str) -> Option<Entry> {
        // The name comes last because it may contain anything, line ends included.
        let mut parts = text.splitn(3, '\n');
        let (len, generation) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let name = ObjectName::new(parts.next()?.strip_suffix('\n')?).ok()?;
        Some(Entry { name, len, generation })
    }
}

/// The lock files of one object, open, and the leases that are held through them.
#[derive(Debug)]
pub(crate) struct Leases {
    creator: File,
    attacher: File,
    creator_path: PathBuf,
    attacher_path: PathBuf,
    entry_path: PathBuf,
    object: String,
    /// The creator's and the attacher's: a lock cannot be asked who holds it.
    held: Mutex<[bool; 2]>,
    token: u32,
}

impl Leases {
    /// Opens the lock files of an object, and makes them first if `create` says so. `user` is whose
    /// registry it is, where that makes a difference.
    pub(crate) fn open(user: u32, name: &ObjectName, create: bool) -> Result<Leases, RegionError> {
        let folder = if create { make_folder(user)? } else { folder(user) };
        let path = |role: &str| folder.join(format!("{}.{role}", os_name(name)));
        let open = |path: &Path| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(create);
            private(&mut options).open(path).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => RegionError::NotFound { object: name.to_string() },
                _ => io_error("open of its lock file", name.as_str(), &error),
            })
        };
        let (creator_path, attacher_path) = (path("creator"), path("attacher"));
        Ok(Leases {
            creator: open(&creator_path)?,
            attacher: open(&attacher_path)?,
            creator_path,
            attacher_path,
            entry_path: path("entry"),
            object: name.to_string(),
            held: Mutex::new([false, false]),
            token: process_token(),
        })
    }

    fn of(&self, role: LeaseRole) -> &File {
        match role {
            LeaseRole::Creator => &self.creator,
            LeaseRole::Attacher => &self.attacher,
        }
    }

    /// Locks for `role`. A probe of somebody else's holds the lock for a moment: hence some tries.
    pub(crate) fn take(&self, role: LeaseRole) -> Result<Lease, RegionError> {
        let mut held = self.held_here();
        if held[role as usize] {
            return Ok(Lease::Taken);
        }
        for _ in 0..5 {
            match self.of(role).try_lock() {
                Ok(()) => {
                    held[role as usize] = true;
                    return Ok(Lease::Taken);
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
                Err(TryLockError::Error(error)) => return Err(self.fail("lock", &error)),
            }
        }
        Ok(Lease::HeldByAnother)
    }

    /// Unlocks, unless this is a forked child: it shares the lock with its parent.
    pub(crate) fn release(&self, role: LeaseRole) -> Result<(), RegionError> {
        if self.is_forked() {
            return Ok(());
        }
        match std::mem::take(&mut self.held_here()[role as usize]) {
            true => self.unlock(role),
            false => Ok(()),
        }
    }

    /// Whether this is the holder.
    pub(crate) fn holds(&self, role: LeaseRole) -> bool {
        self.held_here()[role as usize]
    }

    /// Whether another is.
    pub(crate) fn held(&self, role: LeaseRole) -> Result<bool, RegionError> {
        let held = self.held_here();
        if held[role as usize] {
            return Ok(false);
        }
        match self.of(role).try_lock_shared() {
            Ok(()) => self.unlock(role).map(|()| false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(self.fail("lock", &error)),
        }
    }

    fn unlock(&self, role: LeaseRole) -> Result<(), RegionError> {
        unlock(self.of(role)).map_err(|error| self.fail("unlock", &error))
    }

    fn held_here(&self) -> MutexGuard<'_, [bool; 2]> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is a forked child's copy, which must undo nothing.
    pub(crate) fn is_forked(&self) -> bool {
        self.token != process_token()
    }

    /// What the registry says of the object; `None` if its creator did not come so far.
    pub(crate) fn entry(&self) -> Option<Entry> {
        read_entry(&self.entry_path).map(|(entry, _)| entry)
    }

    /// Writes the entry; the creator's lock must be held.
    pub(crate) fn write_entry(&self, entry: &Entry) -> Result<(), RegionError> {
        let text = format!("{}\n{}\n{}\n", entry.len, entry.generation, entry.name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        private(&mut options)
            .open(&self.entry_path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| self.fail("write of its entry", &error))
    }

    /// Whether the creator's file still has its name: a remover may have been faster than our lock.
    pub(crate) fn is_named(&self) -> bool {
        same_file(&self.creator, &self.creator_path)
    }

    /// Removes the files' names; the creator's lock must be held. Locks on them live on.
    pub(crate) fn remove(&self) {
        for path in [&self.entry_path, &self.attacher_path, &self.creator_path] {
            if let Err(error) = remove_file(path) {
                tracing::debug!(path = %path.display(), %error, "a file of the registry stays");
            }
        }
    }

    /// Whom the object belongs to.
    pub(crate) fn owner(&self) -> Owner {
        owner_of(&self.creator)
    }

    fn fail(&self, call: &'static str, error: &std::io::Error) -> RegionError {
        io_error(call, &self.object, error)
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        // Not left to the closing of the files: a child about to become another program may have
        // them open for a moment longer.
        for role in [LeaseRole::Creator, LeaseRole::Attacher] {
            if let Err(error) = self.release(role) {
                tracing::debug!(%error, "a lease is left to the closing of its file");
            }
        }
    }
}

/// This user's entry of that name, if there is one.
#[cfg(windows)]
pub(crate) fn entry_of(name: &ObjectName) -> Option<Entry> {
    let path = folder(user_id()).join(format!("{}.entry", os_name(name)));
    read_entry(&path).map(|(entry, _)| entry)
}

/// Every entry of this user's registry.
pub(crate) fn entries() -> Vec<(Entry, Owner)> {
    // No folder: nothing was ever made.
    let Ok(files) = std::fs::read_dir(folder(user_id())) else { return Vec::new() };
    files
        .filter_map(|file| file.ok().map(|file| file.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "entry"))
        .filter_map(|path| read_entry(&path))
        .collect()
}

fn read_entry(path: &Path) -> Option<(Entry, Owner)> {
    let file = File::open(path).ok()?;
    let owner = owner_of(&file);
    let mut text = String::new();
    // An entry is far shorter; a file that somebody inflated is not read to its end.
    file.take(1024).read_to_string(&mut text).ok()?;
    Some((Entry::parse(&text)?, owner))
}

/// An error of `std::io` as one of ours.
pub(crate) fn io_error(call: &'static str, object: &str, error: &std::io::Error) -> RegionError {
    RegionError::Os { call, object: object.to_owned(), errno: error.raw_os_error().unwrap_or(0) }
}

#[cfg(unix)]
mod user {
    //! One registry a user, in a folder that nobody else can write to. The path is fixed: TMPDIR
    //! and XDG_RUNTIME_DIR differ between a login, a cron job and a daemon of the same user.

    use std::fs::{DirBuilder, File, OpenOptions};
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
    use std::path::{Path, PathBuf};

    use crate::{Owner, RegionError};

    pub(crate) fn user_id() -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    pub(super) fn folder(user: u32) -> PathBuf {
        PathBuf::from(format!("/tmp/vdi-region.{user}"))
    }

    pub(super) fn make_folder(user: u32) -> Result<PathBuf, RegionError> {
        let folder = folder(user);
        // It may exist; what counts is what it is then.
        let _ = DirBuilder::new().mode(0o700).create(&folder);
        let object = folder.display().to_string();
        let about = std::fs::symlink_metadata(&folder)
            .map_err(|error| super::io_error("mkdir", &object, &error))?;
        let owner = Owner { uid: about.uid(), gid: about.gid(), mode: about.mode() & 0o7777 };
        if !about.is_dir() || owner.uid != user || owner.mode & 0o022 != 0 {
            return Err(RegionError::Denied {
                action: "keep lock files in",
                object,
                owner: Some(owner),
                remedy: "it has to be a folder of this user that nobody else can write to; \
                         remove it"
                    .to_owned(),
                errno: libc::EPERM,
            });
        }
        Ok(folder)
    }

    pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
        options.mode(0o600).custom_flags(libc::O_NOFOLLOW)
    }

    pub(super) fn owner_of(file: &File) -> Owner {
        file.metadata().map_or(Owner { uid: user_id(), gid: 0, mode: 0o600 }, |about| Owner {
            uid: about.uid(),
            gid: about.gid(),
            mode: about.mode() & 0o7777,
        })
    }

    pub(super) fn unlock(file: &File) -> std::io::Result<()> {
        file.unlock()
    }

    pub(super) fn remove_file(path: &Path) -> std::io::Result<()> {
        std::fs::remove_file(path)
    }

    pub(super) fn same_file(file: &File, path: &Path) -> bool {
        match (file.metadata(), std::fs::symlink_metadata(path)) {
            (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
            _ => false,
        }
    }
}

#[cfg(windows)]
mod user {
    //! The temporary folder is the user's own here.

    use std::fs::{File, OpenOptions};
    use std::os::windows::io::AsRawHandle;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};

    use windows_sys::Win32::Storage::FileSystem::{
        BY_HANDLE_FILE_INFORMATION, GetFileInformationByHandle,
    };

    use crate::{Owner, RegionError};

    pub(crate) fn user_id() -> u32 {
        0
    }

    pub(super) fn folder(_user: u32) -> PathBuf {
        std::env::temp_dir().join("vdi-region")
    }

    pub(super) fn make_folder(user: u32) -> Result<PathBuf, RegionError> {
        let folder = folder(user);
        std::fs::create_dir_all(&folder)
            .map_err(|error| super::io_error("mkdir", &folder.display().to_string(), &error))?;
        Ok(folder)
    }

    pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
        options
    }

    pub(super) fn owner_of(_file: &File) -> Owner {
        Owner { uid: 0, gid: 0, mode: 0o600 }
    }

    pub(super) fn unlock(file: &File) -> std::io::Result<()> {
        // The standard library unlocks twice, as a file may be locked in two ways. Wine says of the
        // second time that there is a lock of another's (33, ERROR_LOCK_VIOLATION), where Windows
        // says that there is none.
        match file.unlock() {
            Err(error) if error.raw_os_error() == Some(33) => Ok(()),
            result => result,
        }
    }

    /// A removed file keeps its name for as long as anybody has it open, and the name is wanted.
    pub(super) fn remove_file(path: &Path) -> std::io::Result<()> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let aside = path.with_extension(format!("removed-{}-{count}", std::process::id()));
        std::fs::rename(path, &aside)?;
        std::fs::remove_file(aside)
    }

    pub(super) fn same_file(file: &File, path: &Path) -> bool {
        File::open(path)
            .is_ok_and(|named| number(file).is_some_and(|ours| number(&named) == Some(ours)))
    }

    /// What tells a file from every other: its volume and number there.
    fn number(file: &File) -> Option<[u32; 3]> {
        let mut about = BY_HANDLE_FILE_INFORMATION::default();
        // SAFETY: the handle is open, and the pointer leads to a structure of the right type.
        let done = unsafe { GetFileInformationByHandle(file.as_raw_handle(), &mut about) };
        (done != 0).then_some([
            about.dwVolumeSerialNumber,
            about.nFileIndexHigh,
            about.nFileIndexLow,
        ])
    }
}

pub(crate) use user::user_id;
use user::{folder, make_folder, owner_of, private, remove_file, same_file, unlock};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_stay_readable_and_long_ones_stay_apart() {
        let name = |text: &str| os_name(&ObjectName::new(text).unwrap());
        assert_eq!(name("set_1"), "vdip.set_1");
        let long = "vdisim.default.Host_nightly_SQLVDIMemoryName_";
        assert_ne!(name(&format!("{long}0")), name(&format!("{long}1")));
        for text in ["x", long, "\u{1f980}", "a\\b"] {
            assert!(name(text).len() <= OS_NAME_MAX && name(text).is_ascii(), "{}", name(text));
        }
    }

    #[test]
    fn half_an_entry_is_none() {
        for text in ["", "1\n", "1\n2\n", "1\nx\nname\n", "1\n2\na/b\n", "1\n2\nna"] {
            assert_eq!(Entry::parse(text), None, "{text:?}");
        }
        let name = ObjectName::new("line\nends\n").unwrap();
        let whole = Entry { name, len: 1, generation: 2 };
        assert_eq!(Entry::parse("1\n2\nline\nends\n\n"), Some(whole));
    }
}
