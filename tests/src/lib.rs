//! What the end-to-end tests share: the built binaries, golden backups, and a scene in which a
//! server and a client meet.
#![forbid(unsafe_code)]

pub mod artefacts;
mod compiled;
pub mod golden;
mod python;
mod scene;
mod schema;

pub use compiled::compile;
pub use python::python;
pub use scene::{Ended, Running, Scene, is_killed};
pub use schema::assert_schema;
