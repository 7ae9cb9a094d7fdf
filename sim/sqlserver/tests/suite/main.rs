//! Tests of the fake SQL Server from outside.

mod statements;
mod written;
