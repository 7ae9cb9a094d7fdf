//! One object of `/dev/shm`: its file, its mapping, its leases, its futexes.

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, FallocateFlags, OFlag, fallocate, open};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Gid, fchown, ftruncate, linkat};
use rustix::thread::futex;

use super::leases::Leases;
use super::limits::page_size;
use crate::{Access, ObjectName, Owner, RegionError, Wait, memory_limits};

/// The folder of the objects: a tmpfs on every Linux, and where glibc's `shm_open` puts them.
pub(crate) const FOLDER: &str = "/dev/shm";

/// VDI knows buffer alignments up to 64 KiB (spec: VDI, VDConfig.alignment); an offset can only
/// promise one if the base does, in every process.
const BASE_ALIGNMENT: usize = 64 << 10;

/// An object that is open and mapped.
#[derive(Debug)]
pub(crate) struct Object {
    path: String,
    base: NonNull<u8>,
    len: usize,
    owner: Owner,
    inode: (u64, u64),
    /// With the object's file.
    leases: Leases,
    /// The address space that the object is mapped in; unmaps it when dropped.
    _reservation: MmapRaw,
}

impl Object {
    /// An object that has no name yet.
    pub(crate) fn build(
        name: &ObjectName,
        len: usize,
        access: Access,
    ) -> Result<Object, RegionError> {
        let path = path_of(name);
        let fail = |call| move |errno: Errno| os(call, name.as_str(), errno);
        // Building is the costly part; the link below is what decides.
        if std::fs::symlink_metadata(&path).is_ok() {
            return Err(RegionError::Exists { object: name.to_string() });
        }
        let len = len
            .checked_next_multiple_of(page_size())
            .filter(|len| i64::try_from(*len).is_ok())
            .ok_or_else(|| no_space(name, len as u64, Errno::EFBIG))?;
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let file = File::from(
            open(FOLDER, flags, Mode::from_bits_truncate(0o660))
                .map_err(fail("open(O_TMPFILE)"))?,
        );
        if let Access::Group(gid) = access {
            fchown(&file, None, Some(Gid::from_raw(gid))).map_err(|errno| RegionError::Denied {
                action: "give to a group",
                object: name.to_string(),
                owner: None,
                remedy: format!("this user has to be a member of group {gid}"),
                errno: errno as i32,
            })?;
            fchmod(&file, Mode::from_bits_truncate(0o660)).map_err(fail("fchmod"))?;
        }
        let size = i64::try_from(len).expect("checked above");
        ftruncate(&file, size).map_err(fail("ftruncate"))?;
        retry(|| fallocate(&file, FallocateFlags::empty(), 0, size)).map_err(
            |errno| match errno {
                Errno::ENOSPC | Errno::ENOMEM | Errno::EFBIG | Errno::EDQUOT => {
                    no_space(name, len as u64, errno)
                }
                errno => os("fallocate", name.as_str(), errno),
            },
        )?;
        // The pages are there; mapping them is left to their first use. To map them all now costs as
        // much as to make them, in the way of whoever waits for the object.
        Object::map(path, file, len, name)
    }

    /// The object of that name.
    pub(crate) fn open(name: &ObjectName) -> Result<Object, RegionError> {
        let path = path_of(name);
        let file = open_file(name, "open")?;
        let size = file.metadata().map_err(|error| io_error("fstat", name.as_str(), &error))?.len();
        let len = usize::try_from(size).map_err(|_| no_space(name, size, Errno::EFBIG))?;
        if len == 0 {
            return Err(RegionError::Empty { object: name.to_string() });
        }
        Object::map(path, file, len, name)
    }

