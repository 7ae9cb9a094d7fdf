//! The states of a set and the calls they allow.
//!
//! Two tables, one a half: each call has a cell for each state, with what it returns, the state
//! after it, and whether the specification says so. What a call returns besides depends on
//! conditions (a time-out, a name that is not in the set); those are the cell's exceptions.
//!
//! Each half keeps its own view of the state. After Close the caller's view is
//! [`State::DoesNotExist`], whatever the other half still has to do; a primary's Close before
//! Normally Terminated takes the server's view to [`State::Abort`] even when it returns NOERROR.
//!
//! Source: VDI, "Client Transitions" and "Server Transitions", completed from the pages of the
//! methods; the second half of the server's table could not be read.

use core::fmt;

use crate::source::Source;
use crate::status::HResult;
use State::{
    Abort, Active, Configurable, Connected, DoesNotExist, Initializing, NormallyTerminated,
};

/// The state of a set. No numeric values are published; these are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum State {
    /// Not created, or closed.
    DoesNotExist = 0,
    /// The server has opened the client's set and not begun to configure it. The client cannot
    /// tell it from Configurable.
    Connected = 1,
    /// The client has created the set; the server configures it.
    Configurable = 2,
    /// The configuration is fixed; devices may be opened.
    Initializing = 3,
    /// Devices are open and commands flow.
    Active = 4,
    /// The server has closed every device.
    NormallyTerminated = 5,
    /// Either half asked to abort, or died.
    Abort = 6,
}

impl State {
    /// All states, in the order of their values.
    pub const ALL: [Self; 7] =
        [DoesNotExist, Connected, Configurable, Initializing, Active, NormallyTerminated, Abort];

    /// The state with this value, if there is one.
    pub fn from_value(value: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(value).ok()?).copied()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DoesNotExist => "Does Not Exist",
            Connected => "Connected",
            Configurable => "Configurable",
            Initializing => "Initializing",
            Active => "Active",
            NormallyTerminated => "Normally Terminated",
            Abort => "Abort",
        })
    }
}

/// A call of the client half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientCall {
    /// Create and CreateEx.
    Create,
    /// OpenInSecondary and OpenInSecondaryEx; the state is that of the set to be joined.
    OpenInSecondary,
    /// GetConfiguration.
    GetConfiguration,
    /// OpenDevice.
    OpenDevice,
    /// IClientVirtualDevice::GetCommand.
    GetCommand,
    /// IClientVirtualDevice::CompleteCommand.
    CompleteCommand,
    /// GetBufferHandle.
    GetBufferHandle,
    /// MapBufferHandle.
    MapBufferHandle,
    /// SignalAbort.
    SignalAbort,
    /// Close.
    Close,
}

impl ClientCall {
    /// All calls, in the order of the table.
    pub const ALL: [Self; 10] = [
        Self::Create,
        Self::OpenInSecondary,
        Self::GetConfiguration,
        Self::OpenDevice,
        Self::GetCommand,
        Self::CompleteCommand,
        Self::GetBufferHandle,
        Self::MapBufferHandle,
        Self::SignalAbort,
        Self::Close,
    ];
}

/// A call of the server half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerCall {
    /// Open.
    Open,
    /// GetConfiguration.
    GetConfiguration,
    /// BeginConfiguration.
    BeginConfiguration,
    /// RequestBuffers.
    RequestBuffers,
    /// QueryAvailableBuffers.
    QueryAvailableBuffers,
    /// EndConfiguration.
    EndConfiguration,
    /// OpenDevice.
    OpenDevice,
    /// ExecuteCompletionAgent.
    ExecuteCompletionAgent,
    /// AllocateBuffer.
    AllocateBuffer,
    /// FreeBuffer.
    FreeBuffer,
    /// IsSharedBuffer.
    IsSharedBuffer,
    /// IServerVirtualDevice::SendCommand.
    SendCommand,
    /// IServerVirtualDevice::CloseDevice.
    CloseDevice,
    /// SignalAbort.
    SignalAbort,
    /// Close.
    Close,
}

