//! Wake only a sleeper: how the side that waits and the side that publishes agree on a system call.
//!
//! The sleeper takes a ticket, says that it sleeps, looks once more for work and only then sleeps on
//! the sequence word with its ticket. The ringer publishes its work first and then looks whether
//! anybody sleeps. A sequentially consistent fence on both sides stands between the store and the
//! load, so at least one of the two sees the other: either the sleeper finds the work, or the ringer
//! finds the sleeper, moves the sequence on and wakes. The loom tests fail without either fence.
//!
//! A ringer takes the flag down when it rings, so a burst of work costs one wake-up. A sleeper that
//! leaves early (time-out, spurious return) leaves the flag up: the cost is one wake-up of nobody.

use std::sync::atomic::Ordering;

use super::word::Word;

/// A futex word and the flag that says somebody sleeps on it: one 128-byte line pair in a segment.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Doorbell<W> {
    sequence: W,
    sleeping: W,
}

impl<W: Word> Doorbell<W> {
    /// A doorbell that nobody has rung.
    pub fn new(word: impl Fn(u32) -> W) -> Self {
        Doorbell { sequence: word(0), sleeping: word(0) }
    }

    /// The word to sleep on.
    pub fn sequence(&self) -> &W {
        &self.sequence
    }

    /// After publishing: moves the sequence on and returns true if somebody must be woken on it.
    ///
    /// SYNC POINT (ring/arm): publish, fence, load `sleeping`.
    #[inline]
    pub fn ring(&self) -> bool {
        W::fence();
        self.ring_fenced()
    }

    /// [`ring`](Self::ring) for a caller that has just fenced.
    #[inline]
    pub fn ring_fenced(&self) -> bool {
        if self.sleeping.load(Ordering::Relaxed) == 0 {
            return false;
        }
        self.ring_always();
        true
    }

    /// Moves the sequence on whoever sleeps; the caller wakes everybody. For abort and death, where a
    /// scribbled flag must not keep anybody asleep.
    pub fn ring_always(&self) {
        self.sleeping.store(0, Ordering::Relaxed);
        self.sequence.fetch_add(1, Ordering::SeqCst);
    }

    /// Before sleeping: returns the ticket to sleep with. The caller looks for work once more after
    /// this and sleeps only if there is none.
    ///
    /// SYNC POINT (ring/arm): store `sleeping`, fence, look for work.
    pub fn arm(&self) -> u32 {
        let ticket = self.sequence.load(Ordering::Acquire);
        self.sleeping.store(1, Ordering::Relaxed);
        W::fence();
        ticket
    }
}
