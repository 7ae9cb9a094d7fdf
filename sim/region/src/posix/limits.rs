//! stub
use crate::MemoryLimits;
/// The error number for no room.
pub(crate) const ENOSPC: i32 = libc::ENOSPC;
pub(crate) fn page_size() -> usize {
    4096
}
pub(crate) fn memory_limits() -> MemoryLimits {
    MemoryLimits::default()
}
