//! Tests of the fake SQL Server from outside.

mod chains;
mod server;
mod statements;
mod written;
