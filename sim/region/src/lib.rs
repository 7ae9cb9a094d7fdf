//! Named memory that processes share, a way to sleep on a word of it, and a lease that tells when
//! its holder died.
//!
//! | you want to | look at |
//! |---|---|
//! | make or open a shared object | [`Region::create`], [`Region::open`], [`ObjectName`], [`Access`] |
//! | lay integers over it | [`Region::word`], [`Region::view`], [`RegionLayout`] |
//! | move bytes in and out | [`SharedSlice`] |
//! | sleep until a word changes | [`Region::wait`], [`Region::wake`] |
//! | know whether the other side lives | [`Region::lease_held`], [`DeathWatch`] |
//! | find and remove what a killed process left | [`list_objects`], [`remove_leftover`] |
//! | wait for somebody else's object | [`wait_for_object`] |
//! | survive a peer that shrinks an object | [`install_truncation_guard`] |
//! | take access to bytes away, see who touches them | [`Region::set_access`], [`install_access_witness`] |
//! | know the room that is left | [`memory_limits`], [`usable_cpus`] |
//! | notice a fork | [`process_token`] |
//!
//! [`Backend`]s offer the same interface and are chosen at run time: `posix` (Linux: tmpfs objects,
//! futexes, open-file-description locks), `windows` (sections of the page file, named events) and
//! `portable` (the `shared_memory` crate, polling, lock files). Where they differ is said at
//! [`Backend`].
//!
//! # The laws of shared memory
//!
//! The other process is not trusted, and the compiler knows nothing of it. Hence:
//!
//! 1. **No reference to bytes.** `&[u8]` promises that the bytes stand still and `&mut [u8]` that
//!    nobody else looks; a peer keeps neither promise. Bytes are reached by copy, through
//!    [`SharedSlice`], or by a file descriptor.
//! 2. **Only atomic integers are referenced**, by [`Region::word`] and [`Region::view`]: a peer may
//!    store any value into them at any time, and any value is valid for them.
//! 3. **Copy, check, use.** A field is loaded once, the copy is checked, the copy is used. A field
//!    that is checked and loaded again has not been checked.
//! 4. **Nothing of this address space goes in**: no pointer, no handle, no lock of the standard
//!    library, no type with an invalid bit pattern.
//!
//! Two threads of one process that copy in and out of the same bytes at the same time are treated
//! like two processes: what comes out may be torn, and whoever reads it has to bear that.

mod access;
mod account;
mod arrival;
mod backend;
mod error;
mod fork;
mod guard;
mod identity;
mod lease;
mod leftovers;
mod limits;
mod name;
mod portable;
#[cfg(target_os = "linux")]
mod posix;
mod region;
mod slice;
mod watch;
#[cfg(windows)]
mod windows;

#[cfg(not(any(target_os = "linux", windows)))]
use portable::native;
#[cfg(target_os = "linux")]
use posix as native;
#[cfg(windows)]
use windows as native;

pub use access::{AccessFault, install_access_witness, page_size};
pub use account::account;
pub use arrival::wait_for_object;
pub use backend::Backend;
pub use error::RegionError;
pub use fork::process_token;
pub use guard::install_truncation_guard;
pub use identity::ProcessIdentity;
pub use lease::{Lease, LeaseRole};
pub use leftovers::{ObjectInfo, Removed, list_objects, remove_leftover};
pub use limits::{MemoryLimits, memory_limits, usable_cpus};
pub use name::ObjectName;
pub use region::{Access, Owner, Region, RegionLayout, Wait};
pub use slice::SharedSlice;
pub use watch::DeathWatch;
