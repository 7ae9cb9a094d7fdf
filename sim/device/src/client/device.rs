//! A device as a client uses it: take a command, move the bytes, complete it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use vdi_protocol::{CommandCode, CompletionCode, HResult};
use vdi_region::process_token;

use crate::{
    abort::{AbortCause, AbortKind},
    client::{
        areas::{AreaTable, Miss},
        observer::Event,
        session::Session,
    },
    error::Timeout,
    handle::Handle,
    layout::{Lane, RING_LEN},
    lock::lock,
    phase::Phase,
    signal::{Consumer, Popped, Producer},
    waiting::{Patience, Waited},
    wire::{CommandMessage, CompletionMessage},
};

/// A command as GetCommand hands it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientCommand {
    /// Below [`MAX_OUTSTANDING`](crate::MAX_OUTSTANDING), and unique among the device's open commands.
    pub id: u32,
    /// What to do.
    pub code: CommandCode,
    /// Bytes, or what the command overloads it with.
    pub size: u32,
    /// Byte address of a transfer on random-access devices, or a position to go to.
    pub position: u64,
    /// Start of the data; null if the command has no buffer.
    pub buffer: *mut u8,
}

/// One opened device. Stays valid after the set's Close; then every call is VD_E_PROTOCOL.
#[derive(Debug, Clone)]
pub struct ClientDevice(Arc<Opened>);

/// What belongs to one opened device.
#[derive(Debug)]
pub(crate) struct Opened {
    lane: usize,
    token: u32,
    areas: Arc<AreaTable>,
    /// ClearError waits at the head of the queue until the open commands are completed.
    held: AtomicBool,
    patience: Patience,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// None after Close.
    session: Option<Arc<Session>>,
    queue: Queue,
}

/// The client's private end of a device.
#[derive(Debug)]
struct Queue {
    commands: Consumer,
    completions: Producer,
    open: [Option<CommandMessage>; RING_LEN],
    open_count: u32,
    io_error: bool,
    close_delivered: bool,
}

impl Opened {
    pub(crate) fn new(session: Arc<Session>, lane: usize, token: u32) -> Arc<Opened> {
        Arc::new(Opened {
            lane,
            token,
            areas: Arc::clone(&session.areas),
            held: AtomicBool::new(false),
            patience: Patience::new(),
            state: Mutex::new(State {
                session: Some(session),
                queue: Queue {
                    commands: Consumer::default(),
                    completions: Producer::default(),
                    open: [None; RING_LEN],
                    open_count: 0,
                    io_error: false,
                    close_delivered: false,
                },
            }),
        })
    }

    pub(crate) fn lane(&self) -> usize {
        self.lane
    }

    /// Whether the server still waits for an answer of this device.
    pub(crate) fn owes_answers(&self) -> bool {
        let State { session, queue } = &*lock(&self.state);
        session.as_ref().is_some_and(|session| {
            queue.open_count > 0 || queue.commands.has_news(&self.lane_of(session).commands.0)
        })
    }

    /// Takes the session away: from now on every call is VD_E_PROTOCOL.
    pub(crate) fn disconnect(&self) {
        let session = lock(&self.state).session.take();
        drop(session);
    }
}

impl ClientDevice {
    pub(crate) fn new(opened: Arc<Opened>) -> Self {
        ClientDevice(opened)
    }

    /// The next command, waiting for it up to `timeout`.
    ///
    /// # Errors
    /// `VD_E_CLOSE` the server closed the device (again, until every device of the set has told so);
    /// `VD_E_TIMEOUT`; `VD_E_ABORT`; `VD_E_PROTOCOL` the set is closed here or normally terminated;
    /// `VD_E_UNEXPECTED` the segment is damaged (the set is aborted).
    /// Source: VDI specification, IClientVirtualDevice::GetCommand.
    pub fn get_command(&self, timeout: Timeout) -> Result<ClientCommand, HResult> {
        let device = &*self.0;
        if device.token != process_token() {
            return Err(HResult::VD_E_PROTOCOL);
        }
        if let Some(command) = device.take(&mut lock(&device.state), false)? {
            return Ok(command);
        }
        if timeout == Some(Duration::ZERO) {
            return Err(HResult::VD_E_TIMEOUT);
        }
        device.wait_and_take(timeout)
    }

