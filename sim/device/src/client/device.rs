//! A device as a client uses it: take a command, move the bytes, complete it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
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
    waiting::Waited,
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
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// None after Close.
    session: Option<Arc<Session>>,
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
            state: Mutex::new(State {
                session: Some(session),
                commands: Consumer::default(),
                completions: Producer::default(),
                open: [None; RING_LEN],
                open_count: 0,
                io_error: false,
                close_delivered: false,
            }),
        })
    }

    pub(crate) fn lane(&self) -> usize {
        self.lane
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
        if let Some(command) = device.take(&mut lock(&device.state))? {
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
        let mut state = lock(&device.state);
        let session = device.check_open(&state)?;
        let slot = state.open.get_mut(id as usize).ok_or(HResult::VD_E_INVALID)?;
        let command = slot.take().ok_or(HResult::VD_E_INVALID)?;
        state.open_count -= 1;
        state.push(&session, device.lane, command, code, bytes, position);
        if code.is_success() {
            state.io_error &= command.code != CommandCode::CLEAR_ERROR;
        } else if command.code != CommandCode::CLEAR_ERROR {
            state.io_error = true;
            device.complete_queued(&mut state, &session);
        }
        device.announce(state, &session);
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

    /// Whether commands can be open on the device at all.
    fn check_open(&self, state: &State) -> Result<Arc<Session>, HResult> {
        let session = state.session.as_ref().ok_or(HResult::VD_E_PROTOCOL)?;
        match session.phase() {
            Phase::Abort => Err(HResult::VD_E_ABORT),
            Phase::NormallyTerminated => Err(HResult::VD_E_PROTOCOL),
            _ if state.close_delivered => Err(HResult::VD_E_PROTOCOL),
            _ => Ok(Arc::clone(session)),
        }
    }

    /// The next command if there is one; the device's state is locked and nothing waits.
    fn take(&self, state: &mut State) -> Result<Option<ClientCommand>, HResult> {
        loop {
            let session = state.session.as_ref().ok_or(HResult::VD_E_PROTOCOL)?;
            if session.phase() == Phase::Abort {
                return Err(HResult::VD_E_ABORT);
            }
            let lane = self.lane_of(session);
            // Read before the ring: what was sent before the close is delivered before it.
            let closed = lane.closed.load(Ordering::Acquire) != 0;
            match state.commands.peek(&lane.commands.0) {
                Popped::Empty if closed => return Err(self.deliver_close(state)),
                Popped::Empty => return Ok(None),
                Popped::Corrupt { .. } => return Err(self.corrupt(session)),
                Popped::Message(message) => {
                    let command = CommandMessage::decode(&message);
                    if command.code == CommandCode::CLEAR_ERROR && state.open_count > 0 {
                        self.held.store(true, Ordering::SeqCst);
                        return Ok(None);
                    }
                    state.commands.advance();
                    if state.io_error && command.code != CommandCode::CLEAR_ERROR {
                        let session = Arc::clone(session);
                        self.complete_one_queued(state, &session, command);
                        self.ring_board(&session);
                        continue;
                    }
                    return self.deliver(state, command).map(Some);
                }
            }
        }
    }

    fn deliver(
        &self,
        state: &mut State,
        command: CommandMessage,
    ) -> Result<ClientCommand, HResult> {
        let session = state.session.as_ref().ok_or(HResult::VD_E_PROTOCOL)?;
        let buffer = match command.handle {
            0 => std::ptr::null_mut(),
            handle => self.find_buffer(session, handle, &command)?,
        };
        match state.open.get_mut(command.id as usize) {
            Some(slot @ None) => *slot = Some(command),
            _ => return Err(self.corrupt(session)),
        }
        state.open_count += 1;
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
                if session.map_area(area).is_err() {
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

    /// The server closed the device and everything before it was delivered.
    fn deliver_close(&self, state: &mut State) -> HResult {
        let Some(session) = state.session.as_ref() else { return HResult::VD_E_PROTOCOL };
        let control = session.segment.control();
        let (word, bit) = (&control.close_delivered[self.lane / 32], 1 << (self.lane % 32));
        if !state.close_delivered {
            state.close_delivered = true;
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
            Phase::NormallyTerminated => HResult::VD_E_PROTOCOL,
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
                if let Some(command) = self.take(&mut state)? {
                    return Ok(command);
                }
                let session = state.session.as_ref().ok_or(HResult::VD_E_PROTOCOL)?;
                (Arc::clone(session), state.commands.clone())
            };
            let lane = self.lane_of(&session);
            let mut ready = || {
                (!self.held.load(Ordering::SeqCst) && commands.has_news(&lane.commands.0))
                    || lane.closed.load(Ordering::Acquire) != 0
                    || session.phase() == Phase::Abort
                    || session.is_closed()
            };
            let remaining = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            match session.wait(&lane.bell, &mut ready, remaining) {
                Ok(_) if session.is_closed() => return Err(HResult::VD_E_ABORT),
                Ok(Waited::Ready) => {}
                Ok(Waited::TimedOut) => {
                    // One more look: a command may have come with the end of the time.
                    return self.take(&mut lock(&self.state))?.ok_or(HResult::VD_E_TIMEOUT);
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
    fn complete_queued(&self, state: &mut State, session: &Arc<Session>) {
        let lane = self.lane_of(session);
        while let Popped::Message(message) = state.commands.peek(&lane.commands.0) {
            let command = CommandMessage::decode(&message);
            if command.code == CommandCode::CLEAR_ERROR {
                return;
            }
            state.commands.advance();
            self.complete_one_queued(state, session, command);
        }
    }

    fn complete_one_queued(&self, state: &mut State, session: &Session, command: CommandMessage) {
        state.push(session, self.lane, command, CompletionCode::ERROR_IO_DEVICE, 0, 0);
        let device = self.lane as u32;
        session.event(&Event::CompletedForClient { device, command: command.code });
    }

    /// Tells the server of the completions pushed, and a waiting thread of this process that a held
    /// ClearError is free. No lock is held in the system calls.
    fn announce(&self, state: MutexGuard<'_, State>, session: &Session) {
        let release = state.open_count == 0 && self.held.load(Ordering::SeqCst);
        drop(state);
        if release {
            self.held.store(false, Ordering::SeqCst);
            let bell = &self.lane_of(session).bell;
            bell.ring_always();
            session.segment.wake(bell);
        }
        self.ring_board(session);
    }

    fn ring_board(&self, session: &Session) {
        let board = &session.segment.control().board;
        if board.announce(self.lane) {
            session.segment.wake(board.bell());
        }
    }
}

impl State {
    fn push(
        &mut self,
        session: &Session,
        lane: usize,
        command: CommandMessage,
        code: CompletionCode,
        bytes: u64,
        position: u64,
    ) {
        let CommandMessage { id, sequence, .. } = command;
        let message = CompletionMessage { id, sequence, code, bytes, position };
        let ring = &session.segment.lanes()[lane].completions.0;
        self.completions.push(ring, &message.encode());
    }
}
