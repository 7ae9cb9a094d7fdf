//! Every call in every state, held against the tables of the protocol.

mod client;
mod fixture;
mod server;
#[path = "../support/mod.rs"]
mod support;
