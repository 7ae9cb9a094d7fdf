//! Pages made from a seed, at the speed of memory.
//!
//! A page's content is a function of its number, a seed and a log sequence number, so that a
//! database of any size needs no storage, a change of it is a new seed, and replaying the change
//! from the log gives the same page. (spec: page header, allocation maps, page checksum)

use std::collections::BTreeMap;

use mtf::{EXTENT_PAGES, Lsn, PAGE_SIZE, PageHeader, PageId, stamp_page};
use serde::{Deserialize, Serialize};

use super::lsn_text;

/// Pages between two allocation maps (GAM, SGAM, DCM, BCM).
const GAM_INTERVAL: u32 = 511_232;

/// Pages between two pages of free space (PFS).
const PFS_INTERVAL: u32 = 8088;

/// Where the bits of an allocation map start: behind the header, a record of 94 bytes and the head
/// of the record that holds them.
const BITMAP: usize = 194;

/// Page types.
mod page_type {
    pub(super) const DATA: u8 = 1;
    pub(super) const GAM: u8 = 8;
    pub(super) const SGAM: u8 = 9;
    pub(super) const PFS: u8 = 11;
    pub(super) const BOOT: u8 = 13;
    pub(super) const FILE_HEADER: u8 = 15;
    pub(super) const DCM: u8 = 16;
    pub(super) const BCM: u8 = 17;
}

/// A data file whose pages are generated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratedFile {
    /// Where all content comes from.
    pub seed: u64,
    /// Pages that are allocated, from the first one on; a multiple of 8.
    pub used_pages: u32,
    /// Pages with another content than at first.
    pub changes: BTreeMap<u32, PageChange>,
}

/// The content of a changed page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageChange {
    /// Seed of its content.
    pub seed: u64,
    /// Where the change stands in the log.
    #[serde(with = "lsn_text")]
    pub lsn: Lsn,
}

impl GeneratedFile {
    /// Makes the page. `is_changed` says which extents have changed since the differential base.
    pub fn fill(&self, page: &mut [u8; PAGE_SIZE], id: PageId, is_changed: impl Fn(u32) -> bool) {
        let Some(kind) = special(id) else {
            let first = PageChange { seed: self.seed, lsn: Lsn::default() };
            let change = self.changes.get(&id.page).copied().unwrap_or(first);
            fill_data_page(page, id, change.seed, change.lsn);
            return;
        };
        page.fill(0);
        fill_header(page, id, kind, Lsn::default());
        let extents = self.used_pages.div_ceil(EXTENT_PAGES as u32);
        match kind {
            page_type::GAM => fill_map(page, id, |extent| extent >= extents),
            page_type::DCM => fill_map(page, id, is_changed),
            page_type::SGAM | page_type::BCM => fill_map(page, id, |_| false),
            page_type::PFS => {
                // 0x40: allocated, 0x4: full.
                let tracked = self.used_pages.saturating_sub(id.page / PFS_INTERVAL * PFS_INTERVAL);
                let tracked = tracked.min(PFS_INTERVAL) as usize;
                page[100..100 + tracked].fill(0x44);
            }
            _ => {}
        }
        stamp_page(page);
    }
}

/// The type of the pages that stand at fixed places.
fn special(id: PageId) -> Option<u8> {
    let place = id.page % GAM_INTERVAL;
    let first = id.page < GAM_INTERVAL;
    match (id.page, place) {
        (0, _) => Some(page_type::FILE_HEADER),
        (9, _) if id.file == 1 => Some(page_type::BOOT),
        (1, _) => Some(page_type::PFS),
        (page, _) if page.is_multiple_of(PFS_INTERVAL) => Some(page_type::PFS),
        (2, _) => Some(page_type::GAM),
        (3, _) => Some(page_type::SGAM),
        (_, 0) => Some(page_type::GAM),
        (_, 1) if !first => Some(page_type::SGAM),
        (_, 6) => Some(page_type::DCM),
        (_, 7) => Some(page_type::BCM),
        _ => None,
    }
}

/// Whether a page holds data, and not an allocation map or the like. The first extent of a file,
/// which is full of those, counts as one of them.
pub(super) fn is_data_page(id: PageId) -> bool {
    id.page >= EXTENT_PAGES as u32 && special(id).is_none()
}

/// Replaces the bits of a page with an allocation map, and its checksum. `bit` gets the number of
/// an extent in the file.
pub(super) fn fill_map(page: &mut [u8; PAGE_SIZE], id: PageId, bit: impl Fn(u32) -> bool) {
    let first = id.page / GAM_INTERVAL * (GAM_INTERVAL / EXTENT_PAGES as u32);
    let extents = GAM_INTERVAL / EXTENT_PAGES as u32;
    for (index, byte) in page[BITMAP..BITMAP + (extents / 8) as usize].iter_mut().enumerate() {
        let extent = first + index as u32 * 8;
        *byte = (0..8).fold(0, |byte, n| byte | u8::from(bit(extent + n)) << n);
    }
}

