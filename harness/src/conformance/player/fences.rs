//! What stands around and in the buffers that are not the client's at the moment.

use std::collections::BTreeSet;

use vdi_device::{Buffer, Fence};

use super::{Played, Player};
use crate::conformance::record::What;
use crate::conformance::script::{Item, Script, Step};

impl Player<'_> {
    pub(super) fn fence(&self) -> Fence {
        if self.order.guard { Fence::Pages } else { Fence::Canaries }
    }

    /// Asks for buffers. Behind pages every size has buffers of its own, so that the end of a
    /// transfer is the end of its buffer.
    pub(super) fn request_buffers(&self) -> Played {
        let set = self.set()?;
        let mut sizes = BTreeSet::from([self.size]);
        if self.order.guard {
            sizes.extend(transfers(&self.order.script).filter(|size| *size < self.size));
        }
        for size in sizes {
            set.request_buffers(size, 0, self.buffer_count())
                .map_err(|error| self.failed("RequestBuffers", &error))?;
        }
        Ok(())
    }

    /// Looks at a buffer that was free: whether anybody has written into it.
    pub(super) fn look_at_free(&self, buffer: &Buffer) {
        if buffer.is_blank() {
            return;
        }
        let last = self.owners.get(&buffer.handle()).copied();
        self.note(What::TouchedLate { last });
        buffer.blank();
    }

    /// Looks around a buffer that came back.
    pub(super) fn look_around(&self, device: u32, n: u64, buffer: &Buffer) {
        if let Some(offset) = buffer.trampled() {
            self.note(What::Trampled { device, n, offset });
        }
    }

    /// Looks at every buffer that is free in the end.
    pub(super) fn look_at_all_free(&self) {
        let Some(set) = &self.set else { return };
        let mut taken = Vec::new();
        while let Ok(buffer) = set.allocate_buffer(1, 0) {
            taken.push(buffer);
        }
        // They were taken with one byte each.
        for buffer in &taken {
            if let Some(offset) = buffer.trampled() {
                let (device, n) = self.owners.get(&buffer.handle()).copied().unwrap_or_default();
                self.note(What::Trampled { device, n, offset });
            }
        }
    }
}

/// The sizes of a script's transfers.
fn transfers(script: &Script) -> impl Iterator<Item = u32> {
    let pieces = |bytes: u64, size: u32| vec![size, (bytes % u64::from(size.max(1))) as u32];
    let of_step = move |step: &Step| match step {
        Step::Write { bytes, size } | Step::Read { bytes, size } => pieces(*bytes, *size),
        Step::WriteAt { size, .. }
        | Step::ReadAt { size, .. }
        | Step::ReadToEnd { size }
        | Step::ReadBehindEnd { size } => vec![*size],
        Step::Send(items) => items
            .iter()
            .filter_map(|item| match item {
                Item::Write(size) | Item::Read(size) => Some(*size),
                Item::Command(..) => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    let sizes: Vec<_> = script.steps.iter().flat_map(of_step).collect();
    sizes.into_iter().filter(|size| *size > 0)
}
