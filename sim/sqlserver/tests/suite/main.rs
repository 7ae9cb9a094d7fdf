//! Tests of the fake SQL Server from outside.

mod answers;
mod asked;
mod chains;
mod checkers;
mod columns;
mod damage;
mod devices;
mod expressions;
mod golden;
mod kept_log;
mod media;
mod options;
mod patched;
mod recovery;
mod server;
mod statements;
mod sweep;
mod targets;
mod wholeness;
mod written;
