//! The states of a device: the table against a copy of our own, and a model of a busy device.

use std::collections::VecDeque;

use proptest::prelude::*;
use vdi_protocol::device::{clear_error_is_due, completion_of_refusal};
use vdi_protocol::{CompletionCode, DeviceEvent, DeviceState, HResult, device_transition};

/// Result and next state in Active, IO-ERROR, Closed; `*` marks our own choice, `!` that queued
/// commands end.
const TABLE: &str = "
    Send               | ok Active    | IO IoError   | P Closed
    SendClearError     | ok Active *  | ok IoError   | P Closed
    GetCommand         | ok Active    | ok IoError * | C Closed
    Complete           | ok Active    | ok IoError   | P Closed
    CompleteWithError  | ok IoError ! | ok IoError * | P Closed
    CompleteClearError | ok Active *  | ok Active    | P Closed
    FailClearError     | ok IoError *!| ok IoError * | P Closed
    CloseDevice        | ok Closed    | ok Closed    | C Closed
";

/// Catches: any change of a result, a next state, a source or a flush in the table.
#[test]
fn the_table_is_as_written() {
    let rows: Vec<Vec<String>> = TABLE
        .lines()
        .filter(|line| line.contains('|'))
        .map(|line| line.split('|').map(|word| word.replace(' ', "")).collect())
        .collect();
    assert_eq!(rows.len(), DeviceEvent::ALL.len());
    for (row, event) in rows.iter().zip(DeviceEvent::ALL) {
        assert_eq!(row[0], format!("{event:?}"));
        for (expected, state) in row[1..].iter().zip(DeviceState::ALL) {
            let cell = device_transition(event, state);
            let result = match cell.result {
                HResult::NOERROR => "ok",
                HResult::VD_E_IO_ERROR => "IO",
                HResult::VD_E_PROTOCOL => "P",
                HResult::VD_E_CLOSE => "C",
                other => panic!("no letter for {other}"),
            };
            let mark = if cell.source.is_stated() { "" } else { "*" };
            let flush = match cell.queued {
                None => "",
                Some(CompletionCode::ERROR_IO_DEVICE) => "!",
                Some(other) => panic!("queued commands end with {other}"),
            };
            let seen = format!("{result}{:?}{mark}{flush}", cell.next);
            assert_eq!(&seen, expected, "{event:?} in {state}");
        }
    }
}

/// Catches: a refused request that ends with the wrong code, or a success that ends at once.
#[test]
fn refused_requests_end_with_their_code() {
    let pairs = [
        (HResult::VD_E_QUEUE_FULL, 1450),
        (HResult::VD_E_IO_ERROR, 1117),
        (HResult::VD_E_PROTOCOL, 6),
        (HResult::VD_E_ABORT, 995),
    ];
    for &status in HResult::ALL {
        let expected = pairs.iter().find(|(known, _)| *known == status).map(|(_, code)| *code);
        assert_eq!(completion_of_refusal(status).map(|code| code.0), expected, "{status}");
    }
}

/// Catches: a value in shared memory that reads back as another state, or a wild one as any.
#[test]
fn states_survive_their_values() {
    for state in DeviceState::ALL {
        assert_eq!(DeviceState::from_value(state as u32), Some(state));
    }
    assert_eq!(DeviceState::from_value(3), None);
}

/// A step of the model: what the server or the client does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send,
    SendClearError,
    Get,
    Complete { success: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Send),
        2 => Just(Step::SendClearError),
        4 => Just(Step::Get),
        4 => prop_oneof![3 => Just(true), 1 => Just(false)]
            .prop_map(|success| Step::Complete { success }),
    ]
}

/// A command of the model: a ClearError or another.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Command {
    Transfer,
    ClearError,
}

/// A device driven by the table alone.
#[derive(Debug)]
struct Device {
    state: DeviceState,
    queued: VecDeque<Command>,
    held: VecDeque<Command>,
}

impl Device {
    fn apply(&mut self, event: DeviceEvent) -> HResult {
        let cell = device_transition(event, self.state);
        self.state = cell.next;
        if cell.queued.is_some() {
            self.queued.clear();
        }
        cell.result
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Send => {
                if self.apply(DeviceEvent::Send).is_success() {
                    self.queued.push_back(Command::Transfer);
                }
            }
            Step::SendClearError => {
                if self.apply(DeviceEvent::SendClearError).is_success() {
                    self.queued.push_back(Command::ClearError);
                }
            }
            Step::Get => {
                let held = u32::try_from(self.held.len()).expect("few commands");
                let waits =
                    self.queued.front() == Some(&Command::ClearError) && !clear_error_is_due(held);
                if self.apply(DeviceEvent::GetCommand).is_success() && !waits {
                    self.held.extend(self.queued.pop_front());
                }
            }
            Step::Complete { success } => {
                let event = match (self.held.pop_front(), success) {
                    (None, _) => return,
                    (Some(Command::Transfer), true) => DeviceEvent::Complete,
                    (Some(Command::Transfer), false) => DeviceEvent::CompleteWithError,
                    (Some(Command::ClearError), true) => DeviceEvent::CompleteClearError,
                    (Some(Command::ClearError), false) => DeviceEvent::FailClearError,
                };
                self.apply(event);
            }
        }
    }
}

proptest! {
    /// Catches: a device in IO-ERROR that keeps or takes a transfer, a ClearError handed out
    /// beside other commands, a device that cannot be brought back to work.
    #[test]
    fn a_device_in_error_holds_no_transfers_and_recovers(
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let mut device = Device {
            state: DeviceState::Active, queued: VecDeque::new(), held: VecDeque::new(),
        };
        for step in steps {
            device.take(step);
            if device.state == DeviceState::IoError {
                prop_assert!(!device.queued.contains(&Command::Transfer), "{device:?}");
            }
            if device.held.front() == Some(&Command::ClearError) {
                prop_assert!(device.held.len() == 1 || device.state == DeviceState::Active);
            }
        }
        // The way out: complete what is held, send a ClearError, fetch and answer it.
        while !device.held.is_empty() {
            device.take(Step::Complete { success: true });
        }
        device.queued.clear();
        device.take(Step::SendClearError);
        device.take(Step::Get);
        device.take(Step::Complete { success: true });
        prop_assert_eq!(device.state, DeviceState::Active);
    }
}
