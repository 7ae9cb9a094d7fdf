//! The crate as its users see it: real backups, backups of its own, damaged ones.

mod damage;
mod golden;
mod support;
mod synthetic;
