//! The table of codes that the C++ probe ticks off, against the tables of the interface.

use std::collections::BTreeSet;

use vdi_protocol::state::Cell;
use vdi_protocol::{ClientCall, HResult, ServerCall, State, client_transition, server_transition};

/// What the probe has, as it is compiled.
const TABLE: &str = include_str!("../../clients/windows/codes.hpp");

/// Of the header, without a place in a table: which page's call has them. Source: VDI, CreateEx and its
/// like, names of instances; vdierror.h.
const BY_PAGES: [(&str, &str, HResult); 7] = [
    ("set", "Create", HResult::VD_E_SECURITY),
    ("set", "CreateEx", HResult::VD_E_SECURITY),
    ("set", "Create", HResult::VD_E_INSTANCE_NAME),
    ("set", "CreateEx", HResult::VD_E_INSTANCE_NAME),
    ("set", "OpenInSecondary", HResult::VD_E_INSTANCE_NAME),
    ("set", "OpenInSecondaryEx", HResult::VD_E_INSTANCE_NAME),
    ("server", "Open", HResult::VD_E_INSTANCE_NAME),
];

type Row = (String, String, String);

fn row(object: &str, method: &str, status: HResult) -> Row {
    (object.to_owned(), method.to_owned(), status.name().unwrap().to_owned())
}

/// Every result that the tables have for a call, in any state and under any condition.
fn results(cell_in: impl Fn(State) -> Cell) -> impl Iterator<Item = HResult> {
    State::ALL.map(cell_in).into_iter().flat_map(|cell| {
        let exceptions: Vec<_> = cell.exceptions().map(|(_, other)| other.result).collect();
        exceptions.into_iter().chain([cell.result])
    })
}

fn required() -> BTreeSet<Row> {
    let mut rows = BTreeSet::new();
    for call in ClientCall::ALL {
        let method = format!("{call:?}");
        let object = match call {
            ClientCall::GetCommand | ClientCall::CompleteCommand => "theirs",
            _ => "set",
        };
        // Windows has two of these, by their instances.
        let extended = match call {
            ClientCall::Create | ClientCall::OpenInSecondary => Some(format!("{method}Ex")),
            _ => None,
        };
        for status in results(|state| client_transition(call, state)) {
            for method in [Some(&method), extended.as_ref()].into_iter().flatten() {
                rows.insert(row(object, method, status));
            }
        }
    }
    for call in ServerCall::ALL {
        let object = match call {
            ServerCall::SendCommand | ServerCall::CloseDevice => "ours",
            // It tells yes or no.
            ServerCall::IsSharedBuffer => continue,
            _ => "server",
        };
        for status in results(|state| server_transition(call, state)) {
            rows.insert(row(object, &format!("{call:?}"), status));
        }
    }
    rows.extend(BY_PAGES.map(|(object, method, status)| row(object, method, status)));
    rows
}

/// The rows of an array of the probe's.
fn rows_of(array: &str) -> Vec<Row> {
    let start = TABLE.find(&format!(" {array}[] = {{")).expect("the probe has the array");
    let body = &TABLE[start..];
    let body = &body[..body.find("};").expect("the array ends")];
    let fields = |line: &str| {
        let mut fields =
            line.trim().strip_prefix('{')?.split(',').map(|it| it.trim().trim_matches('"'));
        let mut next = || fields.next().map(str::to_owned);
        Some((next()?, next()?, next()?))
    };
    body.lines().skip(1).filter_map(fields).collect()
}

/// Catches: a code of the interface that no test of the classes asks for, one that is listed twice, a reason for not asking
/// that has become idle.
#[test]
fn the_probes_table_has_every_code_of_the_interface() {
    let (asked, unreached) = (rows_of("codes"), rows_of("unreached"));
    let all: Vec<_> = asked.iter().chain(&unreached).cloned().collect();
    let known: BTreeSet<_> = all.iter().cloned().collect();
    assert_eq!(known.len(), all.len(), "a row stands there twice");
    let required = required();
    let missing: Vec<_> = required.difference(&known).collect();
    assert!(missing.is_empty(), "nobody asks for {missing:#?}");
    let idle: Vec<_> = unreached.iter().filter(|row| !required.contains(row)).collect();
    assert!(idle.is_empty(), "the interface does not have {idle:#?}");
}
