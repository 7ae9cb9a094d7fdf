//! One device of a transfer as its thread sees it: send, take completions, wait, obey the faults.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use vdi_device::{
    AbortCause, AbortKind, Buffer, Completed, Driver, Request, Sabotage, ServerDevice, ServerSet,
};
use vdi_protocol::{CommandCode, CompletionCode, HResult};
use vdi_region::Owner;

use super::cause::{Cause, PendingCommand};
use super::fault::{Account, Action, FaultPlan, Stage};
use super::flight::{Flight, Inbox};
use super::kill::kill_this_process;
use super::observer::{Event, Observer};
use super::statement::text;

/// How often a thread that sleeps on purpose, or for a buffer, looks whether the transfer failed.
const GLANCE: Duration = Duration::from_millis(50);

/// Bytes of a buffer, and buffers, of which there are always too few.
const MUCH: u32 = 1 << 31;
const MANY: u32 = 1 << 16;

/// The transfer has failed; its first cause is kept in [`Run`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopped;

/// What the threads of one transfer share.
pub(crate) struct Run {
    pub(crate) set: ServerSet,
    faults: FaultPlan,
    pub(crate) observer: Arc<dyn Observer>,
    stop: AtomicBool,
    /// An [`AbortHandle`](super::AbortHandle) was used.
    pub(crate) cancelled: Arc<AtomicBool>,
    first: Mutex<Option<Cause>>,
    /// What lies behind the first failure, found out afterwards.
    behind: OnceLock<Cause>,
}

impl Run {
    pub(crate) fn new(set: ServerSet, faults: FaultPlan, observer: Arc<dyn Observer>) -> Self {
        let (stop, cancelled, first, behind) = Default::default();
        Run { set, faults, observer, stop, cancelled, first, behind }
    }

    /// Records a failure, if it is the first, and makes every thread stop sending.
    pub(crate) fn fail(&self, cause: Cause) -> Stopped {
        self.stop.store(true, Ordering::Release);
        let cause = self.behind_cancel(cause);
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut *first, cause) {
            (None, cause) => self.observer.event(&Event::Failed { cause: first.insert(cause) }),
            // Every device sees an abort, and knows only its own commands.
            (Some(Cause::Aborted { oldest, .. }), Cause::Aborted { oldest: other, .. })
            | (Some(Cause::Cancelled { oldest }), Cause::Cancelled { oldest: other }) => {
                let longest = [oldest.take(), other].into_iter().flatten();
                *oldest = longest.max_by_key(|command| command.age);
            }
            (Some(_), _) => {}
        }
        Stopped
    }

    /// Records what lies behind everything else that failed.
    pub(crate) fn overrule(&self, cause: Cause) -> Stopped {
        self.observer.event(&Event::Failed { cause: &cause });
        let _ = self.behind.set(cause);
        Stopped
    }

    /// Records that a call of the interface failed; an abort is told with its own cause.
    pub(crate) fn interface_failed(
        &self,
        step: &'static str,
        error: vdi_device::Error,
        oldest: Option<PendingCommand>,
    ) -> Stopped {
        // A call that an aborted set has no state for fails with VD_E_PROTOCOL.
        let is_aborted = match error.status() {
            HResult::VD_E_ABORT => true,
            HResult::VD_E_PROTOCOL => self.set.abort_cause().is_some(),
            _ => false,
        };
        self.fail(if is_aborted {
            Cause::Aborted { cause: self.set.abort_cause(), oldest }
        } else {
            Cause::Interface { step, error }
        })
    }

    /// A cancel is the cause of the abort that follows it, and of streams that give up.
    fn behind_cancel(&self, cause: Cause) -> Cause {
        if !self.cancelled.load(Ordering::Acquire) {
            return cause;
        }
        match cause {
            Cause::Aborted {
                cause: Some(AbortCause { kind: AbortKind::ServerSignalled, .. }),
                oldest,
            } => Cause::Cancelled { oldest },
            Cause::Source { .. } | Cause::Sink { .. } => Cause::Cancelled { oldest: None },
            other => other,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Stopped> {
        if self.stop.load(Ordering::Acquire) { Err(Stopped) } else { Ok(()) }
    }

    pub(crate) fn into_cause(self) -> Option<Cause> {
        let first = self.first.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.behind.into_inner().or(first)
    }

    /// Carries out the fault of a stage, if there is one.
    pub(crate) fn stage(&self, stage: Stage) -> Result<(), Stopped> {
        let Some(action) = self.faults.at_stage(stage) else { return Ok(()) };
        self.observer.event(&Event::Fault { device: None, n: None, action });
        self.act(action, || format!("at the stage {stage:?}"))
    }

    fn act(&self, action: &Action, place: impl Fn() -> String) -> Result<(), Stopped> {
        match action {
            Action::Kill => kill_this_process(),
            Action::Stall => self.sleep(None),
            Action::Delay(time) => self.sleep(Some(*time)),
            Action::Abort => {
                let stopped = self.fail(Cause::Fault { action: action.clone(), place: place() });
                self.set.signal_abort();
                Err(stopped)
            }
            Action::Close => {
                Err(self.fail(Cause::Fault { action: action.clone(), place: place() }))
            }
            Action::DropIn(fault) => {
                self.set.sabotage_client(fault.sabotage());
                Ok(())
            }
            Action::RunsAs(Account::Other) => {
                // The buffers that it makes would not come to a client of these objects.
                if !is_open_to_group(self.set.owner()) {
                    self.set.sabotage_client(Sabotage::MissingObject);
                }
                Ok(())
            }
            Action::ExhaustMemory => {
                // Refused when the configuration ends; what is refused here is refused as well.
                let _ = self.set.request_buffers(MUCH, 0, MANY);
                Ok(())
            }
            // Happens when the command's answer arrives, or before it is sent.
            Action::CompleteAs(_) | Action::Flush => Ok(()),
        }
    }

    /// Sleeps, but not longer than the set lives; `None` until it is aborted.
    fn sleep(&self, time: Option<Duration>) -> Result<(), Stopped> {
        let start = Instant::now();
        loop {
            if let Some(cause) = self.set.abort_cause() {
                return Err(self.fail(Cause::Aborted { cause: Some(cause), oldest: None }));
            }
            self.check()?;
            let left = time.map_or(GLANCE, |time| time.saturating_sub(start.elapsed()));
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(GLANCE));
        }
    }
}

