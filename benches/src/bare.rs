//! What the machine can do, without any of our crates: processes with rings or a ping-pong between them
//! in shared memory, and what making such memory costs. Unlike the product, these trust their peers.
#![allow(unsafe_code, clippy::disallowed_methods, clippy::mut_from_ref)]

use std::fs::File;
use std::slice::from_raw_parts_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::thread::futex;

use crate::source::{Source, sum};
use crate::{process, relay};

/// A counter that one process raises and the other waits for, and whether that sleeps.
#[repr(C, align(128))]
struct Bell(AtomicU32, AtomicU32);

impl Bell {
    fn ring(&self) {
        self.0.fetch_add(1, SeqCst);
        if self.1.load(SeqCst) != 0 {
            futex::wake(&self.0, futex::Flags::empty(), 1).expect("futex wake");
        }
    }

    /// Looks `spins` times before it sleeps.
    fn wait(&self, spins: usize, is_enough: impl Fn(u32) -> bool) {
        for looked in 0.. {
            let count = self.0.load(SeqCst);
            if is_enough(count) {
                return;
            } else if looked < spins {
                std::hint::spin_loop();
            } else {
                self.1.store(1, SeqCst);
                // Every way this can end (changed, woken, interrupted) asks for another look.
                let _ = futex::wait(&self.0, futex::Flags::empty(), count, None);
                self.1.store(0, SeqCst);
            }
        }
    }
}

/// One ring: buffers handed over, those given back, and the sum of what was read.
#[repr(C)]
struct Lane(Bell, Bell, AtomicU64);
/// The bytes of all rings; the buffers lie behind them.
const CONTROL: usize = 1 << 16;

/// What two processes have between them.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Rings with a thread on either side. A single one uses all buffers, several share them.
    pub lanes: usize,
    /// Buffers, and the bytes of each; of no bytes for a ping-pong.
    pub buffers: (usize, usize),
    /// How often a side looks before it sleeps on a futex.
    pub spins: usize,
    /// Bytes of the source that the child fills buffers from; 0: it reads them.
    pub child_source: usize,
    /// 1: a third process reads (its own is 2), which the child sends the buffers' numbers to.
    pub relay: usize,
}

/// Rings between this process and a child, which has one of these, too.
#[derive(Debug)]
pub struct Pair(MmapRaw, Shape, Vec<Mutex<()>>, Option<process::Other>);

impl Pair {
    /// Starts the child on `cpu`.
    pub fn start(shape: Shape, cpu: usize) -> Pair {
        let Shape { lanes, buffers: (buffers, size), spins, child_source, relay } = shape;
        let file = object(CONTROL + buffers * size);
        let (map, turns) = (map(&file), (0..buffers).map(|_| Mutex::default()).collect());
        let numbers = [cpu, lanes, buffers, size, spins, child_source, relay];
        let child = process::again(process::BARE, &numbers).stdin(file).spawn().expect("a child");
        Pair(map, shape, turns, Some(process::Other(child)))
    }

    fn lane(&self, lane: usize) -> &Lane {
        // SAFETY: in the first pages of the mapping; only atomics, and zeros to begin with.
        unsafe { &*self.0.as_ptr().cast::<Lane>().add(lane) }
    }

    fn number(&self, lane: usize, count: u32) -> usize {
        (if self.1.lanes == 1 { count as usize } else { lane }) % self.1.buffers.0
    }