impl ServerCall {
    /// All calls, in the order of the table.
    pub const ALL: [Self; 15] = [
        Self::Open,
        Self::GetConfiguration,
        Self::BeginConfiguration,
        Self::RequestBuffers,
        Self::QueryAvailableBuffers,
        Self::EndConfiguration,
        Self::OpenDevice,
        Self::ExecuteCompletionAgent,
        Self::AllocateBuffer,
        Self::FreeBuffer,
        Self::IsSharedBuffer,
        Self::SendCommand,
        Self::CloseDevice,
        Self::SignalAbort,
        Self::Close,
    ];
}

/// A circumstance, besides the state, that changes what a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Another live set has this name.
    NameTaken,
    /// No set with this name can be reached.
    NoSuchSet,
    /// The calling object holds a set already.
    AlreadyInSet,
    /// The configuration is outside the limits of [`crate::config`].
    ConfigurationRefused,
    /// The call waited and its interval elapsed.
    TimedOut,
    /// The set was aborted while the call waited.
    AbortedMeanwhile,
    /// Memory or shared memory is short.
    OutOfMemory,
    /// No device of the set has this name.
    UnknownName,
    /// The device is open already, in this process or another.
    DeviceAlreadyOpen,
    /// Every device of the set is open.
    AllDevicesOpen,
    /// The server closed this device, and others are still open.
    DeviceClosed,
    /// The server closed this device, and it was the last.
    LastDeviceClosed,
    /// Devices opened through this object have not been closed by the server.
    DevicesOpen,
    /// The pointer is no command that the client holds.
    NotACommand,
    /// The address or handle is no buffer of this set.
    NotABuffer,
    /// The device's command queue is full.
    QueueFull,
    /// The device is in the IO-ERROR state and the command is not VDC_ClearError.
    DeviceInError,
    /// The request has no completion routine.
    NoRoutine,
    /// A completion agent runs already.
    AgentRunning,
}

/// What a call does in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What the call returns.
    pub result: HResult,
    /// The caller's state afterwards.
    pub next: State,
    /// Whether the specification says so.
    pub source: Source,
    state: State,
    exceptions: &'static [Exception],
}

impl Cell {
    /// What the call does instead under a condition, or `None` if the condition changes nothing.
    pub fn when(&self, condition: Condition) -> Option<Self> {
        self.exceptions().find_map(|(found, cell)| (found == condition).then_some(cell))
    }

    /// Every condition that changes what the call does, and what it does then.
    pub fn exceptions(&self) -> impl Iterator<Item = (Condition, Self)> {
        let state = self.state;
        self.exceptions.iter().map(move |e| (e.condition, e.entry.at(state)))
    }
}

/// A cell before its state is known: `next` is `None` where the state stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    result: HResult,
    next: Option<State>,
    source: Source,
    exceptions: &'static [Exception],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Exception {
    condition: Condition,
    entry: Entry,
}

const OK: Entry = refuse(HResult::NOERROR);
const PROTOCOL: Entry = refuse(HResult::VD_E_PROTOCOL);
const ABORTED: Entry = refuse(HResult::VD_E_ABORT);
const INVALID: Entry = refuse(HResult::VD_E_INVALID);

const fn refuse(result: HResult) -> Entry {
    Entry { result, next: None, source: Source::Stated, exceptions: &[] }
}

const fn to(next: State) -> Entry {
    OK.to(next)
}

impl Entry {
    const fn to(self, next: State) -> Self {
        Self { next: Some(next), ..self }
    }

    const fn decided(self, reason: &'static str) -> Self {
        Self { source: Source::Decided(reason), ..self }
    }

    const fn except(self, exceptions: &'static [Exception]) -> Self {
        Self { exceptions, ..self }
    }

    const fn when(self, condition: Condition) -> Exception {
        Exception { condition, entry: self }
    }

    fn at(self, state: State) -> Cell {
        Cell {
            result: self.result,
            next: self.next.unwrap_or(state),
            source: self.source,
            state,
            exceptions: self.exceptions,
        }
    }
}

/// What a call of the client does to a set in a state.
///
/// In [`State::Connected`] a client's call does what it does in Configurable.
pub fn client_transition(call: ClientCall, state: State) -> Cell {
    let row = &CLIENT[call as usize].1;
    match state {
        DoesNotExist => row[0].at(state),
        Connected => row[1].decided("the client cannot tell Connected from Configurable").at(state),
        Configurable => row[1].at(state),
        Initializing => row[2].at(state),
        Active => row[3].at(state),
        NormallyTerminated => row[4].at(state),
        Abort => row[5].at(state),
    }
}

