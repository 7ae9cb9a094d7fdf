//! An access of a client that a fence of pages refused, in numbers.

use std::{fmt, sync::atomic::Ordering};

use vdi_protocol::CommandCode;

use crate::layout::FAULT_WORDS;

/// The command that a buffer was given with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferHolder {
    /// The device, from 0.
    pub device: u32,
    /// Which command of the device, from 1.
    pub number: u32,
    /// What it is.
    pub code: CommandCode,
    /// Whether the client has completed it.
    pub completed: bool,
}

impl fmt::Display for BufferHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, command {} of device {}", self.code, self.number, self.device)
    }
}

/// What a client did to a buffer's memory that it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferFault {
    /// Which buffer of the set, from 0.
    pub buffer: u32,
    /// Its bytes of data.
    pub size: u32,
    /// Bytes of the prefix zone before them.
    pub prefix: u32,
    /// The byte that was touched, seen from the start of the data.
    pub offset: i64,
    /// Whether it was written; `None` if that is not known.
    pub is_write: Option<bool>,
    /// The process that did it.
    pub pid: u32,
    /// The command that the buffer was last given with; `None` if it never was, in that process.
    pub holder: Option<BufferHolder>,
}

impl BufferFault {
    /// As stored in a segment. The first word is not 0.
    pub(crate) fn store(&self, words: &[std::sync::atomic::AtomicU32; FAULT_WORDS]) {
        let access = match self.is_write {
            None => 1,
            Some(false) => 2,
            Some(true) => 3,
        };
        let holder = self.holder.map_or([0; 4], |holder| {
            [1 + u32::from(holder.completed), holder.device, holder.number, holder.code.0]
        });
        let [_, buffer, size, prefix, low, high, pid, rest @ ..] = words;
        buffer.store(self.buffer, Ordering::Relaxed);
        size.store(self.size, Ordering::Relaxed);
        prefix.store(self.prefix, Ordering::Relaxed);
        low.store(self.offset as u32, Ordering::Relaxed);
        high.store((self.offset >> 32) as u32, Ordering::Relaxed);
        pid.store(self.pid, Ordering::Relaxed);
        for (word, value) in rest.iter().zip(holder) {
            word.store(value, Ordering::Relaxed);
        }
        words[0].store(access, Ordering::Release);
    }

    /// What the words of a segment say: anybody may have written them.
    pub(crate) fn load(words: &[std::sync::atomic::AtomicU32; FAULT_WORDS]) -> Option<BufferFault> {
        let is_write = match words[0].load(Ordering::Acquire) {
            1 => None,
            2 => Some(false),
            3 => Some(true),
            _ => return None,
        };
        let [_, buffer, size, prefix, low, high, pid, state, device, number, code, _] =
            std::array::from_fn(|i| words[i].load(Ordering::Relaxed));
        let holder = (state > 0).then_some(BufferHolder {
            device,
            number,
            code: CommandCode(code),
            completed: state > 1,
        });
        let offset = (u64::from(low) | u64::from(high) << 32).cast_signed();
        Some(BufferFault { buffer, size, prefix, offset, is_write, pid, holder })
    }
}

impl fmt::Display for BufferFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BufferFault { buffer, size, prefix, offset, .. } = *self;
        f.write_str(match self.is_write {
            Some(true) => "wrote ",
            Some(false) => "read ",
            None => "touched ",
        })?;
        let behind = offset - i64::from(size) + 1;
        let before = -i64::from(prefix) - offset;
        if behind > 0 {
            write!(f, "{behind} bytes past the end of buffer {buffer} ({size} bytes)")?;
        } else if before > 0 && prefix > 0 {
            write!(f, "{before} bytes before the prefix zone of buffer {buffer} ({prefix} bytes)")?;
        } else if before > 0 {
            write!(f, "{before} bytes before the start of buffer {buffer}")?;
        } else if offset < 0 {
            write!(f, "byte {offset} of buffer {buffer}, in its prefix zone,")?;
        } else {
            write!(f, "byte {offset} of buffer {buffer}")?;
        }
        match self.holder {
            None => f.write_str(", which this process was never given"),
            Some(holder) if holder.completed => write!(f, " after completing {holder}"),
            Some(holder) => write!(f, " while it held {holder}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    fn fault(offset: i64, prefix: u32, completed: Option<bool>) -> BufferFault {
        let code = CommandCode::WRITE;
        let holder = |completed| BufferHolder { device: 1, number: 7, code, completed };
        BufferFault {
            buffer: 2,
            size: 65536,
            prefix,
            offset,
            is_write: Some(true),
            pid: 5,
            holder: completed.map(holder),
        }
    }

    /// Catches: a distance off by one, the zone taken for a part of the data, the wrong tense.
    #[test]
    fn faults_read_as_people_say_them() {
        for (fault, words) in [
            (
                fault(65538, 0, Some(false)),
                "wrote 3 bytes past the end of buffer 2 (65536 bytes) while it held VDC_Write, \
                 command 7 of device 1",
            ),
            (
                fault(-513, 512, Some(false)),
                "wrote 1 bytes before the prefix zone of buffer 2 (512 bytes) while it held \
                 VDC_Write, command 7 of device 1",
            ),
            (
                fault(17, 0, Some(true)),
                "wrote byte 17 of buffer 2 after completing VDC_Write, command 7 of device 1",
            ),
            (
                fault(-1, 0, None),
                "wrote 1 bytes before the start of buffer 2, which this process was never given",
            ),
        ] {
            assert_eq!(fault.to_string(), words);
        }
    }

    /// Catches: a field lost on its way, a negative offset that comes back positive.
    #[test]
    fn faults_survive_the_segment() {
        let words = [const { AtomicU32::new(0) }; FAULT_WORDS];
        assert_eq!(BufferFault::load(&words), None);
        for fault in [fault(-513, 512, Some(false)), fault(65538, 0, Some(true)), fault(3, 1, None)]
        {
            fault.store(&words);
            assert_eq!(BufferFault::load(&words), Some(fault));
        }
    }
}
