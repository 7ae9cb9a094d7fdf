//! The server half: what SQL Server does with a device set.

mod agent;
mod buffer;
mod configuration;
mod crew;
mod device;
mod inner;
mod lane;
mod set;

pub use buffer::Buffer;
pub use device::{Completed, CompletionRoutine, Request, ServerDevice};
pub use set::{Driver, ServerSet};
