//! The transition tables against copies of our own, and what has to hold for every cell.

use std::collections::BTreeSet;

use vdi_protocol::state::{Cell, Condition};
use vdi_protocol::{
    ClientCall, HResult, ServerCall, Source, State, client_transition, server_transition,
};

/// What the specification's table says, as far as it could be read, and our choices in the other
/// cells, marked `*`. `P` is VD_E_PROTOCOL, `A` VD_E_ABORT, `I` VD_E_INVALID, `C` VD_E_CLOSE, `.`
/// NOERROR in the same state, another word NOERROR to that state.
const CLIENT: &str = "
    call            | DNE  | Con    | Conf  | Ini  | Act | NT   | Abo
    Create          | Conf | P*     | P     | P    | P   | P    | P
    OpenInSecondary | P    | P*     | P     | .    | .   | P*   | A
    GetConfiguration| P    | Ini*   | Ini   | .    | .   | .    | A
    OpenDevice      | P    | P*     | P     | Act  | .*  | P    | A
    GetCommand      | P    | P*     | P     | P    | .   | P    | A
    CompleteCommand | P    | P*     | P     | P    | .   | P    | A
    GetBufferHandle | P    | I*     | I*    | .*   | .*  | .*   | .*
    MapBufferHandle | P    | I*     | I*    | .*   | .*  | .*   | .*
    SignalAbort     | P    | Abo*   | Abo   | Abo  | Abo | Abo  | .
    Close           | P    | DNE*   | DNE   | DNE  | DNE | DNE  | DNE
";

const SERVER: &str = "
    call                   | DNE | Con  | Conf | Ini  | Act  | NT   | Abo
    Open                   | Con | P*   | P    | P    | P    | P    | P
    GetConfiguration       | P   | .    | .    | .    | .    | .    | A
    BeginConfiguration     | P   | Conf | P    | P    | P    | P    | P
    RequestBuffers         | P   | P*   | .    | .    | .    | P    | P
    QueryAvailableBuffers  | P   | P*   | .    | .    | .    | P    | P
    EndConfiguration       | P   | P*   | Ini  | P    | P    | P    | A
    OpenDevice             | P   | P*   | P    | Act  | .*   | P*   | A*
    ExecuteCompletionAgent | P   | P*   | P    | Act  | .*   | .*   | A*
    AllocateBuffer         | P   | P*   | P    | .    | .*   | P*   | A*
    FreeBuffer             | P   | P*   | P    | .    | .*   | .*   | .*
    IsSharedBuffer         | P*  | .*   | .*   | .*   | .*   | .*   | .*
    SendCommand            | P   | P*   | P    | P    | .*   | P*   | A*
    CloseDevice            | P   | P*   | P    | P    | .*   | C*   | A*
    SignalAbort            | P   | Abo* | Abo  | Abo  | Abo* | Abo* | .*
    Close                  | P   | DNE* | DNE  | DNE  | DNE* | DNE* | DNE*
";

const COLUMNS: [&str; 7] = ["DNE", "Con", "Conf", "Ini", "Act", "NT", "Abo"];

fn cell_as_written(cell: &Cell, state: State) -> String {
    let mark = if cell.source.is_stated() { "" } else { "*" };
    let word = match cell.result {
        HResult::NOERROR if cell.next == state => ".",
        HResult::NOERROR => COLUMNS[cell.next as usize],
        HResult::VD_E_PROTOCOL => "P",
        HResult::VD_E_ABORT => "A",
        HResult::VD_E_INVALID => "I",
        HResult::VD_E_CLOSE => "C",
        other => panic!("no letter for {other}"),
    };
    format!("{word}{mark}")
}

