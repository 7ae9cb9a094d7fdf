//! The region itself: mapped memory with a name, and everything that is checked about it.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::backend::Twin;
use crate::{
    Backend, Lease, LeaseRole, ObjectName, RegionError, SharedSlice, memory_limits, native,
    portable,
};

/// Who may open an object. Others than its user and group never may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Mode 0660 less the umask of the process, and the process' group.
    Creator,
    /// Mode 0660 whatever the umask, and this group.
    Group(u32),
}

/// Whom an object belongs to, and its permission bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits, e.g. `0o660`.
    pub mode: u32,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Owner { uid, gid, mode } = self;
        write!(f, "user {uid}, group {gid}, mode {mode:04o}")
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Woken, or the word differs, or for no reason at all: look at the word again.
    Woken,
    /// The time is over.
    TimedOut,
}

/// A type that may be laid over shared memory.
///
/// # Safety
///
/// The type is `repr(C)` or `repr(transparent)` and made of `AtomicU32` and arrays or structures of
/// it, and of nothing else: whatever a peer stores, each value stays valid, and each access is
/// atomic.
pub unsafe trait RegionLayout: Sized + Sync {}

// SAFETY: it is the AtomicU32 that the trait speaks of.
unsafe impl RegionLayout for AtomicU32 {}
// SAFETY: an array has the layout of its elements one after the other, and they qualify.
unsafe impl<T: RegionLayout, const N: usize> RegionLayout for [T; N] {}

/// What carries the region.
#[derive(Debug)]
enum Backing {
    Native(native::object::Object),
    Portable(portable::object::Object),
}

/// Runs the same expression on whichever object carries the region.
macro_rules! on_object {
    ($backing:expr, $object:ident => $body:expr) => {
        match &$backing {
            Backing::Native($object) => $body,
            Backing::Portable($object) => $body,
        }
    };
}

/// Shared memory with a name, mapped into this process for as long as this value lives.
///
/// Dropping it unmaps the memory and gives its leases back; the name stays until
/// [`Region::unlink`]. In a forked child it is of no use: compare [`process_token`](crate::process_token).
pub struct Region {
    base: NonNull<u8>,
    len: usize,
    name: ObjectName,
    // Fields drop in order: the guard forgets the addresses before they are unmapped.
    watched: native::guard::Watched,
    backing: Backing,
}

// SAFETY: `base` points to memory that lives as long as the region (`backing` owns the mapping) and
// that is reached only through atomics and raw copies; both objects are themselves usable from any
// thread.
unsafe impl Send for Region {}
// SAFETY: as for Send; no method of a shared region changes anything but atomics and kernel objects.
unsafe impl Sync for Region {}

impl Region {
    /// Makes an object of at least `len` bytes, zeroed and present in memory, lets `init` fill it,
    /// takes the creator's lease and only then gives it its name: nobody ever opens half of it.
    ///
    /// Errors: [`RegionError::Exists`] if the name is taken, [`RegionError::NoSpace`] if there is no
    /// room now (there is no SIGBUS later), [`RegionError::Denied`] if the group may not be set, and
    /// whatever `init` returns; in every case nothing is left behind.
    pub fn create(
        backend: Backend,
        name: &ObjectName,
        len: usize,
        access: Access,
        init: impl FnOnce(&Region) -> Result<(), RegionError>,
    ) -> Result<Region, RegionError> {
        if len == 0 {
            return Err(RegionError::Empty { object: name.to_string() });
        }
        check_room(name, len)?;
        let backing = match backend.twin()? {
            Twin::Native => Backing::Native(native::object::Object::build(name, len, access)?),
            Twin::Portable => {
                Backing::Portable(portable::object::Object::build(name, len, access)?)
            }
        };
        let region = Region::over(name, backing);
        init(&region)?;
        match region.take_lease(LeaseRole::Creator)? {
            Lease::Taken => {}
            // Nobody can hold a lease on what has no name yet, but `init` could have forked.
            Lease::HeldByAnother => return Err(RegionError::Exists { object: name.to_string() }),
        }
        on_object!(region.backing, object => object.publish())?;
        Ok(region)
    }

