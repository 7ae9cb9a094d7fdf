//! Where an extent belongs: its pages say so.

use mtf::{EXTENT_PAGES, PAGE_SIZE, PageCheck, PageHeader, PageId, check_page, is_filler, page_id};

use crate::catalogue::ExtentId;

/// What the pages of an extent say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It belongs here.
    At(ExtentId),
    /// It fills a family up.
    Filler,
    /// No page of it was ever written.
    Unwritten,
}

/// The place of an extent. Pages that were never written hold whatever the disk held: they say
/// nothing and belong beside the others.
///
/// # Errors
///
/// The place that holds another page than its own.
pub(super) fn place_of(extent: &[u8]) -> Result<Place, PageId> {
    let pages = extent.as_chunks::<PAGE_SIZE>().0;
    let written = pages.iter().enumerate().filter_map(|(index, page)| {
        let id = page_id(page);
        let says = PageHeader::VERSION.read(page) == 1 && !is_filler(page) && id.file > 0;
        says.then_some((index, page, id))
    });
    let is_at = |index: usize, id: PageId| id.page as usize % EXTENT_PAGES == index;
    let own = written.clone().filter(|(index, _, id)| is_at(*index, *id));
    let own = own.map(|(_, _, id)| ExtentId::of(id));
    // One page of another extent does not move the others there.
    let votes = |extent| own.clone().filter(|other| *other == extent).count();
    let Some(extent) = own.clone().rev().max_by_key(|extent| votes(*extent)) else {
        let mut strays = written.filter(|(_, page, _)| check_page(page) == PageCheck::Intact);
        return match strays.next() {
            Some((_, _, id)) => Err(id),
            None if pages.iter().all(is_filler) => Ok(Place::Filler),
            None => Ok(Place::Unwritten),
        };
    };
    for (index, page, id) in written {
        let first = extent.first_page();
        let place = PageId { page: first.page + index as u32, ..first };
        // Remains of the disk may look like a page of elsewhere; not with a right checksum, though,
        // and not like one that belongs so near.
        let is_a_page =
            is_at(index, id) || ExtentId::of(id) == extent || check_page(page) == PageCheck::Intact;
        if id != place && is_a_page {
            return Err(place);
        }
    }
    Ok(Place::At(extent))
}

#[cfg(test)]
mod tests {
    use mtf::{EXTENT_SIZE, fill_with_filler, stamp_page};

    use super::*;

    fn extent(file: u16, number: u32) -> Vec<u8> {
        let mut extent = vec![0; EXTENT_SIZE];
        for (index, page) in extent.as_chunks_mut::<PAGE_SIZE>().0.iter_mut().enumerate() {
            PageHeader::VERSION.write(page, 1);
            PageHeader::TYPE.write(page, 1);
            PageHeader::FILE_ID.write(page, file);
            PageHeader::PAGE_ID.write(page, number * EXTENT_PAGES as u32 + index as u32);
            stamp_page(page);
        }
        extent
    }

    fn page(extent: &mut [u8], index: usize) -> &mut [u8; PAGE_SIZE] {
        &mut extent.as_chunks_mut::<PAGE_SIZE>().0[index]
    }

    // Catches: a stray page taken for one that was never written; the first page alone deciding;
    // remains of the disk taken for a stray page; an extent of nothing but remains taken for filler.
    #[test]
    fn the_pages_of_an_extent_agree() {
        let home = ExtentId { file: 1, extent: 5 };
        let place = |index| PageId { file: 1, page: 40 + index };
        let whole = extent(1, 5);
        assert_eq!(place_of(&whole), Ok(Place::At(home)));

        let mut swapped = whole.clone();
        swapped[..2 * PAGE_SIZE].rotate_left(PAGE_SIZE);
        assert_eq!(place_of(&swapped), Err(place(0)));
        // Also in a database whose pages have no checksums.
        let flags = |page: &mut [u8; PAGE_SIZE]| PageHeader::FLAG_BITS.write(page, 0);
        swapped.as_chunks_mut::<PAGE_SIZE>().0.iter_mut().for_each(flags);
        assert_eq!(place_of(&swapped), Err(place(0)));

        for (file, number, from, to) in [(1, 9, 3, 3), (1, 9, 0, 0), (1, 9, 3, 4), (2, 5, 7, 7)] {
            let mut mixed = whole.clone();
            *page(&mut mixed, to) = *page(&mut extent(file, number), from);
            assert_eq!(place_of(&mixed), Err(place(to as u32)), "{file}:{number} {from} at {to}");
            // Without its checksum a page at the wrong place of an extent is not known for one.
            page(&mut mixed, to)[100] ^= 1;
            let remains = from != to;
            assert_eq!(place_of(&mixed).is_ok(), remains, "{file}:{number} {from} at {to}");
        }

        let mut turned = whole.clone();
        turned.rotate_left(PAGE_SIZE);
        assert_eq!(place_of(&turned), Err(place(1)));

        let mut filler = whole;
        filler.as_chunks_mut::<PAGE_SIZE>().0.iter_mut().for_each(fill_with_filler);
        assert_eq!(place_of(&filler), Ok(Place::Filler));
        assert_eq!(place_of(&[0; EXTENT_SIZE]), Ok(Place::Unwritten));
        *page(&mut filler, 3) = [0x40; PAGE_SIZE];
        assert_eq!(place_of(&filler), Ok(Place::Unwritten));
    }
}
