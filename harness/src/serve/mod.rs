//! `vdisim serve`: the fake SQL Server on a TCP port, for real SQL clients.
//!
//! `tds-server` owns the network and hands over batches and calls; `fake_sqlserver::session` executes
//! them. What stands here joins the two and keeps house: data folder, logins, activity, the end.

mod activity;
pub(crate) mod answer;
mod connection;
pub mod data_folder;
mod engine;
mod error_log;
mod prepared;
pub mod rendezvous;
mod running;
mod settings;
pub mod stop;
pub(crate) mod value;

pub use error_log::StreamLog;
pub use running::{Running, ServeError};
pub use settings::{DatabaseFile, LoginPair, Settings, WordError};
pub use tds_server::Encryption;
