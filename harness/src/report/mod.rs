//! Reports: what a run of the conformance suite found, for people and for programs.
//!
//! A report folder holds `results.json` (everything, by a published schema), `junit.xml`,
//! `results.tap` and `index.html`, one page that needs nothing else. Folders of several runs can be
//! merged into one: the partitions of a run, and several clients or versions side by side.

mod error;
mod folder;
mod junit;
mod merge;
mod page;
mod schema;
mod tap;

pub use error::ReportError;
pub use folder::{FILES, Report};
pub use junit::junit;
pub use merge::{MergeError, merge};
pub use page::page;
pub use schema::schema;
pub use tap::tap;
