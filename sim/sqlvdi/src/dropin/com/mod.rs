//! The COM classes of `sqlvdi.dll`, for clients on Windows and for servers written in C++.
//!
//! [`interfaces`] fixes the vtables, [`client`] and [`server`] are the objects behind them, [`class`]
//! makes them and has the functions that the DLL exports, [`registration`] tells Windows where they
//! are, [`event_log`] is where failures are reported. All objects are free-threaded.

pub(super) mod class;
mod client;
pub(super) mod event_log;
mod interfaces;
pub mod registration;
mod server;
mod text;
