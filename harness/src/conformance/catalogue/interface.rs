//! The client half of the interface itself: each call in each state, from the tables of the
//! protocol, and the circumstances that the pages of the calls name.

use vdi_protocol::{ClientCall, HResult, State, client_transition};

use crate::conformance::case::{Case, Cell, Trial};
use crate::conformance::results::Level;
use crate::conformance::source::Source;

pub(super) fn cases() -> Vec<Case> {
    states().into_iter().chain(circumstances()).collect()
}

const STATES: [(State, &str); 6] = [
    (State::DoesNotExist, "does-not-exist"),
    (State::Configurable, "configurable"),
    (State::Initializing, "initializing"),
    (State::Active, "active"),
    (State::NormallyTerminated, "normally-terminated"),
    (State::Abort, "abort"),
];

/// The calls whose row stands in the specification's table.
const ROWS: [ClientCall; 7] = [
    ClientCall::Create,
    ClientCall::GetConfiguration,
    ClientCall::OpenDevice,
    ClientCall::GetCommand,
    ClientCall::CompleteCommand,
    ClientCall::SignalAbort,
    ClientCall::Close,
];

/// Cells on which the sources disagree, and how.
fn doubt(call: ClientCall, state: State) -> Option<&'static str> {
    match (call, state) {
        (ClientCall::Close, State::Active) => {
            Some("the page of Close says VD_E_OPEN while devices are open")
        }
        (ClientCall::OpenDevice, State::Active) => {
            Some("the page of OpenDevice says VD_E_OPEN when all devices are open")
        }
        (ClientCall::SignalAbort | ClientCall::OpenDevice, State::DoesNotExist) => {
            Some("VD_E_NOTOPEN is in the header and on no page")
        }
        _ => None,
    }
}

fn states() -> Vec<Case> {
    let mut cases = Vec::new();
    for call in ROWS {
        for (state, name) in STATES {
            let cell = client_transition(call, state);
            let doubt = doubt(call, state);
            let result = match (call, state) {
                // With every device open, as they are when one is opened again.
                (ClientCall::Close | ClientCall::OpenDevice, State::Active) => HResult::VD_E_OPEN,
                _ => cell.result,
            };
            let (level, source) = match doubt {
                Some(doubt) => (Level::Disputed, Source::Uncertain("Client Transitions", doubt)),
                None if cell.source.is_stated() => {
                    (Level::Must, Source::Page("Client Transitions"))
                }
                None => (Level::Should, Source::Inferred("Client Transitions")),
            };
            let rule = format!("{call:?} of a set in the state {state} returns {}.", named(result));
            let id = format!("interface/{call:?}/{name}");
            cases.push(of_cell(&id, level, &rule, source, call, state, "", result));
        }
    }
    cases
}

fn named(status: HResult) -> String {
    status.name().map_or_else(|| status.to_string(), str::to_owned)
}

#[allow(clippy::too_many_arguments, reason = "a case and its cell")]
fn of_cell(
    id: &str,
    level: Level,
    rule: &str,
    source: Source,
    call: ClientCall,
    state: State,
    variant: &'static str,
    result: HResult,
) -> Case {
    let cell = Cell { call, state, variant, result };
    Case { trial: Trial::Cell(cell), ..Case::new(id, level, rule, source) }
}

