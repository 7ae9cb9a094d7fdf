//! Linux: the `posix` backend (`object`, `folder`) and what the platform offers besides.

pub(crate) mod access;
pub(crate) mod accounts;
pub(crate) mod death;
pub(crate) mod folder;
pub(crate) mod fork;
pub(crate) mod guard;
pub(crate) mod identity;
pub(crate) mod leases;
pub(crate) mod limits;
pub(crate) mod object;
pub(crate) mod transfer;

pub(crate) use std::thread::sleep as rest;
