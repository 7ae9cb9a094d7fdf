//! This process's view of the buffer areas: address ↔ handle in a few nanoseconds.
//!
//! The table is private memory that lives as long as the client's set object, so that looking a
//! buffer up needs no lock and cannot meet an unmapped segment: it does not touch one. Close empties
//! it; a lookup that races with Close is answered as if it had come before or after.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use vdi_protocol::HResult;

use crate::{area::Area, handle::Handle, layout::AREAS_MAX};

/// One mapped area. `base` is 0 while it is not mapped and is written last.
#[derive(Debug, Default)]
struct Entry {
    base: AtomicUsize,
    span: AtomicUsize,
    stride: AtomicU32,
    slots: AtomicU32,
    size: AtomicU32,
}

/// All areas that this process has mapped.
#[derive(Debug)]
pub(crate) struct AreaTable {
    /// The set's tag; 0 while no set is open.
    tag: AtomicU32,
    /// One more than the highest mapped area.
    count: AtomicUsize,
    /// Whether access to the buffers is given and taken.
    guarded: AtomicBool,
    entries: [Entry; AREAS_MAX],
}

/// A buffer found by its handle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) address: *mut u8,
    /// Bytes of data.
    pub(crate) size: u32,
}

/// Why a handle leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Miss {
    /// No set is open in this object.
    NotOpen,
    /// It is no handle of this set.
    Invalid,
    /// It may be one; its area is not mapped here yet.
    Unmapped,
}

impl AreaTable {
    pub(crate) fn new() -> Self {
        AreaTable {
            tag: AtomicU32::new(0),
            count: AtomicUsize::new(0),
            guarded: AtomicBool::new(false),
            entries: std::array::from_fn(|_| Entry::default()),
        }
    }

    pub(crate) fn open(&self, tag: u32) {
        self.tag.store(tag, Ordering::Release);
    }

    pub(crate) fn clear(&self) {
        self.tag.store(0, Ordering::SeqCst);
        self.guarded.store(false, Ordering::Relaxed);
        let count = self.count.swap(0, Ordering::SeqCst);
        for entry in &self.entries[..count.min(AREAS_MAX)] {
            entry.base.store(0, Ordering::SeqCst);
        }
    }

    /// Enters area `index`, whose first data start is mapped at `base`.
    pub(crate) fn insert(&self, index: usize, area: &Area, base: *mut u8) {
        let entry = &self.entries[index];
        entry.span.store(area.span() as usize, Ordering::Relaxed);
        entry.stride.store(area.stride, Ordering::Relaxed);
        entry.slots.store(area.slots, Ordering::Relaxed);
        entry.size.store(area.size, Ordering::Relaxed);
        entry.base.store(base.expose_provenance(), Ordering::Release);
        self.count.fetch_max(index + 1, Ordering::Release);
    }

    /// From now on access is given and taken.
    pub(crate) fn set_guarded(&self) {
        self.guarded.store(true, Ordering::Release);
    }

    #[inline]
    pub(crate) fn is_guarded(&self) -> bool {
        self.guarded.load(Ordering::Relaxed)
    }

    pub(crate) fn is_mapped(&self, index: usize) -> bool {
        self.entries[index].base.load(Ordering::Acquire) != 0
    }

    /// The handle of the buffer that starts exactly at `address`.
    #[inline]
    pub(crate) fn handle_of(&self, address: usize) -> Result<u32, HResult> {
        let tag = self.tag.load(Ordering::Acquire);
        if tag == 0 {
            return Err(HResult::VD_E_PROTOCOL);
        }
        let count = self.count.load(Ordering::Acquire).min(AREAS_MAX);
        for (area, entry) in self.entries[..count].iter().enumerate() {
            let base = entry.base.load(Ordering::Acquire);
            let offset = address.wrapping_sub(base);
            if base == 0 || offset >= entry.span.load(Ordering::Relaxed) {
                continue;
            }
            let stride = entry.stride.load(Ordering::Relaxed) as usize;
            let slot = offset.checked_div(stride).ok_or(HResult::VD_E_INVALID)?;
            if slot * stride != offset {
                return Err(HResult::VD_E_INVALID);
            }
            return Ok(Handle { tag, area: area as u32, slot: slot as u32 }.encode());
        }
        Err(HResult::VD_E_INVALID)
    }

    /// The buffer behind `bits`, if its area is mapped.
    #[inline]
    pub(crate) fn find(&self, bits: u32) -> Result<Found, Miss> {
        let tag = self.tag.load(Ordering::Acquire);
        if tag == 0 {
            return Err(Miss::NotOpen);
        }
        let handle = Handle::decode(bits);
        if handle.tag != tag {
            return Err(Miss::Invalid);
        }
        let entry = &self.entries[handle.area as usize];
        let base = entry.base.load(Ordering::Acquire);
        if base == 0 {
            return Err(Miss::Unmapped);
        }
        if handle.slot >= entry.slots.load(Ordering::Relaxed) {
            return Err(Miss::Invalid);
        }
        let offset = handle.slot as usize * entry.stride.load(Ordering::Relaxed) as usize;
        Ok(Found {
            address: std::ptr::with_exposed_provenance_mut(base + offset),
            size: entry.size.load(Ordering::Relaxed),
        })
    }
}
