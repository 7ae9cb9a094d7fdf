//! Buffer handles: 31 bits that mean the same buffer in every process of a set.
//!
//! ```text
//! 31   30…23   22…16   15…0
//!  0    tag     area    slot
//! ```
//! Bit 31 stays clear because the Linux interface returns a handle as `unsigned int` and takes it as
//! `int`. The tag is never 0 and differs between the live sets of a namespace, so 0, 0xFFFFFFFF and a
//! handle of another set are refused. A handle is a pure function of the slot: clients cache them.

use crate::layout::AREAS_MAX;

/// Slots that one area can hold.
pub(crate) const SLOTS_MAX: u32 = 1 << 16;
/// Tags run from 1 to this.
pub(crate) const TAG_MAX: u32 = 255;

/// A decoded handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(crate) tag: u32,
    pub(crate) area: u32,
    pub(crate) slot: u32,
}

impl Handle {
    #[inline]
    pub(crate) const fn encode(self) -> u32 {
        (self.tag << 23) | (self.area << 16) | self.slot
    }

    /// Any 32 bits; a set bit 31 yields a tag that no set has.
    #[inline]
    pub(crate) const fn decode(bits: u32) -> Handle {
        Handle { tag: bits >> 23, area: (bits >> 16) & (AREAS_MAX as u32 - 1), slot: bits & 0xffff }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Catches: fields that overlap, a shift that loses bits, bit 31 in use.
        #[test]
        fn decode_is_the_inverse_of_encode(tag in 1..=TAG_MAX, area in 0..AREAS_MAX as u32, slot in 0..SLOTS_MAX) {
            let handle = Handle { tag, area, slot };
            let bits = handle.encode();
            prop_assert_eq!(Handle::decode(bits), handle);
            prop_assert_eq!(bits >> 31, 0);
            prop_assert_ne!(bits, 0);
        }

        /// Catches: a decoder that lets bit 31 pass as a valid tag.
        #[test]
        fn a_handle_with_bit_31_has_no_valid_tag(bits in 0x8000_0000u32..) {
            prop_assert!(Handle::decode(bits).tag > TAG_MAX);
        }
    }
}