    fn map(path: String, file: File, len: usize, name: &ObjectName) -> Result<Object, RegionError> {
        let about = file.metadata().map_err(|error| io_error("fstat", name.as_str(), &error))?;
        let mapped_len = len
            .checked_next_multiple_of(page_size())
            .ok_or_else(|| no_space(name, len as u64, Errno::EFBIG))?;
        let reserved = mapped_len
            .checked_add(BASE_ALIGNMENT)
            .ok_or_else(|| no_space(name, len as u64, Errno::EFBIG))?;
        let reservation: MmapRaw = MmapOptions::new()
            .len(reserved)
            .no_reserve_swap()
            .map_anon()
            .map_err(|error| io_error("mmap", name.as_str(), &error))?
            .into();
        let address = (reservation.as_mut_ptr() as usize).next_multiple_of(BASE_ALIGNMENT);
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
        // SAFETY: [address, address + mapped_len) lies inside the reservation, which is ours, which
        // nobody has a reference into, and which is BASE_ALIGNMENT longer than what is placed in it
        // at an address less than BASE_ALIGNMENT behind its start.
        let base = unsafe {
            mmap(
                NonZeroUsize::new(address),
                NonZeroUsize::new(mapped_len).expect("no object of no bytes comes here"),
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                flags,
                &file,
                0,
            )
        }
        .map_err(|errno| os("mmap", name.as_str(), errno))?
        .cast();
        Ok(Object {
            path,
            base,
            len,
            owner: owner_of(&about),
            inode: (about.dev(), about.ino()),
            leases: Leases::on(file, name.as_str()),
            _reservation: reservation,
        })
    }

    /// Gives the object its name, in one step.
    pub(crate) fn publish(&self) -> Result<(), RegionError> {
        let source = format!("/proc/self/fd/{}", self.leases.file().as_raw_fd());
        let flag = AtFlags::AT_SYMLINK_FOLLOW;
        linkat(AT_FDCWD, source.as_str(), AT_FDCWD, self.path.as_str(), flag).map_err(|errno| {
            match errno {
                Errno::EEXIST => RegionError::Exists { object: self.object().to_owned() },
                errno => os("linkat", self.object(), errno),
            }
        })
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn base_alignment(&self) -> usize {
        BASE_ALIGNMENT
    }

    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    pub(crate) fn object_size(&self) -> Result<u64, RegionError> {
        self.leases
            .file()
            .metadata()
            .map(|about| about.len())
            .map_err(|error| io_error("fstat", self.object(), &error))
    }

    pub(crate) fn unlink(&self) -> Result<(), RegionError> {
        unlink_if_same(&self.path, self.object(), self.inode).map(|_| ())
    }

    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
    }

    /// A shared futex: the kernel finds the sleepers by object and offset, so that the word may be
    /// mapped anywhere in the processes.
    pub(crate) fn wait(
        &self,
        word: &AtomicU32,
        expected: u32,
        timeout: Option<Duration>,
    ) -> Result<Wait, RegionError> {
        // A time too long to be added up is as good as none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| futex::Timespec::try_from(left).ok());
            match futex::wait(word, futex::Flags::empty(), expected, left.as_ref()) {
                Ok(()) | Err(rustix::io::Errno::AGAIN) => return Ok(Wait::Woken),
                Err(rustix::io::Errno::TIMEDOUT) => return Ok(Wait::TimedOut),
                Err(rustix::io::Errno::INTR) => {
                    if word.load(Ordering::Acquire) != expected {
                        return Ok(Wait::Woken);
                    }
                }
                // The page of the word is no longer part of the object.
                Err(rustix::io::Errno::FAULT) => {
                    return Err(RegionError::Truncated { object: self.object().to_owned() });
                }
                Err(error) => {
                    let errno = error.raw_os_error();
                    let object = self.object().to_owned();
                    return Err(RegionError::Os { call: "futex(FUTEX_WAIT)", object, errno });
                }
            }
        }
    }

    pub(crate) fn wake(&self, word: &AtomicU32, count: u32) {
        // The kernel takes an int. Its only error is a word that is no longer mapped, and then
        // nobody can sleep on it.
        let _ = futex::wake(word, futex::Flags::empty(), count.min(i32::MAX as u32));
    }

    /// The object's name, for error texts.
    fn object(&self) -> &str {
        &self.path[FOLDER.len() + 1..]
    }
}