/// What a call of the server does to a set in a state.
pub fn server_transition(call: ServerCall, state: State) -> Cell {
    SERVER[call as usize].1[state as usize].at(state)
}

/// An abort that comes while the call waits or works.
const ABORT_MEANWHILE: Exception = ABORTED.to(Abort).when(Condition::AbortedMeanwhile);

const NOT_A_BUFFER: &[Exception] = &[INVALID.when(Condition::NotABuffer)];

const NO_BUFFERS_YET: Entry =
    INVALID.decided("the set is open, so the order is kept, but nothing can be a buffer yet");

const HANDLES_LIVE: Entry = OK
    .except(NOT_A_BUFFER)
    .decided("handles live until Close: the page refuses only a set that is not open");

const JOINING: &[Exception] = &[
    PROTOCOL.when(Condition::AlreadyInSet),
    PROTOCOL.when(Condition::NoSuchSet),
    refuse(HResult::VD_E_MEMORY)
        .decided("the segments have to be mapped; the code's meaning")
        .when(Condition::OutOfMemory),
];

const OPENING: &[Exception] = &[
    INVALID.when(Condition::UnknownName),
    PROTOCOL.when(Condition::DeviceAlreadyOpen),
    refuse(HResult::VD_E_OPEN).when(Condition::AllDevicesOpen),
];

/// Rows in the order of [`ClientCall::ALL`]; columns Does Not Exist, Configurable, Initializing,
/// Active, Normally Terminated, Abort.
///
/// OpenDevice checks in this order: abort, state, all devices open, unknown name, device open.
#[rustfmt::skip]
const CLIENT: [(ClientCall, [Entry; 6]); 10] = [
    (ClientCall::Create, [
        to(Configurable).except(&[
            PROTOCOL.when(Condition::NameTaken),
            refuse(HResult::VD_E_NOTSUPPORTED).when(Condition::ConfigurationRefused),
            refuse(HResult::VD_E_MEMORY).decided("in the header, on no page; the code's meaning")
                .when(Condition::OutOfMemory),
        ]),
        PROTOCOL, PROTOCOL, PROTOCOL, PROTOCOL, PROTOCOL,
    ]),
    (ClientCall::OpenInSecondary, [
        PROTOCOL, PROTOCOL,
        OK.except(JOINING), OK.except(JOINING),
        PROTOCOL.decided("no device is left to open"),
        ABORTED,
    ]),
    (ClientCall::GetConfiguration, [
        PROTOCOL,
        to(Initializing).except(&[
            refuse(HResult::VD_E_TIMEOUT).when(Condition::TimedOut),
            ABORT_MEANWHILE,
        ]),
        OK, OK, OK, ABORTED,
    ]),
    (ClientCall::OpenDevice, [
        PROTOCOL, PROTOCOL,
        to(Active).except(OPENING),
        OK.except(OPENING).decided(
            "the table says VD_E_PROTOCOL, yet the page lets a client open device after device \
             until VD_E_OPEN"),
        PROTOCOL, ABORTED,
    ]),
    (ClientCall::GetCommand, [
        PROTOCOL, PROTOCOL, PROTOCOL,
        OK.except(&[
            refuse(HResult::VD_E_TIMEOUT).when(Condition::TimedOut),
            refuse(HResult::VD_E_CLOSE).when(Condition::DeviceClosed),
            refuse(HResult::VD_E_CLOSE).to(NormallyTerminated).when(Condition::LastDeviceClosed),
            ABORT_MEANWHILE,
        ]),
        PROTOCOL, ABORTED,
    ]),
    (ClientCall::CompleteCommand, [
        PROTOCOL, PROTOCOL, PROTOCOL,
        OK.except(&[
            INVALID.when(Condition::NotACommand),
            PROTOCOL.when(Condition::DeviceClosed),
        ]),
        PROTOCOL, ABORTED,
    ]),
    (ClientCall::GetBufferHandle, [
        PROTOCOL, NO_BUFFERS_YET,
        HANDLES_LIVE, HANDLES_LIVE, HANDLES_LIVE, HANDLES_LIVE,
    ]),
    (ClientCall::MapBufferHandle, [
        PROTOCOL, NO_BUFFERS_YET,
        HANDLES_LIVE, HANDLES_LIVE, HANDLES_LIVE, HANDLES_LIVE,
    ]),
    (ClientCall::SignalAbort, [
        PROTOCOL, to(Abort), to(Abort), to(Abort), to(Abort), OK,
    ]),
    (ClientCall::Close, [
        PROTOCOL, to(DoesNotExist), to(DoesNotExist),
        to(DoesNotExist).except(&[
            refuse(HResult::VD_E_OPEN).to(DoesNotExist).when(Condition::DevicesOpen),
        ]),
        to(DoesNotExist), to(DoesNotExist),
    ]),
];

