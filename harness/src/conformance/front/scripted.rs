//! A SQL Server whose first BACKUP or RESTORE of the case's direction is the case's script.

use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use fake_sqlserver::messages::Message;
use fake_sqlserver::transfer::{
    AbortHandle, Action, AtOnce, Attach, Cause, PendingCommand, Session, SetName, Statement,
    TransferError,
};
use vdi_device::Environment;
use vdi_protocol::{CommandCode, CompletionCode};

use super::desk::Desk;
use crate::conformance::player::perform;
use crate::conformance::record::{self, Entry, Recorder, What};
use crate::conformance::script::{Operation, Order, Script, Step};
use crate::serve::{LoginPair, Running, ServeError, Settings, StreamLog};

/// How long a statement that goes on without its client may take to notice.
const NOTICE: Duration = Duration::from_secs(10);

/// Serves a case's client until standard input ends: whoever started this process holds the other
/// end, so that it never outlives a case.
pub(crate) fn serve(
    environment: &Environment,
    order: &Order,
    desk: &Desk,
) -> Result<(), ServeError> {
    let login = LoginPair { user: desk.user.clone(), password: desk.password.clone() };
    let settings = Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        in_memory: true,
        logins: vec![login],
        ..Settings::default()
    };
    let scripted =
        Arc::new(Scripted { order: order.clone(), stand: Mutex::default(), over: Condvar::new() });
    let attach: Arc<dyn Attach> = Arc::<Scripted>::clone(&scripted);
    let running = Running::start_with(&settings, environment.clone(), Arc::new(StreamLog), attach)?;
    // However it ends, it ends.
    let _ = io::stdin().lock().read_to_end(&mut Vec::new());
    scripted.leave();
    running.stop();
    Ok(())
}

/// How far the case's statement is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stand {
    #[default]
    Awaited,
    UnderWay,
    Over,
}

/// Plays the script when its statement comes; everything else is served as SQL Server does.
struct Scripted {
    order: Order,
    stand: Mutex<Stand>,
    over: Condvar,
}

impl Attach for Scripted {
    fn attach(
        &self,
        environment: &Environment,
        statement: Statement,
    ) -> Result<Session, TransferError> {
        AtOnce.attach(environment, statement)
    }

    fn perform(
        &self,
        environment: &Environment,
        statement: &Statement,
        attend: &dyn Fn(AbortHandle),
    ) -> Option<Result<(), TransferError>> {
        if statement.direction != self.order.script.operation.direction() || !self.begin() {
            return None;
        }
        let done = self.play(environment, statement, attend);
        *self.stand.lock().unwrap_or_else(PoisonError::into_inner) = Stand::Over;
        self.over.notify_all();
        Some(done)
    }
}

impl Scripted {
    /// Whether the statement is the one that the case waits for.
    fn begin(&self) -> bool {
        let mut stand = self.stand.lock().unwrap_or_else(PoisonError::into_inner);
        *stand == Stand::Awaited && {
            *stand = Stand::UnderWay;
            true
        }
    }

    /// Waits for the statement under way; its set notices that the client is gone.
    fn leave(&self) {
        let stand = self.stand.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = |stand: &mut Stand| *stand == Stand::UnderWay;
        // What goes on after that is aborted with its connection.
        drop(self.over.wait_timeout_while(stand, NOTICE, under_way));
    }

    fn play(
        &self,
        environment: &Environment,
        statement: &Statement,
        attend: &dyn Fn(AbortHandle),
    ) -> Result<(), TransferError> {
        let devices: Vec<_> = statement
            .devices
            .iter()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        let name = devices.first().cloned().unwrap_or_default();
        let failed = |cause| TransferError::new(cause, statement, &name);
        let lost = |error: io::Error| {
            failed(Cause::Unusable { set: name.clone(), reason: error.to_string() })
        };
        let recorder = Recorder::create(&self.order.record).map_err(lost)?;
        recorder.write(What::Statement { devices: devices.clone() }).map_err(lost)?;
        let (wanted, named) = (self.order.devices.len(), devices.len());
        let order = Order {
            // SQL Server waits for no set. Source: VDI, "Process Model".
            wait: 0,
            devices,
            ..self.order.clone()
        };
        if order.script.steps.first() == Some(&Step::Refuse) {
            let what = What::Action { name: "the statement is refused".to_owned() };
            recorder.write(what).map_err(lost)?;
        } else if wanted != named {
            let why = format!("the statement names {named} devices where the case has {wanted}");
            recorder.write(What::Stopped { why }).map_err(lost)?;
        } else {
            perform(environment, &order, &recorder, attend).map_err(lost)?;
        }
        let entries = record::read(&self.order.record).map_err(lost)?;
        let done = answer(&order.script, &entries, statement, &name);
        recorder.write(What::Answered { success: done.is_ok() }).map_err(lost)?;
        done
    }
}

