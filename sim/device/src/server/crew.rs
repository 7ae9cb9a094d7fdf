//! Who runs the completion agent's loop: leader and followers.
//!
//! Whoever holds the agent's lock leads: looks into the completion rings, calls routines, sleeps on
//! the board. A server thread that must wait leads itself if nobody does, so that no third thread
//! stands between a completion and the thread that waits for it; else it parks here and is woken
//! when what it waits for has happened, or to take over when the leader leaves. The agent's own
//! thread leads while no driver does, and stays parked while a [`Driver`](crate::Driver) lives.
//!
//! SYNC POINT (park/pass on): a follower enters itself, then tries to lead once more, then parks; a
//! leader lets go of the lock, fences, then looks for followers. One of the two sees the other.

use std::{
    cell::Cell,
    sync::{
        Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering, fence},
    },
    thread::{self, Thread},
};

use crate::{lock::lock, signal::Consumer, waiting::Patience};

/// What a waiting thread wants to be woken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Any completion.
    Any,
    /// A completion of this device.
    Lane(usize),
    /// A free buffer.
    Buffer(Wish),
    /// Nothing but leading: the agent's own thread.
    Agent,
}

/// What a buffer has to have at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) size: u32,
    pub(crate) alignment: u32,
}

/// What only the leader touches.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) completions: Vec<Consumer>,
    /// Completions taken since the set was opened; wraps.
    pub(crate) completed: u32,
    /// When the leader first waited with this many completions behind it.
    pub(crate) waiting_since: Option<(u32, std::time::Instant)>,
    /// When the segment was last looked over.
    pub(crate) looked_around: Option<std::time::Instant>,
}

/// The agent and those who wait for it.
#[derive(Debug)]
pub(crate) struct Crew {
    pub(crate) agent: Mutex<Agent>,
    parked: Mutex<Vec<Follower>>,
    parked_count: AtomicU32,
    next_id: AtomicU64,
    /// Threads that promise to run the loop whenever they wait.
    pub(crate) drivers: AtomicU32,
    /// The leader's, whoever leads.
    pub(crate) patience: Patience,
    /// Which buffer the leader wants: size and alignment; 0 for none.
    leader_wish: AtomicU64,
}

#[derive(Debug)]
struct Follower {
    id: u64,
    thread: Thread,
    interest: Interest,
}

thread_local! {
    /// The crew that this thread leads, by address; 0 for none.
    static LEADS: Cell<usize> = const { Cell::new(0) };
}

/// Marks the thread as leader while a routine may be called.
#[derive(Debug)]
pub(crate) struct Leading(usize);

impl Leading {
    pub(crate) fn of(crew: &Crew) -> Leading {
        Leading(LEADS.replace(std::ptr::from_ref(crew).addr()))
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        LEADS.set(self.0);
    }
}

impl Crew {
    pub(crate) fn new(lanes: usize) -> Self {
        Crew {
            agent: Mutex::new(Agent {
                completions: vec![Consumer::default(); lanes],
                completed: 0,
                waiting_since: None,
                looked_around: None,
            }),
            parked: Mutex::default(),
            parked_count: AtomicU32::new(0),
            next_id: AtomicU64::new(0),
            drivers: AtomicU32::new(0),
            patience: Patience::new(),
            leader_wish: AtomicU64::new(0),
        }
    }

    /// Whether this thread leads this crew, that is: runs in a completion routine of it.
    pub(crate) fn is_led_here(&self) -> bool {
        LEADS.get() == std::ptr::from_ref(self).addr()
    }

    /// Enters the calling thread among the followers; [`Parked`] takes it out again.
    pub(crate) fn enter(&self, interest: Interest) -> Parked<'_> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut parked = lock(&self.parked);
        parked.push(Follower { id, thread: thread::current(), interest });
        self.parked_count.store(parked.len() as u32, Ordering::SeqCst);
        drop(parked);
        fence(Ordering::SeqCst);
        Parked { crew: self, id }
    }

    /// Wakes the followers that `concerned` picks; at most `limit` of them.
    fn wake(&self, concerned: impl Fn(Interest) -> bool, limit: usize) -> usize {
        fence(Ordering::SeqCst);
        if self.parked_count.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        let parked = lock(&self.parked);
        let chosen = parked.iter().filter(|f| concerned(f.interest)).take(limit);
        chosen.map(|follower| follower.thread.unpark()).count()
    }

    /// A command of `lane` was completed.
    pub(crate) fn completed(&self, lane: usize) {
        self.wake(|i| i == Interest::Any || i == Interest::Lane(lane), usize::MAX);
    }

    /// Wakes the first parked thread that waits for such a buffer as `is_there` finds.
    pub(crate) fn buffer_freed(&self, is_there: impl Fn(Wish) -> bool) {
        self.wake(|i| matches!(i, Interest::Buffer(wish) if is_there(wish)), 1);
    }

    /// Says what the leader wants, as long as it leads. Nobody but the leader writes the word, so that one
    /// who wants nothing, as most, need not write it.
    pub(crate) fn set_leader_wish(&self, interest: Option<Interest>) {
        let word = match interest {
            Some(Interest::Buffer(Wish { size, alignment })) => {
                u64::from(size) << 32 | u64::from(alignment)
            }
            _ => 0,
        };
        if self.leader_wish.load(Ordering::Relaxed) != word {
            self.leader_wish.store(word, Ordering::SeqCst);
        }
    }

    pub(crate) fn leader_wish(&self) -> Option<Wish> {
        let word = self.leader_wish.load(Ordering::SeqCst);
        (word != 0).then_some(Wish { size: (word >> 32) as u32, alignment: word as u32 })
    }

    /// The leader has left: somebody else takes over, the agent's own thread only if nobody drives.
    pub(crate) fn pass_on(&self) {
        if self.wake(|i| i != Interest::Agent, 1) == 0 && self.drivers.load(Ordering::SeqCst) == 0 {
            self.wake(|_| true, 1);
        }
    }

    /// Something happened that concerns everybody: abort, close, death.
    pub(crate) fn wake_everybody(&self) {
        self.wake(|_| true, usize::MAX);
    }
}

/// A thread's entry among the followers.
#[derive(Debug)]
pub(crate) struct Parked<'c> {
    crew: &'c Crew,
    id: u64,
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        let mut parked = lock(&self.crew.parked);
        parked.retain(|follower| follower.id != self.id);
        self.crew.parked_count.store(parked.len() as u32, Ordering::SeqCst);
    }
}
