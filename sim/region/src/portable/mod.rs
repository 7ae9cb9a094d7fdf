//! The `portable` backend (`object`, `folder`, with `registry` to keep names and leases), and what
//! a platform without a module of its own gets (`native`, which tests compile everywhere).

pub(crate) mod folder;
#[cfg(any(not(target_os = "linux"), test))]
#[cfg_attr(
    any(target_os = "linux", windows),
    allow(dead_code, unused_imports, reason = "used in part, the rest is compiled for its tests")
)]
pub(crate) mod native;
pub(crate) mod object;
mod registry;
