//! The self-test: a round trip of every mode between real processes, through the loaded drop-in.
//!
//! It tests vdisim, not a client: the client is our own. The conformance suite has its modes as the
//! cases `self-test/round-trip/…`.

mod mode;
mod pair;
mod trial;

pub use mode::{MODES, Mode};
pub use trial::{Outcome, SelfTest, Verdict};