    /// Answers the open command `id`.
    ///
    /// # Errors
    /// `VD_E_INVALID` no such command is open; `VD_E_ABORT`; `VD_E_PROTOCOL` the device is closed.
    /// Source: VDI specification, IClientVirtualDevice::CompleteCommand.
    pub fn complete_command(
        &self,
        id: u32,
        code: CompletionCode,
        bytes: u64,
        position: u64,
    ) -> Result<(), HResult> {
        let device = &*self.0;
        if device.token != process_token() {
            return Err(HResult::VD_E_PROTOCOL);
        }
        let mut guard = lock(&device.state);
        let State { session, queue } = &mut *guard;
        let session = session.as_ref().ok_or(HResult::VD_E_PROTOCOL)?;
        queue.check_open(session)?;
        let slot = queue.open.get_mut(id as usize).ok_or(HResult::VD_E_INVALID)?;
        let command = slot.take().ok_or(HResult::VD_E_INVALID)?;
        queue.open_count -= 1;
        let lane = device.lane_of(session);
        if session.guard.is_on() && command.handle != 0 {
            // Before the server hears of it, which may give the buffer to another thread at once.
            session.guard.take(command.handle);
        }
        queue.push(lane, &command, code, bytes, position);
        if code.is_success() {
            queue.io_error &= command.code != CommandCode::CLEAR_ERROR;
        } else {
            queue.io_error = true;
            device.complete_queued(session, queue);
        }
        let wake_server = session.segment.control().board.announce(device.lane);
        let release = queue.open_count == 0 && device.held.load(Ordering::SeqCst);
        if wake_server || release {
            // No lock is held in the system calls.
            let session = Arc::clone(session);
            drop(guard);
            device.wake(&session, wake_server, release);
        }
        Ok(())
    }

    /// The index of the device in its set, from 0.
    pub fn index(&self) -> usize {
        self.0.lane
    }
}

