//! A stand-in for SQL Server as a user of virtual devices: it executes BACKUP and RESTORE over a
//! device set that a client created, and says what SQL Server says.
//!
//! [`transfer`] is the engine's transport: one statement, one device set, a stream per device.
//! What the streams hold is up to a [`transfer::Source`] or [`transfer::Sink`] per device.
#![forbid(unsafe_code)]

pub mod transfer;