/// Compares a table with its copy, cell by cell, and counts the cells.
fn walk<C: Copy + std::fmt::Debug>(copy: &str, calls: &[C], lookup: fn(C, State) -> Cell) {
    let rows: Vec<Vec<&str>> = copy
        .lines()
        .filter(|line| line.contains('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows[0][1..], COLUMNS);
    assert_eq!(rows.len() - 1, calls.len(), "a row for each call");
    for (row, &call) in rows[1..].iter().zip(calls) {
        assert_eq!(row[0], format!("{call:?}"));
        for (&expected, state) in row[1..].iter().zip(State::ALL) {
            let cell = lookup(call, state);
            assert_eq!(cell_as_written(&cell, state), expected, "{call:?} in {state}");
        }
    }
}

/// Catches: any change of a result, a next state or a source in the client's table; two rows or
/// columns swapped.
#[test]
fn the_clients_table_is_as_written() {
    walk(CLIENT, &ClientCall::ALL, client_transition);
}

/// Catches: any change of a result, a next state or a source in the server's table; two rows or
/// columns swapped.
#[test]
fn the_servers_table_is_as_written() {
    walk(SERVER, &ServerCall::ALL, server_transition);
}

fn client_cells() -> impl Iterator<Item = (String, State, Cell)> {
    ClientCall::ALL.into_iter().flat_map(|call| {
        State::ALL.map(|state| (format!("{call:?}"), state, client_transition(call, state)))
    })
}

fn server_cells() -> impl Iterator<Item = (String, State, Cell)> {
    ServerCall::ALL.into_iter().flat_map(|call| {
        State::ALL.map(|state| (format!("{call:?}"), state, server_transition(call, state)))
    })
}

/// Every outcome of a cell: its own and those of its exceptions.
fn outcomes(cell: Cell) -> impl Iterator<Item = (Option<Condition>, Cell)> {
    let exceptions: Vec<_> = cell.exceptions().map(|(when, cell)| (Some(when), cell)).collect();
    std::iter::once((None, cell)).chain(exceptions)
}

/// Catches: a refused call that moves the set; a refusal that moves it is one of four.
#[test]
fn only_four_refusals_move_the_set() {
    let mut moved = BTreeSet::new();
    for (call, state, cell) in client_cells().chain(server_cells()) {
        for (condition, outcome) in outcomes(cell) {
            if !outcome.result.is_success() && outcome.next != state {
                moved.insert((call.clone(), outcome.result.0, outcome.next));
                let known = match outcome.result {
                    HResult::VD_E_ABORT => outcome.next == State::Abort,
                    HResult::VD_E_CLOSE => outcome.next == State::NormallyTerminated,
                    HResult::VD_E_OPEN | HResult::VD_E_PROTOCOL => {
                        call == "Close" && outcome.next == State::DoesNotExist
                    }
                    _ => false,
                };
                assert!(known, "{call} in {state}, {condition:?}: {outcome:?}");
            }
        }
    }
    assert!(moved.len() >= 4, "the exceptions are looked at: {moved:?}");
}

/// Catches: a way out of Abort other than Close, a call in Abort that succeeds and should not.
#[test]
fn nothing_leaves_abort_but_close() {
    for (call, state, cell) in client_cells().chain(server_cells()) {
        if state == State::Abort {
            for (_, outcome) in outcomes(cell) {
                let leaves = outcome.next != State::Abort;
                assert_eq!(leaves, call == "Close", "{call}: {outcome:?}");
            }
        }
    }
}

/// Catches: a set that exists for a half that has not created or opened it.
#[test]
fn nothing_works_before_create_or_open() {
    for (call, state, cell) in client_cells().chain(server_cells()) {
        if state == State::DoesNotExist && call != "Create" && call != "Open" {
            assert_eq!(cell.result, HResult::VD_E_PROTOCOL, "{call}");
            assert_eq!(cell.next, State::DoesNotExist, "{call}");
        }
    }
}

/// Catches: a decision without its reason, the same condition twice in one cell.
#[test]
fn decisions_have_reasons_and_exceptions_are_distinct() {
    for (call, state, cell) in client_cells().chain(server_cells()) {
        let mut seen = Vec::new();
        for (condition, outcome) in outcomes(cell) {
            if let Source::Decided(reason) = outcome.source {
                assert!(reason.len() > 10, "{call} in {state}: '{reason}'");
            }
            assert!(!seen.contains(&condition), "{call} in {state}: {condition:?} twice");
            seen.push(condition);
            if let Some(condition) = condition {
                assert_eq!(cell.when(condition), Some(outcome));
            }
        }
    }
}

/// What conditions change: call, states, then condition, result, `>` and the next state if it is
/// another, `*` for our own choice. Letters as above, and `N` VD_E_NOTSUPPORTED, `M` VD_E_MEMORY,
/// `T` VD_E_TIMEOUT, `O` VD_E_OPEN, `Q` VD_E_QUEUE_FULL, `E` VD_E_IO_ERROR, `ok` NOERROR.
const CLIENT_CONDITIONS: &str = "
    Create           | DNE      | NameTaken P, ConfigurationRefused N, OutOfMemory M*
    OpenInSecondary  | Ini Act  | AlreadyInSet P, NoSuchSet P, OutOfMemory M*
    GetConfiguration | Con Conf | TimedOut T, AbortedMeanwhile A>Abo
    OpenDevice       | Ini Act  | UnknownName I, DeviceAlreadyOpen P, AllDevicesOpen O
    GetCommand       | Act      | TimedOut T, DeviceClosed C, LastDeviceClosed C>NT, \
                                  AbortedMeanwhile A>Abo
    CompleteCommand  | Act      | NotACommand I, DeviceClosed P
    GetBufferHandle  | Ini Act NT Abo | NotABuffer I
    MapBufferHandle  | Ini Act NT Abo | NotABuffer I
    Close            | Act      | DevicesOpen O>DNE
";

const SERVER_CONDITIONS: &str = "
    Open                   | DNE     | NoSuchSet I
    BeginConfiguration     | Con     | ConfigurationRefused I*, AbortedMeanwhile A>Abo
    RequestBuffers         | Ini Act | OutOfMemory M, AbortedMeanwhile A>Abo
    EndConfiguration       | Conf    | OutOfMemory M, TimedOut T*, AbortedMeanwhile A>Abo
    OpenDevice             | Ini Act | AllDevicesOpen O
    ExecuteCompletionAgent | Ini Act | AgentRunning P*, AbortedMeanwhile A>Abo
    AllocateBuffer         | Ini Act | OutOfMemory M
    FreeBuffer             | Ini Act NT Abo | NotABuffer I
    SendCommand            | Act     | QueueFull Q, DeviceInError E, DeviceClosed P, NoRoutine I*, \
                                       AbortedMeanwhile A>Abo
    CloseDevice            | Act     | LastDeviceClosed ok>NT, DeviceClosed C
    Close                  | Act     | DevicesOpen P>DNE
";

/// One line an exception, for comparing a table of conditions with its copy.
fn conditions_as_written(cells: impl Iterator<Item = (String, State, Cell)>) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for (call, state, cell) in cells {
        for (condition, outcome) in cell.exceptions() {
            let word = match outcome.result {
                HResult::NOERROR => "ok",
                HResult::VD_E_PROTOCOL => "P",
                HResult::VD_E_ABORT => "A",
                HResult::VD_E_INVALID => "I",
                HResult::VD_E_CLOSE => "C",
                HResult::VD_E_NOTSUPPORTED => "N",
                HResult::VD_E_MEMORY => "M",
                HResult::VD_E_TIMEOUT => "T",
                HResult::VD_E_OPEN => "O",
                HResult::VD_E_QUEUE_FULL => "Q",
                HResult::VD_E_IO_ERROR => "E",
                other => panic!("no letter for {other}"),
            };
            let next = match outcome.next == state {
                true => String::new(),
                false => format!(">{}", COLUMNS[outcome.next as usize]),
            };
            let mark = if outcome.source.is_stated() { "" } else { "*" };
            let column = COLUMNS[state as usize];
            lines.insert(format!("{call} {column}: {condition:?} {word}{next}{mark}"));
        }
    }
    lines
}

fn expand(copy: &str) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for row in copy.lines().filter(|line| line.contains('|')) {
        let fields: Vec<_> = row.split('|').map(str::trim).collect();
        for column in fields[1].split_whitespace() {
            for exception in fields[2].split(',').map(str::trim).filter(|one| !one.is_empty()) {
                lines.insert(format!("{} {column}: {exception}", fields[0]));
            }
        }
    }
    lines
}

