//! The pool of buffers: one a set, shared by all devices, owned by the server.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use vdi_region::{Region, SharedSlice};

use crate::{
    area::{Area, Canaries},
    error::{Error, Reason},
    fence::CANARY,
    handle::Handle,
    layout::SEGMENTS_MAX,
    lock::lock,
    server::{crew::Wish, inner::Inner},
};

/// All areas of a set and which of their buffers are free.
#[derive(Debug)]
pub(crate) struct Pool {
    segments: [OnceLock<Region>; SEGMENTS_MAX],
    areas: Mutex<Vec<PoolArea>>,
    /// Threads that wait for a buffer.
    pub(crate) hungry: AtomicU32,
}

#[derive(Debug)]
struct PoolArea {
    area: Area,
    canaries: Canaries,
    free: Vec<u32>,
}

impl Pool {
    pub(crate) fn new() -> Self {
        Pool {
            segments: std::array::from_fn(|_| OnceLock::new()),
            areas: Mutex::default(),
            hungry: AtomicU32::new(0),
        }
    }

    /// Adds a mapped segment and its areas.
    pub(crate) fn add(
        &self,
        segment: usize,
        region: Region,
        areas: impl Iterator<Item = (Area, Canaries)>,
    ) {
        if self.segments[segment].set(region).is_ok() {
            // Popped from the end: low slots first, which are warm in the cache again and again.
            let free = |area: &Area| (0..area.slots).rev().collect();
            lock(&self.areas).extend(areas.map(|(area, canaries)| PoolArea {
                area,
                canaries,
                free: free(&area),
            }));
        }
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = &Region> {
        self.segments.iter().filter_map(OnceLock::get)
    }

    /// Free buffers of at least `size` bytes aligned to at least `alignment`.
    pub(crate) fn available(&self, size: u32, alignment: u32) -> u32 {
        let areas = lock(&self.areas);
        let fitting = areas.iter().filter(|a| a.fits(size, alignment));
        fitting.map(|a| a.free.len() as u32).sum()
    }

    /// Takes the smallest buffer that fits.
    pub(crate) fn take(&self, size: u32, alignment: u32) -> Option<Slot> {
        let mut areas = lock(&self.areas);
        let (index, area) = areas
            .iter_mut()
            .enumerate()
            .filter(|(_, a)| a.fits(size, alignment) && !a.free.is_empty())
            .min_by_key(|(_, a)| a.area.size)?;
        let slot = area.free.pop()?;
        let offset = area.area.first + u64::from(slot) * u64::from(area.area.stride);
        let segment = area.area.segment as usize;
        let canaries = area.canaries;
        Some(Slot { area: index as u32, slot, segment, offset: offset as usize, canaries })
    }

    /// Whether such buffers exist, free or not.
    pub(crate) fn has(&self, size: u32, alignment: u32) -> bool {
        lock(&self.areas).iter().any(|a| a.fits(size, alignment) && a.area.slots > 0)
    }

    /// Whether the buffers of an area are as wished.
    pub(crate) fn fits(&self, area: u32, wish: Wish) -> bool {
        let areas = lock(&self.areas);
        areas.get(area as usize).is_some_and(|area| area.fits(wish.size, wish.alignment))
    }

    /// Why [`take`](Self::take) found nothing.
    pub(crate) fn none_free(&self, size: u32, alignment: u32) -> Error {
        let areas = lock(&self.areas);
        let fitting = areas.iter().filter(|a| a.fits(size, alignment));
        let total = fitting.map(|a| a.area.slots).sum();
        Reason::NoBuffer { size, alignment, total }.into()
    }

    /// Whether `address` is the start of a buffer's data.
    pub(crate) fn contains(&self, address: usize) -> bool {
        lock(&self.areas).iter().any(|PoolArea { area, .. }| {
            let region = self.segments[area.segment as usize].get();
            region.is_some_and(|region| {
                let first = region.base().addr() + area.first as usize;
                let offset = address.wrapping_sub(first) as u64;
                offset < area.span() && offset.is_multiple_of(u64::from(area.stride.max(1)))
            })
        })
    }

    fn give_back(&self, area: u32, slot: u32) {
        if let Some(area) = lock(&self.areas).get_mut(area as usize) {
            area.free.push(slot);
        }
    }
}

impl PoolArea {
    fn fits(&self, size: u32, alignment: u32) -> bool {
        self.area.size >= size && self.area.alignment >= alignment
    }
}

/// A buffer's place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    area: u32,
    slot: u32,
    segment: usize,
    offset: usize,
    canaries: Canaries,
}

