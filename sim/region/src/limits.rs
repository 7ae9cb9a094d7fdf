//! How much room is left on this machine.

use crate::native;

/// Bytes of shared memory that can still be had, limit by limit; `None` where there is no such
/// limit or it cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Free bytes of the file system that holds the objects; on Windows, of memory and page file.
    pub shm_free: Option<u64>,
    /// Bytes until the tightest memory limit of the control groups this process is in; page cache
    /// that the kernel can drop counts as free.
    pub cgroup_free: Option<u64>,
}

impl MemoryLimits {
    /// The tightest limit and its name for a user.
    pub fn tightest(&self) -> Option<(u64, &'static str)> {
        let shm = self.shm_free.map(|free| (free, native::limits::SHM_LIMIT));
        let cgroup = self.cgroup_free.map(|free| (free, "the memory limit of the control group"));
        [shm, cgroup].into_iter().flatten().min_by_key(|(free, _)| *free)
    }
}

/// Looks at the limits now.
pub fn memory_limits() -> MemoryLimits {
    native::limits::memory_limits()
}

/// The number of CPUs this process may use at once: affinity and CPU quota count; at least 1.
pub fn usable_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