impl Opened {
    fn lane_of<'s>(&self, session: &'s Session) -> &'s Lane {
        &session.segment.lanes()[self.lane]
    }

    /// The next command if there is one; the device's state is locked and nothing waits.
    fn take(&self, state: &mut State, waited: bool) -> Result<Option<ClientCommand>, HResult> {
        let State { session, queue } = state;
        let session = session.as_ref().ok_or(HResult::VD_E_PROTOCOL)?;
        let lane = self.lane_of(session);
        loop {
            if session.phase() == Phase::Abort {
                return Err(HResult::VD_E_ABORT);
            }
            // Read before the ring: what was sent before the close is delivered before it.
            let closed = lane.closed.load(Ordering::Acquire) != 0;
            match queue.commands.peek(&lane.commands.0) {
                Popped::Empty if closed => return Err(self.deliver_close(session, queue, waited)),
                Popped::Empty => return Ok(None),
                Popped::Corrupt { .. } => return Err(self.corrupt(session)),
                Popped::Message(message) => {
                    let command = CommandMessage::decode(&message);
                    if command.code == CommandCode::CLEAR_ERROR && queue.open_count > 0 {
                        self.held.store(true, Ordering::SeqCst);
                        return Ok(None);
                    }
                    queue.commands.advance();
                    if queue.io_error && command.code != CommandCode::CLEAR_ERROR {
                        self.complete_one_queued(session, queue, &command);
                        let wake_server = session.segment.control().board.announce(self.lane);
                        self.wake(session, wake_server, false);
                        continue;
                    }
                    return self.deliver(session, queue, command).map(Some);
                }
            }
        }
    }

    fn deliver(
        &self,
        session: &Session,
        queue: &mut Queue,
        command: CommandMessage,
    ) -> Result<ClientCommand, HResult> {
        let buffer = match command.handle {
            0 => std::ptr::null_mut(),
            handle => self.find_buffer(session, handle, &command)?,
        };
        match queue.open.get_mut(command.id as usize) {
            Some(slot @ None) => *slot = Some(command),
            _ => return Err(self.corrupt(session)),
        }
        queue.open_count += 1;
        if session.guard.is_on() && command.handle != 0 {
            session.guard.give(self.lane as u32, &command);
        }
        let CommandMessage { id, code, size, position, .. } = command;
        Ok(ClientCommand { id, code, size, position, buffer })
    }

    /// The buffer of a command; maps its area if this process has not met it yet.
    fn find_buffer(
        &self,
        session: &Session,
        handle: u32,
        command: &CommandMessage,
    ) -> Result<*mut u8, HResult> {
        let found = match self.areas.find(handle) {
            Err(Miss::Unmapped) => {
                let area = Handle::decode(handle).area as usize;
                if session.map_area(area).is_err() && session.phase() == Phase::Abort {
                    return Err(HResult::VD_E_ABORT);
                }
                self.areas.find(handle)
            }
            found => found,
        };
        let transfers = matches!(command.code, CommandCode::READ | CommandCode::WRITE);
        match found {
            Ok(found) if !transfers || command.size <= found.size => Ok(found.address),
            _ => Err(self.corrupt(session)),
        }
    }

    /// The server closed the device and everything before it was delivered. Whoever has `waited` called
    /// while the device was open, whatever another thread of the device was told since.
    fn deliver_close(&self, session: &Session, queue: &mut Queue, waited: bool) -> HResult {
        let control = session.segment.control();
        if !queue.close_delivered {
            queue.close_delivered = true;
            let (word, bit) = (&control.close_delivered[self.lane / 32], 1 << (self.lane % 32));
            word.fetch_or(bit, Ordering::SeqCst);
            let delivered: u32 = (control.close_delivered.iter())
                .map(|word| word.load(Ordering::SeqCst).count_ones())
                .sum();
            if delivered as usize >= session.segment.lanes().len() {
                Phase::advance(&control.phase, Phase::Active, Phase::NormallyTerminated);
                session.segment.announce_change();
            }
            return HResult::VD_E_CLOSE;
        }
        match session.phase() {
            Phase::NormallyTerminated if !waited => HResult::VD_E_PROTOCOL,
            _ => HResult::VD_E_CLOSE,
        }
    }

    /// Ends the set because the segment cannot be believed.
    fn corrupt(&self, session: &Session) -> HResult {
        let mut cause = AbortCause::new(AbortKind::Damaged);
        cause.device = Some(self.lane as u32);
        session.abort(cause);
        HResult::VD_E_UNEXPECTED
    }

    fn wait_and_take(&self, timeout: Timeout) -> Result<ClientCommand, HResult> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            let (session, commands) = {
                let mut state = lock(&self.state);
                if let Some(command) = self.take(&mut state, true)? {
                    return Ok(command);
                }
                let session = state.session.as_ref().ok_or(HResult::VD_E_PROTOCOL)?;
                (Arc::clone(session), state.queue.commands.clone())
            };
            let lane = self.lane_of(&session);
            let mut ready = || {
                // While ClearError is held back, neither it nor what comes behind it is news.
                let news = || {
                    commands.has_news(&lane.commands.0) || lane.closed.load(Ordering::Acquire) != 0
                };
                (!self.held.load(Ordering::SeqCst) && news())
                    || session.phase() == Phase::Abort
                    || session.is_closed()
            };
            let remaining = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            match session.wait(&lane.bell, &self.patience, &mut ready, remaining) {
                Ok(_) if session.is_closed() => return Err(HResult::VD_E_ABORT),
                Ok(Waited::Ready) => {}
                Ok(Waited::TimedOut) => {
                    // One more look: a command may have come with the end of the time.
                    return self.take(&mut lock(&self.state), true)?.ok_or(HResult::VD_E_TIMEOUT);
                }
                Err(error) => {
                    tracing::error!(%error, "waiting for a command failed");
                    return Err(HResult::VD_E_UNEXPECTED);
                }
            }
        }
    }

    /// The device has entered IO-ERROR: what is queued is completed with ERROR_IO_DEVICE and never
    /// seen by the client. ClearError stays.
    fn complete_queued(&self, session: &Session, queue: &mut Queue) {
        let lane = self.lane_of(session);
        while let Popped::Message(message) = queue.commands.peek(&lane.commands.0) {
            let command = CommandMessage::decode(&message);
            if command.code == CommandCode::CLEAR_ERROR {
                return;
            }
            queue.commands.advance();
            self.complete_one_queued(session, queue, &command);
        }
    }

    fn complete_one_queued(&self, session: &Session, queue: &mut Queue, command: &CommandMessage) {
        let lane = self.lane_of(session);
        queue.push(lane, command, CompletionCode::ERROR_IO_DEVICE, 0, 0);
        let device = self.lane as u32;
        session.event(&Event::CompletedForClient { device, command: command.code });
    }

    /// Wakes the server's agent, and threads of this process that wait behind a held ClearError.
    fn wake(&self, session: &Session, server: bool, release: bool) {
        if release {
            self.held.store(false, Ordering::SeqCst);
            let bell = &self.lane_of(session).bell;
            bell.ring_always();
            session.segment.wake(bell);
        }
        if server {
            session.segment.wake(session.segment.control().board.bell());
        }
    }
}

impl Queue {
    /// Whether commands can be open on the device at all.
    fn check_open(&self, session: &Session) -> Result<(), HResult> {
        match session.phase() {
            Phase::Abort => Err(HResult::VD_E_ABORT),
            Phase::NormallyTerminated => Err(HResult::VD_E_PROTOCOL),
            _ if self.close_delivered => Err(HResult::VD_E_PROTOCOL),
            _ => Ok(()),
        }
    }

    fn push(
        &mut self,
        lane: &Lane,
        command: &CommandMessage,
        code: CompletionCode,
        bytes: u64,
        position: u64,
    ) {
        let CommandMessage { id, sequence, .. } = *command;
        let message = CompletionMessage { id, sequence, code, bytes, position };
        self.completions.push(&lane.completions.0, &message.encode());
    }
}
