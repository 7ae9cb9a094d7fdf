//! Tests of the fake SQL Server from outside.

mod chains;
mod devices;
mod server;
mod statements;
mod written;
