//! Device names in the control segment: written by the server, looked up by the client.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::{
    layout::{DEVICE_NAME_MAX, Lane},
    segment::ControlSegment,
};

/// The names of a set's devices. The first device's name is the set's and is not stored again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeviceNames<'s> {
    segment: &'s ControlSegment,
}

impl<'s> DeviceNames<'s> {
    pub(crate) fn new(segment: &'s ControlSegment) -> Self {
        DeviceNames { segment }
    }

    /// How many devices the server has named.
    pub(crate) fn count(&self) -> usize {
        let named = self.segment.control().devices_named.load(Ordering::Acquire) as usize;
        named.min(self.segment.lanes().len())
    }

    /// Whether no further name will come.
    pub(crate) fn complete(&self) -> bool {
        self.count() == self.segment.lanes().len()
    }

    /// The device that has this name by now.
    pub(crate) fn find(&self, name: &[u8]) -> Option<usize> {
        let set_name = &self.segment.identity().name;
        // Known before the server says so: the first clause names the set.
        if name == set_name {
            return Some(0);
        }
        (1..self.count()).find(|index| self.read(*index).as_deref() == Some(name))
    }

    /// Names the next device; the caller has checked the name and is the only writer.
    pub(crate) fn push(&self, name: &[u8]) {
        let index = self.count();
        if index > 0 {
            let lane = &self.segment.lanes()[index];
            for (word, bytes) in lane.name.iter().zip(name.chunks(4)) {
                let mut padded = [0; 4];
                padded[..bytes.len()].copy_from_slice(bytes);
                word.store(u32::from_le_bytes(padded), Ordering::Relaxed);
            }
            lane.name_len.store(name.len() as u32, Ordering::Relaxed);
        }
        self.segment.control().devices_named.store(index as u32 + 1, Ordering::Release);
        self.segment.announce_change();
    }

    fn read(&self, index: usize) -> Option<Vec<u8>> {
        let Lane { name, name_len, .. } = &self.segment.lanes()[index];
        let len = name_len.load(Ordering::Relaxed) as usize;
        if len > DEVICE_NAME_MAX {
            return None;
        }
        let bytes = |word: &AtomicU32| word.load(Ordering::Relaxed).to_le_bytes();
        let mut read: Vec<u8> = name[..len.div_ceil(4)].iter().flat_map(bytes).collect();
        read.truncate(len);
        Some(read)
    }
}