/// What SQL Server says of a statement with this record.
fn answer(
    script: &Script,
    entries: &[Entry],
    statement: &Statement,
    set: &str,
) -> Result<(), TransferError> {
    let failed = |cause| Err(TransferError::new(cause, statement, set));
    let on_purpose = |place: &str, message| {
        let cause = Cause::Fault { action: Action::Close, place: place.to_owned() };
        Err(TransferError { cause, messages: vec![message] })
    };
    if script.steps.first() == Some(&Step::Refuse) {
        return on_purpose("before the set is opened", Message::new(3023, &[]));
    }
    let finished = entries.iter().any(|entry| entry.what == What::Finished);
    if finished && script.steps.contains(&Step::FailStatement) {
        let os_error = "1117(The request could not be performed because of an I/O device error.)";
        let message = Message::new(3271, &[&set, &os_error]);
        return on_purpose("behind the last command", message);
    }
    if finished && is_whole(script) {
        return Ok(());
    }
    if finished {
        let place = "behind the last command".to_owned();
        return failed(Cause::Fault { action: Action::Close, place });
    }
    match stopped(entries) {
        Some(why) if why.starts_with("no set was created") => {
            let SetName::Named(_) = &statement.set else {
                return failed(Cause::Aborted { cause: None, oldest: None });
            };
            failed(Cause::NoSet { set: format!("the set '{set}'"), waited: Duration::ZERO })
        }
        Some(reason) => match refusal(entries, set) {
            Some(cause) => failed(cause),
            None => failed(Cause::Unusable { set: set.to_owned(), reason }),
        },
        None => failed(Cause::Aborted { cause: None, oldest: pending(entries, set) }),
    }
}

/// Whether a BACKUP goes as far as its Flush. A RESTORE reads what it wants.
fn is_whole(script: &Script) -> bool {
    let flush = |step: &Step| match step {
        Step::Flush => true,
        Step::Command { code, .. } => *code == CommandCode::FLUSH.0,
        _ => false,
    };
    script.operation == Operation::Restore || script.steps.iter().any(flush)
}

fn stopped(entries: &[Entry]) -> Option<String> {
    entries.iter().find_map(|entry| match &entry.what {
        What::Stopped { why } | What::Failed { why } => Some(why.clone()),
        _ => None,
    })
}

/// The answer of the client for which the script stopped, if it is one.
fn refusal(entries: &[Entry], set: &str) -> Option<Cause> {
    entries.iter().rev().find_map(|entry| match entry.what {
        What::Completed { device, n, code, size, completion, bytes, took, .. } => {
            let age = Duration::from_micros(took);
            let command = command(device, n, code, size, age, set);
            let completion = CompletionCode(completion);
            Some(match completion.is_success() {
                true => Cause::WrongCount { command, bytes },
                false => Cause::Completion { command, completion },
            })
        }
        _ => None,
    })
}

/// The oldest command without an answer.
fn pending(entries: &[Entry], set: &str) -> Option<PendingCommand> {
    let answered = |wanted: u64| {
        entries.iter().any(|entry| matches!(entry.what, What::Completed { n, .. } if n == wanted))
    };
    let end = entries.last()?.time;
    entries.iter().find_map(|entry| match entry.what {
        What::Sent { device, n, code, size, .. } if !answered(n) => {
            let age = Duration::from_micros(end.saturating_sub(entry.time));
            Some(command(device, n, code, size, age, set))
        }
        _ => None,
    })
}

fn command(device: u32, n: u64, code: u32, size: u32, age: Duration, set: &str) -> PendingCommand {
    PendingCommand { device, name: set.into(), n, code: CommandCode(code), size, age }
}
