//! The control segment: what lies where, and the only casts of this crate.
//!
//! ```text
//! 0                 Preamble     written before the segment is published, then never changed
//! size_of Preamble  Control      state, identities, configuration, tables, the agent's board
//! …                 Lane × n     one a device: doorbell, command ring, completion ring, name
//! …                 set name     preamble.name_len bytes
//! ```
//! All fields are 32-bit atomics: the same for 32- and 64-bit processes, and nothing that a peer
//! writes can be an invalid value. Whatever is read here is a claim; the reader copies it, checks the
//! copy and uses the copy.
#![allow(unsafe_code)]

use std::{
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use vdi_protocol::VdConfig;
use vdi_region::{ProcessIdentity, Region, RegionError, RegionLayout};

use crate::signal::{Board, Doorbell, LANES_MAX, Slot};

/// "VDIS" "IM01", little endian.
pub(crate) const MAGIC: [u32; 2] = [0x5349_4456, 0x3130_4d49];
/// Changes with every change of this file's structures.
pub(crate) const LAYOUT_VERSION: u32 = 2;
/// Slots of a ring, and the most commands of one device that may be unanswered.
pub(crate) const RING_LEN: usize = 64;
/// Shared-memory objects that hold buffers, at most.
pub(crate) const SEGMENTS_MAX: usize = 64;
/// Buffer areas of a set, at most: a handle has 7 bits for them.
pub(crate) const AREAS_MAX: usize = 128;
/// Longest name of a set, in bytes.
pub(crate) const SET_NAME_MAX: usize = 64 * 1024;
/// Longest name of a device other than the first, in bytes.
pub(crate) const DEVICE_NAME_MAX: usize = 1024;

/// Words of a [`crate::BufferFault`].
pub(crate) const FAULT_WORDS: usize = 12;

/// A process as three numbers, stored as words.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Identity {
    pid: AtomicU32,
    start_time: [AtomicU32; 2],
    pid_namespace: [AtomicU32; 2],
    _pad: AtomicU32,
}

impl Identity {
    pub(crate) fn store(&self, process: ProcessIdentity) {
        self.pid.store(process.pid, Relaxed);
        store_u64(&self.start_time, process.start_time);
        store_u64(&self.pid_namespace, process.pid_namespace);
    }

    pub(crate) fn load(&self) -> ProcessIdentity {
        ProcessIdentity {
            pid: self.pid.load(Relaxed),
            start_time: load_u64(&self.start_time),
            pid_namespace: load_u64(&self.pid_namespace),
        }
    }
}

/// A `VDConfig` as eleven words.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct ConfigWords([AtomicU32; 11]);

impl ConfigWords {
    pub(crate) fn store(&self, config: &VdConfig) {
        let VdConfig {
            device_count,
            features,
            prefix_zone_size,
            alignment,
            soft_file_mark_block_size,
            eom_warning_size,
            server_time_out,
            block_size,
            max_io_depth,
            max_transfer_size,
            buffer_area_size,
        } = *config;
        let values = [
            device_count,
            features,
            prefix_zone_size,
            alignment,
            soft_file_mark_block_size,
            eom_warning_size,
            server_time_out,
            block_size,
            max_io_depth,
            max_transfer_size,
            buffer_area_size,
        ];
        for (word, value) in self.0.iter().zip(values) {
            word.store(value, Relaxed);
        }
    }

    pub(crate) fn load(&self) -> VdConfig {
        let [
            device_count,
            features,
            prefix_zone_size,
            alignment,
            soft_file_mark_block_size,
            eom_warning_size,
            server_time_out,
            block_size,
            max_io_depth,
            max_transfer_size,
            buffer_area_size,
        ] = std::array::from_fn(|i| self.0[i].load(Relaxed));
        VdConfig {
            device_count,
            features,
            prefix_zone_size,
            alignment,
            soft_file_mark_block_size,
            eom_warning_size,
            server_time_out,
            block_size,
            max_io_depth,
            max_transfer_size,
            buffer_area_size,
        }
    }
}