/// Catches: a condition added, dropped or moved to another cell; a wrong code, state or source
/// under a condition.
#[test]
fn conditions_are_as_written() {
    for (cells, copy) in [
        (client_cells().collect::<Vec<_>>(), CLIENT_CONDITIONS),
        (server_cells().collect::<Vec<_>>(), SERVER_CONDITIONS),
    ] {
        let (seen, written) = (conditions_as_written(cells.into_iter()), expand(copy));
        let extra: Vec<_> = seen.difference(&written).collect();
        let missing: Vec<_> = written.difference(&seen).collect();
        assert!(extra.is_empty() && missing.is_empty(), "extra {extra:#?} missing {missing:#?}");
    }
}

/// Catches: a state that no sequence of calls reaches, on either side, or from which Close does
/// not lead back.
#[test]
fn every_state_is_reached_and_left() {
    fn reach(cells: impl Fn(State) -> Vec<Cell>) -> BTreeSet<State> {
        let mut reached = BTreeSet::from([State::DoesNotExist]);
        loop {
            let next: BTreeSet<State> = reached
                .iter()
                .flat_map(|&state| cells(state))
                .flat_map(outcomes)
                .map(|(_, outcome)| outcome.next)
                .collect();
            if next.is_subset(&reached) {
                return reached;
            }
            reached.extend(next);
        }
    }
    let client = reach(|state| ClientCall::ALL.map(|call| client_transition(call, state)).to_vec());
    let server = reach(|state| ServerCall::ALL.map(|call| server_transition(call, state)).to_vec());
    let mut all = BTreeSet::from(State::ALL);
    assert_eq!(server, all);
    all.remove(&State::Connected);
    assert_eq!(client, all, "a client never sees Connected");
    for state in State::ALL {
        assert_eq!(client_transition(ClientCall::Close, state).next, State::DoesNotExist);
        assert_eq!(server_transition(ServerCall::Close, state).next, State::DoesNotExist);
    }
}

