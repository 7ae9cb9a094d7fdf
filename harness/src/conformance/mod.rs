//! The conformance suite: says of a VDI client whether it keeps the rules, and shows why.
//!
//! ```text
//! catalogue   every rule as a Case: id, level, source, what is played and what is judged
//! Run         plays cases, several at once: trial → a server half and the client in processes of
//!             their own → observation → judge → results
//! ```

mod capabilities;
mod case;
pub mod catalogue;
mod display;
mod expectation;
mod front;
mod implementation;
mod judge;
mod live;
mod observation;
mod outcome;
mod patterns;
mod player;
mod probe;
mod record;
mod resident;
pub mod results;
mod runner;
mod script;
mod selection;
mod source;
mod strays;
mod subject;
mod trial;
mod words;

pub use capabilities::{Capabilities, Direction, Feature, Media, Mode, Need};
pub use case::Case;
pub use display::{explain_failure, summary};
pub use expectation::{Expectation, Expectations};
pub use front::Front;
pub use implementation::{Implementation, Server};
pub use live::Live;
pub use patterns::Patterns;
pub use resident::{Resident, ResidentError};
pub use runner::{Listener, Run};
pub use selection::{PartitionError, UnknownCase, matches, select, unknown};
pub use source::Source;
pub use subject::{Subject, SubjectError};

pub use probe::Mistake;
pub(crate) use probe::probe;
pub use script::Operation;
#[cfg(any(target_os = "linux", windows))]
pub(crate) use subject::Brief;
pub(crate) use trial::play_order;