/// The path of an object.
pub(crate) fn path_of(name: &ObjectName) -> String {
    format!("{FOLDER}/{name}")
}

/// Opens the file behind an object, without following links or waiting for what is no file.
pub(crate) fn open_file(name: &ObjectName, action: &'static str) -> Result<File, RegionError> {
    let path = path_of(name);
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let object = || name.to_string();
    let file = match retry(|| open(path.as_str(), flags, Mode::empty())) {
        Ok(file) => File::from(file),
        Err(Errno::ENOENT) => return Err(RegionError::NotFound { object: object() }),
        Err(errno @ (Errno::EACCES | Errno::EPERM)) => return Err(denied(action, name, errno)),
        Err(Errno::ELOOP | Errno::EISDIR | Errno::ENXIO | Errno::ENODEV) => {
            return Err(RegionError::NotAnObject { object: object() });
        }
        Err(errno) => return Err(os("open", name.as_str(), errno)),
    };
    let about = file.metadata().map_err(|error| io_error("fstat", name.as_str(), &error))?;
    if !about.is_file() {
        return Err(RegionError::NotAnObject { object: object() });
    }
    Ok(file)
}

/// An error that says whose the object is and what to do.
pub(crate) fn denied(action: &'static str, name: &ObjectName, errno: Errno) -> RegionError {
    let path = path_of(name);
    let remedy = if action == "remove" {
        format!("if nobody uses it any more, run `sudo rm '{}'`", path.replace('\'', r"'\''"))
    } else {
        "run as that user or in that group, and let the creator call umask(0) before it creates \
         the object"
            .to_owned()
    };
    let owner = std::fs::symlink_metadata(&path).ok().map(|about| owner_of(&about));
    RegionError::Denied { action, object: name.to_string(), owner, remedy, errno: errno as i32 }
}

/// Removes a name if it stands for the object with that device and inode number.
pub(crate) fn unlink_if_same(
    path: &str,
    object: &str,
    inode: (u64, u64),
) -> Result<bool, RegionError> {
    let not_there = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    match std::fs::symlink_metadata(path) {
        Ok(about) if (about.dev(), about.ino()) == inode => {}
        Ok(_) => return Ok(false),
        Err(error) if not_there(&error) => return Ok(false),
        Err(error) => return Err(io_error("stat", object, &error)),
    }
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if not_there(&error) => Ok(false),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let errno = error.raw_os_error().map_or(Errno::EACCES, Errno::from_raw);
            Err(ObjectName::new(object)
                .map_or_else(|bad| bad, |name| denied("remove", &name, errno)))
        }
        Err(error) => Err(io_error("unlink", object, &error)),
    }
}

/// Whose a file is.
pub(crate) fn owner_of(about: &std::fs::Metadata) -> Owner {
    Owner { uid: about.uid(), gid: about.gid(), mode: about.mode() & 0o7777 }
}

/// An error of `std::io` as one of ours.
pub(crate) fn io_error(call: &'static str, object: &str, error: &std::io::Error) -> RegionError {
    let errno = error.raw_os_error().unwrap_or(libc::EIO);
    RegionError::Os { call, object: object.to_owned(), errno }
}

/// An error of `nix` as one of ours.
pub(crate) fn os(call: &'static str, object: &str, errno: Errno) -> RegionError {
    RegionError::Os { call, object: object.to_owned(), errno: errno as i32 }
}

fn no_space(name: &ObjectName, wanted: u64, errno: Errno) -> RegionError {
    let (free, limit) = match memory_limits().tightest() {
        Some((free, limit)) => (Some(free), limit),
        None => (None, "the system"),
    };
    let limit = limit.to_owned();
    RegionError::NoSpace { object: name.to_string(), wanted, free, limit, errno: errno as i32 }
}

fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}
