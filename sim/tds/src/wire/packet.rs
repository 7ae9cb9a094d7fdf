//! The header in front of every packet (MS-TDS 2.2.3.1).

use super::Malformed;

/// Bytes of a packet's header.
pub const HEADER_BYTES: usize = 8;
/// The packet size before a login settles another, header included (MS-TDS 2.2.6.4).
pub const DEFAULT_PACKET_BYTES: u16 = 4096;
/// The smallest packet size that a login can settle.
pub const MIN_PACKET_BYTES: u16 = 512;
/// The largest packet size.
pub const MAX_PACKET_BYTES: u16 = 32767;

/// What a packet carries (MS-TDS 2.2.3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PacketType {
    /// A batch of T-SQL.
    SqlBatch = 0x01,
    /// Calls of procedures.
    Rpc = 0x03,
    /// The server's answer.
    TabularResult = 0x04,
    /// The client cancels.
    Attention = 0x06,
    /// Rows of a bulk load.
    BulkLoad = 0x07,
    /// A federated authentication token.
    FedAuthToken = 0x08,
    /// A transaction manager request.
    TransactionManager = 0x0E,
    /// The login.
    Login7 = 0x10,
    /// A piece of an SSPI exchange.
    Sspi = 0x11,
    /// The negotiation before the login, and TLS handshakes.
    PreLogin = 0x12,
}

impl PacketType {
    fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::SqlBatch,
            Self::Rpc,
            Self::TabularResult,
            Self::Attention,
            Self::BulkLoad,
            Self::FedAuthToken,
            Self::TransactionManager,
            Self::Login7,
            Self::Sspi,
            Self::PreLogin,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// Bits of a packet's status (MS-TDS 2.2.3.1.2).
pub mod status {
    /// The last packet of its message.
    pub const END_OF_MESSAGE: u8 = 0x01;
    /// The client takes the message back; set beside [`END_OF_MESSAGE`].
    pub const IGNORE: u8 = 0x02;
    /// Reset the session before this request.
    pub const RESET_CONNECTION: u8 = 0x08;
    /// Reset the session but keep its transaction.
    pub const RESET_KEEP_TRANSACTION: u8 = 0x10;
}

/// A packet's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketHeader {
    /// What the packet carries.
    pub kind: PacketType,
    /// Bits of [`status`].
    pub status: u8,
    /// Bytes of the packet, header included.
    pub length: u16,
    /// The session's number; 0 from most clients.
    pub spid: u16,
    /// Counts a message's packets modulo 256; not checked, as clients disagree on the start.
    pub id: u8,
}

impl PacketHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let [length_high, length_low] = self.length.to_be_bytes();
        let [spid_high, spid_low] = self.spid.to_be_bytes();
        [self.kind as u8, self.status, length_high, length_low, spid_high, spid_low, self.id, 0]
    }

    /// Reads a header; `most` is the largest packet the sender may use.
    ///
    /// # Errors
    /// An unknown type, or a length below the header's own or above `most`.
    pub fn decode(bytes: [u8; HEADER_BYTES], most: u16) -> Result<Self, Malformed> {
        let [kind, status, length_high, length_low, spid_high, spid_low, id, _window] = bytes;
        let length = u16::from_be_bytes([length_high, length_low]);
        let kind = PacketType::from_byte(kind)
            .ok_or(Malformed::Unknown { what: "the packet's type", value: kind.into() })?;
        if usize::from(length) < HEADER_BYTES || length > most {
            return Err(Malformed::Length {
                what: "the packet's length",
                value: length.into(),
                least: HEADER_BYTES as u64,
                most: most.into(),
            });
        }
        Ok(Self { kind, status, length, spid: u16::from_be_bytes([spid_high, spid_low]), id })
    }

    /// Whether a bit of [`status`] is set.
    #[must_use]
    pub fn has(&self, bit: u8) -> bool {
        self.status & bit != 0
    }
}
