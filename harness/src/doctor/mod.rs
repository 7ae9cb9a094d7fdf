//! A look at the environment: what a backup through virtual devices needs and what is in its way.

mod client;
mod drop_in;
mod examination;
mod finding;
mod memory;
mod objects;
#[cfg(windows)]
mod registration;

pub use client::examine_client;
pub use examination::{Examination, examine};
pub use finding::{Finding, Level};
