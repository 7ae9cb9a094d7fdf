//! Leases as kernel objects that exist for as long as somebody holds them.
//!
//! Whoever makes the object of that name holds the lease, and the kernel removes the object with the
//! last handle, which is that of the holder: also when it is killed. (An owned mutex would do the
//! same for a thread, and a lease belongs to a process: it must not end with the thread that took
//! it.) To ask for a lease opens the object for a moment, so that all is done under the name's lock.

use std::os::windows::io::OwnedHandle;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use windows_sys::Win32::System::Threading::{CreateEventW, EVENT_MODIFY_STATE, OpenEventW};

use super::accounts::Security;
use super::entry::Entry;
use super::handle::{Made, failed, is_absent, made, opened};
use crate::{Lease, LeaseRole, RegionError};

/// The leases of one object that are held through one region.
#[derive(Debug)]
pub(crate) struct Leases {
    entry: Arc<Entry>,
    generation: u64,
    security: Arc<Security>,
    held: Mutex<[Option<OwnedHandle>; 2]>,
}

impl Leases {
    pub(crate) fn new(entry: Arc<Entry>, generation: u64, security: Arc<Security>) -> Leases {
        Leases { entry, generation, security, held: Mutex::new([None, None]) }
    }

    pub(crate) fn take(&self, role: LeaseRole) -> Result<Lease, RegionError> {
        let mut held = self.held_here();
        if held[role as usize].is_some() {
            return Ok(Lease::Taken);
        }
        let name = self.entry.scope().lease(self.generation, role);
        let attributes = self.security.attributes();
        let _lock = self.entry.lock()?;
        // SAFETY: the name ends in a zero, the attributes live through the call; it returns a handle
        // of ours or 0.
        match made(|| unsafe { CreateEventW(&attributes, 1, 0, name.as_ptr()) }) {
            Ok(Made::New(handle)) => {
                held[role as usize] = Some(handle);
                Ok(Lease::Taken)
            }
            Ok(Made::Existing(_)) => Ok(Lease::HeldByAnother),
            Err(error) => Err(failed("CreateEvent", self.entry.name().as_str(), error)),
        }
    }

    pub(crate) fn release(&self, role: LeaseRole) -> Result<(), RegionError> {
        self.held_here()[role as usize] = None;
        Ok(())
    }

    pub(crate) fn held(&self, role: LeaseRole) -> Result<bool, RegionError> {
        let held = self.held_here();
        if held[role as usize].is_some() {
            return Ok(false);
        }
        let name = self.entry.scope().lease(self.generation, role);
        let _lock = self.entry.lock()?;
        // SAFETY: the name ends in a zero; the call returns a handle of ours or 0.
        match opened(|| unsafe { OpenEventW(EVENT_MODIFY_STATE, 0, name.as_ptr()) }) {
            Ok(_exists) => Ok(true),
            Err(error) if is_absent(error) => Ok(false),
            Err(error) => Err(failed("OpenEvent", self.entry.name().as_str(), error)),
        }
    }

    fn held_here(&self) -> MutexGuard<'_, [Option<OwnedHandle>; 2]> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