/// Whether another account of an object's group can work with it; where objects have no modes, access
/// says it all.
fn is_open_to_group(owner: Owner) -> bool {
    cfg!(not(unix)) || owner.mode & 0o060 == 0o060
}

/// A completed command.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) command: PendingCommand,
    pub(crate) completion: CompletionCode,
    /// What the client reported for a Read or Write.
    pub(crate) bytes: u64,
    pub(crate) buffer: Option<Buffer>,
}

/// One device, used by one thread.
pub(crate) struct Lane<'r> {
    pub(crate) run: &'r Run,
    device: ServerDevice,
    flight: Flight,
    inbox: Arc<Inbox>,
    routine: Arc<dyn Fn(Completed) + Send + Sync>,
    n: u64,
    n_of_kind: HashMap<CommandCode, u64>,
    closed: bool,
    /// What a fault makes of the answers to come, by the numbers of their commands.
    answers: HashMap<u64, CompletionCode>,
    /// A fault has ordered a Flush.
    flush_due: bool,
    /// Keeps the agent's own thread parked: whoever waits for this device runs its loop.
    _driver: Driver,
}

impl<'r> Lane<'r> {
    pub(crate) fn new(run: &'r Run, device: ServerDevice) -> Self {
        let inbox = Arc::new(Inbox::new());
        let flight = Flight::new(device.index(), &text(device.name()), Arc::clone(&inbox));
        let arrivals = Arc::clone(&inbox);
        let routine = Arc::new(move |completed| arrivals.push(completed));
        let (n, n_of_kind, closed, answers, flush_due) = Default::default();
        let _driver = run.set.drive();
        Lane {
            run,
            device,
            flight,
            inbox,
            routine,
            n,
            n_of_kind,
            closed,
            answers,
            flush_due,
            _driver,
        }
    }

    /// Whether a fault has ordered a Flush since this was asked last.
    pub(crate) fn takes_flush(&mut self) -> bool {
        std::mem::take(&mut self.flush_due)
    }

    pub(crate) fn index(&self) -> u32 {
        self.device.index()
    }

    pub(crate) fn name(&self) -> &str {
        self.flight.name()
    }

    pub(crate) fn outstanding(&self) -> usize {
        self.flight.len()
    }

    /// Sends a command; its completion comes through [`Lane::next`]. Returns its number.
    pub(crate) fn send(
        &mut self,
        code: CommandCode,
        size: u32,
        position: u64,
        buffer: Option<Buffer>,
    ) -> Result<u64, Stopped> {
        self.run.check()?;
        self.n += 1;
        self.obey_fault(code)?;
        let (device, n) = (self.index(), self.n);
        self.run.observer.event(&Event::Sent { device, n, code, size, position });
        self.flight.departs(n, code, size);
        let routine = Arc::clone(&self.routine);
        let request = Request { code, size, position, buffer, context: n, routine };
        match self.device.send_command(request) {
            Ok(()) => Ok(n),
            // An answer that has not been looked at put the device into the IO-ERROR state. The
            // command comes back as those do that were queued; the answer says what happened.
            Err(error) if error.status() == HResult::VD_E_IO_ERROR => Ok(n),
            Err(error) => {
                let oldest = self.flight.oldest();
                Err(self.run.interface_failed("SendCommand", error, oldest))
            }
        }
    }

