//! A stand-in for SQL Server as a user of virtual devices: it executes BACKUP and RESTORE over a
//! device set that a client created, and says what SQL Server says.
//!
//! * [`sql`] reads T-SQL.
//! * [`messages`] has the texts of SQL Server's messages.
//! * [`catalogue`] keeps the databases, their pages, log and history, and knows the rules of
//!   restore sequences.
//! * [`transfer`] is the engine's transport: one statement, one device set, a stream per device.
//!   What the streams hold is up to a [`transfer::Source`] or [`transfer::Sink`] per device.
#![forbid(unsafe_code)]

pub mod catalogue;
mod decimal;
mod engine;
pub mod messages;
pub mod session;
pub mod sql;
pub mod transfer;
pub mod value;
