//! Leases as open-file-description locks on single bytes of an object's file.
//!
//! Unlike the older record locks they belong to the open file and not to the process, so that two
//! regions of one process exclude each other, and closing another descriptor of the file gives
//! nothing away. A forked child shares the open file: it must not unlock, and it keeps alive what its
//! parent does not unlock explicitly. So does, for a moment, the child that is about to become
//! another program; therefore nothing here is left to the closing of the file.

use std::fs::File;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use super::object::os;
use crate::{Lease, LeaseRole, RegionError, process_token};

/// An object's open file, and the leases that are held through it.
#[derive(Debug)]
pub(crate) struct Leases {
    file: File,
    object: String,
    token: u32,
}

impl Leases {
    /// No leases yet, on an object that errors call by that name.
    pub(crate) fn on(file: File, object: &str) -> Leases {
        Leases { file, object: object.to_owned(), token: process_token() }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn take(&self, role: LeaseRole) -> Result<Lease, RegionError> {
        match fcntl(&self.file, FcntlArg::F_OFD_SETLK(&lock_of(role, libc::F_WRLCK))) {
            Ok(_) => Ok(Lease::Taken),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(Lease::HeldByAnother),
            Err(errno) => Err(os("fcntl(F_OFD_SETLK)", &self.object, errno)),
        }
    }

    pub(crate) fn release(&self, role: LeaseRole) -> Result<(), RegionError> {
        if self.token != process_token() {
            return Ok(());
        }
        fcntl(&self.file, FcntlArg::F_OFD_SETLK(&lock_of(role, libc::F_UNLCK)))
            .map(drop)
            .map_err(|errno| os("fcntl(F_OFD_SETLK)", &self.object, errno))
    }

    /// Whether another open file holds it.
    pub(crate) fn held(&self, role: LeaseRole) -> Result<bool, RegionError> {
        let mut lock = lock_of(role, libc::F_WRLCK);
        fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut lock))
            .map_err(|errno| os("fcntl(F_OFD_GETLK)", &self.object, errno))?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        for role in [LeaseRole::Creator, LeaseRole::Attacher] {
            if let Err(error) = self.release(role) {
                tracing::debug!(%error, "a lease is left to the closing of its file");
            }
        }
    }
}

/// The byte of the object that stands for a role.
fn lock_of(role: LeaseRole, kind: i32) -> libc::flock {
    let start = match role {
        LeaseRole::Creator => 0,
        LeaseRole::Attacher => 1,
    };
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: 1,
        l_pid: 0,
    }
}
