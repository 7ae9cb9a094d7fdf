//! The board on which up to 64 devices announce completions to one agent.
//!
//! A bit a device says "look into this ring". The agent leaves the bits of devices that it polls
//! anyway, so that a prompt exchange writes nothing here: the client sees its bit still up and is
//! done. Before the agent sleeps it takes all bits down and looks once more into the rings whose
//! bits were up; from then on a completion puts its bit up again and rings. Waking the agent costs
//! the same for 1 device and for 64.
//!
//! SYNC POINT (announce/take): the client publishes in its ring, fences, loads the bit; the agent
//! takes the bit down, fences, looks into the ring. One of the two sees the other.

use std::sync::atomic::Ordering;

use super::{doorbell::Doorbell, word::Word};

/// Devices a set can have.
pub const LANES_MAX: usize = 64;

/// Pending bits of 64 devices and the doorbell of the agent.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Board<W> {
    pending: [W; 2],
    bell: Doorbell<W>,
}

impl<W: Word> Board<W> {
    /// A board without announcements.
    pub fn new(word: impl Fn(u32) -> W + Copy) -> Self {
        Board { pending: [word(0), word(0)], bell: Doorbell::new(word) }
    }

    /// The agent's doorbell.
    pub fn bell(&self) -> &Doorbell<W> {
        &self.bell
    }

    /// The client's side, after a push into `lane`'s completion ring: true if the agent must be woken.
    #[inline]
    pub fn announce(&self, lane: usize) -> bool {
        let bit = 1 << (lane % 32);
        let word = &self.pending[lane / 32 % 2];
        W::fence();
        if word.load(Ordering::Relaxed) & bit != 0 {
            // An agent that goes to sleep takes this bit down first and then looks into the ring: the
            // fence above already stands between our message and this load.
            return self.bell.ring_fenced();
        }
        word.fetch_or(bit, Ordering::SeqCst);
        self.bell.ring()
    }

    /// The devices worth a look; bits stay up.
    #[inline]
    pub fn pending(&self) -> u64 {
        let [low, high] = &self.pending;
        u64::from(low.load(Ordering::Acquire)) | u64::from(high.load(Ordering::Acquire)) << 32
    }

    /// Puts bits up on the agent's own behalf: it has seen news there and will look again.
    pub fn put_back(&self, lanes: u64) {
        let [low, high] = &self.pending;
        low.fetch_or(lanes as u32, Ordering::SeqCst);
        high.fetch_or((lanes >> 32) as u32, Ordering::SeqCst);
    }

    /// Takes all bits down and returns those that were up: the agent looks into these rings now.
    pub fn take(&self) -> u64 {
        let [low, high] = &self.pending;
        let taken = u64::from(low.swap(0, Ordering::SeqCst))
            | u64::from(high.swap(0, Ordering::SeqCst)) << 32;
        W::fence();
        taken
    }
}
