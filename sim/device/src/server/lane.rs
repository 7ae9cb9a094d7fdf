//! What the server keeps of one device: its queue's end, and the record of every open command.

use vdi_protocol::{CommandCode, CompletionCode};

use crate::{
    layout::RING_LEN,
    server::{
        buffer::Buffer,
        device::{Completed, CompletionRoutine, Request},
    },
    signal::Producer,
    wire::{CommandMessage, CompletionMessage},
};

/// A command that was sent and not yet answered.
pub(crate) struct Outstanding {
    sequence: u32,
    pub(crate) code: CommandCode,
    size: u32,
    buffer: Option<Buffer>,
    context: u64,
    routine: CompletionRoutine,
}

/// The server's private end of a device.
pub(crate) struct ServerLane {
    pub(crate) producer: Producer,
    pub(crate) opened: bool,
    pub(crate) closed: bool,
    pub(crate) io_error: bool,
    pub(crate) aborted: bool,
    next_sequence: u32,
    records: [Option<Outstanding>; RING_LEN],
    /// A bit for every record in use.
    used: u64,
}

const _: () = assert!(RING_LEN == u64::BITS as usize);

impl std::fmt::Debug for ServerLane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerLane")
            .field("opened", &self.opened)
            .field("closed", &self.closed)
            .field("io_error", &self.io_error)
            .field("outstanding", &self.outstanding())
            .finish_non_exhaustive()
    }
}

impl Default for ServerLane {
    fn default() -> Self {
        ServerLane {
            producer: Producer::default(),
            opened: false,
            closed: false,
            io_error: false,
            aborted: false,
            next_sequence: 0,
            records: [const { None }; RING_LEN],
            used: 0,
        }
    }
}

impl ServerLane {
    pub(crate) fn outstanding(&self) -> u32 {
        self.used.count_ones()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.used == u64::MAX
    }

    /// The code of an open command, the lowest record's.
    pub(crate) fn some_open_command(&self) -> Option<CommandCode> {
        self.records.iter().flatten().map(|o| o.code).next()
    }

    /// Records `request` and returns the message for the client. The lane is not full.
    pub(crate) fn record(&mut self, request: Request) -> CommandMessage {
        let id = self.used.trailing_ones() % u64::BITS;
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        let Request { code, size, position, buffer, context, routine } = request;
        let handle = buffer.as_ref().map_or(0, Buffer::handle);
        self.used |= 1 << id;
        self.records[id as usize] =
            Some(Outstanding { sequence, code, size, buffer, context, routine });
        CommandMessage { id, sequence, code, size, position, handle }
    }

    /// Takes the record that `message` answers; None if it answers nothing that is open.
    pub(crate) fn settle(
        &mut self,
        message: &CompletionMessage,
    ) -> Option<(CompletionRoutine, Completed)> {
        let slot = self.records.get_mut(message.id as usize)?;
        if slot.as_ref()?.sequence != message.sequence {
            return None;
        }
        let record = slot.take()?;
        self.used &= !(1 << message.id);
        if !message.code.is_success() {
            self.io_error = true;
        } else if record.code == CommandCode::CLEAR_ERROR {
            self.io_error = false;
        }
        Some(record.complete(message))
    }

    /// Takes any open record, to complete it without the client.
    pub(crate) fn take_any(&mut self) -> Option<Outstanding> {
        let id = (self.used != 0).then(|| self.used.trailing_zeros())?;
        self.used &= !(1 << id);
        self.records[id as usize].take()
    }
}

/// A request that never became a command: its routine and what it is told.
pub(crate) fn refuse(request: Request, code: CompletionCode) -> (CompletionRoutine, Completed) {
    let Request { code: command, size, position: _, buffer, context, routine } = request;
    let completed = Completed {
        code: command,
        size,
        completion: code,
        bytes: 0,
        claimed: 0,
        position: 0,
        buffer,
        context,
    };
    (routine, completed)
}

impl Outstanding {
    /// Completed without the client.
    pub(crate) fn fail(self, code: CompletionCode) -> (CompletionRoutine, Completed) {
        let Outstanding { sequence, .. } = self;
        self.complete(&CompletionMessage { id: 0, sequence, code, bytes: 0, position: 0 })
    }

    /// The routine and what it is told.
    pub(crate) fn complete(self, message: &CompletionMessage) -> (CompletionRoutine, Completed) {
        let Outstanding { code, size, buffer, context, routine, .. } = self;
        let CompletionMessage { code: completion, bytes: claimed, position, .. } = *message;
        let bytes = u32::try_from(claimed).unwrap_or(u32::MAX).min(size);
        (routine, Completed { code, size, completion, bytes, claimed, position, buffer, context })
    }
}
