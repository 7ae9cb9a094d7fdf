//! Payloads on their way through: whole pages, checksums.

use crate::checksum::{BackupChecksum, fold_page};
use crate::error::MtfError;
use crate::page::{PAGE_SIZE, PageCheck, PageId, check_fold, has_checksum, is_written, page_id};

use super::{Events, Stop};

/// What a payload holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Pages,
    Log,
    Data,
    Padding,
}

/// The payload of one stream.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    content: Content,
    check_pages: bool,
    /// Checksum so far, if one follows and is to be checked.
    sum: Option<BackupChecksum>,
    /// The number of the page before.
    previous: Option<PageId>,
}

/// A page that did not come in one piece.
#[derive(Debug, Clone)]
pub(super) struct Carry {
    page: Box<[u8; PAGE_SIZE]>,
    filled: usize,
}

impl Default for Carry {
    fn default() -> Self {
        Self { page: Box::new([0; PAGE_SIZE]), filled: 0 }
    }
}

impl Payload {
    pub(super) fn new(content: Content, check_sum: bool, check_pages: bool) -> Self {
        let sum = check_sum.then(BackupChecksum::default);
        Self { content, check_pages, sum, previous: None }
    }

    /// The checksum of the whole payload, if it is to be checked.
    pub(super) fn checksum(&self) -> Option<u32> {
        self.sum.as_ref().map(BackupChecksum::value)
    }

    /// Passes on the next `bytes`, the first of which stands at byte `at` of the stream.
    pub(super) fn pass<S: Events>(
        &mut self,
        bytes: &[u8],
        at: u64,
        carry: &mut Carry,
        sink: &mut S,
    ) -> Result<(), Stop<S::Error>> {
        if self.content == Content::Pages {
            return self.pass_pages(bytes, at, carry, sink);
        }
        if let Some(sum) = &mut self.sum {
            sum.update(bytes);
        }
        let told = match self.content {
            Content::Padding => sink.padding(bytes),
            Content::Log => sink.log(bytes),
            Content::Data | Content::Pages => sink.data(bytes),
        };
        told.map_err(Stop::Receiver)
    }

    fn pass_pages<S: Events>(
        &mut self,
        mut bytes: &[u8],
        mut at: u64,
        carry: &mut Carry,
        sink: &mut S,
    ) -> Result<(), Stop<S::Error>> {
        if carry.filled > 0 {
            let (head, rest) = bytes.split_at(bytes.len().min(PAGE_SIZE - carry.filled));
            let page_at = at - carry.filled as u64;
            carry.page[carry.filled..][..head.len()].copy_from_slice(head);
            carry.filled += head.len();
            if carry.filled < PAGE_SIZE {
                return Ok(());
            }
            carry.filled = 0;
            self.check(&carry.page, page_at, sink)?;
            sink.pages(&carry.page[..]).map_err(Stop::Receiver)?;
            at += head.len() as u64;
            bytes = rest;
        }
        let (pages, tail) = bytes.as_chunks::<PAGE_SIZE>();
        for (index, page) in pages.iter().enumerate() {
            self.check(page, at + (index * PAGE_SIZE) as u64, sink)?;
        }
        if !pages.is_empty() {
            sink.pages(pages.as_flattened()).map_err(Stop::Receiver)?;
        }
        carry.page[..tail.len()].copy_from_slice(tail);
        carry.filled = tail.len();
        Ok(())
    }

    /// One pass over the page for both checksums, or none if there is nothing to check.
    fn check<S: Events>(
        &mut self,
        page: &[u8; PAGE_SIZE],
        at: u64,
        sink: &mut S,
    ) -> Result<(), Stop<S::Error>> {
        let check_page = self.check_pages && self.is_protected(page);
        if !check_page && self.sum.is_none() {
            return Ok(());
        }
        let fold = fold_page(page);
        if let Some(sum) = &mut self.sum {
            sum.update_page(fold);
        }
        if check_page && let PageCheck::Damaged { stored, computed } = check_fold(fold, page) {
            let damage = MtfError::PageChecksum { page: page_id(page), at, stored, computed };
            sink.damage(damage).map_err(Stop::Receiver)?;
        }
        Ok(())
    }

    /// Whether a page has a checksum. A page never written holds whatever the disk held, and is
    /// told by its header's version; but one whose number follows that of the page before was
    /// written, and has lost the version since.
    fn is_protected(&mut self, page: &[u8; PAGE_SIZE]) -> bool {
        let id = page_id(page);
        let previous = self.previous.replace(id);
        let follows = |before: PageId| before.page.checked_add(1) == Some(id.page);
        let in_order = previous.is_some_and(|before| before.file == id.file && follows(before));
        has_checksum(page) && (is_written(page) || in_order)
    }
}
