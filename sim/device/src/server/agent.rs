//! The completion agent's loop: take completions, call routines, watch the clock and the client.

use std::{
    sync::{MutexGuard, TryLockError, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use vdi_protocol::CompletionCode;
use vdi_region::LeaseRole;

use crate::{
    abort::{AbortCause, AbortKind},
    error::{Error, Reason, Timeout},
    lock::lock,
    server::{
        crew::{Agent, Interest, Leading},
        inner::Inner,
    },
    signal::Popped,
    waiting::{Waited, Watchful},
    wire::CompletionMessage,
};

/// How often the rings are looked through while commands are open: a peer may die between publishing
/// and waking.
const RESCAN: Duration = Duration::from_secs(1);

/// How an attempt to wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Done,
    TimedOut,
    Over,
}

impl Inner {
    /// Runs the loop, as leader or follower, until `done`.
    pub(crate) fn run_until(
        &self,
        interest: Interest,
        done: &mut dyn FnMut() -> bool,
        timeout: Timeout,
    ) -> Result<(), Error> {
        if self.crew.is_led_here() {
            let state = "calling a completion routine, which must not wait";
            return Err(Reason::WrongState { call: "waiting for completions", state }.into());
        }
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        let mut followed = false;
        loop {
            if done() {
                self.leave(followed);
                return Ok(());
            }
            let ended = match self.try_lead() {
                Some(mut agent) => {
                    self.crew.set_leader_wish(Some(interest));
                    let ended = lead(self, &mut agent, done, deadline);
                    self.crew.set_leader_wish(None);
                    drop(agent);
                    self.crew.pass_on();
                    Some(ended?)
                }
                None => {
                    followed = true;
                    self.follow(interest, done, deadline)
                }
            };
            match ended {
                None => {}
                Some(Ended::Done) => {
                    self.leave(followed);
                    return Ok(());
                }
                Some(Ended::TimedOut) => {
                    self.leave(followed);
                    return Err(Reason::TimedOut(timeout.unwrap_or_default()).into());
                }
                Some(Ended::Over) if done() => return Ok(()),
                Some(Ended::Over) if self.is_aborted() => return Err(self.aborted()),
                Some(Ended::Over) => return Err(Reason::DeviceClosed.into()),
            }
        }
    }

    /// A follower goes: the wake-up that made it look may have been the one to take over.
    fn leave(&self, followed: bool) {
        if followed && self.try_lead().is_some() {
            self.crew.pass_on();
        }
    }

    fn try_lead(&self) -> Option<MutexGuard<'_, Agent>> {
        match self.crew.agent.try_lock() {
            Ok(agent) => Some(agent),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Parks until woken; None means "look again".
    fn follow(
        &self,
        interest: Interest,
        done: &mut dyn FnMut() -> bool,
        deadline: Option<Instant>,
    ) -> Option<Ended> {
        let parked = self.crew.enter(interest);
        if done() {
            return Some(Ended::Done);
        }
        if let Some(agent) = self.try_lead() {
            // The leader left in between. Whoever else was woken for that finds us leading.
            drop(agent);
            return None;
        }
        let remaining = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        thread::park_timeout(remaining.map_or(RESCAN, |r| r.min(RESCAN)));
        drop(parked);
        (deadline.is_some_and(|d| d <= Instant::now()) && !done()).then_some(Ended::TimedOut)
    }

    /// The loop on the agent's own thread, from before the first command to the last.
    pub(crate) fn run_agent(&self) -> Result<(), Error> {
        loop {
            if self.is_over() {
                return match self.is_aborted() && !self.all_closed() {
                    true => Err(self.aborted()),
                    false => Ok(()),
                };
            }
            if self.crew.drivers.load(Ordering::SeqCst) > 0 {
                let parked = self.crew.enter(Interest::Agent);
                if self.crew.drivers.load(Ordering::SeqCst) > 0 && !self.is_over() {
                    thread::park();
                }
                drop(parked);
                continue;
            }
            let mut yields = || self.crew.drivers.load(Ordering::SeqCst) > 0 || self.is_over();
            match self.try_lead() {
                Some(mut agent) => {
                    lead(self, &mut agent, &mut yields, None)?;
                    drop(agent);
                    self.crew.pass_on();
                }
                None => {
                    self.follow(Interest::Agent, &mut yields, None);
                }
            }
        }
    }

    /// Whether nothing can happen on the set any more.
    fn is_over(&self) -> bool {
        if self.is_aborted() {
            return self.all_answered();
        }
        self.is_closed() || (self.all_closed() && self.all_answered())
    }

    /// Whether no command is open.
    pub(crate) fn all_answered(&self) -> bool {
        self.lanes.iter().all(|lane| lock(lane).outstanding() == 0)
    }
}

/// Leads until `done`, the deadline, or the end of the set.
fn lead(
    inner: &Inner,
    agent: &mut Agent,
    done: &mut dyn FnMut() -> bool,
    deadline: Option<Instant>,
) -> Result<Ended, Error> {
    loop {
        poll(inner, agent, inner.segment.control().board.pending());
        if done() {
            return Ok(Ended::Done);
        }
        if inner.client_dead.load(Ordering::SeqCst) || inner.is_aborted() {
            react(inner, agent);
            return Ok(if done() { Ended::Done } else { Ended::Over });
        }
        if inner.is_closed() {
            return Ok(Ended::Over);
        }
        if wait(inner, agent, done, deadline)? == Waited::Ready {
            continue;
        }
        if let Some(cause) = look_around(inner, agent) {
            inner.segment.abort(cause);
        } else if deadline.is_some_and(|d| d <= Instant::now()) {
            return Ok(if done() { Ended::Done } else { Ended::TimedOut });
        }
    }
}

/// Waits for a completion or anything else that ends the wait.
fn wait(
    inner: &Inner,
    agent: &mut Agent,
    done: &mut dyn FnMut() -> bool,
    deadline: Option<Instant>,
) -> Result<Waited, Error> {
    let pending = inner.sent.load(Ordering::Relaxed) != agent.completed;
    let waiting = inner.segment.waiting(inner.segment.control().board.bell(), &inner.crew.patience);
    if waiting.look_out(&mut BoardWatch { inner, agent, done, idle: !pending }) {
        return Ok(Waited::Ready);
    }
    let mut timeout = None;
    if pending {
        timeout = Some(RESCAN);
        if let Some(limit) = time_limit(inner, agent) {
            timeout = Some(RESCAN.min(limit.saturating_duration_since(Instant::now())));
        }
    } else {
        agent.waiting_since = None;
    }
    if let Some(deadline) = deadline {
        let remaining = deadline.saturating_duration_since(Instant::now());
        timeout = Some(timeout.map_or(remaining, |t| t.min(remaining)));
    }
    inner.idle.store(!pending, Ordering::SeqCst);
    let waited = waiting.wait_on(&mut BoardWatch { inner, agent, done, idle: !pending }, timeout);
    inner.idle.store(false, Ordering::Relaxed);
    Ok(waited?)
}

/// When the client has used up two server time-out intervals without completing anything. The clock
/// runs while a command is open and starts anew with every completion; it is looked at only when the
/// server has nothing better to do.
fn time_limit(inner: &Inner, agent: &mut Agent) -> Option<Instant> {
    let interval = inner.segment.identity().client_config.server_time_out;
    if interval == 0 {
        return None;
    }
    let since = match agent.waiting_since {
        Some((completed, since)) if completed == agent.completed => since,
        _ => {
            let now = Instant::now();
            agent.waiting_since = Some((agent.completed, now));
            now
        }
    };
    since.checked_add(2 * Duration::from_millis(u64::from(interval)))
}

/// Called when a second has passed, or the client's time: what is wrong, if anything.
fn look_around(inner: &Inner, agent: &mut Agent) -> Option<AbortCause> {
    // A completion may have been published by a client that died before it rang.
    if poll(inner, agent, u64::MAX) {
        return None;
    }
    let now = Instant::now();
    let pending = inner.sent.load(Ordering::Relaxed) != agent.completed;
    if pending && time_limit(inner, agent).is_some_and(|limit| limit <= now) {
        let interval = inner.segment.identity().client_config.server_time_out;
        return Some(inner.abort_cause_now(AbortKind::TimedOut, interval));
    }
    if agent.looked_around.is_some_and(|last| now.duration_since(last) < RESCAN) {
        return None;
    }
    agent.looked_around = Some(now);
    if let Err(kind) = inner.segment.check_integrity() {
        return Some(AbortCause::new(kind));
    }
    // A client that has become another program by exec keeps its process, but not its lease.
    let lease = inner.segment.region().lease_held(LeaseRole::Creator).unwrap_or(true);
    if pending && !lease {
        let pid = inner.segment.identity().client.pid;
        return Some(inner.abort_cause_now(AbortKind::ClientDied, pid));
    }
    // The client's doorbell may have been lost in the same way, or its flag scribbled over.
    for (shared, lane) in inner.segment.lanes().iter().zip(&inner.lanes) {
        if lock(lane).outstanding() > 0 {
            shared.bell.ring_always();
            inner.segment.wake(&shared.bell);
        }
    }
    None
}

/// Takes all completions of the devices in `lanes`; true if there was one.
fn poll(inner: &Inner, agent: &mut Agent, mut lanes: u64) -> bool {
    let mut found = false;
    if inner.is_aborted() {
        // Completions recorded by the client are ignored from here on.
        return false;
    }
    let _leading = Leading::of(&inner.crew);
    while lanes != 0 {
        let lane = lanes.trailing_zeros() as usize;
        lanes &= lanes - 1;
        // A scribbled board may name devices that the set does not have.
        let (Some(shared), Some(completions)) =
            (inner.segment.lanes().get(lane), agent.completions.get_mut(lane))
        else {
            return found;
        };
        loop {
            let message = match completions.pop(&shared.completions.0) {
                Popped::Empty => break,
                Popped::Message(message) => CompletionMessage::decode(&message),
                Popped::Corrupt { .. } => {
                    damaged(inner, lane);
                    return true;
                }
            };
            let settled = lock(&inner.lanes[lane]).settle(&message);
            let Some((routine, completed)) = settled else {
                damaged(inner, lane);
                return true;
            };
            found = true;
            agent.completed = agent.completed.wrapping_add(1);
            routine(completed);
            inner.crew.completed(lane);
        }
    }
    found
}

/// A completion that answers nothing, or a stamp of no lap.
fn damaged(inner: &Inner, lane: usize) {
    let cause = AbortCause { device: Some(lane as u32), ..AbortCause::new(AbortKind::Damaged) };
    inner.segment.abort(cause);
}

/// Reacts to death and abort: takes what the client published before it died, and completes the rest
/// with ERROR_OPERATION_ABORTED.
pub(crate) fn react(inner: &Inner, agent: &mut Agent) {
    if inner.client_dead.load(Ordering::SeqCst) {
        poll(inner, agent, u64::MAX);
        let settled = inner.all_closed() && inner.all_answered();
        if !settled && !inner.is_aborted() {
            let pid = inner.segment.identity().client.pid;
            inner.segment.abort(inner.abort_cause_now(AbortKind::ClientDied, pid));
        }
    }
    if inner.is_aborted() {
        let _leading = Leading::of(&inner.crew);
        for (index, lane) in inner.lanes.iter().enumerate() {
            lock(lane).aborted = true;
            loop {
                let Some(open) = lock(lane).take_any() else { break };
                agent.completed = agent.completed.wrapping_add(1);
                let (routine, completed) = open.fail(CompletionCode::ERROR_OPERATION_ABORTED);
                routine(completed);
                inner.crew.completed(index);
            }
        }
        inner.crew.wake_everybody();
    }
}

/// What the leader looks for while it waits.
struct BoardWatch<'a> {
    inner: &'a Inner,
    agent: &'a mut Agent,
    done: &'a mut dyn FnMut() -> bool,
    /// No command was open when the wait began; the first one sent sets the clock.
    idle: bool,
}

impl BoardWatch<'_> {
    fn has_news(&self, mut lanes: u64) -> bool {
        let shared = self.inner.segment.lanes();
        while lanes != 0 {
            let lane = lanes.trailing_zeros() as usize;
            lanes &= lanes - 1;
            let (Some(shared), Some(consumer)) =
                (shared.get(lane), self.agent.completions.get(lane))
            else {
                return false;
            };
            if consumer.has_news(&shared.completions.0) {
                return true;
            }
        }
        false
    }
}

impl Watchful for BoardWatch<'_> {
    fn ready(&mut self) -> bool {
        self.has_news(self.inner.segment.control().board.pending())
            || self.inner.is_aborted()
            || self.inner.client_dead.load(Ordering::Relaxed)
            || self.inner.is_closed()
            || (self.idle && self.inner.sent.load(Ordering::Relaxed) != self.agent.completed)
            || (self.done)()
    }

    fn settle(&mut self) -> bool {
        let taken = self.inner.segment.control().board.take();
        let news = self.has_news(taken);
        if news {
            // Up again: the poll that follows goes by the board.
            self.inner.segment.control().board.put_back(taken);
        }
        news
    }
}
