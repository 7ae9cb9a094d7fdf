//! A token on a page that the kernel clears in a forked child.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::mman::{MmapAdvise, madvise};

/// The word that a fork clears; null until first used. The page is never unmapped.
static WORD: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());
/// The last token given; a fork copies it, so that a child's tokens begin behind its parent's.
static LAST: AtomicU32 = AtomicU32::new(0);

/// See [`crate::process_token`].
#[inline]
pub(crate) fn token() -> u32 {
    let word = WORD.load(Ordering::Acquire);
    if !word.is_null() {
        // SAFETY: only `install` stores here: an aligned word of a page that is never unmapped.
        let token = unsafe { &*word }.load(Ordering::Acquire);
        if token != 0 {
            return token;
        }
    }
    renew()
}

/// Gives a token to a process that has none yet. No lock is involved: a fork could copy it locked.
#[cold]
fn renew() -> u32 {
    let word = match WORD.load(Ordering::Acquire) {
        word if !word.is_null() => word,
        _ => match install() {
            Some(word) => word,
            // A kernel before 4.14: the process number costs a system call and tells as well.
            None => return std::process::id(),
        },
    };
    // SAFETY: as in `token`.
    let word = unsafe { &*word };
    let next = LAST.load(Ordering::Acquire).wrapping_add(1).max(1);
    // LAST goes first: whatever moment a fork copies, the child counts on from behind the word.
    LAST.fetch_max(next, Ordering::AcqRel);
    match word.compare_exchange(0, next, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => next,
        Err(theirs) => theirs,
    }
}

fn install() -> Option<*mut AtomicU32> {
    let page: MmapRaw = MmapOptions::new().len(super::limits::page_size()).map_anon().ok()?.into();
    let start = NonNull::new(page.as_mut_ptr())?;
    // SAFETY: the mapping is ours, private and anonymous, and nobody has a reference into it; this
    // parent keeps its content.
    unsafe { madvise(start.cast(), page.len(), MmapAdvise::MADV_WIPEONFORK) }.ok()?;
    let word = start.as_ptr().cast::<AtomicU32>();
    match WORD.compare_exchange(std::ptr::null_mut(), word, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            std::mem::forget(page);
            Some(word)
        }
        // Another thread was first; our page goes away.
        Err(theirs) => Some(theirs),
    }
}
