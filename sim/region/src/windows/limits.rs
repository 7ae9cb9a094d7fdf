//! Room left: what the system may still commit.

use windows_sys::Win32::Foundation::ERROR_COMMITMENT_LIMIT;
use windows_sys::Win32::System::SystemInformation::{GlobalMemoryStatusEx, MEMORYSTATUSEX};

use crate::MemoryLimits;

/// The error number for "no room".
pub(crate) const ENOSPC: i32 = ERROR_COMMITMENT_LIMIT.cast_signed();

/// What bounds the objects, for a user.
pub(crate) const SHM_LIMIT: &str = "memory and the page file";

/// See [`crate::memory_limits`].
pub(crate) fn memory_limits() -> MemoryLimits {
    let mut status = MEMORYSTATUSEX {
        dwLength: size_of::<MEMORYSTATUSEX>() as u32,
        ..MEMORYSTATUSEX::default()
    };
    // SAFETY: the structure says its own length.
    let done = unsafe { GlobalMemoryStatusEx(&mut status) };
    // Wine answers with zeroes to two first callers at once.
    let known = done != 0 && status.ullTotalPageFile > 0;
    MemoryLimits { shm_free: known.then_some(status.ullAvailPageFile), cgroup_free: None }
}
