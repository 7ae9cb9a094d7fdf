//! What all server objects of one set share.

use std::{
    ops::Deref,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use vdi_protocol::{CommandCode, CompletionCode};
use vdi_region::{DeathWatch, LeaseRole};

use crate::{
    abort::{AbortCause, AbortKind},
    environment::Environment,
    error::{Error, Reason},
    lock::lock,
    phase::Phase,
    segment::ControlSegment,
    server::{
        agent,
        buffer::Pool,
        configuration::Configuration,
        crew::Crew,
        device::Request,
        lane::{self, ServerLane},
    },
};

pub(crate) struct Inner {
    pub(crate) segment: ControlSegment,
    pub(crate) environment: Environment,
    /// The set's handle tag, read once.
    pub(crate) tag: u32,
    pub(crate) configuration: Mutex<Configuration>,
    pub(crate) pool: Pool,
    pub(crate) lanes: Vec<Mutex<ServerLane>>,
    pub(crate) crew: Crew,
    /// Commands sent since the set was opened; wraps.
    pub(crate) sent: AtomicU32,
    /// A thread is in ExecuteCompletionAgent.
    pub(crate) agent_runs: AtomicBool,
    /// The leader waits without a clock, because no command is open.
    pub(crate) idle: AtomicBool,
    pub(crate) closed_lanes: AtomicU32,
    pub(crate) client_dead: AtomicBool,
    pub(crate) closed: AtomicBool,
    pub(crate) watch: Mutex<Option<DeathWatch>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerSet")
            .field("name", &crate::naming::display(&self.segment.identity().name))
            .field("phase", &self.segment.phase())
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn new(segment: ControlSegment, environment: Environment) -> Arc<Inner> {
        let lanes = segment.lanes().len();
        Arc::new(Inner {
            tag: segment.control().tag.load(Ordering::Acquire),
            segment,
            environment,
            configuration: Mutex::default(),
            pool: Pool::new(),
            lanes: (0..lanes).map(|_| Mutex::default()).collect(),
            crew: Crew::new(lanes),
            sent: AtomicU32::new(0),
            agent_runs: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            closed_lanes: AtomicU32::new(0),
            client_dead: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            watch: Mutex::default(),
        })
    }

    /// Watches the client's process; its death ends the set as soon as nothing can be saved.
    pub(crate) fn watch_client(self: &Arc<Self>) -> Result<(), Error> {
        let (prober, mourner) = (Arc::downgrade(self), Arc::downgrade(self));
        let probe = move || {
            prober.upgrade().is_none_or(|inner| {
                inner.segment.region().lease_held(LeaseRole::Creator).unwrap_or(false)
            })
        };
        let on_death = move || {
            if let Some(inner) = mourner.upgrade() {
                inner.client_dead.store(true, Ordering::SeqCst);
                inner.nudge();
            }
        };
        *lock(&self.watch) =
            Some(DeathWatch::start(self.segment.identity().client, probe, on_death)?);
        Ok(())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.segment.phase() == Phase::Abort
    }

    pub(crate) fn aborted(&self) -> Error {
        Reason::Aborted(self.segment.abort_cause()).into()
    }

    /// Whether the server has closed every device.
    pub(crate) fn all_closed(&self) -> bool {
        self.closed_lanes.load(Ordering::Acquire) as usize == self.lanes.len()
    }

    /// See [`ServerDevice::send_command`](crate::ServerDevice::send_command).
    pub(crate) fn send(&self, index: usize, request: Request) -> Result<(), Error> {
        let shared = &self.segment.lanes()[index];
        let mut state = lock(&self.lanes[index]);
        if let Some((code, reason)) = self.refusal(&state, index, request.code) {
            drop(state);
            let (routine, completed) = lane::refuse(request, code);
            routine(completed);
            return Err(reason.into());
        }
        let message = state.record(request);
        // Counted before it can be answered: the agent never sees more answers than commands.
        self.sent.fetch_add(1, Ordering::Relaxed);
        state.producer.push(&shared.commands.0, &message.encode());
        drop(state);
        if shared.bell.ring() {
            self.segment.wake(&shared.bell);
        }
        // SYNC POINT (sent/idle): counted above, fenced by the bell; a leader that is about to sleep says
        // that it is idle, fences, and looks at the count.
        if self.idle.load(Ordering::Relaxed) {
            self.ring_agent();
        }
        Ok(())
    }

    fn refusal(
        &self,
        state: &ServerLane,
        device: usize,
        code: CommandCode,
    ) -> Option<(CompletionCode, Reason)> {
        let device = device as u32;
        if self.is_closed() {
            Some((CompletionCode::ERROR_INVALID_HANDLE, Reason::DeviceClosed))
        } else if state.aborted || self.is_aborted() {
            let cause = self.segment.abort_cause();
            Some((CompletionCode::ERROR_OPERATION_ABORTED, Reason::Aborted(cause)))
        } else if state.closed || !state.opened {
            Some((CompletionCode::ERROR_INVALID_HANDLE, Reason::DeviceClosed))
        } else if state.io_error && code != CommandCode::CLEAR_ERROR {
            Some((CompletionCode::ERROR_IO_DEVICE, Reason::IoError { device }))
        } else if state.is_full() {
            let outstanding = state.outstanding();
            Some((
                CompletionCode::ERROR_NO_SYSTEM_RESOURCES,
                Reason::QueueFull { device, outstanding },
            ))
        } else {
            None
        }
    }

    /// Puts the set into Abort and, unless somebody else leads and will do it, completes what is open.
    pub(crate) fn abort(&self, cause: AbortCause) {
        self.segment.abort(cause);
        self.nudge();
    }

    /// An abort that names the device and command that were waited for.
    pub(crate) fn abort_cause_now(&self, kind: AbortKind, detail: u32) -> AbortCause {
        let open = self.lanes.iter().enumerate().find_map(|(index, lane)| {
            lock(lane).some_open_command().map(|code| (index as u32, code))
        });
        AbortCause {
            kind,
            device: open.map(|(device, _)| device),
            command: open.map(|(_, command)| command),
            detail,
        }
    }

    /// Makes sure that somebody reacts to a change of the set's state: the leader, or this thread.
    pub(crate) fn nudge(&self) {
        if self.crew.is_led_here() {
            return;
        }
        self.ring_agent();
        if let Ok(mut leader) = self.crew.agent.try_lock() {
            agent::react(self, &mut leader);
        }
        self.crew.wake_everybody();
    }

    /// Wakes the leader, if one sleeps.
    fn ring_agent(&self) {
        let bell = self.segment.control().board.bell();
        bell.ring_always();
        self.segment.wake(bell);
    }

    /// A device was closed: the agent's thread looks whether it was the last.
    pub(crate) fn device_closed(&self) {
        self.closed_lanes.fetch_add(1, Ordering::AcqRel);
        if self.all_closed() {
            self.nudge();
        }
    }

    /// A buffer of `area` came back while somebody waits for one.
    pub(crate) fn buffer_freed(&self, area: u32) {
        if !self.crew.leader_wish().is_some_and(|wish| self.pool.fits(area, wish)) {
            self.feed();
        } else if !self.crew.is_led_here() {
            self.ring_agent();
        }
    }

    /// Wakes a parked thread that waits for a buffer which is free now. Whoever has waited for one and
    /// goes calls this: several buffers may have come back while one thread alone was woken.
    pub(crate) fn feed(&self) {
        if self.pool.hungry.load(Ordering::SeqCst) > 0 {
            self.crew.buffer_freed(|wish| self.pool.available(wish.size, wish.alignment) > 0);
        }
    }

    /// Releases everything that other processes can see.
    pub(crate) fn release(&self) {
        let watch = lock(&self.watch).take();
        drop(watch);
        self.segment.control().server_closed.store(1, Ordering::Release);
        self.segment.announce_change();
        for segment in self.pool.segments() {
            if let Err(error) = segment.unlink() {
                tracing::warn!(%error, "a buffer segment could not be removed");
            }
        }
        if !self.segment.client_alive() {
            self.segment.unlink_all();
        }
    }
}

/// A set as its users hold it: the objects of set and devices share it, and the last one to go closes
/// the set. Buffers do not count, for the commands under way, which the set itself keeps, hold some.
#[derive(Debug)]
pub(crate) struct Held(Arc<Inner>);

impl Held {
    pub(crate) fn new(inner: Arc<Inner>) -> Arc<Held> {
        Arc::new(Held(inner))
    }

    /// For what may outlive the set's objects.
    pub(crate) fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.0)
    }
}

impl Deref for Held {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.closed.swap(true, Ordering::SeqCst) {
            if !self.all_closed() && !self.is_aborted() {
                self.segment.abort(AbortCause::new(AbortKind::ServerClosed));
            }
            // Completes what is open, so that nothing keeps the set's memory.
            self.nudge();
            self.release();
        }
    }
}
