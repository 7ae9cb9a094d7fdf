//! The `portable` backend (`object`, `folder`), and what a platform without a module of its own
//! gets (`native`).

pub(crate) mod folder;
pub(crate) mod object;
