//! Whether the families of a set hold together what the set says that it holds.
//!
//! Each file's record before the data tells its pages, which are those of the first block of data of
//! all families, filler left out. SQL Server 2019 writes a second block, of what changed meanwhile;
//! the records behind the data then tell its pages.

use std::collections::BTreeMap;

use mtf::{Configuration, EXTENT_PAGES, Scin, Sfin};

use super::context::Context;
use super::facts::facts;
use super::families::Families;
use crate::catalogue::{ExtentId, SetKind};
use crate::messages::{Message, SeveralMessages};

/// The extents of one block of data.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) extents: Vec<ExtentId>,
    /// Extents whose pages do not say where they belong: none was ever written.
    pub(super) unwritten: u64,
}

/// Checks that nothing is missing from a set and nothing is in it twice.
///
/// # Errors
///
/// 3189; the error log says what is wrong.
pub(super) fn check_whole(
    context: &Context<'_>,
    families: &Families,
) -> Result<(), SeveralMessages> {
    let Some(wrong) = missing_log(families).or_else(|| missing_pages(families)) else {
        return Ok(());
    };
    context.instance.log("Backup", Message::user(0, 10, 1, wrong));
    Err(Message::new(3189, &[]).into())
}

/// Log that no family carries.
fn missing_log(families: &Families) -> Option<String> {
    let mut carried = BTreeMap::new();
    for (vlf, is_here) in families.iter().flat_map(|(_, brought)| &brought.logs) {
        *carried.entry(*vlf).or_insert(false) |= is_here;
    }
    let (vlf, _) = carried.into_iter().find(|(_, is_there)| !is_there)?;
    Some(format!("The log of virtual log file {vlf} is missing from the backup set."))
}

fn missing_pages(families: &Families) -> Option<String> {
    let (head, brought) = families.first()?;
    // Real log backups with extents, of bulk-logged changes, have not been seen; of a snapshot the
    // client has the pages.
    let is_log = facts(&head.set, &head.configuration).kind == SetKind::Log;
    if is_log || head.configuration.set().get(Scin::FLAGS) & Scin::SNAPSHOT != 0 {
        return None;
    }
    let rounds = families.iter().map(|(_, brought)| brought.rounds.len()).max()?;
    let last = brought.sets.first().and_then(|(_, last)| last.as_ref());
    (0..rounds.max(1)).find_map(|number| {
        let told = match number {
            0 => Some(&head.configuration),
            _ if number + 1 == rounds => last,
            _ => None,
        };
        let of_round = || families.iter().filter_map(|(_, brought)| brought.rounds.get(number));
        let mut extents: Vec<_> =
            of_round().flat_map(|round| round.extents.iter().copied()).collect();
        extents.sort_unstable();
        if let Some(twice) = extents.windows(2).find(|pair| pair[0] == pair[1]) {
            let page = twice[0].first_page();
            return Some(format!("The extent of page {page} is in the backup set twice."));
        }
        let unwritten = of_round().map(|round| round.unwritten).sum();
        told.and_then(|told| differing_count(told, &extents, unwritten))
    })
}

/// A file that has other pages than the set says. Each of the `unwritten` extents may be of any file.
fn differing_count(
    told: &Configuration,
    extents: &[ExtentId],
    mut unwritten: u64,
) -> Option<String> {
    told.files().filter(|file| !file.is_log()).find_map(|file| {
        let id = file.get(Sfin::FILE_ID);
        let said = u64::from(file.get(Sfin::PAGE_COUNT));
        let count = extents.iter().filter(|extent| u32::from(extent.file) == id).count();
        let came = (count * EXTENT_PAGES) as u64;
        let missing = said.saturating_sub(came).div_ceil(EXTENT_PAGES as u64);
        if came > said || missing > unwritten {
            return Some(format!(
                "The backup set should hold {said} pages of file {id}; it holds {came}."
            ));
        }
        unwritten -= missing;
        None
    })
}
