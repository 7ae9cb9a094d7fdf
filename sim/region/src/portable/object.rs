//! One object of the `shared_memory` crate, with a header page of our own before the caller's bytes.
//!
//! The crate names an object before it has a size, so that an opener may meet it at any stage. The
//! header's state word is therefore written last, and an object without it is not ready. While it is
//! built its name belongs to whoever holds the creator's lock.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crossbeam::utils::Backoff;
use shared_memory::{Shmem, ShmemConf, ShmemError};

use super::registry::{Entry, Leases, os_name, user_id};
use crate::{Access, Lease, LeaseRole, ObjectName, Owner, RegionError, Wait, native};

/// Before the caller's bytes; as much as the largest page or mapping granularity of any platform,
/// so that they are aligned like the mapping. Pages never touched take no memory.
const HEADER_LEN: usize = 64 << 10;
/// The least alignment of a mapping on any platform.
const BASE_ALIGNMENT: usize = 4096;
const MAGIC: u32 = u32::from_le_bytes(*b"vdiP");
const LAYOUT_VERSION: u32 = 1;
const READY: u32 = 1;
/// The longest sleep between two looks at a word.
const LONGEST_SLEEP: Duration = Duration::from_millis(1);

/// The first bytes of an object. Nothing in it is believed: it is copied and checked.
#[repr(C)]
struct Header {
    magic: AtomicU32,
    version: AtomicU32,
    state: AtomicU32,
    user: AtomicU32,
    len: [AtomicU32; 2],
    generation: [AtomicU32; 2],
}

const _: () = assert!(size_of::<Header>() == 32 && align_of::<Header>() == 4);

fn store(words: &[AtomicU32; 2], value: u64) {
    words[0].store(value as u32, Ordering::Relaxed);
    words[1].store((value >> 32) as u32, Ordering::Relaxed);
}

fn load(words: &[AtomicU32; 2]) -> u64 {
    u64::from(words[0].load(Ordering::Relaxed)) | u64::from(words[1].load(Ordering::Relaxed)) << 32
}

/// The crate's mapping, which its raw pointer keeps from being sent.
struct Mapping(Shmem);

// SAFETY: the pointer in it leads to memory mapped for as long as it lives, and dropping it from any
// thread does plain system calls; nothing in it is changed through a shared reference.
unsafe impl Send for Mapping {}
// SAFETY: as for Send.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn header(&self) -> &Header {
        // SAFETY: `open` and `build` refuse mappings shorter than HEADER_LEN; mappings are aligned
        // to pages; the header is all AtomicU32, for which any bytes are valid.
        unsafe { &*self.0.as_ptr().cast::<Header>() }
    }
}

