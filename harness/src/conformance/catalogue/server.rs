//! The server half of the interface: each call in each state, from the tables of the protocol, the
//! circumstances that these know, and the calls of a device in each of its own states.

use vdi_protocol::state::{Condition, ServerCall, State, server_transition};
use vdi_protocol::{DeviceEvent, DeviceState, HResult, Source as Stated, device_transition};

use crate::conformance::case::{Case, Circumstance, ServerCell, Trial};
use crate::conformance::results::Level;
use crate::conformance::source::Source;

pub(super) fn cases() -> Vec<Case> {
    let calls = ServerCall::ALL.into_iter();
    let of_call = |call| states(call).into_iter().chain(circumstances(call)).chain(devices(call));
    calls.flat_map(of_call).collect()
}

/// Whether the call can be made in the state. An object of ours comes into being by Open and a device
/// by OpenDevice, so that they cannot be called before; a buffer is its own proof that it is one, and
/// can be had where buffers are given out; a closed set takes SignalAbort without a word. Close in
/// Active is the circumstance that devices are open.
fn is_callable(call: ServerCall, state: State) -> bool {
    use State::{Abort, Active, DoesNotExist, Initializing, NormallyTerminated};
    match call {
        ServerCall::Open => state == DoesNotExist,
        ServerCall::FreeBuffer | ServerCall::IsSharedBuffer => {
            matches!(state, Initializing | Active)
        }
        ServerCall::SendCommand | ServerCall::CloseDevice => {
            matches!(state, DoesNotExist | Active | NormallyTerminated | Abort)
        }
        ServerCall::SignalAbort => state != DoesNotExist,
        ServerCall::Close => state != Active,
        _ => true,
    }
}

fn states(call: ServerCall) -> Vec<Case> {
    let callable = State::ALL.into_iter().filter(|state| is_callable(call, *state));
    let case = |state: State| {
        let cell = server_transition(call, state);
        let doubt = (call == ServerCall::OpenDevice && state == State::DoesNotExist)
            .then_some("VD_E_NOTOPEN is in the header and on no page");
        let name = state.to_string().to_lowercase().replace(' ', "-");
        let what = format!("of a set in the state {state}");
        let page = if is_in_table(call, state) { TABLE } else { page(call) };
        let server_cell =
            ServerCell { call, state, circumstance: Circumstance::Plain, result: cell.result };
        of_cell(&name, &what, source(cell.source, page, doubt), server_cell)
    };
    callable.map(case).collect()
}

fn circumstances(call: ServerCall) -> Vec<Case> {
    let mut cases: Vec<(Condition, Case)> = Vec::new();
    for state in State::ALL {
        for (condition, cell) in server_transition(call, state).exceptions() {
            let Some((name, what, doubt)) = circumstance(call, condition) else { continue };
            let source = source(cell.source, page_of(call, condition), doubt);
            let circumstance = Circumstance::Condition(condition);
            let server_cell = ServerCell { call, state, circumstance, result: cell.result };
            // One state a circumstance: the last, which has most behind it.
            cases.retain(|(earlier, _)| *earlier != condition);
            cases.push((condition, of_cell(name, what, source, server_cell)));
        }
    }
    cases.into_iter().map(|(_, case)| case).collect()
}

/// Name, words and doubt of a circumstance; none for what nobody can bring about: EndConfiguration
/// does not wait for anybody here, no request comes without a routine, a buffer is its own proof, and
/// an abort in the midst of a call that does not wait cannot be timed from outside.
fn circumstance(
    call: ServerCall,
    condition: Condition,
) -> Option<(&'static str, &'static str, Option<&'static str>)> {
    Some(match condition {
        Condition::NoSuchSet => ("no-such-set", "of a set that no client has created", None),
        Condition::ConfigurationRefused => ("refused", "with values outside the limits", None),
        Condition::OutOfMemory if call == ServerCall::AllocateBuffer => {
            ("out-of-memory", "with every buffer taken", None)
        }
        Condition::OutOfMemory => ("out-of-memory", "of buffers beyond all memory", None),
        Condition::AllDevicesOpen => (
            "all-open",
            "with every device open",
            Some("the client's table of transitions says VD_E_PROTOCOL"),
        ),
        Condition::AgentRunning => {
            ("agent-running", "while another thread is the completion agent", None)
        }
        Condition::AbortedMeanwhile if call == ServerCall::ExecuteCompletionAgent => {
            ("aborted-meanwhile", "of a set that is aborted meanwhile", None)
        }
        Condition::QueueFull => (
            "queue-full",
            "to a device whose queue is full",
            Some("no value of VD_E_QUEUE_FULL is published"),
        ),
        Condition::DeviceInError => (
            "device-in-error",
            "to a device that is in error",
            Some("no value of VD_E_IO_ERROR is published"),
        ),
        Condition::DeviceClosed if call == ServerCall::SendCommand => {
            ("device-closed", "to a device that is closed", None)
        }
        Condition::DeviceClosed => ("device-closed", "of a device that is closed", None),
        Condition::LastDeviceClosed => ("last-device", "of the last open device", None),
        Condition::DevicesOpen => ("devices-open", "with devices open", None),
        _ => return None,
    })
}