/// Catches: the normal life of a set failing anywhere.
#[test]
fn a_normal_backup_passes_through_both_tables() {
    use ClientCall as C;
    use ServerCall as S;
    let mut client = State::DoesNotExist;
    for call in [
        C::Create,
        C::GetConfiguration,
        C::OpenDevice,
        C::OpenDevice,
        C::GetCommand,
        C::GetBufferHandle,
        C::CompleteCommand,
    ] {
        let cell = client_transition(call, client);
        assert_eq!(cell.result, HResult::NOERROR, "{call:?} in {client}");
        client = cell.next;
    }
    let end = client_transition(C::GetCommand, client).when(Condition::LastDeviceClosed);
    client = end.expect("the end is a condition of GetCommand").next;
    assert_eq!(client, State::NormallyTerminated);
    assert_eq!(client_transition(C::Close, client).next, State::DoesNotExist);

    let mut server = State::DoesNotExist;
    for call in [
        S::Open,
        S::GetConfiguration,
        S::BeginConfiguration,
        S::RequestBuffers,
        S::EndConfiguration,
        S::OpenDevice,
        S::OpenDevice,
        S::ExecuteCompletionAgent,
        S::AllocateBuffer,
        S::SendCommand,
        S::FreeBuffer,
        S::CloseDevice,
    ] {
        let cell = server_transition(call, server);
        assert_eq!(cell.result, HResult::NOERROR, "{call:?} in {server}");
        server = cell.next;
    }
    let end = server_transition(S::CloseDevice, server).when(Condition::LastDeviceClosed);
    server = end.expect("the end is a condition of CloseDevice").next;
    assert_eq!(server, State::NormallyTerminated);
    assert_eq!(server_transition(S::Close, server).next, State::DoesNotExist);
}

/// Catches: a value in shared memory that reads back as another state, or a wild one as any.
#[test]
fn states_survive_their_values() {
    for state in State::ALL {
        assert_eq!(State::from_value(state as u32), Some(state));
    }
    assert_eq!(State::from_value(7), None);
    assert_eq!(State::from_value(u32::MAX), None);
}
