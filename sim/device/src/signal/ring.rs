//! A ring of stamped slots: one producer, one consumer, one cache line a message.
//!
//! Every slot carries the stamp of the position that was last written to it, so the consumer finds
//! the message and the news of it in the same line, and neither side publishes an index. Positions
//! run free and wrap; position `p` lies in slot `p % N` and is stamped `p + 1`. Before it is
//! written the slot carries the stamp of the lap before, so a stamp that is neither of the two was
//! written by nobody who keeps the rules, and the consumer says so instead of waiting for ever.
//!
//! The ring does not bound its own use. Its owner does: no more than `N` messages may be unanswered,
//! and an answer happens-after the message was taken (it is a message of the ring in the other
//! direction), so a slot is free when its turn comes.
//!
//! SYNC POINT (push/pop): the stamp is stored with Release after the body and loaded with Acquire
//! before it.

use std::sync::atomic::Ordering;

use super::word::Word;

/// Words of payload in a slot.
pub const MESSAGE_WORDS: usize = 7;

/// The payload of one slot.
pub type Message = [u32; MESSAGE_WORDS];

/// One message and the stamp that publishes it: 64 bytes in a segment.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Slot<W> {
    stamp: W,
    body: [W; MESSAGE_WORDS],
}

impl<W: Word> Slot<W> {
    /// A slot of `ring_len` that nobody has written: it carries the stamp of the lap before the first.
    pub fn new(index: u32, ring_len: u32, word: impl Fn(u32) -> W) -> Self {
        Slot { stamp: word(first_stamp(index, ring_len)), body: std::array::from_fn(|_| word(0)) }
    }

    /// Prepares a slot in place; see [`Slot::new`].
    pub fn reset(&self, index: u32, ring_len: u32) {
        self.stamp.store(first_stamp(index, ring_len), Ordering::Relaxed);
    }
}

/// The stamp that slot `index` carries before the first lap.
pub const fn first_stamp(index: u32, ring_len: u32) -> u32 {
    index.wrapping_add(1).wrapping_sub(ring_len)
}

/// What the consumer found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Popped {
    /// Nothing new.
    Empty,
    /// The next message, copied out.
    Message(Message),
    /// The stamp belongs to neither this lap nor the last: the segment was scribbled on.
    Corrupt {
        /// What the slot carries.
        stamp: u32,
        /// What the next message would carry.
        expected: u32,
    },
}

/// The producer's private end.
#[derive(Debug, Default)]
pub struct Producer {
    position: u32,
}

impl Producer {
    /// Writes the next message. The caller has made sure that fewer than `slots.len()` are unanswered.
    pub fn push<W: Word>(&mut self, slots: &[Slot<W>], message: &Message) {
        let slot = &slots[self.position as usize % slots.len()];
        for (word, value) in slot.body.iter().zip(message) {
            word.store(*value, Ordering::Relaxed);
        }
        self.position = self.position.wrapping_add(1);
        slot.stamp.store(self.position, Ordering::Release);
    }
}

/// The consumer's private end.
#[derive(Debug, Default, Clone)]
pub struct Consumer {
    position: u32,
}

impl Consumer {
    /// Whether [`pop`](Self::pop) would return something other than `Empty`.
    #[inline]
    pub fn has_news<W: Word>(&self, slots: &[Slot<W>]) -> bool {
        let slot = &slots[self.position as usize % slots.len()];
        slot.stamp.load(Ordering::Acquire) != first_stamp(self.position, slots.len() as u32)
    }

    /// Reads the next message and leaves it in the ring.
    #[inline]
    pub fn peek<W: Word>(&self, slots: &[Slot<W>]) -> Popped {
        let expected = self.position.wrapping_add(1);
        let slot = &slots[self.position as usize % slots.len()];
        let stamp = slot.stamp.load(Ordering::Acquire);
        if stamp == expected {
            Popped::Message(std::array::from_fn(|i| slot.body[i].load(Ordering::Relaxed)))
        } else if stamp == first_stamp(self.position, slots.len() as u32) {
            Popped::Empty
        } else {
            Popped::Corrupt { stamp, expected }
        }
    }

    /// Moves on behind the message that [`peek`](Self::peek) returned.
    #[inline]
    pub fn advance(&mut self) {
        self.position = self.position.wrapping_add(1);
    }

    /// Takes the next message.
    #[inline]
    pub fn pop<W: Word>(&mut self, slots: &[Slot<W>]) -> Popped {
        let popped = self.peek(slots);
        if let Popped::Message(_) = popped {
            self.advance();
        }
        popped
    }
}