/// An object that is open and mapped.
pub(crate) struct Object {
    mapping: Mapping,
    len: usize,
    entry: Entry,
    leases: Leases,
    /// Made here and not finished: goes away again when dropped.
    unfinished: AtomicBool,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl Object {
    /// An object that nobody can open yet. The crate cannot set its access rights.
    pub(crate) fn build(
        name: &ObjectName,
        len: usize,
        _access: Access,
    ) -> Result<Object, RegionError> {
        let total = len.checked_add(HEADER_LEN).filter(|total| isize::try_from(*total).is_ok());
        let Some(total) = total else {
            return Err(os_error("ftruncate", name, ShmemError::MapSizeZero));
        };
        let exists = || RegionError::Exists { object: name.to_string() };
        let leases = own_name(name)?.ok_or_else(exists)?;
        let entry = Entry { name: name.clone(), len: len as u64, generation: random() };
        // Whatever stage we are killed at, the registry knows the name; but what an earlier owner
        // left there stays until its object is gone.
        match leases.entry() {
            Some(earlier) if is_there(&earlier) => return Err(exists()),
            Some(_) => {}
            None => leases.write_entry(&entry)?,
        }
        let mut memory = ShmemConf::new().os_id(os_id(&entry)).size(total).create().map_err(
            |error| match error {
                ShmemError::MappingIdExists => exists(),
                error => {
                    leases.remove();
                    os_error("shm_open", name, error)
                }
            },
        )?;
        memory.set_owner(false);
        let object = Object {
            mapping: Mapping(memory),
            len,
            entry,
            leases,
            unfinished: AtomicBool::new(true),
        };
        object.leases.write_entry(&object.entry)?;
        let header = object.mapping.header();
        header.magic.store(MAGIC, Ordering::Relaxed);
        header.version.store(LAYOUT_VERSION, Ordering::Relaxed);
        header.user.store(user_id(), Ordering::Relaxed);
        store(&header.len, len as u64);
        store(&header.generation, object.entry.generation);
        object.touch();
        Ok(object)
    }

    /// Pays for every page now. (If somebody else takes the space between the look at what is free
    /// and here, this is where SIGBUS comes: the crate gives no descriptor to reserve it with.)
    fn touch(&self) {
        for offset in (0..self.len).step_by(BASE_ALIGNMENT) {
            // SAFETY: offset < len, the caller's bytes, which nobody else has opened yet.
            unsafe { self.base().as_ptr().add(offset).write_volatile(0) };
        }
    }

    /// The finished object of that name.
    pub(crate) fn open(name: &ObjectName) -> Result<Object, RegionError> {
        let not_ready = || RegionError::NotReady { object: name.to_string() };
        let mut memory =
            ShmemConf::new().os_id(os_id(&listed(name)?)).open().map_err(|error| match error {
                // Named and without a size yet.
                ShmemError::MapOpenFailed(errno) if errno as i32 == memory::EMPTY => not_ready(),
                error => os_error("shm_open", name, error),
            })?;
        memory.set_owner(false);
        if memory.len() <= HEADER_LEN {
            return Err(RegionError::NotAnObject { object: os_name(name) });
        }
        let mapping = Mapping(memory);
        let header = mapping.header();
        if header.state.load(Ordering::Acquire) != READY {
            return Err(not_ready());
        }
        let known = header.magic.load(Ordering::Relaxed) == MAGIC;
        let version = header.version.load(Ordering::Relaxed);
        if known && version != LAYOUT_VERSION {
            return Err(RegionError::OtherLayout {
                object: name.to_string(),
                found: version,
                expected: LAYOUT_VERSION,
            });
        }
        let len = usize::try_from(load(&header.len)).unwrap_or(usize::MAX);
        let (generation, user) = (load(&header.generation), header.user.load(Ordering::Relaxed));
        if !known || len == 0 || len > mapping.0.len() - HEADER_LEN {
            return Err(RegionError::NotAnObject { object: os_name(name) });
        }
        let leases = Leases::open(user, name, false)?;
        let entry = Entry { name: name.clone(), len: len as u64, generation };
        // The files of the object's successor: ours is being removed.
        if leases.entry().as_ref() != Some(&entry) {
            return Err(RegionError::NotFound { object: name.to_string() });
        }
        Ok(Object { mapping, len, entry, leases, unfinished: AtomicBool::new(false) })
    }

    /// Lets others open the object.
    pub(crate) fn publish(&self) -> Result<(), RegionError> {
        self.unfinished.store(false, Ordering::Relaxed);
        self.mapping.header().state.store(READY, Ordering::Release);
        Ok(())
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        // SAFETY: a mapping is longer than its header, checked when it was made.
        let base = unsafe { self.mapping.0.as_ptr().add(HEADER_LEN) };
        NonNull::new(base).expect("a mapping is never at address 0")
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn base_alignment(&self) -> usize {
        BASE_ALIGNMENT
    }

    pub(crate) fn owner(&self) -> Owner {
        self.leases.owner()
    }

    /// The size it had when it was mapped: the crate cannot ask again.
    pub(crate) fn object_size(&self) -> Result<u64, RegionError> {
        Ok(self.len as u64)
    }

    pub(crate) fn unlink(&self) -> Result<(), RegionError> {
        // Without the creator's lock somebody could be reusing the name; if another holds it, that
        // is the creator of this very object, or the generation says that it is a later one.
        let held_before = self.leases.holds(LeaseRole::Creator);
        let _either_will_do = self.leases.take(LeaseRole::Creator)?;
        let ours = self.leases.is_named() && self.leases.entry().as_ref() == Some(&self.entry);
        let removed = if ours { remove(&self.entry, &self.leases) } else { Ok(()) };
        if !held_before {
            self.leases.release(LeaseRole::Creator)?;
        }
        removed
    }

    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Looks at the word again and again, ever less often.
    pub(crate) fn wait(
        &self,
        word: &AtomicU32,
        expected: u32,
        timeout: Option<Duration>,
    ) -> Result<Wait, RegionError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let backoff = Backoff::new();
        let mut sleep = Duration::from_micros(50);
        loop {
            if word.load(Ordering::Acquire) != expected {
                return Ok(Wait::Woken);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Wait::TimedOut);
            }
            if !backoff.is_completed() {
                backoff.snooze();
                continue;
            }
            native::rest(left.map_or(sleep, |left| left.min(sleep)));
            sleep = (sleep * 2).min(LONGEST_SLEEP);
        }
    }

    /// Sleepers look by themselves.
    pub(crate) fn wake(&self, _word: &AtomicU32, _count: u32) {}
}

impl Drop for Object {
    fn drop(&mut self) {
        if self.unfinished.load(Ordering::Relaxed)
            && !self.leases.is_forked()
            && let Err(error) = remove(&self.entry, &self.leases)
        {
            tracing::warn!(%error, "an unfinished object stays behind");
        }
    }
}

/// Makes the name ours by its lock; `None` if its owner lives.
fn own_name(name: &ObjectName) -> Result<Option<Leases>, RegionError> {
    loop {
        let leases = Leases::open(user_id(), name, true)?;
        match leases.take(LeaseRole::Creator)? {
            Lease::HeldByAnother => return Ok(None),
            Lease::Taken if leases.is_named() => return Ok(Some(leases)),
            // Its last owner removed the file between our open and our lock.
            Lease::Taken => {}
        }
    }
}

