//! Why a set was aborted: who did it, and on which device and command.

use std::fmt;

use vdi_protocol::CommandCode;

/// The first cause of an abort; later ones do not replace it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortCause {
    /// What happened.
    pub kind: AbortKind,
    /// The device it happened on, from 0.
    pub device: Option<u32>,
    /// The command that was open.
    pub command: Option<CommandCode>,
    /// A number that belongs to the kind: a process id, an error number, milliseconds.
    pub detail: u32,
}

/// What ended a set before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum AbortKind {
    /// The client called SignalAbort.
    ClientSignalled = 1,
    /// The client closed the set while the server still needed it.
    ClientClosed = 2,
    /// The client's process ended.
    ClientDied = 3,
    /// The client could not map a buffer; `detail` is the error number.
    ClientUnmapped = 4,
    /// The server called SignalAbort.
    ServerSignalled = 5,
    /// The server closed the set with devices open.
    ServerClosed = 6,
    /// The server's process ended.
    ServerDied = 7,
    /// No completion within two server time-out intervals; `detail` is the interval in ms.
    TimedOut = 8,
    /// The control segment does not hold together.
    Damaged = 9,
    /// A shared object was shrunk by another process.
    Truncated = 10,
    /// The abort flag is up without a cause that makes sense.
    Unknown = 11,
}

impl AbortKind {
    const ALL: [AbortKind; 11] = [
        AbortKind::ClientSignalled,
        AbortKind::ClientClosed,
        AbortKind::ClientDied,
        AbortKind::ClientUnmapped,
        AbortKind::ServerSignalled,
        AbortKind::ServerClosed,
        AbortKind::ServerDied,
        AbortKind::TimedOut,
        AbortKind::Damaged,
        AbortKind::Truncated,
        AbortKind::Unknown,
    ];
}

impl AbortCause {
    /// A cause without device, command or detail.
    pub const fn new(kind: AbortKind) -> Self {
        AbortCause { kind, device: None, command: None, detail: 0 }
    }

    pub(crate) const fn with_detail(kind: AbortKind, detail: u32) -> Self {
        AbortCause { kind, device: None, command: None, detail }
    }

    /// Kind and three words of detail, as stored in a segment.
    pub(crate) fn to_words(self) -> (u32, [u32; 3]) {
        let device = self.device.map_or(0, |d| d + 1);
        let command = self.command.map_or(0, |c| c.0);
        (self.kind as u32, [device, command, self.detail])
    }

    /// What the words of a segment with this many devices say, as far as it makes sense: anybody may
    /// have written them.
    pub(crate) fn from_words(
        kind: u32,
        [device, command, detail]: [u32; 3],
        devices: usize,
    ) -> Self {
        let Some(kind) = AbortKind::ALL.into_iter().find(|k| *k as u32 == kind) else {
            return AbortCause::new(AbortKind::Unknown);
        };
        AbortCause {
            kind,
            device: device.checked_sub(1).filter(|device| (*device as usize) < devices),
            command: Some(CommandCode(command)).filter(|command| command.name().is_some()),
            detail,
        }
    }
}

impl fmt::Display for AbortCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.detail;
        match self.kind {
            AbortKind::ClientSignalled => write!(f, "the client called SignalAbort")?,
            AbortKind::ClientClosed => {
                write!(f, "the client closed the set before the server had closed its devices")?;
            }
            AbortKind::ClientDied => write!(f, "the client's process {detail} ended")?,
            AbortKind::ClientUnmapped => {
                write!(f, "the client could not map a buffer segment: error {detail}")?;
            }
            AbortKind::ServerSignalled => write!(f, "the server called SignalAbort")?,
            AbortKind::ServerClosed => write!(f, "the server closed the set with devices open")?,
            AbortKind::ServerDied => write!(f, "the server's process {detail} ended")?,
            AbortKind::TimedOut => write!(
                f,
                "the client completed nothing within two server time-out intervals of {detail} ms"
            )?,
            AbortKind::Damaged => {
                write!(f, "the control segment is damaged: another process wrote into it")?;
            }
            AbortKind::Truncated => {
                write!(f, "a shared-memory object of the set was shrunk by another process")?;
            }
            AbortKind::Unknown => {
                write!(f, "no cause that makes sense is recorded")?;
            }
        }
        if let Some(device) = self.device {
            write!(f, "; device {device}")?;
        }
        if let Some(command) = self.command {
            write!(f, "; {command} was open")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: a device or command that a stranger has written into the segment and a user is told of.
    #[test]
    fn of_scribbled_words_only_what_makes_sense_is_told() {
        let words = [1_197_840_288, 1_584_499_660, 5];
        let unknown = AbortCause::from_words(0xDEAD_BEEF, words, 2);
        assert_eq!(unknown.to_string(), "no cause that makes sense is recorded");
        let known = AbortCause::from_words(AbortKind::ClientDied as u32, words, 2);
        assert_eq!(known.to_string(), "the client's process 5 ended");
    }

    // Catches: a cause that loses a part on its way through the segment, the last device's number or
    // the absence of one among them.
    #[test]
    fn a_cause_comes_out_as_it_went_in() {
        for device in [None, Some(0), Some(1)] {
            for command in [None, Some(CommandCode::READ), Some(CommandCode::COMPLETE)] {
                let cause = AbortCause { kind: AbortKind::ClientDied, device, command, detail: 7 };
                let (kind, words) = cause.to_words();
                assert_eq!(AbortCause::from_words(kind, words, 2), cause);
            }
        }
    }
}
