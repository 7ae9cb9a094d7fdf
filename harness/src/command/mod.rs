//! The command line. One file a command.

mod assets;
mod backup;
mod client;
mod database;
mod doctor;
mod explain;
mod line;
mod list;
mod output;
mod play;
mod probe;
mod report;
mod restore;
mod run;
mod serve;
mod shim;
mod statement;
mod test;
mod trace;

pub use line::main;
