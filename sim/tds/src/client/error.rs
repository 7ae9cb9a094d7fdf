//! Why a client has no answer.

use std::io;

use thiserror::Error;

use crate::{Message, transport::ReadError, wire::Malformed};

/// Why there is no connection, or no more of it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody answers there.
    #[error(
        "{host}, port {port}, cannot be reached ({source}); check that a server listens there, and that the name and \
         the port are right."
    )]
    Unreachable {
        /// The host asked for.
        host: String,
        /// The port.
        port: u16,
        /// The system's reason.
        source: io::Error,
    },
    /// The server did not answer the login in time.
    #[error(
        "login timeout expired after {seconds} s; check that {host}, port {port}, is a SQL Server."
    )]
    LoginTime {
        /// The host asked for.
        host: String,
        /// The port.
        port: u16,
        /// The time given.
        seconds: u64,
    },
    /// The server refused the login; at least one message.
    #[error("{}", .0.iter().map(|message| message.text.as_str()).collect::<Vec<_>>().join(" "))]
    Refused(Vec<Message>),
    /// The server cannot encrypt and the client insists.
    #[error(
        "encryption is not supported on this server; connect without it, or switch it on there."
    )]
    NoEncryption,
    /// TLS could not be agreed on.
    #[error("the TLS handshake failed: {0}; try without encryption.")]
    Tls(rustls::Error),
    /// The connection broke.
    #[error("the connection to the server broke: {0}; see whether the server still runs.")]
    Broken(#[from] io::Error),
    /// The server sent what is not TDS.
    #[error("the server does not speak TDS as it should: {0}.")]
    Protocol(#[from] Malformed),
    /// The server sent a column that cannot be read.
    #[error(
        "column {ordinal} (\"{name}\") has the TDS data type {code:#04x}, which is not supported: convert it in the \
         query, such as to nvarchar(max)."
    )]
    ColumnType {
        /// Which column, from 1.
        ordinal: usize,
        /// Its name, if it could be read.
        name: String,
        /// The type code.
        code: u8,
    },
}

impl From<ReadError> for ClientError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Broken(error) => Self::Broken(error),
            ReadError::Malformed(malformed) => Self::Protocol(malformed),
        }
    }
}
