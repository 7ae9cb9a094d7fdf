//! The client half: what a vendor's program does with a device set.

mod areas;
mod device;
mod guard;
mod observer;
mod session;
mod set;

pub use device::{ClientCommand, ClientDevice};
pub use observer::{Event, Observer};
pub use set::{ClientSet, MappedBuffer};