/// A buffer of the set's pool; dropping it is FreeBuffer.
///
/// It travels into a [`Request`](crate::Request) and comes back with its completion, so that nobody
/// frees or touches it while the client owns it.
pub struct Buffer {
    inner: Arc<Inner>,
    at: Slot,
    len: usize,
}

impl Buffer {
    pub(crate) fn new(inner: Arc<Inner>, at: Slot, len: u32) -> Self {
        Buffer { inner, at, len: len as usize }
    }

    /// Bytes of data, as they were asked for.
    #[allow(clippy::len_without_is_empty, reason = "a buffer is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The data.
    pub fn slice(&self) -> SharedSlice<'_> {
        self.inner.pool.segments[self.at.segment]
            .get()
            .and_then(|region| region.slice(self.at.offset, self.len).ok())
            .expect("a buffer lies within its segment, which stays mapped while the set is in use")
    }

    /// Whether the bytes around the buffer are as its [`Fence`](crate::Fence) left them: the byte
    /// nearest to the data, or its prefix zone, that is not, seen from the start of the data. What was
    /// found is repaired. A client must not hold the buffer.
    pub fn trampled(&self) -> Option<i64> {
        let Canaries { prefix, before, behind, size } = self.at.canaries;
        let begin = self.at.offset.checked_sub(prefix as usize + before)?;
        let mut found = None;
        for (at, len) in [(begin, before), (self.at.offset + size as usize, behind)] {
            let place = self.inner.pool.segments[self.at.segment].get()?.slice(at, len).ok()?;
            let mut bytes = vec![0; len];
            place.copy_to(0, &mut bytes).ok()?;
            let damaged = |byte: &u8| *byte != CANARY;
            let index = match at == begin {
                true => bytes.iter().rposition(damaged),
                false => bytes.iter().position(damaged),
            };
            if let Some(index) = index {
                place.fill(CANARY);
                found = found.or(Some((at + index) as i64 - self.at.offset as i64));
            }
        }
        found
    }

    /// Whether all of the data are canaries, as [`blank`](Self::blank) left them.
    pub fn is_blank(&self) -> bool {
        let mut bytes = vec![0; self.len];
        self.slice().copy_to(0, &mut bytes).is_ok() && bytes.iter().all(|byte| *byte == CANARY)
    }

    /// Makes all of the data canaries.
    pub fn blank(&self) {
        self.slice().fill(CANARY);
    }

    /// The handle under which every process of the set knows it.
    pub fn handle(&self) -> u32 {
        let tag = self.inner.tag;
        Handle { tag, area: self.at.area, slot: self.at.slot }.encode()
    }

    /// Where this process has its data.
    pub fn as_ptr(&self) -> *mut u8 {
        self.slice().as_mut_ptr()
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("at", &self.at).field("len", &self.len).finish()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let pool = &self.inner.pool;
        pool.give_back(self.at.area, self.at.slot);
        // SYNC POINT (freed/hungry): the lock of the pool orders this load behind the freed slot; a hungry
        // thread counts itself before it looks into the pool.
        if pool.hungry.load(Ordering::SeqCst) > 0 {
            self.inner.buffer_freed(self.at.area);
        }
    }
}
