//! A case: a rule, what it takes to see whether a client keeps it, and what is judged.

use vdi_protocol::state::{Condition, ServerCall};
use vdi_protocol::{
    ClientCall, CommandCode, CompletionCode, DeviceEvent, DeviceState, HResult, State,
};

use super::capabilities::Need;
use super::results::Level;
use super::script::{Operation, Script};
use super::source::Source;
use crate::selftest::Mode;

/// One rule with its scenario.
#[derive(Clone, Debug)]
pub struct Case {
    /// The stable id.
    pub id: String,
    /// How much it binds.
    pub level: Level,
    /// The rule in one sentence.
    pub rule: String,
    /// Where it is stated.
    pub source: Source,
    /// What a client has to support for it.
    pub needs: Vec<Need>,
    /// What usually lies behind a failure.
    pub hint: &'static str,
    /// The version of the catalogue that brought the rule.
    pub since: u32,
    /// The version in which it got its level, if that was a looser one before.
    pub tightened: u32,
    /// How it is found out.
    pub(crate) trial: Trial,
}

/// How a rule is tried.
#[derive(Clone, Debug)]
pub(crate) enum Trial {
    /// A client serves one statement after the other and everything seen is judged.
    Client(ClientTrial),
    /// One call of an implementation of the interface in one state.
    Cell(Cell),
    /// One call of the server half in one state.
    ServerCell(ServerCell),
    /// A whole backup and restore of our own client.
    RoundTrip(&'static Mode),
}

/// One call in one state, and what it has to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) call: ClientCall,
    pub(crate) state: State,
    /// A circumstance that the probe knows how to bring about; empty for none.
    pub(crate) variant: &'static str,
    pub(crate) result: HResult,
}

/// One call of the server half in one state, and what it has to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerCell {
    pub(crate) call: ServerCall,
    pub(crate) state: State,
    pub(crate) circumstance: Circumstance,
    pub(crate) result: HResult,
}

/// What a probe has to bring about besides the state of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Circumstance {
    Plain,
    /// An exception of the table.
    Condition(Condition),
    /// An event of the device that the call is, and the device's own state.
    Device(DeviceEvent, DeviceState),
}

/// Statements that a client serves.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientTrial {
    pub(crate) devices: usize,
    /// The name of the set, if it matters.
    pub(crate) set: Option<&'static str>,
    pub(crate) acts: Vec<Script>,
    pub(crate) checks: Vec<Check>,
    /// The largest file that the client may write.
    pub(crate) file_limit: Option<u64>,
    /// Whether the client's system calls are watched.
    pub(crate) syscalls: bool,
    /// Whether the client starts with a umask that keeps everybody else out.
    pub(crate) private: bool,
}

/// Something that is judged. All of a case's checks have to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Every statement was played to its end.
    Played,
    /// The commands with this code that were delivered were answered with one of these.
    Answers(CommandCode, &'static [CompletionCode]),
    /// The commands with this code that were delivered were not answered with ERROR_NOT_SUPPORTED.
    Supports(CommandCode),
    /// Every Read and Write was answered with exactly this outcome: success and all bytes.
    FullTransfers,
    /// No Read or Write claims more bytes than it had.
    NoMoreThanAsked,
    /// What was claimed was written into the buffer.
    ClaimedIsWritten,
    /// Every stream came back as it was sent, and whole.
    Returned,
    /// Nothing came behind the end of a stream.
    NothingBehindEnd,
    /// Nothing but the command's own bytes was written.
    InBounds,
    /// No buffer was written after its command was completed.
    HandsOff,
    /// The last Read of each device said that there is no more.
    SaidEnd,
    /// No answer to a Flush came before those to the Writes sent before it.
    FlushBehindWrites,
    /// Nothing that could not be stored was acknowledged: some Write or Flush was refused, or the
    /// set aborted.
    Refused,
    /// A refusal used a code that tells of a full or failing medium.
    RefusedByCode,
    /// Some positions: what GetPosition answered differs before and after Writes.
    PositionsMove,
    /// No Read or Write was answered with a position.
    NoPosition,
    /// SetPosition was answered with the position that it was given.
    PositionAnswered,
    /// The client called GetCommand until it had VD_E_CLOSE from every device.
    SawClose,
    /// The client called Close on its set after that.
    CallsClose,
    /// Close never found open devices after a normal run.
    NoEarlyClose,
    /// No call of a device after its set was closed.
    NoCallAfterClose,
    /// GetCommand was not called again on a device that had said VD_E_CLOSE.
    NoCallAfterEnd,
    /// After VD_E_ABORT no command was fetched or completed any more.
    HeedsAbort,
    /// After an abort the client closed its set.
    ClosesAfterAbort,
    /// Every command that was delivered was completed, and before Close.
    EveryCommandCompleted,
    /// No CompleteCommand was refused as being no command.
    CompletedOnce,
    /// No VDC_Command was written to.
    CommandsUnchanged,
    /// Create was called once for each statement.
    CreatesOnce,
    /// GetConfiguration had succeeded before the first OpenDevice.
    ConfiguresFirst,
    /// Each device was opened once, by its own name.
    OpensEachOnce,
    /// The configuration that was asked for is one of those described.
    ListedFeatures,
    /// No bit that only the server sets was asked for.
    NoServerBits,
    /// No bit without a name was asked for.
    NoUnknownBits,
    /// softFileMarkBlockSize is used with VDF_FileMarks only.
    SoftFileMarks,
    /// The output fields of VDConfig were 0 at Create.
    OutputsZero,
    /// The shared objects could be opened by the server's group.
    GroupAccess,
    /// Nothing was left in shared memory.
    NothingLeft,
    /// No process of the client went on after its end.
    NobodyLeft,
    /// The exit code tells of a failure where the statement was cut off or a command refused.
    FailsWhenCutOff,
    /// No command took longer than the serverTimeOut that the client asked for.
    WithinServerTimeOut,
    /// When a secondary process had died, the client aborted the set.
    AbortsForSecondary,
    /// The client says that it succeeded where the server said so.
    ReportsSuccess,
    /// Bytes were synchronised with the disk.
    Syncs,
    /// As many processes called the interface as there are devices, beside the primary.
    OneProcessADevice,
    /// Every process that joined the set closed it.
    SecondariesClose,
    /// OpenInSecondary was called after the primary's GetConfiguration, with the set's name.
    JoinsInOrder,
    /// Handles were mapped in another process than the one that got them.
    HandlesCross,
    /// The process that asked for a handle completed its command.
    AskerCompletes,
}