    /// Maps the object of that name. Never makes one.
    pub fn open(backend: Backend, name: &ObjectName) -> Result<Region, RegionError> {
        let backing = match backend.twin()? {
            Twin::Native => Backing::Native(native::object::Object::open(name)?),
            Twin::Portable => Backing::Portable(portable::object::Object::open(name)?),
        };
        Ok(Region::over(name, backing))
    }

    fn over(name: &ObjectName, backing: Backing) -> Region {
        let (base, len) = on_object!(backing, object => (object.base(), object.len()));
        let watched = native::guard::Watched::new(base.as_ptr() as usize, len);
        Region { base, len, name: name.clone(), watched, backing }
    }

    /// The backend that carries this region.
    pub fn backend(&self) -> Backend {
        match self.backing {
            Backing::Native(_) => Backend::platform_default(),
            Backing::Portable(_) => Backend::Portable,
        }
    }

    /// The object's name.
    pub fn name(&self) -> &ObjectName {
        &self.name
    }

    /// Bytes mapped: what was asked for at [`Region::create`], possibly rounded up to pages.
    #[allow(clippy::len_without_is_empty, reason = "a region is never empty")]
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Address of the first byte in this process.
    #[inline]
    pub fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// What [`Region::base`] is a multiple of in every process that maps the object, in bytes.
    pub fn base_alignment(&self) -> usize {
        on_object!(self.backing, object => object.base_alignment())
    }

    /// The integer at byte `offset`, which must be a multiple of 4.
    #[inline]
    pub fn word(&self, offset: usize) -> Result<&AtomicU32, RegionError> {
        self.view(offset)
    }

    /// A structure of integers at byte `offset`.
    #[inline]
    pub fn view<T: RegionLayout>(&self, offset: usize) -> Result<&T, RegionError> {
        let place = self.place(offset, size_of::<T>(), align_of::<T>())?;
        // SAFETY: `place` checked that the bytes lie in the mapping, which lives as long as `self`,
        // and that they are aligned; RegionLayout promises that any bytes are a valid T and that T
        // is accessed by atomics alone, so that a peer's stores are no data race.
        Ok(unsafe { &*place.cast::<T>() })
    }

    /// `count` structures of integers, one after the other, from byte `offset` on.
    #[inline]
    #[expect(clippy::disallowed_methods, reason = "a RegionLayout is atomics all through")]
    pub fn view_slice<T: RegionLayout>(
        &self,
        offset: usize,
        count: usize,
    ) -> Result<&[T], RegionError> {
        // A product that does not fit is as much out of bounds as any.
        let len = size_of::<T>().saturating_mul(count);
        let place = self.place(offset, len, align_of::<T>())?;
        // SAFETY: as in `view`, for `count` elements whose bytes were all checked.
        Ok(unsafe { std::slice::from_raw_parts(place.cast::<T>(), count) })
    }

