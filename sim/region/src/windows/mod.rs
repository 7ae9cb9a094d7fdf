//! Windows: the `windows` backend (`object`, `folder`) and what the platform offers besides.
//!
//! A section of the page file has a name for as long as a process has it open, and nobody can take
//! that name away. So a name of ours is a section of its own, one page with the number of the object
//! it stands for (`entry`), and everything that belongs to an object is called by that number.

pub(crate) mod access;
pub(crate) mod accounts;
pub(crate) mod death;
mod entry;
pub(crate) mod folder;
mod handle;
pub(crate) mod identity;
mod leases;
pub(crate) mod limits;
mod names;
pub(crate) mod object;
mod rest;
mod section;
mod sleepers;
pub(crate) mod transfer;

pub(crate) use self::rest::rest;
// There is no fork, and a section cannot be cut.
pub(crate) use crate::portable::native::{fork, guard};
