//! Buffer areas: equal buffers at a fixed distance, each behind its prefix zone.
//!
//! ```text
//! segment:  …│prefix│data size  │pad│prefix│data size  │pad│…
//!                   ^first          ^first + stride
//! ```
//! `first` and `stride` are multiples of the alignment, so every data start is aligned wherever the
//! segment is mapped; the zone lies directly before it and is mapped with it in every process. A
//! [`Fence`] stands between pad and prefix.

use std::sync::atomic::Ordering;

use crate::{
    error::{Error, Reason},
    fence::{Fence, Margins},
    handle::SLOTS_MAX,
    layout::{AREAS_MAX, AreaWords, Control, SEGMENTS_MAX, load_u64, store_u64},
};

/// A request for equal buffers, as RequestBuffers takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AreaRequest {
    /// Bytes of data, without the prefix zone.
    pub(crate) size: u32,
    /// Power of two.
    pub(crate) alignment: u32,
    pub(crate) count: u32,
}

/// Where the buffers of one area lie in their segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) segment: u32,
    pub(crate) first: u64,
    pub(crate) stride: u32,
    pub(crate) slots: u32,
    pub(crate) size: u32,
    pub(crate) alignment: u32,
}

/// The canaries around one buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Canaries {
    pub(crate) prefix: u32,
    pub(crate) before: usize,
    pub(crate) behind: usize,
    pub(crate) size: u32,
}

/// Lays `requests` out in one segment; returns the areas and the segment's length in bytes.
pub(crate) fn lay_out(
    requests: &[AreaRequest],
    segment: u32,
    prefix: u32,
    (fence, page): (Fence, u64),
) -> Result<(Vec<Area>, u64), Error> {
    let prefix = u64::from(prefix);
    let gap = fence.gap(page);
    let mut end = 0u64;
    let mut areas = Vec::with_capacity(requests.len());
    for request in requests {
        if request.count > SLOTS_MAX {
            return Err(too_many(request.count, SLOTS_MAX, "buffers in one area"));
        }
        let alignment = u64::from(request.alignment.max(1));
        let size = u64::from(request.size);
        let margins = fence.margins(size, prefix, alignment, page);
        let (front, behind) = (margins.before + prefix, margins.behind);
        let grain = fence.grain(alignment, page);
        let stride = (front + size + behind + 2 * gap).next_multiple_of(grain);
        let stride = u32::try_from(stride)
            .map_err(|_| too_many(request.size, u32::MAX, "bytes between two buffers"))?;
        // Where in its page the data begins, so that its end lies at a page's.
        let begin = if gap > 0 { front % page } else { 0 };
        let first = (end + gap + front - begin).next_multiple_of(grain) + begin;
        let slots = request.count;
        if slots > 0 {
            let last = first + u64::from(stride) * u64::from(slots - 1);
            end = last + size + behind + gap;
        }
        let AreaRequest { size, alignment, .. } = *request;
        areas.push(Area { segment, first, stride, slots, size, alignment });
    }
    Ok((areas, end))
}

fn too_many(count: u32, max: u32, what: &'static str) -> Error {
    Reason::TooMany { count, max, what }.into()
}

impl Area {
    /// Bytes from the first data start to the end of the last buffer.
    pub(crate) fn span(&self) -> u64 {
        match self.slots {
            0 => 0,
            slots => u64::from(self.stride) * u64::from(slots - 1) + u64::from(self.size),
        }
    }

    /// Where canaries stand around each buffer: in front of its prefix zone, which is `prefix` bytes
    /// before the data, and behind the data.
    pub(crate) fn canaries(&self, fence: Fence, prefix: u32, page: u64) -> Canaries {
        let (size, alignment) = (u64::from(self.size), u64::from(self.alignment));
        let Margins { before, behind } = fence.margins(size, u64::from(prefix), alignment, page);
        Canaries { prefix, before: before as usize, behind: behind as usize, size: self.size }
    }

    pub(crate) fn store(&self, words: &AreaWords) {
        words.segment.store(self.segment, Ordering::Relaxed);
        store_u64(&words.first, self.first);
        words.stride.store(self.stride, Ordering::Relaxed);
        words.slots.store(self.slots, Ordering::Relaxed);
        words.size.store(self.size, Ordering::Relaxed);
        words.alignment.store(self.alignment, Ordering::Relaxed);
    }

