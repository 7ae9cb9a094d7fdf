//! The command line. One file a command.

mod assets;
mod backup;
#[cfg(any(target_os = "linux", windows))]
mod bench;
mod client;
mod database;
mod doctor;
mod explain;
mod line;
mod list;
mod mtf;
mod output;
mod play;
mod probe;
#[cfg(windows)]
mod registration;
mod report;
mod restore;
mod run;
mod serve;
mod shim;
mod sql;
mod statement;
mod test;
mod trace;

pub use line::main;