/// The extents whose bit is clear in an allocation map that covers `page_count` pages of the file.
pub(super) fn clear_bits(map: &[u8; PAGE_SIZE], id: PageId, page_count: u32) -> Vec<u32> {
    let per_map = GAM_INTERVAL / EXTENT_PAGES as u32;
    let first = id.page / GAM_INTERVAL * per_map;
    let end = (page_count / EXTENT_PAGES as u32).min(first + per_map);
    let is_clear = |extent: &u32| {
        let bit = (extent - first) as usize;
        map[BITMAP + bit / 8] >> (bit % 8) & 1 == 0
    };
    (first..end).filter(is_clear).collect()
}

/// The pages of a file that hold its GAMs.
pub(super) fn gam_pages(page_count: u32) -> impl Iterator<Item = u32> {
    (0..page_count).step_by(GAM_INTERVAL as usize).map(|page| if page == 0 { 2 } else { page })
}

/// Whether a page is a map of changed extents.
pub(super) fn is_differential_map(id: PageId) -> bool {
    special(id) == Some(page_type::DCM)
}

fn fill_header(page: &mut [u8; PAGE_SIZE], id: PageId, kind: u8, lsn: Lsn) {
    PageHeader::VERSION.write(page, 1);
    PageHeader::TYPE.write(page, kind);
    PageHeader::PAGE_ID.write(page, id.page);
    PageHeader::FILE_ID.write(page, id.file);
    PageHeader::LSN.write(page, lsn);
    if matches!(kind, page_type::GAM | page_type::SGAM | page_type::DCM | page_type::BCM) {
        PageHeader::MINIMUM_ROW_SIZE.write(page, 90);
        PageHeader::SLOT_COUNT.write(page, 2);
    }
    PageHeader::FREE_DATA.write(page, (PAGE_SIZE - 2) as u16);
}

/// Makes a data page whose bytes depend on its number and on `seed`, with its checksum.
pub fn fill_data_page(page: &mut [u8; PAGE_SIZE], id: PageId, seed: u64, lsn: Lsn) {
    page[..PageHeader::SIZE].fill(0);
    fill_header(page, id, page_type::DATA, lsn);
    PageHeader::SLOT_COUNT.write(page, 1);
    PageHeader::OBJECT_ID.write(page, 100 + (seed as u32 & 0xff));
    let start = mix(seed ^ u64::from(id.file) << 32 ^ u64::from(id.page));
    let step = mix(start) | 1;
    let mut word = start;
    for bytes in page[PageHeader::SIZE..].as_chunks_mut::<8>().0 {
        *bytes = word.to_le_bytes();
        word = word.wrapping_add(step);
    }
    stamp_page(page);
}

/// Spreads the bits of a number over the whole word (the finalizer of SplitMix64).
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use mtf::{PageCheck, check_page, page_id};

    use super::*;

    fn file(used_pages: u32) -> GeneratedFile {
        GeneratedFile { seed: 7, used_pages, changes: BTreeMap::new() }
    }

    fn page(file: &GeneratedFile, number: u32) -> Box<[u8; PAGE_SIZE]> {
        let mut page = Box::new([0xcc; PAGE_SIZE]);
        file.fill(&mut page, PageId { file: 1, page: number }, |extent| extent == 3);
        page
    }

    // Catches: a special page at the wrong place, a page without a checksum or with remains of the
    // buffer, a page that says it is another one.
    #[test]
    fn every_page_is_intact_and_of_its_type() {
        let file = file(1024);
        let types = [15, 11, 8, 9, 1, 1, 16, 17, 1, 13, 1];
        let later = [(8088, 11), (511_232, 8), (511_233, 9), (511_238, 16), (511_239, 17)];
        let first = types.into_iter().enumerate().map(|(number, kind)| (number as u32, kind));
        for (number, kind) in first.chain(later) {
            let page = page(&file, number);
            assert_eq!(PageHeader::TYPE.read(&page[..]), kind, "page {number}");
            assert_eq!(page_id(&page), PageId { file: 1, page: number });
            assert_eq!(check_page(&page), PageCheck::Intact, "page {number}");
        }
    }

    // Catches: bits of the maps the wrong way round or in the wrong place.
    #[test]
    fn maps_say_what_is_allocated_and_changed() {
        let file = file(80);
        let id = |page| PageId { file: 1, page };
        assert_eq!(clear_bits(&page(&file, 2), id(2), 1024), (0..10).collect::<Vec<_>>());
        let changed = page(&file, 6);
        let unchanged: Vec<_> = (0..128).filter(|extent| *extent != 3).collect();
        assert_eq!(clear_bits(&changed, id(6), 1024), unchanged);
    }

    // Catches: pages that do not depend on number, seed or file.
    #[test]
    fn content_depends_on_number_and_seed() {
        let make = |file, page, seed| {
            let mut bytes = Box::new([0; PAGE_SIZE]);
            fill_data_page(&mut bytes, PageId { file, page }, seed, Lsn::default());
            bytes[PageHeader::SIZE..].to_vec()
        };
        let one = make(1, 100, 5);
        assert_eq!(one, make(1, 100, 5));
        for other in [make(1, 101, 5), make(3, 100, 5), make(1, 100, 6)] {
            assert_ne!(one, other);
        }
    }
}
