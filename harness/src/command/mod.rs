//! The command line. One file a command.

mod backup;
mod client;
mod database;
mod doctor;
mod explain;
mod line;
mod mtf;
mod output;
#[cfg(windows)]
mod registration;
mod restore;
mod run;
mod serve;
mod shim;
mod sql;
mod statement;
mod test;

pub use line::main;
