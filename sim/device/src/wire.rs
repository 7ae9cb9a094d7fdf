//! Commands and completions as messages of a ring.

use vdi_protocol::{CommandCode, CompletionCode};

use crate::signal::Message;

/// A command on its way to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommandMessage {
    /// Index of the server's record; the client's, too.
    pub(crate) id: u32,
    /// Tells two uses of one id apart.
    pub(crate) sequence: u32,
    pub(crate) code: CommandCode,
    pub(crate) size: u32,
    pub(crate) position: u64,
    /// The buffer's handle, 0 for none.
    pub(crate) handle: u32,
}

impl CommandMessage {
    pub(crate) fn encode(&self) -> Message {
        let CommandMessage { id, sequence, code, size, position, handle } = *self;
        [id, sequence, code.0, size, position as u32, (position >> 32) as u32, handle]
    }

    pub(crate) fn decode(message: &Message) -> CommandMessage {
        let [id, sequence, code, size, low, high, handle] = *message;
        let position = u64::from(low) | u64::from(high) << 32;
        CommandMessage { id, sequence, code: CommandCode(code), size, position, handle }
    }
}

/// A completion on its way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CompletionMessage {
    pub(crate) id: u32,
    pub(crate) sequence: u32,
    pub(crate) code: CompletionCode,
    pub(crate) bytes: u64,
    pub(crate) position: u64,
}

impl CompletionMessage {
    pub(crate) fn encode(&self) -> Message {
        let CompletionMessage { id, sequence, code, bytes, position } = *self;
        let [bytes_high, position_high] = [bytes, position].map(|v| (v >> 32) as u32);
        [id, sequence, code.0, bytes as u32, bytes_high, position as u32, position_high]
    }

    pub(crate) fn decode(message: &Message) -> CompletionMessage {
        let [id, sequence, code, bytes_low, bytes_high, position_low, position_high] = *message;
        let wide = |low, high| u64::from(low) | u64::from(high) << 32;
        CompletionMessage {
            id,
            sequence,
            code: CompletionCode(code),
            bytes: wide(bytes_low, bytes_high),
            position: wide(position_low, position_high),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Catches: two fields in one word, halves of a 64-bit field exchanged.
        #[test]
        fn messages_survive_the_ring(id: u32, sequence: u32, code: u32, size: u32, wide: u64, position: u64, handle: u32) {
            let command = CommandMessage { id, sequence, code: CommandCode(code), size, position, handle };
            prop_assert_eq!(CommandMessage::decode(&command.encode()), command);
            let completion = CompletionMessage { id, sequence, code: CompletionCode(code), bytes: wide, position };
            prop_assert_eq!(CompletionMessage::decode(&completion.encode()), completion);
        }
    }
}
