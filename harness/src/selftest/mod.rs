//! The self-test: a round trip of every mode between real processes, through the loaded drop-in.
//!
//! It tests vdisim, not a client: the client is our own.

mod mode;
mod pair;
mod table;
mod trial;

pub use mode::{MODES, Mode};
pub use table::print_table;
pub use trial::{Outcome, SelfTest, Verdict};
