//! Data pages: sizes, header, checksum.

use std::fmt;

use serde::Serialize;

use crate::checksum::fold_page;
use crate::lsn::Lsn;
use crate::record::Field;

/// Size of a data page in bytes.
pub const PAGE_SIZE: usize = 8192;

/// Pages in an extent.
pub const EXTENT_PAGES: usize = 8;

/// Size of an extent in bytes: the unit in which a backup carries pages.
pub const EXTENT_SIZE: usize = EXTENT_PAGES * PAGE_SIZE;

/// The page header, the first 96 bytes of a page, as a table of fields: use [`Field::read`] and
/// [`Field::write`] with the page's bytes.
#[derive(Debug)]
pub struct PageHeader;

impl PageHeader {
    /// Size of the header in bytes.
    pub const SIZE: usize = 96;
    /// [`Self::FLAG_BITS`]: the page carries a checksum.
    pub const HAS_CHECKSUM: u16 = 0x200;
    /// [`Self::FLAG_BITS`]: the page carries torn-page bits.
    pub const HAS_TORN_BITS: u16 = 0x100;
    /// [`Self::TYPE`] of the pseudo-pages that fill a stripe up.
    pub const FILLER: u8 = 0x65;

    /// Header version, 1.
    pub const VERSION: Field<Self, u8> = Field::at(0);
    /// Type: 1 data, 2 index, 3 and 4 LOB, 8 GAM, 9 SGAM, 10 IAM, 11 PFS, 13 boot, 15 file header,
    /// 16 differential map, 17 bulk-change map.
    pub const TYPE: Field<Self, u8> = Field::at(1);
    /// Flags that depend on the type.
    pub const TYPE_FLAG_BITS: Field<Self, u8> = Field::at(2);
    /// Level in an index.
    pub const LEVEL: Field<Self, u8> = Field::at(3);
    /// [`Self::HAS_CHECKSUM`], [`Self::HAS_TORN_BITS`].
    pub const FLAG_BITS: Field<Self, u16> = Field::at(4);
    /// Index id.
    pub const INDEX_ID: Field<Self, u16> = Field::at(6);
    /// Page number of the previous page.
    pub const PREVIOUS_PAGE: Field<Self, u32> = Field::at(8);
    /// File id of the previous page.
    pub const PREVIOUS_FILE: Field<Self, u16> = Field::at(12);
    /// Size of the fixed part of the rows.
    pub const MINIMUM_ROW_SIZE: Field<Self, u16> = Field::at(14);
    /// Page number of the next page.
    pub const NEXT_PAGE: Field<Self, u32> = Field::at(16);
    /// File id of the next page.
    pub const NEXT_FILE: Field<Self, u16> = Field::at(20);
    /// Slots in the row directory.
    pub const SLOT_COUNT: Field<Self, u16> = Field::at(22);
    /// Object id.
    pub const OBJECT_ID: Field<Self, u32> = Field::at(24);
    /// Free bytes.
    pub const FREE_COUNT: Field<Self, u16> = Field::at(28);
    /// Offset of the free part.
    pub const FREE_DATA: Field<Self, u16> = Field::at(30);
    /// Page number in the file.
    pub const PAGE_ID: Field<Self, u32> = Field::at(32);
    /// File id.
    pub const FILE_ID: Field<Self, u16> = Field::at(36);
    /// Reserved bytes.
    pub const RESERVED_COUNT: Field<Self, u16> = Field::at(38);
    /// LSN of the last change.
    pub const LSN: Field<Self, Lsn> = Field::at(40);
    /// Bytes reserved by transactions.
    pub const TRANSACTION_RESERVED: Field<Self, u16> = Field::at(50);
    /// Id of the transaction that reserved last.
    pub const TRANSACTION_ID: Field<Self, [u8; 6]> = Field::at(52);
    /// Ghost records.
    pub const GHOST_COUNT: Field<Self, u16> = Field::at(58);
    /// Checksum or torn-page bits.
    pub const CHECKSUM: Field<Self, u32> = Field::at(60);
}

/// Number of a page: file and page in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PageId {
    /// File id, from 1.
    pub file: u16,
    /// Page in the file, from 0.
    pub page: u32,
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}:{})", self.file, self.page)
    }
}

/// The number in a page's header.
pub fn page_id(page: &[u8; PAGE_SIZE]) -> PageId {
    PageId { file: PageHeader::FILE_ID.read(page), page: PageHeader::PAGE_ID.read(page) }
}

