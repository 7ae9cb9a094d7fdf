//! A plain ring in memory of the `shared_memory` crate. It trusts its peer, as the product does not.
#![allow(unsafe_code, clippy::disallowed_methods, reason = "what a plain ring does")]

use std::path::Path;
use std::slice::from_raw_parts_mut;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use anyhow::{Context, Result};
use rustix::thread::futex;
use shared_memory::{Shmem, ShmemConf};

use crate::link::{Receiver, Sender, soon, sum};

/// Spins of about 26 ns before sleeping: as long as being woken takes.
const SPINS: u32 = 2_000;

/// A counter that one process raises and the other waits for, and whether it sleeps.
#[repr(C, align(128))]
struct Bell(AtomicU32, AtomicU32);

impl Bell {
    fn ring(&self) {
        self.0.fetch_add(1, SeqCst);
        if self.1.load(SeqCst) != 0 {
            // Nobody may be there any more, which is no error.
            let _ = futex::wake(&self.0, futex::Flags::empty(), 1);
        }
    }

    fn wait_past(&self, seen: u32) {
        for _ in 0..SPINS {
            if self.0.load(SeqCst) != seen {
                return;
            }
            std::hint::spin_loop();
        }
        while self.0.load(SeqCst) == seen {
            self.1.store(1, SeqCst);
            // Every way this can end (changed, woken, interrupted) asks for another look.
            let _ = futex::wait(&self.0, futex::Flags::empty(), seen, None);
            self.1.store(0, SeqCst);
        }
    }
}

/// The first page; the buffers follow.
#[repr(C)]
struct Control {
    filled: Bell,
    emptied: Bell,
}

const CONTROL: usize = 4096;

/// One side of the ring.
pub(crate) struct Ring {
    memory: Shmem,
    buffers: usize,
    size: usize,
    count: u32,
}

impl Ring {
    /// The producer's side.
    pub(crate) fn create(folder: &Path, buffers: usize, size: usize) -> Result<Ring> {
        let unfinished = ShmemConf::new().size(CONTROL + buffers * size);
        let memory = unfinished.flink(folder.join("ring")).create()?;
        Ok(Ring { memory, buffers, size, count: 0 })
    }

    /// The consumer's side.
    pub(crate) fn open(folder: &Path, buffers: usize, size: usize) -> Result<Ring> {
        let memory = soon(|| ShmemConf::new().flink(folder.join("ring")).open())?;
        (memory.len() >= CONTROL + buffers * size).then_some(()).context("a small ring")?;
        Ok(Ring { memory, buffers, size, count: 0 })
    }

    fn control(&self) -> &Control {
        // SAFETY: the first page of a mapping that lives as long as `memory`; only atomics, and zeros
        // to begin with.
        unsafe { &*self.memory.as_ptr().cast::<Control>() }
    }

    #[allow(clippy::mut_from_ref, reason = "the bells hand the buffers over")]
    fn buffer(&self) -> &mut [u64] {
        let offset = CONTROL + self.count as usize % self.buffers * self.size;
        // SAFETY: inside the mapping, whose length was checked, and aligned; the bells hand a buffer
        // from one process to the other and back, and each makes one reference to it at a time.
        unsafe { from_raw_parts_mut(self.memory.as_ptr().add(offset).cast(), self.size / 8) }
    }
}

impl Sender for Ring {
    fn send(&mut self, chunk: &[u64]) -> Result<()> {
        let emptied = &self.control().emptied;
        while let seen = emptied.0.load(SeqCst)
            && self.count.wrapping_sub(seen) >= self.buffers as u32
        {
            emptied.wait_past(seen);
        }
        self.buffer().copy_from_slice(chunk);
        self.control().filled.ring();
        self.count = self.count.wrapping_add(1);
        Ok(())
    }
}

impl Receiver for Ring {
    fn receive(&mut self) -> Result<u64> {
        let Control { filled, emptied } = self.control();
        filled.wait_past(self.count);
        let sum = sum(self.buffer());
        emptied.ring();
        self.count = self.count.wrapping_add(1);
        Ok(sum)
    }
}