/// Written by the client before the segment has a name, constant from then on.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Preamble {
    pub(crate) magic: [AtomicU32; 2],
    pub(crate) layout_version: AtomicU32,
    pub(crate) total_len: AtomicU32,
    pub(crate) generation: [AtomicU32; 2],
    pub(crate) lane_count: AtomicU32,
    pub(crate) name_len: AtomicU32,
    pub(crate) client: Identity,
    pub(crate) client_config: ConfigWords,
}

/// A shared-memory object that holds buffers.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct SegmentWords {
    pub(crate) len: [AtomicU32; 2],
}

/// Equal buffers in one segment.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct AreaWords {
    pub(crate) segment: AtomicU32,
    pub(crate) first: [AtomicU32; 2],
    pub(crate) stride: AtomicU32,
    pub(crate) slots: AtomicU32,
    pub(crate) size: AtomicU32,
    pub(crate) alignment: AtomicU32,
    _pad: AtomicU32,
}

/// What both sides change while the set lives.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Control {
    /// A [`crate::phase::Phase`].
    pub(crate) phase: AtomicU32,
    /// Why the set was aborted: a [`crate::abort::AbortCode`], written once, before the phase.
    pub(crate) abort: AtomicU32,
    /// Device and command of the abort, if it has one.
    pub(crate) abort_detail: [AtomicU32; 3],
    /// Non-zero tag of the set's handles.
    pub(crate) tag: AtomicU32,
    /// 1 once a server has attached and its identity is written.
    pub(crate) server_attached: AtomicU32,
    pub(crate) server: Identity,
    /// 1 once the primary's GetConfiguration succeeded: devices may be opened, secondaries may join.
    pub(crate) client_configured: AtomicU32,
    /// What the server chose; valid from Initializing on.
    pub(crate) config: ConfigWords,
    /// Devices that the server has opened (their names are written).
    pub(crate) devices_named: AtomicU32,
    /// Devices that the server has closed.
    pub(crate) devices_closed: AtomicU32,
    /// Devices whose client saw VD_E_CLOSE: one bit each.
    pub(crate) close_delivered: [AtomicU32; 2],
    /// Each side's Close.
    pub(crate) client_closed: AtomicU32,
    pub(crate) server_closed: AtomicU32,
    pub(crate) segment_count: AtomicU32,
    pub(crate) area_count: AtomicU32,
    /// A [`crate::Fence`]; written before the first area.
    pub(crate) fence: AtomicU32,
    /// A [`crate::Sabotage`] that the client half has to suffer, 0 for none.
    pub(crate) sabotage: AtomicU32,
    /// What a client did to a buffer that it must not: see [`crate::BufferFault`].
    pub(crate) buffer_fault: [AtomicU32; FAULT_WORDS],
    /// Processes of this set that spin for long, at the moment.
    pub(crate) spinners: Spinners,
    /// Rings at every change of phase, of the names, of the areas.
    pub(crate) changes: Doorbell<AtomicU32>,
    /// Completions for the server's agent.
    pub(crate) board: Board<AtomicU32>,
    pub(crate) segments: [SegmentWords; SEGMENTS_MAX],
    pub(crate) areas: [AreaWords; AREAS_MAX],
}

/// A word on a line of its own.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Spinners(pub(crate) AtomicU32);

/// One device.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Lane {
    /// Rings when a command or the close is published.
    pub(crate) bell: Doorbell<AtomicU32>,
    /// 1 when the server closed the device; everything sent before is delivered first.
    pub(crate) closed: AtomicU32,
    /// 0 free, else the pid of the client process that opened it.
    pub(crate) opened_by: AtomicU32,
    /// Bytes of the name; 0 for the first device, whose name is the set's.
    pub(crate) name_len: AtomicU32,
    /// Server → client.
    pub(crate) commands: Ring,
    /// Client → server.
    pub(crate) completions: Ring,
    pub(crate) name: [AtomicU32; DEVICE_NAME_MAX / 4],
}