/// Whether this is one of the pseudo-pages that fill a stripe up: no page of the database.
pub fn is_filler(page: &[u8; PAGE_SIZE]) -> bool {
    PageHeader::TYPE.read(page) == PageHeader::FILLER
        && page_id(page) == PageId { file: 0, page: 0 }
}

/// Makes `page` a filler page.
pub fn fill_with_filler(page: &mut [u8; PAGE_SIZE]) {
    page.fill(0);
    PageHeader::VERSION.write(page, 1);
    PageHeader::TYPE.write(page, PageHeader::FILLER);
    PageHeader::FREE_COUNT.write(page, (PAGE_SIZE - PageHeader::SIZE) as u16);
    PageHeader::FREE_DATA.write(page, PageHeader::SIZE as u16);
    // Real filler pages have this LSN, and remains of memory after the header.
    PageHeader::LSN.write(page, Lsn { slot: 1, ..Lsn::default() });
}

/// The checksum that belongs in the header of `page`, whatever is there now.
pub fn page_checksum(page: &[u8; PAGE_SIZE]) -> u32 {
    checksum_of_fold(fold_page(page), page)
}

/// The page's checksum from the fold over all its bytes: takes the stored checksum out of it, which
/// stands in the first of 16 sectors and has been rotated 15 times.
fn checksum_of_fold(fold: u32, page: &[u8; PAGE_SIZE]) -> u32 {
    fold ^ PageHeader::CHECKSUM.read(page).rotate_left(15)
}

/// Stores the right checksum in the header of `page` and sets the flag that says so.
pub fn stamp_page(page: &mut [u8; PAGE_SIZE]) {
    let flags = PageHeader::FLAG_BITS.read(page) & !PageHeader::HAS_TORN_BITS;
    PageHeader::FLAG_BITS.write(page, flags | PageHeader::HAS_CHECKSUM);
    let checksum = page_checksum(page);
    PageHeader::CHECKSUM.write(page, checksum);
}

/// What the checksum of a page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageCheck {
    /// It is right.
    Intact,
    /// The page has none, or was never written: such pages of an allocated extent are backed up
    /// with whatever the disk held.
    Unprotected,
    /// It is wrong.
    Damaged {
        /// Checksum in the header.
        stored: u32,
        /// Checksum of the bytes.
        computed: u32,
    },
}

/// Checks a page against the checksum in its header.
pub fn check_page(page: &[u8; PAGE_SIZE]) -> PageCheck {
    if is_written(page) && has_checksum(page) {
        check_fold(fold_page(page), page)
    } else {
        PageCheck::Unprotected
    }
}

/// Whether the header has the version that every page ever written has.
pub(crate) fn is_written(page: &[u8; PAGE_SIZE]) -> bool {
    PageHeader::VERSION.read(page) == 1
}

pub(crate) fn has_checksum(page: &[u8; PAGE_SIZE]) -> bool {
    PageHeader::FLAG_BITS.read(page) & PageHeader::HAS_CHECKSUM != 0
}

/// Checks a page that has a checksum and whose fold is known.
pub(crate) fn check_fold(fold: u32, page: &[u8; PAGE_SIZE]) -> PageCheck {
    let stored = PageHeader::CHECKSUM.read(page);
    match checksum_of_fold(fold, page) {
        computed if computed == stored => PageCheck::Intact,
        computed => PageCheck::Damaged { stored, computed },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: the stored checksum taking part in its own sum, a flag not set.
    #[test]
    fn stamping_is_stable_and_every_bit_counts() {
        let mut page = [0; PAGE_SIZE];
        for (index, byte) in page.iter_mut().enumerate() {
            *byte = (index * 31 % 251) as u8;
        }
        PageHeader::VERSION.write(&mut page, 1);
        stamp_page(&mut page);
        assert_eq!(check_page(&page), PageCheck::Intact);
        let once = page;
        stamp_page(&mut page);
        assert_eq!(page, once);

        for at in [1, 59, 60, 63, 64, 511, 512, 4096, 8191] {
            let mut damaged = page;
            damaged[at] ^= 0x10;
            assert!(matches!(check_page(&damaged), PageCheck::Damaged { .. }), "byte {at}");
        }
    }

    /// Catches: remains of the disk in a page never written being taken for damage.
    #[test]
    fn a_page_without_the_flag_or_never_written_is_not_judged() {
        assert_eq!(check_page(&[0; PAGE_SIZE]), PageCheck::Unprotected);
        assert_eq!(check_page(&[0xff; PAGE_SIZE]), PageCheck::Unprotected);
        let mut page = [0; PAGE_SIZE];
        fill_with_filler(&mut page);
        assert!(is_filler(&page));
        assert_eq!(check_page(&page), PageCheck::Unprotected);
    }
}
