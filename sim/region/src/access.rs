//! Taking access to a part of a region away, and hearing of whoever touches it all the same.

use crate::{Region, RegionError, native};

/// An access that the processor refused, as a signal handler sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessFault {
    /// The address that was accessed.
    pub address: usize,
    /// Whether it was a write; `None` where the processor's state does not tell.
    pub is_write: Option<bool>,
    /// The address of the instruction; 0 where the processor's state does not tell.
    pub instruction: usize,
}

/// The size of a page in bytes: what [`Region::set_access`] works in.
pub fn page_size() -> usize {
    native::access::page_size()
}

impl Region {
    /// Takes access to the bytes `offset .. offset + len` away from this process, or gives it back.
    /// Both ends must lie on page boundaries of a base that does ([`Region::base_alignment`]).
    ///
    /// An access to what was taken away is refused by the processor and ends the process, unless a
    /// handler of its own goes on; the system's calls return an error (EFAULT) instead. Other
    /// processes keep their access.
    ///
    /// Errors: [`RegionError::OutOfBounds`], [`RegionError::Misaligned`], [`RegionError::Os`], also
    /// on platforms on which access cannot be taken away.
    pub fn set_access(
        &self,
        offset: usize,
        len: usize,
        accessible: bool,
    ) -> Result<(), RegionError> {
        let place = self.slice(offset, len)?.as_mut_ptr();
        let page = page_size();
        if !place.addr().is_multiple_of(page) || !len.is_multiple_of(page) {
            return Err(RegionError::Misaligned { offset, alignment: page });
        }
        native::access::set(place, len, accessible).map_err(|errno| RegionError::Os {
            call: native::access::CALL,
            object: self.name().to_string(),
            errno,
        })
    }
}

/// Has `witness` told of every access that the processor refuses in this process, on the thread that
/// tried it; what would have happened without the witness happens afterwards. The first call counts.
///
/// It changes the process' handling of signals (SIGSEGV and SIGBUS) or exceptions (a vectored
/// handler, for which the module that this code is in stays loaded), so that it is for programs under
/// test. On other platforms nothing is witnessed.
///
/// # Safety
/// `witness` runs in that handler, at any instruction of any thread: it must do nothing that is
/// not async-signal-safe, which excludes allocating, blocking locks, and panics.
pub unsafe fn install_access_witness(witness: fn(&AccessFault)) {
    native::access::install(witness);
}