/// Slots on lines of their own.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Ring(pub(crate) [Slot<AtomicU32>; RING_LEN]);

const _: () = {
    assert!(size_of::<Slot<AtomicU32>>() == 64);
    assert!(size_of::<Identity>() == 24);
    assert!(size_of::<Preamble>() == 128);
    assert!(size_of::<AreaWords>() == 32);
    assert!(std::mem::offset_of!(Control, spinners) == 256);
    assert!(std::mem::offset_of!(Control, changes) == 384);
    assert!(std::mem::offset_of!(Control, board) == 512);
    assert!(std::mem::offset_of!(Control, segments) == 768);
    assert!(size_of::<Control>() == 768 + 8 * SEGMENTS_MAX + 32 * AREAS_MAX);
    assert!(std::mem::offset_of!(Lane, commands) == 256);
    assert!(size_of::<Lane>() == 256 + 2 * 64 * RING_LEN + DEVICE_NAME_MAX);
    assert!(LANES_MAX * size_of::<Lane>() < 640 * 1024);
};

// SAFETY: repr(C), made of `AtomicU32` and padding only: every bit pattern is valid, and shared access
// is through atomics. Kept by the definitions above.
unsafe impl RegionLayout for Preamble {}
// SAFETY: as `Preamble`.
unsafe impl RegionLayout for Control {}
// SAFETY: as `Preamble`.
unsafe impl RegionLayout for Lane {}

/// Where the parts of a control segment with `lanes` devices lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offsets {
    pub(crate) control: usize,
    pub(crate) lanes: usize,
    pub(crate) name: usize,
}

impl Offsets {
    pub(crate) const fn of(lanes: usize) -> Offsets {
        let control = size_of::<Preamble>();
        let first_lane = control + size_of::<Control>();
        Offsets { control, lanes: first_lane, name: first_lane + lanes * size_of::<Lane>() }
    }

    /// Bytes of the whole segment.
    pub(crate) const fn total(lanes: usize, name_len: usize) -> usize {
        Offsets::of(lanes).name + name_len.next_multiple_of(4)
    }
}

/// The preamble of any segment that is long enough to have one.
pub(crate) fn preamble(region: &Region) -> Result<&Preamble, RegionError> {
    region.view::<Preamble>(0)
}

/// A mapped control segment whose parts were found to lie within it.
#[derive(Debug)]
pub(crate) struct Mapped {
    control: NonNull<Control>,
    lanes: NonNull<[Lane]>,
    region: Region,
}

// SAFETY: the pointers lead to atomics in a mapping that `region` keeps for as long as this value lives;
// atomics may be used from any thread.
unsafe impl Send for Mapped {}
// SAFETY: as `Send`.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Lays the structures over `region`; fails if they do not fit.
    pub(crate) fn new(region: Region, lane_count: usize) -> Result<Mapped, RegionError> {
        let offsets = Offsets::of(lane_count);
        let control = NonNull::from(region.view::<Control>(offsets.control)?);
        let lanes = NonNull::from(region.view_slice::<Lane>(offsets.lanes, lane_count)?);
        Ok(Mapped { control, lanes, region })
    }

    #[inline]
    pub(crate) fn control(&self) -> &Control {
        // SAFETY: `new` took the pointer from a bounds- and alignment-checked view of `region`, which is
        // unmapped only when `self` is dropped and whose mapping never moves.
        unsafe { self.control.as_ref() }
    }

    #[inline]
    pub(crate) fn lanes(&self) -> &[Lane] {
        // SAFETY: as in `control`.
        unsafe { self.lanes.as_ref() }
    }

    pub(crate) fn region(&self) -> &Region {
        &self.region
    }
}

pub(crate) fn load_u64(words: &[AtomicU32; 2]) -> u64 {
    u64::from(words[0].load(Relaxed)) | u64::from(words[1].load(Relaxed)) << 32
}

pub(crate) fn store_u64(words: &[AtomicU32; 2], value: u64) {
    words[0].store(value as u32, Relaxed);
    words[1].store((value >> 32) as u32, Relaxed);
}
