//! Errors of the server as a whole, and the messages for clients that break the protocol.

use std::{io, net::SocketAddr};

use thiserror::Error;

use crate::{Message, wire::Malformed};

/// Why a server could not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The port is taken, or not ours to take.
    #[error(
        "cannot listen on {address} ({source}): choose another address or end the process that has it"
    )]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The certificate could not be made.
    #[error(
        "cannot make a TLS certificate for '{name}' ({reason}): choose another server name, or switch TLS off"
    )]
    Certificate {
        /// The server's name.
        name: String,
        /// The library's reason.
        reason: String,
    },
    /// The system gives no thread.
    #[error("cannot start a thread for {address} ({source}): raise the limit on processes")]
    Thread {
        /// The address listened on.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
}

/// A PRELOGIN that is none.
pub(crate) fn bad_prelogin(cause: &Malformed) -> Message {
    Message::new(
        17828,
        1,
        20,
        format!(
            "The prelogin packet used to open the connection is structurally invalid; the connection has been closed. \
             Please contact the vendor of the client library. {cause}"
        ),
    )
}

/// A LOGIN7 that is none.
pub(crate) fn bad_login(cause: &Malformed) -> Message {
    Message::new(
        17832,
        1,
        20,
        format!(
            "The login packet used to open the connection is structurally invalid; the connection has been closed. \
             Please contact the vendor of the client library. {cause}"
        ),
    )
}

/// A request that is none.
pub(crate) fn bad_request(cause: &Malformed) -> Message {
    match cause {
        Malformed::ParameterType { ordinal, name, code } => Message::new(
            8009,
            3,
            16,
            format!(
                "The incoming tabular data stream (TDS) remote procedure call (RPC) protocol stream is incorrect. \
                 Parameter {ordinal} (\"{name}\"): Data type 0x{code:02X} is unknown."
            ),
        ),
        _ => Message::new(
            4002,
            1,
            20,
            format!("The incoming tabular data stream (TDS) protocol stream is incorrect. {cause}"),
        ),
    }
}

/// A wrong password, an unknown login, or a login that the engine refused.
pub(crate) fn login_failed(user: &str) -> Message {
    Message::new(18456, 1, 14, format!("Login failed for user '{user}'."))
}

/// Windows credentials, which nobody here can check.
pub(crate) fn untrusted_domain() -> Message {
    Message::new(
        18452,
        1,
        14,
        "Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication.",
    )
}

/// One session too many.
pub(crate) fn too_many_sessions(most: usize) -> Message {
    Message::new(
        17809,
        1,
        20,
        format!(
            "Could not connect because the maximum number of '{most}' user connections has already been reached. The \
             system administrator can use sp_configure to increase the maximum value. The connection has been closed."
        ),
    )
}

/// A client in the clear where TLS is required.
pub(crate) fn encryption_required() -> Message {
    Message::new(
        17835,
        1,
        20,
        "Encryption is required to connect to this server but the client library does not support encryption; the \
         connection has been closed. Please upgrade your client library.",
    )
}

/// A distributed transaction, which has no coordinator here.
pub(crate) fn no_coordinator(server: &str) -> Message {
    Message::new(8501, 3, 16, format!("MSDTC on server '{server}' is unavailable."))
}
