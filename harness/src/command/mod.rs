//! The command line. One file a command.

mod assets;
mod backup;
mod client;
mod doctor;
mod explain;
mod line;
mod output;
mod report;
mod restore;
mod run;
mod shim;
mod statement;
mod test;
mod trace;

pub use line::main;