const NOT_BEGUN: &str = "BeginConfiguration has to come first";
const ENDED: &str = "every device is closed and the completion agent has ended";
const CUT: &str = "the table is cut here; as in the state before it";
const CUT_ABORT: &str = "the table is cut here; the code's meaning";

/// Buffers asked for after the configuration are made at once.
const MORE_BUFFERS: &[Exception] =
    &[refuse(HResult::VD_E_MEMORY).when(Condition::OutOfMemory), ABORT_MEANWHILE];

const ALLOCATING: &[Exception] = &[refuse(HResult::VD_E_MEMORY).when(Condition::OutOfMemory)];

const LAST_ONE: &[Exception] = &[refuse(HResult::VD_E_OPEN).when(Condition::AllDevicesOpen)];

const ONE_AGENT: &[Exception] = &[
    PROTOCOL.decided("a set has one completion agent").when(Condition::AgentRunning),
    ABORT_MEANWHILE,
];

/// Rows in the order of [`ServerCall::ALL`]; columns in the order of [`State::ALL`].
#[rustfmt::skip]
const SERVER: [(ServerCall, [Entry; 7]); 15] = [
    (ServerCall::Open, [
        to(Connected).except(&[INVALID.when(Condition::NoSuchSet)]),
        PROTOCOL.decided("Open is the first call on an object, so it cannot come twice"),
        PROTOCOL, PROTOCOL, PROTOCOL, PROTOCOL, PROTOCOL,
    ]),
    (ServerCall::GetConfiguration, [PROTOCOL, OK, OK, OK, OK, OK, ABORTED]),
    (ServerCall::BeginConfiguration, [
        PROTOCOL,
        to(Configurable).except(&[
            INVALID.decided("the page gives limits without a code; the code's meaning")
                .when(Condition::ConfigurationRefused),
            ABORT_MEANWHILE,
        ]),
        PROTOCOL, PROTOCOL, PROTOCOL, PROTOCOL, PROTOCOL,
    ]),
    (ServerCall::RequestBuffers, [
        PROTOCOL, PROTOCOL.decided(NOT_BEGUN),
        OK, OK.except(MORE_BUFFERS), OK.except(MORE_BUFFERS), PROTOCOL, PROTOCOL,
    ]),
    (ServerCall::QueryAvailableBuffers, [
        PROTOCOL, PROTOCOL.decided(NOT_BEGUN), OK, OK, OK, PROTOCOL, PROTOCOL,
    ]),
    (ServerCall::EndConfiguration, [
        PROTOCOL, PROTOCOL.decided(NOT_BEGUN),
        to(Initializing).except(&[
            refuse(HResult::VD_E_MEMORY).when(Condition::OutOfMemory),
            refuse(HResult::VD_E_TIMEOUT)
                .decided("BeginConfiguration takes a time-out without naming its code")
                .when(Condition::TimedOut),
            ABORT_MEANWHILE,
        ]),
        PROTOCOL, PROTOCOL, PROTOCOL, ABORTED,
    ]),
    (ServerCall::OpenDevice, [
        PROTOCOL, PROTOCOL.decided(NOT_BEGUN), PROTOCOL,
        to(Active).except(LAST_ONE),
        OK.except(LAST_ONE).decided("each call opens the next device, until all are open"),
        PROTOCOL.decided(ENDED), ABORTED.decided(CUT_ABORT),
    ]),
    (ServerCall::ExecuteCompletionAgent, [
        PROTOCOL, PROTOCOL.decided(NOT_BEGUN), PROTOCOL,
        to(Active).except(ONE_AGENT),
        OK.except(ONE_AGENT).decided("OpenDevice may have made the set active before"),
        OK.decided("a thread that comes to its work late finds it done, which is no failure"),
        ABORTED.decided(CUT_ABORT),
    ]),
    (ServerCall::AllocateBuffer, [
        PROTOCOL, PROTOCOL.decided(NOT_BEGUN), PROTOCOL,
        OK.except(ALLOCATING), OK.except(ALLOCATING).decided(CUT),
        PROTOCOL.decided(ENDED), ABORTED.decided("an abort gives out no new buffers"),
    ]),
    (ServerCall::FreeBuffer, [
        PROTOCOL, PROTOCOL.decided(NOT_BEGUN), PROTOCOL,
        OK.except(NOT_A_BUFFER), OK.except(NOT_A_BUFFER).decided(CUT),
        OK.except(NOT_A_BUFFER).decided("a server may free its buffers before it closes"),
        OK.except(NOT_A_BUFFER).decided("buffers stay with their owner until its Close"),
    ]),
    (ServerCall::IsSharedBuffer, [
        PROTOCOL.decided("not in the table; no set, no buffers"),
        OK.decided("not in the table; a question about an address is always in order"),
        OK.decided("not in the table; a question about an address is always in order"),
        OK.decided("not in the table; a question about an address is always in order"),
        OK.decided("not in the table; a question about an address is always in order"),
        OK.decided("not in the table; a question about an address is always in order"),
        OK.decided("not in the table; a question about an address is always in order"),
    ]),
    (ServerCall::SendCommand, [
        PROTOCOL, PROTOCOL.decided(NOT_BEGUN), PROTOCOL, PROTOCOL,
        OK.except(&[
            refuse(HResult::VD_E_QUEUE_FULL).when(Condition::QueueFull),
            refuse(HResult::VD_E_IO_ERROR).when(Condition::DeviceInError),
            PROTOCOL.when(Condition::DeviceClosed),
            INVALID.decided("the routine must be set; the page names no code")
                .when(Condition::NoRoutine),
            ABORT_MEANWHILE,
        ]).decided("the table is cut here; the state exists for it"),
        PROTOCOL.decided(ENDED),
        ABORTED.decided("the table is cut here; the page names the code for an abort"),
    ]),
    (ServerCall::CloseDevice, [
        PROTOCOL, PROTOCOL.decided(NOT_BEGUN), PROTOCOL, PROTOCOL,
        OK.except(&[
            to(NormallyTerminated).when(Condition::LastDeviceClosed),
            refuse(HResult::VD_E_CLOSE).when(Condition::DeviceClosed),
        ]).decided("the table is cut here; the state exists for it"),
        refuse(HResult::VD_E_CLOSE).decided("the table is cut here; the device is closed already"),
        ABORTED.decided("the table is cut here; the page names the code for an abort"),
    ]),
    (ServerCall::SignalAbort, [
        PROTOCOL, to(Abort).decided("a server that dislikes the configuration may abort"),
        to(Abort), to(Abort),
        to(Abort).decided(CUT), to(Abort).decided("the table is cut here; as the client's row"),
        OK.decided("the table is cut here; as the client's row"),
    ]),
    (ServerCall::Close, [
        PROTOCOL, to(DoesNotExist).decided("Close always releases everything"),
        to(DoesNotExist), to(DoesNotExist),
        to(DoesNotExist).except(&[
            PROTOCOL.to(DoesNotExist).when(Condition::DevicesOpen),
        ]).decided("the table is cut here; Close always releases everything"),
        to(DoesNotExist).decided("the table is cut here; Close always releases everything"),
        to(DoesNotExist).decided("the table is cut here; Close always releases everything"),
    ]),
];

const _: () = {
    let mut i = 0;
    while i < CLIENT.len() {
        assert!(CLIENT[i].0 as usize == i);
        i += 1;
    }
    let mut i = 0;
    while i < SERVER.len() {
        assert!(SERVER[i].0 as usize == i);
        i += 1;
    }
};
