//! What stands around buffers, for clients under test.

/// What stands between a buffer, with its prefix zone, and its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Fence {
    /// Nothing: what does not fit into a buffer lands in another.
    #[default]
    None = 0,
    /// Bytes of a known value, at which the server can look
    /// ([`Buffer::trampled`](crate::Buffer::trampled)).
    Canaries = 1,
    /// Pages that no client can touch, and in what is left of the buffer's own pages canaries. The
    /// end of a buffer lies at the page behind it, as far as its size and alignment allow. A client
    /// can touch a buffer only between GetCommand and CompleteCommand, or after MapBufferHandle.
    Pages = 2,
}

/// What the canaries are.
pub(crate) const CANARY: u8 = 0xC5;

/// Canaries on each side of a buffer at least, where there are no pages.
pub(crate) const CANARIES: u64 = 64;

/// How a buffer lies among its neighbours: bytes of its own pages, or canaries, in front of the
/// prefix zone and behind the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Margins {
    pub(crate) before: u64,
    pub(crate) behind: u64,
}

impl Fence {
    pub(crate) fn from_word(word: u32) -> Fence {
        match word {
            1 => Fence::Canaries,
            2 => Fence::Pages,
            _ => Fence::None,
        }
    }

    /// Bytes that no client can touch, at least, between the margins of two buffers and at both ends
    /// of a segment.
    pub(crate) fn gap(self, page: u64) -> u64 {
        if self == Fence::Pages { page } else { 0 }
    }

    /// What a buffer's distance to the next and its place in a segment must be multiples of.
    pub(crate) fn grain(self, alignment: u64, page: u64) -> u64 {
        if self == Fence::Pages { alignment.max(page) } else { alignment }
    }

    /// The margins of buffers of this size behind prefix zones of that size.
    pub(crate) fn margins(self, size: u64, prefix: u64, alignment: u64, page: u64) -> Margins {
        match self {
            Fence::None => Margins::default(),
            Fence::Canaries => Margins { before: CANARIES, behind: CANARIES },
            Fence::Pages => {
                let end = size.next_multiple_of(alignment.min(page));
                // Where in its page the data begins.
                let begin = end.next_multiple_of(page) - end;
                let front = begin + prefix.saturating_sub(begin).next_multiple_of(page);
                Margins { before: front - prefix, behind: end - size }
            }
        }
    }
}