    /// Copies area `index` out of the segment and checks the copy against its segment's length.
    pub(crate) fn load(control: &Control, index: usize) -> Option<(Area, u64)> {
        let count = control.area_count.load(Ordering::Acquire) as usize;
        if index >= count.min(AREAS_MAX) {
            return None;
        }
        let words = &control.areas[index];
        let area = Area {
            segment: words.segment.load(Ordering::Relaxed),
            first: load_u64(&words.first),
            stride: words.stride.load(Ordering::Relaxed),
            slots: words.slots.load(Ordering::Relaxed),
            size: words.size.load(Ordering::Relaxed),
            alignment: words.alignment.load(Ordering::Relaxed),
        };
        let segment = control.segments.get(area.segment as usize)?;
        let segments = control.segment_count.load(Ordering::Acquire) as usize;
        let len = load_u64(&segment.len);
        let whole = (area.segment as usize) < segments.min(SEGMENTS_MAX)
            && area.slots <= SLOTS_MAX
            && area.size <= area.stride
            && area.first.checked_add(area.span()).is_some_and(|end| end <= len);
        whole.then_some((area, len))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request() -> impl Strategy<Value = AreaRequest> {
        (1u32..(4 << 20), 0u32..=16, 1u32..70).prop_map(|(size, shift, count)| AreaRequest {
            size,
            alignment: 1 << shift,
            count,
        })
    }

    proptest! {
        /// Catches: an unaligned data start, a prefix zone that reaches into the buffer before it, an
        /// area that reaches beyond its segment.
        #[test]
        fn buffers_are_aligned_and_apart(requests in prop::collection::vec(request(), 1..6), prefix in 0u32..=65536) {
            let (areas, len) = lay_out(&requests, 3, prefix, (Fence::None, 4096)).unwrap();
            let mut end = 0u64;
            for (area, request) in areas.iter().zip(&requests) {
                prop_assert_eq!((area.segment, area.slots, area.size), (3, request.count, request.size));
                for slot in 0..u64::from(area.slots) {
                    let data = area.first + slot * u64::from(area.stride);
                    prop_assert_eq!(data % u64::from(request.alignment), 0);
                    prop_assert!(data >= end + u64::from(prefix));
                    end = data + u64::from(area.size);
                }
                prop_assert_eq!(area.first + area.span(), end);
            }
            prop_assert_eq!(end, len);
        }

        /// Catches: a buffer that does not end at its page, a page that two buffers or a buffer and
        /// the gap share, a segment without a page at its ends, canaries that are somebody's bytes.
        #[test]
        fn fences_stand_around_every_buffer(
            requests in prop::collection::vec(request(), 1..6), prefix in 0u32..=65536, pages: bool,
        ) {
            const PAGE: u64 = 4096;
            let fence = if pages { Fence::Pages } else { Fence::Canaries };
            let (areas, len) = lay_out(&requests, 0, prefix, (fence, PAGE)).unwrap();
            let mut end = 0u64;
            for (area, request) in areas.iter().zip(&requests) {
                let (size, alignment) = (u64::from(request.size), u64::from(request.alignment));
                let margins = fence.margins(size, u64::from(prefix), alignment, PAGE);
                for slot in 0..u64::from(area.slots) {
                    let data = area.first + slot * u64::from(area.stride);
                    prop_assert_eq!(data % alignment, 0);
                    let begin = data - u64::from(prefix) - margins.before;
                    let behind = data + size + margins.behind;
                    if pages {
                        prop_assert_eq!((begin % PAGE, behind % PAGE), (0, 0));
                        prop_assert!(begin >= end + PAGE);
                        prop_assert!(margins.behind < PAGE.min(alignment) && margins.before < PAGE);
                    } else {
                        prop_assert!(begin >= end);
                        prop_assert!(margins.before >= 64 && margins.behind >= 64);
                    }
                    end = behind;
                }
            }
            prop_assert_eq!(len, end + if pages { PAGE } else { 0 });
        }
    }
}
