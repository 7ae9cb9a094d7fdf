//! `vdisim serve`: the fake SQL Server on a TCP port, for real SQL clients.

pub mod data_folder;
pub mod rendezvous;
