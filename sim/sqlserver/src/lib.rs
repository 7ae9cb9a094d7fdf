//! A stand-in for SQL Server as a user of virtual devices: it executes BACKUP and RESTORE over a
//! device set that a client created, and says what SQL Server says.
//!
//! * [`sql`] reads T-SQL.
//! * [`messages`] has the texts of SQL Server's messages.
#![forbid(unsafe_code)]

pub mod messages;
pub mod sql;
pub mod value;