    fn buffer(&self, number: usize) -> &mut [u64] {
        let at = self.0.as_mut_ptr().wrapping_add(CONTROL + number * self.1.buffers.1);
        // SAFETY: inside the mapping and aligned; the bells hand a buffer from one process to the other
        // and back, and each process makes one reference to it at a time.
        unsafe { from_raw_parts_mut(at.cast(), self.1.buffers.1 / 8) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.3.as_ref().map_or(0, |other| other.0.id())
    }

    /// Copies `total` buffers out of `source` while the other side adds up every word; returns the time
    /// until the last was read. Panics when the sum is wrong.
    pub fn stream(&self, source: &Source, total: usize) -> Duration {
        let Shape { lanes, buffers: (buffers, _), .. } = self.1;
        let elapsed = process::timed_threads(lanes, |lane| {
            let Lane(filled, _, sum) = self.lane(lane);
            sum.store(0, SeqCst);
            for chunk in source.chunks(total).skip(lane).step_by(lanes) {
                let number = self.number(lane, filled.0.load(SeqCst));
                // Rings that share a buffer take turns.
                let _turn = self.2[number].lock();
                self.wait_until_back(lane, buffers - 1);
                self.buffer(number).copy_from_slice(chunk);
                filled.ring();
                self.wait_until_back(lane, if lanes == 1 { buffers } else { 0 });
            }
            self.wait_until_back(lane, 0);
        });
        let seen = (0..lanes).map(|lane| self.lane(lane).2.load(SeqCst)).fold(0, u64::wrapping_add);
        assert_eq!(seen, source.sum(0, total), "the other process read other bytes");
        elapsed
    }

    /// The other way: the child copies `total` buffers out of its source, and this process adds up.
    pub fn restore(&self, source: &Source, total: usize) -> Duration {
        let (Lane(filled, ..), buffers) = (self.lane(0), self.1.buffers.0);
        let (begun, first, mut seen) = (Instant::now(), filled.0.load(SeqCst), 0u64);
        (0..buffers.min(total)).for_each(|_| filled.ring());
        for read in 0..total {
            self.wait_until_back(0, buffers.min(total - read) - 1);
            seen = seen
                .wrapping_add(sum(self.buffer(self.number(0, first.wrapping_add(read as u32)))));
            (read + buffers < total).then(|| filled.ring());
        }
        let elapsed = begun.elapsed();
        assert_eq!(seen, source.sum(first as usize, total), "other bytes came");
        elapsed
    }

    /// `count` round trips: hand over, wait until it is back.
    pub fn round_trips(&self, count: u32) -> Duration {
        process::timed_threads(1, |lane| {
            for _ in 0..count {
                self.lane(lane).0.ring();
                self.wait_until_back(lane, 0);
            }
        })
    }

    fn wait_until_back(&self, lane: usize, but: usize) {
        let (Lane(filled, emptied, _), spins) = (self.lane(lane), self.1.spins);
        let handed = filled.0.load(SeqCst);
        emptied.wait(spins, |back| handed.wrapping_sub(back) as usize <= but);
    }
}

/// The child of a [`Pair`] and the child's child: use buffers until they are killed.
pub(crate) fn child(numbers: &[usize]) {
    let &[cpu, lanes, buffers, size, spins, child_source, relay] = numbers else { panic!("7") };
    let shape = Shape { lanes, buffers: (buffers, size), spins, child_source, relay };
    let pair = Pair(map(&process::given_file(relay == 2)), shape, Vec::new(), None);
    let source = Source::new(child_source, size);
    process::pin(cpu);
    let next = |lane, count| pair.lane(lane).0.wait(spins, |filled| filled != count);
    let back = |lane| pair.lane(lane).1.ring();
    let work = |lane, count: u32| match pair.buffer(pair.number(lane, count)) {
        buffer if child_source > 0 => buffer.copy_from_slice(source.chunk(count as usize)),
        buffer => _ = pair.lane(lane).2.fetch_add(sum(buffer), SeqCst),
    };
    let all = |lane| {
        for count in 0u32.. {
            next(lane, count);
            work(lane, count);
            back(lane);
        }
    };
    match relay {
        0 => _ = process::timed_threads(lanes, all),
        1 => relay::forward(
            &mut process::again(process::BARE, &[&numbers[..6], &[2]].concat()),
            (0u32..).map(|count| (next(0, count), count.into()).1),
            |sum| (pair.lane(0).2.fetch_add(sum, SeqCst), back(0)).1,
        ),
        _ => relay::obey(|count| sum(pair.buffer(pair.number(0, count as u32)))),
    }
}

/// A shared object without a name that has `len` bytes of memory.
pub(crate) fn object(len: usize) -> File {
    let file = tempfile::tempfile_in("/dev/shm").expect("a place in /dev/shm");
    fallocate(&file, FallocateFlags::empty(), 0, len as u64).expect("room in /dev/shm");
    file
}

pub(crate) fn map(file: &File) -> MmapRaw {
    MmapOptions::new().map_raw(file).expect("mmap")
}
