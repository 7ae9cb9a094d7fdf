//! What testers of VDI clients use: a fake SQL Server that plays one BACKUP or RESTORE, a reference
//! client, a look at the environment, and the `vdisim` command over them.
//!
//! Everything the command does is a call of this library; [`command::main`] is the command itself.
#![forbid(unsafe_code)]

#[cfg(any(target_os = "linux", windows))]
pub mod bench;
pub mod client;
pub mod command;
pub mod conformance;
pub mod doctor;
pub mod exit;
pub mod instance;
pub mod launch;
pub mod process;
pub mod progress;
pub mod report;
pub mod selftest;
pub mod serve;
pub mod shim;
pub mod sqlcmd;
pub mod trace;

pub use fake_sqlserver as server;
pub use vdi_device as device;
pub use vdi_protocol as protocol;
