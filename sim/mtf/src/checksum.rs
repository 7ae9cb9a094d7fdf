//! The checksums of the format: headers, pages, backup streams.
//!
//! The page checksum and the backup checksum are the same fold over sectors of 512 bytes, seen as
//! 128 little-endian words of 32 bits: `c = rotl(c, 1) ^ (xor of the sector's words)`, starting
//! from zero. Rotation distributes over exclusive or, so the fold can run in as many lanes as the
//! processor has and be reduced to one word at the end; and a fold over 16 sectors that started
//! from `c` is `rotl(c, 16)` xor the same fold started from zero, so that one pass over a page
//! serves both checksums.

use crate::page::PAGE_SIZE;

/// Sector of the fold, in bytes.
pub const SECTOR_SIZE: usize = 512;

/// Lanes of 32 bits that the folds run in.
const LANES: usize = 16;

type Lanes = [u32; LANES];

/// Exclusive or of the 16-bit words of a header.
pub(crate) fn header_checksum(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks();
    debug_assert!(rest.is_empty(), "headers have an even number of bytes");
    words.iter().fold(0, |sum, word| sum ^ u16::from_le_bytes(*word))
}

/// One step of the fold in every lane.
#[inline(always)]
fn fold_sector(lanes: &mut Lanes, sector: &[u8; SECTOR_SIZE]) {
    for lane in lanes.iter_mut() {
        *lane = lane.rotate_left(1);
    }
    for row in sector.as_chunks::<{ 4 * LANES }>().0 {
        for (lane, word) in lanes.iter_mut().zip(row.as_chunks().0) {
            *lane ^= u32::from_le_bytes(*word);
        }
    }
}

fn reduce(lanes: &Lanes) -> u32 {
    lanes.iter().fold(0, |sum, lane| sum ^ lane)
}

/// The fold over the 16 sectors of a page, started from zero.
pub(crate) fn fold_page(page: &[u8; PAGE_SIZE]) -> u32 {
    let mut lanes = [0; LANES];
    for sector in page.as_chunks().0 {
        fold_sector(&mut lanes, sector);
    }
    reduce(&lanes)
}

/// The checksum of a backup made WITH CHECKSUM, over one stream's payload without its two lead
/// bytes. Fed in pieces of any size.
#[derive(Debug, Clone, Default)]
pub struct BackupChecksum {
    /// The fold over the whole sectors seen, in lanes.
    lanes: Lanes,
    /// Exclusive or of the words of the sector begun.
    partial: u32,
    /// Bytes of the sector begun.
    filled: usize,
}

impl BackupChecksum {
    /// Adds the next bytes of the payload.
    pub fn update(&mut self, mut bytes: &[u8]) {
        if self.filled > 0 {
            let (head, rest) = bytes.split_at(bytes.len().min(SECTOR_SIZE - self.filled));
            self.update_partial(head);
            bytes = rest;
        }
        let (sectors, tail) = bytes.as_chunks();
        for sector in sectors {
            fold_sector(&mut self.lanes, sector);
        }
        self.update_partial(tail);
    }

    /// Adds a whole page whose fold is known; only between sectors.
    pub(crate) fn update_page(&mut self, fold: u32) {
        debug_assert_eq!(self.filled, 0, "pages start at a sector");
        for lane in &mut self.lanes {
            *lane = lane.rotate_left((PAGE_SIZE / SECTOR_SIZE) as u32);
        }
        self.lanes[0] ^= fold;
    }

    /// The checksum of what was added; a sector begun counts as filled up with zeros.
    pub fn value(&self) -> u32 {
        let sum = reduce(&self.lanes);
        if self.filled == 0 { sum } else { sum.rotate_left(1) ^ self.partial }
    }

    fn update_partial(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.partial ^= u32::from(*byte) << (self.filled % 4 * 8);
            self.filled += 1;
        }
        if self.filled == SECTOR_SIZE {
            for lane in &mut self.lanes {
                *lane = lane.rotate_left(1);
            }
            self.lanes[0] ^= self.partial;
            (self.partial, self.filled) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word by word.
    fn reference(bytes: &[u8]) -> u32 {
        bytes.chunks(SECTOR_SIZE).fold(0u32, |sum, sector| {
            let mut padded = [0; SECTOR_SIZE];
            padded[..sector.len()].copy_from_slice(sector);
            let words = padded.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
            sum.rotate_left(1) ^ words.fold(0, |xor, word| xor ^ word)
        })
    }

    #[test]
    fn the_top_bit_of_the_first_sector_comes_round_to_the_bottom() {
        let mut payload = [0; 2 * SECTOR_SIZE];
        payload[3] = 0x80;
        let mut sum = BackupChecksum::default();
        sum.update(&payload);
        assert_eq!(sum.value(), 1);
    }

    proptest! {
        /// Catches: sectors counted per piece and not over the whole payload, a byte put in the
        /// wrong place of its word, a page's fold rotated by the wrong count.
        #[test]
        fn pieces_and_pages_give_what_the_definition_gives(
            seed in any::<u64>(),
            cuts in prop::collection::vec(0usize..3000, 0..6),
            with_page in any::<bool>(),
        ) {
            let mut state = seed | 1;
            let mut bytes: Vec<u8> = (0..3 * SECTOR_SIZE + cuts.iter().sum::<usize>()).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            }).collect();
            let mut sum = BackupChecksum::default();
            if with_page {
                let page = [(seed % 251) as u8; PAGE_SIZE];
                sum.update(&bytes[..SECTOR_SIZE]);
                sum.update_page(fold_page(&page));
                bytes.splice(SECTOR_SIZE..SECTOR_SIZE, page);
            }
            let mut rest = if with_page { &bytes[SECTOR_SIZE + PAGE_SIZE..] } else { &bytes[..] };
            for cut in cuts {
                let (piece, after) = rest.split_at(cut);
                sum.update(piece);
                rest = after;
            }
            sum.update(rest);
            prop_assert_eq!(sum.value(), reference(&bytes));
        }
    }
}
