//! The `portable` backend (`object`, `folder`, with `registry` to keep names and leases), and what
//! a platform without a module of its own gets (`native`, which tests compile everywhere).

pub(crate) mod folder;
#[cfg(any(not(target_os = "linux"), test))]
#[cfg_attr(target_os = "linux", allow(dead_code, reason = "compiled for its tests only"))]
pub(crate) mod native;
pub(crate) mod object;
mod registry;
