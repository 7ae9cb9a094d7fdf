//! A name: one page that says which object it stands for, and the lock over both.
//!
//! The page exists for as long as anybody has an object of that name open, so that who removes the
//! name stores a 0 and who comes next stores another number. Everything is done under the lock, a
//! mutex whose holder may die over it: each change is one number.

use std::marker::PhantomData;
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::sync::atomic::{AtomicU32, Ordering};

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_INVALID_HANDLE, WAIT_ABANDONED, WAIT_OBJECT_0,
};
use windows_sys::Win32::System::Threading::{CreateMutexW, ReleaseMutex, WaitForSingleObject};

use super::accounts::Security;
use super::handle::{failed, is_absent, last, opened};
use super::names::Scope;
use super::section::Section;
use crate::{ObjectName, RegionError};

/// Nobody holds the lock for longer than a few calls.
const LOCK_PATIENCE_MS: u32 = 30_000;

/// A name, open.
#[derive(Debug)]
pub(crate) struct Entry {
    scope: Scope,
    section: Section,
    lock: OwnedHandle,
    name: ObjectName,
}

impl Entry {
    /// The name, made if it is not there: in the first of `scopes` in which this process may do that.
    pub(crate) fn make(
        name: &ObjectName,
        security: &Security,
        scopes: &[Scope],
    ) -> Result<Entry, RegionError> {
        let mut denied = None;
        for &scope in scopes {
            match Section::make(&scope.entry(name), size_of::<Content>(), security) {
                Ok(made) => return Entry::over(scope, made.into_handle(), name, security),
                // Refused to make one, or to open one that is there?
                Err(ERROR_ACCESS_DENIED) => match Section::open(&scope.entry(name)) {
                    Err(error) if is_absent(error) => denied = Some(ERROR_ACCESS_DENIED),
                    Err(error) => return Err(failed("CreateFileMapping", name.as_str(), error)),
                    Ok(handle) => return Entry::over(scope, handle, name, security),
                },
                // Something of another kind has it.
                Err(ERROR_INVALID_HANDLE) => {
                    return Err(RegionError::Exists { object: name.to_string() });
                }
                Err(error) => return Err(failed("CreateFileMapping", name.as_str(), error)),
            }
        }
        Err(failed("CreateFileMapping", name.as_str(), denied.unwrap_or(ERROR_ACCESS_DENIED)))
    }

    /// The name, if anybody has it open, in the widest scope that has it.
    pub(crate) fn open(name: &ObjectName) -> Result<Entry, RegionError> {
        for scope in Scope::ALL {
            match Section::open(&scope.entry(name)) {
                Ok(handle) => {
                    let entry = Entry::over(scope, handle, name, &Security::new(&[])?)?;
                    // A name without an object may be kept open by users of a removed one.
                    if entry.lock()?.current() != 0 || scope == Scope::Local {
                        return Ok(entry);
                    }
                }
                Err(error) if is_absent(error) => {}
                Err(error) => return Err(failed("OpenFileMapping", name.as_str(), error)),
            }
        }
        Err(RegionError::NotFound { object: name.to_string() })
    }

    fn over(
        scope: Scope,
        section: OwnedHandle,
        name: &ObjectName,
        security: &Security,
    ) -> Result<Entry, RegionError> {
        let section = Section::map(section, name.as_str())?;
        if section.len() < size_of::<Content>() {
            return Err(RegionError::NotAnObject { object: name.to_string() });
        }
        let (attributes, lock) = (security.attributes(), scope.lock(name));
        // SAFETY: the name ends in a zero, the attributes live through the call; it returns a handle
        // of ours or 0.
        let lock = opened(|| unsafe { CreateMutexW(&attributes, 0, lock.as_ptr()) })
            .map_err(|error| failed("CreateMutex", name.as_str(), error))?;
        Ok(Entry { scope, section, lock, name: name.clone() })
    }

    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }

    pub(crate) fn name(&self) -> &ObjectName {
        &self.name
    }

    /// Waits for the lock, and takes it also from a holder that died.
    pub(crate) fn lock(&self) -> Result<Locked<'_>, RegionError> {
        // SAFETY: the handle is open for as long as `self`. The wait is not alertable: no code of
        // the caller's runs on this thread meanwhile.
        match unsafe { WaitForSingleObject(self.lock.as_raw_handle(), LOCK_PATIENCE_MS) } {
            WAIT_OBJECT_0 | WAIT_ABANDONED => Ok(Locked { entry: self, _thread: PhantomData }),
            _ => Err(last("the wait for the lock", self.name.as_str())),
        }
    }

    fn content(&self) -> &Content {
        // SAFETY: `over` refuses sections that are shorter, views are aligned to 64 KiB, and atomic
        // integers are valid whatever a peer stores.
        unsafe { &*self.section.base().as_ptr().cast::<Content>() }
    }
}

/// What the page holds: the number of the object, 0 for none.
#[repr(C)]
struct Content {
    current: [AtomicU32; 2],
}

/// The lock, held by this thread.
#[derive(Debug)]
pub(crate) struct Locked<'e> {
    entry: &'e Entry,
    /// A mutex belongs to the thread that took it.
    _thread: PhantomData<*const ()>,
}

impl Locked<'_> {
    /// The object that the name stands for, 0 for none.
    pub(crate) fn current(&self) -> u64 {
        let [low, high] = &self.entry.content().current;
        u64::from(low.load(Ordering::Acquire)) | u64::from(high.load(Ordering::Acquire)) << 32
    }

    /// The object that the name stands for and that exists.
    pub(crate) fn object(&self) -> Result<Option<OwnedHandle>, RegionError> {
        match self.current() {
            0 => Ok(None),
            generation => match Section::open(&self.entry.scope.bytes(generation)) {
                Ok(handle) => Ok(Some(handle)),
                Err(error) if is_absent(error) => Ok(None),
                Err(error) => Err(failed("OpenFileMapping", self.entry.name.as_str(), error)),
            },
        }
    }

    /// Lets the name stand for another object.
    pub(crate) fn set(&self, generation: u64) {
        let [low, high] = &self.entry.content().current;
        // A death in between leaves a number that no object has.
        low.store(generation as u32, Ordering::Release);
        high.store((generation >> 32) as u32, Ordering::Release);
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and this thread owns the mutex: the type cannot change threads.
        unsafe { ReleaseMutex(self.entry.lock.as_raw_handle()) };
    }
}

/// Whether a name of that kind stands for an object in the scope that its creator did not take.
pub(crate) fn is_taken_elsewhere(name: &ObjectName, ours: Scope) -> Result<bool, RegionError> {
    let mut taken = false;
    for scope in Scope::ALL {
        // Session 0 has one folder for both.
        if scope == ours || scope.folder() == ours.folder() {
            continue;
        }
        if let Ok(handle) = Section::open(&scope.entry(name)) {
            let entry = Entry::over(scope, handle, name, &Security::new(&[])?)?;
            taken |= entry.lock()?.object()?.is_some();
        }
    }
    Ok(taken)
}

const _: () = assert!(size_of::<Content>() == 8);