/// A circumstance: the call, its name, what comes back, the rule, the source.
type Row = (ClientCall, &'static str, HResult, &'static str, Source);

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    use ClientCall::{
        Create, GetBufferHandle, GetCommand, GetConfiguration, MapBufferHandle, OpenDevice,
        OpenInSecondary,
    };
    use HResult as H;
    use Source::{Inferred, Page, Uncertain};
    let create = Page("CreateEx");
    let config = Page("VDConfig Structure");
    let map = Page("MapBufferHandle");
    let get = Page("GetCommand");
    let join = Page("OpenInSecondaryEx");
    vec![
        (Create, "name-taken", H::VD_E_PROTOCOL, "Create with the name of a live set returns VD_E_PROTOCOL.", Page("Linux VDI specification, Create")),
        (Create, "after-close", H::NOERROR, "After Close the same object may create a set again.", create),
        (Create, "no-devices", H::VD_E_NOTSUPPORTED, "Create refuses a set without devices.", config),
        (Create, "64-devices", H::NOERROR, "A set may have 64 devices.", Uncertain("VDConfig Structure", "the samples stop at 32 devices")),
        (Create, "65-devices", H::VD_E_NOTSUPPORTED, "Create refuses more than 64 devices.", Uncertain("VDConfig Structure", "the samples stop at 32 devices")),
        (Create, "odd-alignment", H::VD_E_NOTSUPPORTED, "Create refuses an alignment that is no power of 2.", Inferred("VDConfig Structure")),
        (Create, "huge-prefix", H::VD_E_NOTSUPPORTED, "Create refuses a prefix zone of 4 GiB.", Inferred("VDConfig Structure")),
        (Create, "backslash", H::VD_E_INVALID, "Create refuses a backslash in the name.", Inferred("CreateEx")),
        (Create, "empty-name", H::VD_E_INVALID, "Create refuses an empty name.", Inferred("CreateEx")),
        (Create, "braces", H::NOERROR, "A name may be a GUID in braces.", Page("Initialization")),
        (GetConfiguration, "timed-out", H::VD_E_TIMEOUT, "GetConfiguration without a server returns VD_E_TIMEOUT when its time is over.", Page("GetConfiguration")),
        (GetConfiguration, "polls", H::VD_E_TIMEOUT, "GetConfiguration with time-out 0 does not wait.", Page("GetConfiguration")),
        (GetConfiguration, "aborted-meanwhile", H::VD_E_ABORT, "GetConfiguration returns VD_E_ABORT when the set is aborted while it waits.", Page("GetConfiguration")),
        (OpenDevice, "unknown-name", H::VD_E_INVALID, "OpenDevice refuses a name that is not the set's.", Uncertain("OpenDevice", "whether names or places are compared")),
        (OpenDevice, "already-open", H::VD_E_PROTOCOL, "OpenDevice refuses a device that is open while others are not.", Page("OpenDevice")),
        (OpenDevice, "all-open", H::VD_E_OPEN, "OpenDevice returns VD_E_OPEN when all devices are open.", Uncertain("OpenDevice", "the table of transitions says VD_E_PROTOCOL")),
        (OpenDevice, "second-device", H::NOERROR, "OpenDevice goes on after the first device until all are open.", Uncertain("OpenDevice", "the table of transitions says VD_E_PROTOCOL")),
        (GetCommand, "closed", H::VD_E_CLOSE, "GetCommand returns VD_E_CLOSE when the server has closed the device.", get),
        (GetCommand, "one-of-two-closed", H::VD_E_CLOSE, "A device that is closed says so though others are open.", get),
        (GetCommand, "aborted-by-server", H::VD_E_ABORT, "GetCommand returns VD_E_ABORT when the server has aborted the set.", get),
        (GetCommand, "aborted-meanwhile", H::VD_E_ABORT, "GetCommand returns VD_E_ABORT when the set is aborted while it waits.", get),
        (GetCommand, "held-too-long", H::VD_E_ABORT, "A set is aborted when a command was held for two of the client's serverTimeOut intervals.", Page("Description")),
        (GetCommand, "timed-out", H::VD_E_TIMEOUT, "GetCommand returns VD_E_TIMEOUT when no command came in time.", get),
        (GetCommand, "polls", H::VD_E_TIMEOUT, "GetCommand with time-out 0 does not wait.", get),
        (GetBufferHandle, "of-command", H::NOERROR, "The buffer of a Write has a handle.", Page("GetBufferHandle")),
        (MapBufferHandle, "own", H::NOERROR, "The process that got a handle can map it.", Inferred("MapBufferHandle")),
        (MapBufferHandle, "secondary", H::NOERROR, "Another object that joined the set maps its handles.", map),
        (MapBufferHandle, "zero", H::VD_E_INVALID, "Handle 0 is no buffer's.", map),
        (MapBufferHandle, "all-ones", H::VD_E_INVALID, "Handle 0xFFFFFFFF is no buffer's.", map),
        (MapBufferHandle, "other-set", H::VD_E_INVALID, "A handle of another set is refused.", map),
        (MapBufferHandle, "made-up", H::VD_E_INVALID, "A made-up handle is refused.", map),
        (MapBufferHandle, "not-open", H::VD_E_PROTOCOL, "Without a set there are no handles.", map),
        (OpenInSecondary, "no-such-set", H::VD_E_PROTOCOL, "A set that was not created cannot be joined.", Page("Linux VDI specification, OpenInSecondary")),
        (OpenInSecondary, "other-case", H::VD_E_PROTOCOL, "The names of sets are case-sensitive.", join),
        (OpenInSecondary, "already-in-set", H::VD_E_PROTOCOL, "An object that has joined a set cannot join again.", join),
        (OpenInSecondary, "primary", H::VD_E_PROTOCOL, "The object that created a set cannot join it.", join),
        (OpenInSecondary, "configured", H::NOERROR, "A configured set can be joined.", join),
        (OpenInSecondary, "unconfigured", H::VD_E_PROTOCOL, "A set that is not configured yet cannot be joined.", join),
        (OpenInSecondary, "aborted", H::VD_E_ABORT, "An aborted set cannot be joined.", join),
    ]
}

fn circumstances() -> Vec<Case> {
    let case = |(call, variant, result, rule, source): Row| {
        let level = source.strictest();
        // Where the circumstance is a state, the probe needs no more than the state.
        let (state, circumstance) = match variant {
            "not-open" => (State::DoesNotExist, ""),
            "configured" => (State::Initializing, ""),
            "unconfigured" => (State::Configurable, ""),
            "aborted" => (State::Abort, ""),
            other => (State::DoesNotExist, other),
        };
        let id = format!("interface/{call:?}/{variant}");
        of_cell(&id, level, rule, source, call, state, circumstance, result)
    };
    rows().into_iter().map(case).collect()
}
