//! The states of one device: active, in error, closed.
//!
//! A command that the client completes with anything but ERROR_SUCCESS puts its device into
//! IO-ERROR: what is queued and not yet delivered ends with ERROR_IO_DEVICE without the client
//! seeing it, and nothing but VDC_ClearError is accepted. The client gets the ClearError when it
//! has completed all that it held at that moment; its success makes the device active again.
//! Instead the server may close the device or abort the set. The point is a reliable recovery
//! while several transfers are under way.
//!
//! Source: VDI, "Command Error Handling"; the pages of SendCommand and CloseDevice.

use core::fmt;

use crate::completion::CompletionCode;
use crate::source::Source;
use crate::status::HResult;

/// The state of a device. No numeric values are published; these are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum DeviceState {
    /// Commands flow.
    Active = 0,
    /// A command was completed with an error.
    IoError = 1,
    /// The server closed the device.
    Closed = 2,
}

impl DeviceState {
    /// All states, in the order of their values.
    pub const ALL: [Self; 3] = [Self::Active, Self::IoError, Self::Closed];

    /// The state with this value, if there is one.
    pub fn from_value(value: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(value).ok()?).copied()
    }
}

impl fmt::Display for DeviceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "Active",
            Self::IoError => "IO-ERROR",
            Self::Closed => "Closed",
        })
    }
}

/// What happens to a device of an active set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceEvent {
    /// The server sends a command other than VDC_ClearError.
    Send,
    /// The server sends VDC_ClearError.
    SendClearError,
    /// The client calls GetCommand.
    GetCommand,
    /// The client completes a command other than VDC_ClearError with ERROR_SUCCESS.
    Complete,
    /// The client completes a command other than VDC_ClearError with another code.
    CompleteWithError,
    /// The client completes VDC_ClearError with ERROR_SUCCESS.
    CompleteClearError,
    /// The client completes VDC_ClearError with another code.
    FailClearError,
    /// The server closes the device.
    CloseDevice,
}

impl DeviceEvent {
    /// All events.
    pub const ALL: [Self; 8] = [
        Self::Send,
        Self::SendClearError,
        Self::GetCommand,
        Self::Complete,
        Self::CompleteWithError,
        Self::CompleteClearError,
        Self::FailClearError,
        Self::CloseDevice,
    ];
}

/// What an event does to a device in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceCell {
    /// What the call behind the event returns to whoever made it.
    pub result: HResult,
    /// The device's state afterwards.
    pub next: DeviceState,
    /// How the commands end that are queued and not yet delivered, if the event ends them.
    pub queued: Option<CompletionCode>,
    /// Whether the specification says so.
    pub source: Source,
}

/// What an event does to a device in a state.
pub fn device_transition(event: DeviceEvent, state: DeviceState) -> DeviceCell {
    use DeviceEvent as E;
    use DeviceState::{Active, Closed, IoError};
    use Source::{Decided, Stated};

    let cell = |result, next, source| DeviceCell { result, next, queued: None, source };
    let ok = HResult::NOERROR;
    match (event, state) {
        (E::Send, Active) => cell(ok, Active, Stated),
        (E::Send, IoError) => cell(HResult::VD_E_IO_ERROR, IoError, Stated),
        (E::Send, Closed) => cell(HResult::VD_E_PROTOCOL, Closed, Stated),

        (E::SendClearError, Active) => {
            cell(ok, Active, Decided("there is nothing to clear, and no harm in it"))
        }
        (E::SendClearError, IoError) => cell(ok, IoError, Stated),
        (E::SendClearError, Closed) => cell(HResult::VD_E_PROTOCOL, Closed, Stated),

        (E::GetCommand, Active) => cell(ok, Active, Stated),
        (E::GetCommand, IoError) => {
            cell(ok, IoError, Decided("the call waits; only ClearError can come"))
        }
        (E::GetCommand, Closed) => cell(HResult::VD_E_CLOSE, Closed, Stated),

        (E::Complete, Active) => cell(ok, Active, Stated),
        (E::Complete, IoError) => cell(ok, IoError, Stated),
        (E::Complete, Closed) => cell(HResult::VD_E_PROTOCOL, Closed, Stated),

        (E::CompleteWithError, Active) => DeviceCell {
            queued: Some(CompletionCode::ERROR_IO_DEVICE),
            ..cell(ok, IoError, Stated)
        },
        (E::CompleteWithError, IoError) => cell(
            ok,
            IoError,
            Decided("the client answers for what it held; a ClearError that waits stays queued"),
        ),
        (E::CompleteWithError, Closed) => cell(HResult::VD_E_PROTOCOL, Closed, Stated),

        (E::CompleteClearError, Active) => {
            cell(ok, Active, Decided("it was sent without need; the device works on"))
        }
        (E::CompleteClearError, IoError) => cell(ok, Active, Stated),
        (E::CompleteClearError, Closed) => cell(HResult::VD_E_PROTOCOL, Closed, Stated),

        (E::FailClearError, Active) => DeviceCell {
            queued: Some(CompletionCode::ERROR_IO_DEVICE),
            ..cell(ok, IoError, Decided("an error like that of any other command"))
        },
        (E::FailClearError, IoError) => cell(ok, IoError, Decided("only success leaves IO-ERROR")),
        (E::FailClearError, Closed) => cell(HResult::VD_E_PROTOCOL, Closed, Stated),

        (E::CloseDevice, Active | IoError) => cell(ok, Closed, Stated),
        (E::CloseDevice, Closed) => cell(HResult::VD_E_CLOSE, Closed, Stated),
    }
}

/// Whether GetCommand may hand out a VDC_ClearError: not before the client has completed every
/// command that it held when the device fell into IO-ERROR.
pub const fn clear_error_is_due(outstanding: u32) -> bool {
    outstanding == 0
}

/// The code with which a request ends that SendCommand refused: its routine is called all the
/// same, from the sending thread. `None` for a status that leaves no such answer.
/// Source: VDI, IServerVirtualDevice::SendCommand page.
pub const fn completion_of_refusal(status: HResult) -> Option<CompletionCode> {
    match status {
        HResult::VD_E_QUEUE_FULL => Some(CompletionCode::ERROR_NO_SYSTEM_RESOURCES),
        HResult::VD_E_IO_ERROR => Some(CompletionCode::ERROR_IO_DEVICE),
        HResult::VD_E_PROTOCOL => Some(CompletionCode::ERROR_INVALID_HANDLE),
        HResult::VD_E_ABORT => Some(CompletionCode::ERROR_OPERATION_ABORTED),
        _ => None,
    }
}
