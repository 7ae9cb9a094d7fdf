//! What a server sends and what comes back.

use vdi_protocol::{CommandCode, CompletionCode};

use super::ServerBuffer;

/// A command for the client, as `VDS_Command` describes it.
#[derive(Debug)]
pub struct ServerCommand {
    /// What the client is to do.
    pub code: CommandCode,
    /// Bytes to transfer, or what the command overloads the field with.
    pub size: u32,
    /// `inPosition`.
    pub position: u64,
    /// The buffer; it comes back with the completion.
    pub buffer: Option<ServerBuffer>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Completion {
    /// The client's answer, or what the library put in its place.
    pub code: CompletionCode,
    /// Bytes transferred.
    pub bytes: u32,
    /// `outPosition`.
    pub position: u64,
    /// The buffer, which is the server's again.
    pub buffer: Option<ServerBuffer>,
}
