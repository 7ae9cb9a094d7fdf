//! Speaks TDS, SQL Server's client protocol (versions 7.2 to 7.4), to real SQL clients.
//!
//! The crate owns the network side: packets, TLS, the login, the limits, cancelling. What a batch of T-SQL *does* is
//! not its business: an [`Engine`] opens a [`Session`] for each login, and the session answers batches and procedure
//! calls through a [`Reply`]. Neither trait mentions TDS.
//!
//! ```text
//!   client ── TCP, TLS ── reading thread ── requests, cancels ──► answering thread ── Session::batch ──► the engine
//!      ▲                                                                │
//!      └──────────────────── packets ◄──── Reply ◄──────────────────────┘
//! ```
//!
//! A connection has two threads once it is logged in: one executes statements, the other does nothing but read, so
//! that an attention (the client's cancel) or the end of the connection reaches a running statement at once, through
//! its [`Cancel`].
//!
//! The other end is there too: [`client`] is a small blocking client over the same packets and messages.
//!
//! Source of the rules: MS-TDS, "Tabular Data Stream Protocol"; each item names its section.

#![forbid(unsafe_code)]

mod accounts;
mod answer;
mod cancel;
pub mod client;
mod connection;
mod error;
mod handshake;
mod limits;
mod registry;
mod seam;
mod server;
mod tls;
mod transport;
pub mod wire;

pub use accounts::Accounts;
pub use cancel::{Cancel, CancelReason, Hook};
pub use error::ServerError;
pub use limits::Limits;
pub use seam::{Client, Column, Engine, Message, Reply, Session, StatementDone, Transaction};
pub use server::{Config, Server, ServerHandle};
pub use tls::Encryption;
pub use wire::{
    data::{ColumnType, DateTime, Value},
    rpc::{Call, Parameter},
};
