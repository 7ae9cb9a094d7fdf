//! Every limit of the server.

use std::time::Duration;

use crate::wire::packet::{DEFAULT_PACKET_BYTES, MAX_PACKET_BYTES, MIN_PACKET_BYTES, PacketType};

/// The most bytes of a PRELOGIN message; real ones have under 300.
const PRELOGIN_BYTES: usize = 4096;
/// The most bytes of a LOGIN7 message (MS-TDS 2.2.6.4).
const LOGIN_BYTES: usize = 128 * 1024 - 1;

/// What the server puts up with. Beyond a limit it refuses or closes that connection; the others go on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Sessions logged in at once; the next is refused with 17809. At most 30,000.
    pub sessions: usize,
    /// Connections that are not logged in yet; the next is closed at once. At most 30,000.
    pub logins: usize,
    /// From the connection to the end of the login.
    pub login_time: Duration,
    /// From the first byte of a request to its last.
    pub request_time: Duration,
    /// How long the client may leave a packet unread before it counts as gone.
    pub write_time: Duration,
    /// How long stopping the server waits for running statements to end.
    pub stop_time: Duration,
    /// The largest packet to agree to, in bytes: 512 to 32,767.
    pub packet_bytes: u16,
    /// The largest request, in bytes without packet headers. Batches are UTF-16: two bytes a character.
    pub request_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 1024,
            logins: 512,
            login_time: Duration::from_secs(15),
            request_time: Duration::from_secs(60),
            write_time: Duration::from_secs(300),
            stop_time: Duration::from_secs(10),
            packet_bytes: MAX_PACKET_BYTES,
            request_bytes: 4 << 20,
        }
    }
}

impl Limits {
    /// The most bytes of a message of this kind.
    pub(crate) fn message_bytes(&self, kind: PacketType) -> usize {
        match kind {
            PacketType::PreLogin => PRELOGIN_BYTES,
            PacketType::Login7 => LOGIN_BYTES,
            _ => self.request_bytes,
        }
    }

    /// The packet size to agree to when the client asks for `asked`, 0 meaning no wish.
    pub(crate) fn packet_size(&self, asked: u32) -> u16 {
        let asked = if asked == 0 { DEFAULT_PACKET_BYTES.into() } else { asked };
        let most = self.packet_bytes.clamp(MIN_PACKET_BYTES, MAX_PACKET_BYTES);
        u16::try_from(asked).unwrap_or(u16::MAX).clamp(MIN_PACKET_BYTES, most)
    }
}
