//! SQL Server's messages: numbers, severities and texts, and the error log.

mod error_log;
mod message;
mod table;

pub use error_log::{ErrorLog, LogEntry, MemoryLog};
pub(crate) use message::success;
pub use message::{Message, SeveralMessages};
