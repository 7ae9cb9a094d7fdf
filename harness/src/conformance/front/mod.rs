//! How a client under test starts its BACKUP: it only knows the set's name, and the case plays
//! SQL Server behind it; or it sends the statement itself, and the case is a SQL Server to it.
//!
//! ```text
//! Front      what the client is given: nothing, a sqlcmd on its PATH, a server's address
//! Desk       the server of a case as the client is told of it
//! Scripted   the server itself: its first BACKUP or RESTORE of the case's direction is the script
//! ```

mod choice;
mod desk;
mod scripted;

pub use choice::Front;
pub(crate) use choice::names_the_set;
pub(crate) use desk::Desk;
pub(crate) use scripted::serve;
