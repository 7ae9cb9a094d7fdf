//! Buffers behind a fence of pages, as one client process has them: which are accessible, and which
//! command each was given with.
//!
//! [`Guard::witness`] runs in a signal handler: it takes its lock by trying only, and allocates
//! nothing.

use std::{
    hint::spin_loop,
    sync::{
        Arc, Mutex, MutexGuard, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
};

use vdi_region::{AccessFault, Region, page_size};

use crate::{
    area::Area,
    buffer_fault::{BufferFault, BufferHolder},
    error::Error,
    fence::Fence,
    handle::Handle,
    lock::lock,
    wire::CommandMessage,
};

/// How often a signal handler tries to get a lock that another thread holds for some system calls.
const TRIES: u32 = 1 << 20;

/// All guarded buffers of a set.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// Whether there are any; asked at every command.
    on: AtomicBool,
    areas: Mutex<Vec<Guarded>>,
}

/// The buffers of one area.
#[derive(Debug)]
struct Guarded {
    index: usize,
    area: Area,
    region: Arc<Region>,
    prefix: u32,
    /// How many buffers the areas before it have.
    first_number: u32,
    holders: Vec<Option<BufferHolder>>,
}

impl Guard {
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Takes access to a newly mapped area away; true if it is the first one.
    pub(crate) fn enter(
        &self,
        index: usize,
        area: &Area,
        region: &Arc<Region>,
        (prefix, first_number): (u32, u32),
    ) -> Result<bool, Error> {
        let holders = vec![None; area.slots as usize];
        let region = Arc::clone(region);
        let guarded = Guarded { index, area: *area, region, prefix, first_number, holders };
        let (begin, _) = guarded.pages(0);
        let (_, end) = guarded.pages(area.slots.saturating_sub(1));
        // The gaps between them, and the page before and behind.
        let page = page_size();
        let (begin, end) = (begin.saturating_sub(page), (end + page).min(guarded.region.len()));
        guarded.region.set_access(begin, end - begin, false)?;
        lock(&self.areas).push(guarded);
        Ok(!self.on.swap(true, Ordering::Release))
    }

    /// The client gets a buffer with a command.
    pub(crate) fn give(&self, device: u32, command: &CommandMessage) {
        let CommandMessage { sequence, code, .. } = *command;
        let number = sequence.wrapping_add(1);
        let holder = BufferHolder { device, number, code, completed: false };
        self.change(command.handle, true, |slot| *slot = Some(holder));
    }

    /// The client gives a buffer back with its command.
    pub(crate) fn take(&self, handle: u32) {
        let complete = |slot: &mut Option<BufferHolder>| {
            if let Some(holder) = slot {
                holder.completed = true;
            }
        };
        self.change(handle, false, complete);
    }

    /// The client maps a buffer that another process of its own was given.
    pub(crate) fn map(&self, handle: u32) {
        self.change(handle, true, |_| ());
    }

    fn change(&self, handle: u32, accessible: bool, note: impl FnOnce(&mut Option<BufferHolder>)) {
        let Handle { area, slot, .. } = Handle::decode(handle);
        let mut areas = lock(&self.areas);
        let Some(guarded) = areas.iter_mut().find(|guarded| guarded.index == area as usize) else {
            return;
        };
        let Some(holder) = guarded.holders.get_mut(slot as usize) else { return };
        note(holder);
        let (begin, end) = guarded.pages(slot);
        if let Err(error) = guarded.region.set_access(begin, end - begin, accessible) {
            tracing::error!(%error, "a buffer's access could not be changed");
        }
    }

    /// What an access means, if it is one to a guarded buffer. Async-signal-safe.
    pub(crate) fn witness(&self, fault: &AccessFault) -> Option<BufferFault> {
        let areas = self.areas_in_handler()?;
        areas.iter().find_map(|guarded| guarded.witness(fault))
    }

    fn areas_in_handler(&self) -> Option<MutexGuard<'_, Vec<Guarded>>> {
        for _ in 0..TRIES {
            match self.areas.try_lock() {
                Ok(areas) => return Some(areas),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => spin_loop(),
            }
        }
        None
    }
}

impl Guarded {
    /// The pages of a buffer in the region: from where to where.
    fn pages(&self, slot: u32) -> (usize, usize) {
        let Area { first, stride, size, alignment, .. } = self.area;
        let prefix = u64::from(self.prefix);
        let page = page_size() as u64;
        // It comes out of the segment, where anybody may have written 0.
        let alignment = u64::from(alignment.max(1));
        let margins = Fence::Pages.margins(u64::from(size), prefix, alignment, page);
        let data = first + u64::from(slot) * u64::from(stride);
        let begin = data.saturating_sub(prefix + margins.before);
        (begin as usize, (data + u64::from(size) + margins.behind) as usize)
    }

    fn witness(&self, fault: &AccessFault) -> Option<BufferFault> {
        let at = fault.address.checked_sub(self.region.base().addr())?;
        let (begin, end) = self.pages(0);
        let stride = self.area.stride as usize;
        // What lies between two buffers belongs to the nearer one.
        let half = stride.saturating_sub(end - begin) / 2;
        let slot = (at + half).checked_sub(begin)?.checked_div(stride)?;
        let holder = *self.holders.get(slot)?;
        let data = self.area.first as i64 + (slot * stride) as i64;
        Some(BufferFault {
            buffer: self.first_number.wrapping_add(slot as u32),
            size: self.area.size,
            prefix: self.prefix,
            offset: at as i64 - data,
            is_write: fault.is_write,
            pid: std::process::id(),
            holder,
        })
    }
}