impl Case {
    /// A case that is not yet filled in.
    pub(crate) fn new(id: &str, level: Level, rule: &str, source: Source) -> Case {
        Case {
            id: id.to_owned(),
            level,
            rule: rule.to_owned(),
            source,
            needs: Vec::new(),
            hint: "",
            since: 1,
            tightened: 1,
            trial: Trial::Client(ClientTrial { devices: 1, ..ClientTrial::default() }),
        }
    }

    /// Another statement that the client serves.
    pub(crate) fn act(mut self, act: Script) -> Case {
        let need = match act.operation {
            Operation::Backup => Need::Backup,
            Operation::Restore => Need::Restore,
        };
        if !self.needs.contains(&need) {
            self.needs.push(need);
        }
        self.client().acts.push(act);
        self
    }

    /// What is judged.
    pub(crate) fn judged(mut self, checks: &[Check]) -> Case {
        self.client().checks.extend(checks);
        self
    }

    /// What a client has to support.
    pub(crate) fn needs(mut self, need: Need) -> Case {
        if let Need::Devices(devices) = need {
            self.client().devices = devices as usize;
        }
        self.needs.push(need);
        self
    }

    /// What usually lies behind a failure.
    pub(crate) fn hint(mut self, hint: &'static str) -> Case {
        self.hint = hint;
        self
    }

    pub(crate) fn named(mut self, set: &'static str) -> Case {
        self.client().set = Some(set);
        self
    }

    pub(crate) fn limited(mut self, bytes: u64) -> Case {
        self.client().file_limit = Some(bytes);
        self
    }

    pub(crate) fn watched(mut self) -> Case {
        self.client().syscalls = true;
        self
    }

    /// The client starts with a umask of 077.
    pub(crate) fn private(mut self) -> Case {
        self.client().private = true;
        self
    }

    fn client(&mut self) -> &mut ClientTrial {
        match &mut self.trial {
            Trial::Client(trial) => trial,
            // The builder starts with a client's trial and never replaces it.
            Trial::Cell(_) | Trial::ServerCell(_) | Trial::RoundTrip(_) => {
                unreachable!("made by other means")
            }
        }
    }

    /// Whether it judges a client, and not an implementation of the interface.
    pub fn is_of_clients(&self) -> bool {
        matches!(self.trial, Trial::Client(_))
    }

    /// Whether it judges an implementation of the interface, by one call.
    pub fn is_of_implementations(&self) -> bool {
        matches!(self.trial, Trial::Cell(_) | Trial::ServerCell(_))
    }

    /// The part of the id that groups cases.
    pub fn area(&self) -> &str {
        self.id.rsplit_once('/').map_or(self.id.as_str(), |(area, _)| area)
    }
}
