//! The reference client: what a careful client of VDI does, through the exported C++ symbols of the
//! loaded drop-in.
//!
//! One process with a thread a device; or secondary processes, one a device; or a second process
//! that gets the handle of every buffer, maps it and moves the bytes, while the first completes.

mod answering;
mod error;
mod medium;
mod mishap;
mod mover;
mod moving;
mod plan;
mod primary;
mod secondary;
mod snapshot;

pub use error::ClientError;
pub use mishap::{Mishaps, Step, StepError};
pub use mover::serve_moves;
pub use plan::{Arrangement, FeatureError, Operation, Plan, parse_features};
pub use primary::{Report, run};
pub use secondary::run_secondary;
