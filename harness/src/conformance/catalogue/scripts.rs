//! What the cases are made of: statements, and the beginnings of rules.

use crate::conformance::case::Case;
use crate::conformance::results::Level;
use crate::conformance::script::{Content, Operation, Script, Step};
use crate::conformance::source::Source;

pub(super) const KIB: u64 = 1024;
pub(super) const MIB: u64 = 1024 * KIB;

/// Bytes of an ordinary stream, no whole number of transfers.
pub(super) const LENGTH: u64 = 200 * KIB;

/// Bytes of an ordinary transfer.
pub(super) const TRANSFER: u32 = 64 * 1024;

/// A statement up to the moment when every device is open.
fn opened(operation: Operation, length: u64) -> Script {
    Script {
        operation,
        block_size: 512,
        max_transfer_size: TRANSFER,
        depth: 1,
        offers_complete: true,
        length,
        content: Content::Seeded,
        steps: vec![Step::Attach, Step::Configure, Step::Open],
    }
}

/// A BACKUP with these steps behind opening the devices.
pub(super) fn backup(steps: &[Step]) -> Script {
    opened(Operation::Backup, LENGTH).then(steps)
}

/// A RESTORE with these steps behind opening the devices.
pub(super) fn restore(steps: &[Step]) -> Script {
    opened(Operation::Restore, LENGTH).then(steps)
}

/// A whole BACKUP of so many bytes a device.
pub(super) fn store(length: u64) -> Script {
    let script = opened(Operation::Backup, length);
    if length == 0 {
        return script.then(&[Step::Flush, Step::Complete]);
    }
    script.then(&[write(length), Step::Flush, Step::Complete])
}

/// A whole RESTORE of so many bytes a device.
pub(super) fn fetch(length: u64) -> Script {
    opened(Operation::Restore, length).then(&[Step::ReadToEnd { size: TRANSFER }])
}

pub(super) fn write(bytes: u64) -> Step {
    Step::Write { bytes, size: TRANSFER }
}

pub(super) fn read(bytes: u64) -> Step {
    Step::Read { bytes, size: TRANSFER }
}

pub(super) fn command(code: u32) -> Step {
    Step::Command { code, size: 0, position: 0 }
}

impl Script {
    pub(super) fn then(mut self, steps: &[Step]) -> Script {
        self.steps.extend_from_slice(steps);
        self
    }

    /// Only these steps, from before the set is opened.
    pub(super) fn only(mut self, steps: &[Step]) -> Script {
        self.steps = steps.to_vec();
        self
    }

    pub(super) fn length(mut self, length: u64) -> Script {
        self.length = length;
        self
    }

    pub(super) fn depth(mut self, depth: u32) -> Script {
        self.depth = depth;
        self
    }

    pub(super) fn blocks(mut self, size: u32) -> Script {
        self.block_size = size;
        self
    }

    /// Transfers of this size, at most and in its Writes and Reads.
    pub(super) fn transfers(mut self, most: u32) -> Script {
        self.max_transfer_size = most;
        for step in &mut self.steps {
            if let Step::Write { size, .. } | Step::Read { size, .. } | Step::ReadToEnd { size } =
                step
            {
                *size = most;
            }
        }
        self
    }

    pub(super) fn bytes(mut self, byte: u8) -> Script {
        self.content = Content::Byte(byte);
        self
    }

    pub(super) fn without_complete(mut self) -> Script {
        self.offers_complete = false;
        self
    }
}

pub(super) fn must(id: &str, rule: &str, source: Source) -> Case {
    Case::new(id, Level::Must, rule, source)
}

pub(super) fn should(id: &str, rule: &str, source: Source) -> Case {
    Case::new(id, Level::Should, rule, source)
}

pub(super) fn disputed(id: &str, rule: &str, source: Source) -> Case {
    Case::new(id, Level::Disputed, rule, source)
}