/// Removes an object and its lock files; the creator's lock must be held.
pub(super) fn remove(entry: &Entry, leases: &Leases) -> Result<(), RegionError> {
    memory::remove(entry)?;
    leases.remove();
    Ok(())
}

#[cfg(unix)]
mod memory {
    //! The memory has the object's name, and goes at once when that is removed.

    use nix::errno::Errno;

    use super::{ObjectName, RegionError, denied};
    use crate::portable::registry::{Entry, os_name};

    /// The system's number for a mapping of no bytes, which an object is before it has a size.
    pub(super) const EMPTY: i32 = libc::EINVAL;
    pub(super) const ABSENT: i32 = libc::ENOENT;
    pub(super) const DENIED: i32 = libc::EACCES;
    pub(super) const FULL: i32 = libc::ENOSPC;

    /// The name that the crate wants.
    pub(super) fn os_id(entry: &Entry) -> String {
        format!("/{}", os_name(&entry.name))
    }

    /// All of the entry that [`os_id`] needs.
    pub(super) fn listed(name: &ObjectName) -> Result<Entry, RegionError> {
        Ok(Entry { name: name.clone(), len: 0, generation: 0 })
    }

    /// Whether the name is taken; the making of it tells.
    pub(super) fn is_there(_entry: &Entry) -> bool {
        false
    }

    /// The crate removes only what it can map, and an object without a size cannot be mapped.
    pub(super) fn remove(entry: &Entry) -> Result<(), RegionError> {
        match nix::sys::mman::shm_unlink(os_id(entry).as_str()) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(Errno::EACCES | Errno::EPERM) => Err(denied("remove", &entry.name)),
            Err(errno) => {
                let object = entry.name.to_string();
                Err(RegionError::Os { call: "shm_unlink", object, errno: errno as i32 })
            }
        }
    }
}

#[cfg(windows)]
mod memory {
    //! Memory keeps its name for as long as anybody has it open: so it is called by the object's
    //! generation, and the registry says which is the name's.

    use shared_memory::ShmemConf;
    use windows_sys::Win32::Foundation::{
        ERROR_ACCESS_DENIED, ERROR_DISK_FULL, ERROR_FILE_INVALID, ERROR_FILE_NOT_FOUND,
    };

    use super::{ObjectName, RegionError};
    use crate::portable::registry::{self, Entry, os_name};

    pub(super) const EMPTY: i32 = ERROR_FILE_INVALID.cast_signed();
    pub(super) const ABSENT: i32 = ERROR_FILE_NOT_FOUND.cast_signed();
    pub(super) const DENIED: i32 = ERROR_ACCESS_DENIED.cast_signed();
    pub(super) const FULL: i32 = ERROR_DISK_FULL.cast_signed();

    pub(super) fn os_id(entry: &Entry) -> String {
        format!("{}-{:016x}", os_name(&entry.name), entry.generation)
    }

    /// The entry of that name.
    pub(super) fn listed(name: &ObjectName) -> Result<Entry, RegionError> {
        registry::entry_of(name).ok_or_else(|| RegionError::NotFound { object: name.to_string() })
    }

    /// Whether the memory that an entry speaks of exists.
    pub(super) fn is_there(entry: &Entry) -> bool {
        ShmemConf::new().os_id(os_id(entry)).open().is_ok()
    }

    /// What cannot be opened is not there.
    pub(super) fn remove(entry: &Entry) -> Result<(), RegionError> {
        if let Ok(mut memory) = ShmemConf::new().os_id(os_id(entry)).open() {
            memory.set_owner(true);
        }
        Ok(())
    }
}

use memory::{is_there, listed, os_id};

fn os_error(call: &'static str, name: &ObjectName, error: ShmemError) -> RegionError {
    let object = name.to_string();
    let errno = match error {
        ShmemError::MapCreateFailed(errno)
        | ShmemError::MapOpenFailed(errno)
        | ShmemError::UnknownOsError(errno) => errno as i32,
        _ => memory::EMPTY,
    };
    match errno {
        memory::ABSENT => RegionError::NotFound { object },
        memory::DENIED => denied("open", name),
        memory::FULL => RegionError::NoSpace {
            object,
            wanted: 0,
            free: None,
            limit: "the system".to_owned(),
            errno,
        },
        _ => RegionError::Os { call, object, errno },
    }
}

fn denied(action: &'static str, name: &ObjectName) -> RegionError {
    RegionError::Denied {
        action,
        object: name.to_string(),
        owner: None,
        remedy: "run as the user that made it; the portable backend cannot share it with others"
            .to_owned(),
        errno: memory::DENIED,
    }
}

/// A number unlike any other: the standard library seeds its hashers from the system's randomness.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one((std::process::id(), std::time::SystemTime::now()))
}