    /// The bytes `offset .. offset + len`.
    #[inline]
    pub fn slice(&self, offset: usize, len: usize) -> Result<SharedSlice<'_>, RegionError> {
        let place = self.place(offset, len, 1)?;
        Ok(SharedSlice { base: place, len, region: PhantomData })
    }

    /// The address of `len` bytes at `offset`, if they are inside and aligned.
    #[inline]
    fn place(&self, offset: usize, len: usize, align: usize) -> Result<*mut u8, RegionError> {
        if offset > self.len || len > self.len - offset {
            return Err(RegionError::OutOfBounds { offset, len, region_len: self.len });
        }
        // The base is page-aligned and no type here is aligned to more, so that the offset decides;
        // the address is asked all the same, because soundness hangs on it.
        // SAFETY: offset <= len of the mapping, checked above.
        let place = unsafe { self.base.as_ptr().add(offset) };
        if !(place as usize).is_multiple_of(align) {
            return Err(RegionError::Misaligned { offset, alignment: align });
        }
        Ok(place)
    }

    /// Sleeps while `word` is `expected`, until somebody calls [`Region::wake`] on it in any
    /// process, or `timeout` is over (`None`: no limit). Returns at once if the word differs.
    ///
    /// May return [`Wait::Woken`] for no reason. A signal handler that runs meanwhile does not end
    /// the wait and does not lengthen it. Nothing wakes the wait when the waker dies: see
    /// [`DeathWatch`](crate::DeathWatch).
    ///
    /// Errors: [`RegionError::ForeignWord`], [`RegionError::Truncated`].
    pub fn wait(
        &self,
        word: &AtomicU32,
        expected: u32,
        timeout: Option<Duration>,
    ) -> Result<Wait, RegionError> {
        let address = word as *const AtomicU32 as usize;
        if address.wrapping_sub(self.base.as_ptr() as usize) >= self.len {
            return Err(RegionError::ForeignWord { address, object: self.name.to_string() });
        }
        if word.load(Ordering::Acquire) != expected {
            return Ok(Wait::Woken);
        }
        if self.is_truncated() {
            return Err(RegionError::Truncated { object: self.name.to_string() });
        }
        on_object!(self.backing, object => object.wait(word, expected, timeout))
    }

    /// Wakes at most `count` of those who sleep on `word` in any process. Costs a system call: call
    /// it only when somebody sleeps.
    #[inline]
    pub fn wake(&self, word: &AtomicU32, count: u32) {
        on_object!(self.backing, object => object.wake(word, count));
    }

    /// Takes a lease, without waiting. It is given back by [`Region::release_lease`], by dropping
    /// the region, or by the kernel when this process ends.
    pub fn take_lease(&self, role: LeaseRole) -> Result<Lease, RegionError> {
        on_object!(self.backing, object => object.leases().take(role))
    }

    /// Gives a lease back; nothing happens if this region does not hold it, or in a forked child.
    pub fn release_lease(&self, role: LeaseRole) -> Result<(), RegionError> {
        on_object!(self.backing, object => object.leases().release(role))
    }

    /// Whether anybody but this region holds the lease.
    pub fn lease_held(&self, role: LeaseRole) -> Result<bool, RegionError> {
        on_object!(self.backing, object => object.leases().held(role))
    }

    /// The size of the object now, in bytes: less than [`Region::len`] if a peer cut it.
    pub fn object_size(&self) -> Result<u64, RegionError> {
        on_object!(self.backing, object => object.object_size())
    }

    /// Whether this process touched bytes that a peer had cut away, and survived by
    /// [`install_truncation_guard`](crate::install_truncation_guard).
    #[inline]
    pub fn is_truncated(&self) -> bool {
        self.watched.is_truncated()
    }

    /// Whom the object belonged to when it was made or opened here.
    pub fn owner(&self) -> Owner {
        on_object!(self.backing, object => object.owner())
    }

    /// Removes the name, if it still stands for this very object; who has it mapped keeps it.
    pub fn unlink(&self) -> Result<(), RegionError> {
        on_object!(self.backing, object => object.unlink())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("backend", &self.backend())
            .field("name", &self.name.as_str())
            .field("base", &self.base)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// Refuses what cannot fit, before anything is taken.
fn check_room(name: &ObjectName, len: usize) -> Result<(), RegionError> {
    match memory_limits().tightest() {
        Some((free, limit)) if free < len as u64 => Err(RegionError::NoSpace {
            object: name.to_string(),
            wanted: len as u64,
            free: Some(free),
            limit: limit.to_owned(),
            errno: native::limits::ENOSPC,
        }),
        _ => Ok(()),
    }
}
