//! Tests of the fake SQL Server from outside.

mod chains;
mod statements;
mod written;