    fn obey_fault(&mut self, code: CommandCode) -> Result<(), Stopped> {
        if self.run.faults.is_empty() {
            return Ok(());
        }
        let count = self.n_of_kind.entry(code).or_default();
        *count += 1;
        let (device, n, n_of_kind) = (self.device.index(), self.n, *count);
        let run = self.run;
        let Some(action) = run.faults.at_command(device, code, n, n_of_kind) else { return Ok(()) };
        run.observer.event(&Event::Fault { device: Some(device), n: Some(n), action });
        match action {
            Action::Close => {
                self.drain();
                self.close();
            }
            Action::CompleteAs(code) => {
                self.answers.insert(n, CompletionCode(*code));
            }
            Action::Flush => self.flush_due = true,
            _ => {}
        }
        run.act(action, || format!("in place of command {n} ({code}) of device {device}"))
    }

    /// A completion that has arrived already.
    pub(crate) fn try_next(&mut self) -> Option<Answer> {
        let (command, mut completed) = self.flight.arrives()?;
        if let Some(offset) = completed.buffer.as_ref().and_then(Buffer::trampled) {
            let _ = self.run.fail(Cause::Trampled { command: command.clone(), offset });
        }
        if let Some(code) = self.answers.remove(&command.n) {
            completed.completion = code;
        }
        self.run.observer.event(&Event::Completed {
            device: command.device,
            n: command.n,
            code: command.code,
            completion: completed.completion,
            bytes: completed.bytes,
            position: completed.position,
            took: command.age,
        });
        let Completed { completion, claimed, buffer, .. } = completed;
        Some(Answer { command, completion, bytes: claimed, buffer })
    }

    /// The next completion, whichever command it belongs to; waits for it, running the agent's
    /// loop meanwhile.
    pub(crate) fn next(&mut self) -> Result<Answer, Stopped> {
        loop {
            if let Some(answer) = self.try_next() {
                return Ok(answer);
            }
            let inbox = &self.inbox;
            if let Err(error) = self.device.run_agent_until(&mut || !inbox.is_empty(), None)
                && !self.flight.has_arrived()
            {
                let oldest = self.flight.oldest();
                return Err(self.run.interface_failed("The completion agent", error, oldest));
            }
        }
    }

    /// Sends a command without data and waits for its success.
    pub(crate) fn execute(
        &mut self,
        code: CommandCode,
        size: u32,
        position: u64,
    ) -> Result<Answer, Stopped> {
        let n = self.send(code, size, position, None)?;
        loop {
            let answer = self.next()?;
            self.succeeded(&answer)?;
            if answer.command.n == n {
                return Ok(answer);
            }
        }
    }

    /// Turns a completion with an error into the failure of the transfer.
    pub(crate) fn succeeded(&self, answer: &Answer) -> Result<(), Stopped> {
        self.plausible(answer)?;
        let (command, completion) = (&answer.command, answer.completion);
        if completion.is_success() {
            return Ok(());
        }
        let cause = self.run.set.abort_cause();
        Err(self.run.fail(
            if completion == CompletionCode::ERROR_OPERATION_ABORTED && cause.is_some() {
                // The abort's completions come in any order.
                let others = self.flight.oldest();
                let oldest = others.filter(|other| other.n < command.n);
                Cause::Aborted { cause, oldest: oldest.or_else(|| Some(command.clone())) }
            } else {
                Cause::Completion { command: command.clone(), completion }
            },
        ))
    }

    /// Refuses a Read or Write that claims more bytes than it had.
    pub(crate) fn plausible(&self, answer: &Answer) -> Result<(), Stopped> {
        let has_bytes = matches!(answer.command.code, CommandCode::READ | CommandCode::WRITE);
        if has_bytes && answer.bytes > u64::from(answer.command.size) {
            let (command, bytes) = (answer.command.clone(), answer.bytes);
            return Err(self.run.fail(Cause::WrongCount { command, bytes }));
        }
        Ok(())
    }

    /// A buffer from the set's pool, as soon as one is free.
    pub(crate) fn buffer(&mut self, size: u32, alignment: u32) -> Result<Buffer, Stopped> {
        loop {
            match self.run.set.allocate_buffer_wait(size, alignment, Some(GLANCE)) {
                Ok(buffer) => return Ok(buffer),
                Err(error) if error.status() == HResult::VD_E_TIMEOUT => self.run.check()?,
                Err(error) => {
                    let oldest = self.flight.oldest();
                    return Err(self.run.interface_failed("AllocateBuffer", error, oldest));
                }
            }
        }
    }

    /// Waits until nothing is outstanding: for a transfer that has failed.
    /// Source: VDI, "Abnormal Termination" (the server usually waits, then closes).
    pub(crate) fn drain(&mut self) {
        while self.outstanding() > 0 {
            match self.next() {
                // Of interest only if it tells more about the failure.
                Ok(answer) => drop(self.succeeded(&answer)),
                Err(Stopped) => return,
            }
        }
    }

    /// Closes the device once.
    pub(crate) fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        match self.device.close_device() {
            Ok(()) => self.run.observer.event(&Event::Closed { device: self.index() }),
            // Nothing is to be done for a device that is closed; an abort closes all.
            Err(error) if error.status() == HResult::VD_E_CLOSE => {}
            Err(error) => {
                let _ = self.run.interface_failed("CloseDevice", error, None);
                // A device that stays open would keep the agent running for ever.
                self.run.set.signal_abort();
            }
        }
    }
}
