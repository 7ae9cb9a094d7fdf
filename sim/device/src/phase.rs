//! The set's life as one word in the control segment.

use std::sync::atomic::{AtomicU32, Ordering};

/// Where a set stands. The two states before `Initializing` that only a server sees apart are the
/// specification's Connected and (server's) Configurable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Phase {
    /// Created by the client; no server yet.
    Configurable = 1,
    /// A server has opened it.
    Connected = 2,
    /// BeginConfiguration was called.
    Configuring = 3,
    /// EndConfiguration was called.
    Initializing = 4,
    /// A device is open.
    Active = 5,
    /// Every device delivered VD_E_CLOSE.
    NormallyTerminated = 6,
    /// Somebody aborted, or died.
    Abort = 7,
}

impl Phase {
    const ALL: [Phase; 7] = [
        Phase::Configurable,
        Phase::Connected,
        Phase::Configuring,
        Phase::Initializing,
        Phase::Active,
        Phase::NormallyTerminated,
        Phase::Abort,
    ];

    /// The phase in `word`; what is no phase was scribbled and counts as abort.
    #[inline]
    pub(crate) fn load(word: &AtomicU32) -> Phase {
        Phase::from_word(word.load(Ordering::Acquire)).unwrap_or(Phase::Abort)
    }

    pub(crate) fn from_word(value: u32) -> Option<Phase> {
        Phase::ALL.get((value as usize).wrapping_sub(1)).copied()
    }

    /// Moves `word` from `from` to `to`; false if it was elsewhere.
    pub(crate) fn advance(word: &AtomicU32, from: Phase, to: Phase) -> bool {
        word.compare_exchange(from as u32, to as u32, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// For messages: "not allowed while the set is …".
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Phase::Configurable => "configurable (no server has opened it)",
            Phase::Connected => "connected (the server has not begun the configuration)",
            Phase::Configuring => "being configured by the server",
            Phase::Initializing => "initializing",
            Phase::Active => "active",
            Phase::NormallyTerminated => "normally terminated",
            Phase::Abort => "aborted",
        }
    }
}