/// What the table of devices adds to that of sets.
const OF_DEVICES: [(ServerCall, DeviceEvent, DeviceState, &str, &str); 4] = [
    (
        ServerCall::SendCommand,
        DeviceEvent::SendClearError,
        DeviceState::Active,
        "clear-error",
        "of VDC_ClearError to a device that needs none",
    ),
    (
        ServerCall::SendCommand,
        DeviceEvent::SendClearError,
        DeviceState::IoError,
        "clear-error-in-error",
        "of VDC_ClearError to a device that is in error",
    ),
    (
        ServerCall::SendCommand,
        DeviceEvent::SendClearError,
        DeviceState::Closed,
        "clear-error-closed",
        "of VDC_ClearError to a device that is closed",
    ),
    (
        ServerCall::CloseDevice,
        DeviceEvent::CloseDevice,
        DeviceState::IoError,
        "device-in-error",
        "of a device that is in error",
    ),
];

fn devices(call: ServerCall) -> impl Iterator<Item = Case> {
    let of_call = OF_DEVICES.into_iter().filter(move |(row, ..)| *row == call);
    of_call.map(|(call, event, state, name, what)| {
        let cell = device_transition(event, state);
        let server_cell = ServerCell {
            call,
            state: State::Active,
            circumstance: Circumstance::Device(event, state),
            result: cell.result,
        };
        let page = match state {
            DeviceState::Closed => page(call),
            DeviceState::Active | DeviceState::IoError => "Command Error Handling",
        };
        of_cell(name, what, source(cell.source, page, None), server_cell)
    })
}

const TABLE: &str = "Server Transitions";

/// Whether the cell is in the part of the table that can be read. It has no column for Connected, and
/// is cut behind QueryAvailableBuffers.
fn is_in_table(call: ServerCall, state: State) -> bool {
    let cut = call as usize > ServerCall::QueryAvailableBuffers as usize;
    let has_row = call != ServerCall::IsSharedBuffer;
    has_row && state != State::Connected && !(cut && state >= State::Active)
}

/// The page that tells of a circumstance.
fn page_of(call: ServerCall, condition: Condition) -> &'static str {
    match condition {
        Condition::AbortedMeanwhile => "Abnormal Termination",
        Condition::LastDeviceClosed => "Normal Termination",
        _ => page(call),
    }
}

/// The page of a call.
fn page(call: ServerCall) -> &'static str {
    match call {
        ServerCall::Open => "IServerVirtualDeviceSet2::Open",
        ServerCall::GetConfiguration => "IServerVirtualDeviceSet2::GetConfiguration",
        ServerCall::BeginConfiguration => "IServerVirtualDeviceSet2::BeginConfiguration",
        ServerCall::RequestBuffers => "IServerVirtualDeviceSet2::RequestBuffers",
        ServerCall::EndConfiguration => "IServerVirtualDeviceSet2::EndConfiguration",
        ServerCall::OpenDevice => "IServerVirtualDeviceSet2::OpenDevice",
        ServerCall::ExecuteCompletionAgent => "IServerVirtualDeviceSet2::ExecuteCompletionAgent",
        ServerCall::AllocateBuffer => "IServerVirtualDeviceSet2::AllocateBuffer",
        ServerCall::FreeBuffer => "IServerVirtualDeviceSet2::FreeBuffer",
        ServerCall::IsSharedBuffer => "IServerVirtualDeviceSet2::IsSharedBuffer",
        ServerCall::SignalAbort => "IServerVirtualDeviceSet2::SignalAbort",
        ServerCall::Close => "IServerVirtualDeviceSet2::Close",
        ServerCall::SendCommand => "IServerVirtualDevice::SendCommand",
        ServerCall::CloseDevice => "IServerVirtualDevice::CloseDevice",
        // It has no page.
        ServerCall::QueryAvailableBuffers => TABLE,
    }
}

fn source(stated: Stated, page: &'static str, doubt: Option<&'static str>) -> Source {
    match doubt {
        Some(doubt) => Source::Uncertain(page, doubt),
        None if stated.is_stated() => Source::Page(page),
        None => Source::Inferred(page),
    }
}

fn of_cell(name: &str, what: &str, source: Source, cell: ServerCell) -> Case {
    let ServerCell { call, result, .. } = cell;
    let level: Level = source.strictest();
    let rule = match call {
        ServerCall::IsSharedBuffer => {
            format!("The server's IsSharedBuffer {what} knows its buffers from other addresses.")
        }
        _ => format!("The server's {call:?} {what} returns {}.", named(result)),
    };
    let id = format!("server/{call:?}/{name}");
    Case { trial: Trial::ServerCell(cell), ..Case::new(&id, level, &rule, source) }
}

fn named(status: HResult) -> String {
    status.name().map_or_else(|| status.to_string(), str::to_owned)
}
