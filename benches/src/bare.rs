//! What the machine can do, without any of our crates: two processes with a ring or a ping-pong
//! between them in shared memory, and the limits of one process alone. Unlike the product, these
//! trust their peer: they read and write shared memory as plain slices.
#![allow(unsafe_code, clippy::disallowed_methods, clippy::mut_from_ref)]

use std::fs::File;
use std::process::Child;
use std::ptr::NonNull;
use std::slice::from_raw_parts_mut;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, open};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::thread::futex;

use crate::process;

/// A counter that one process raises and the other waits for.
#[repr(C, align(128))]
struct Bell(AtomicU32, AtomicU32);

impl Bell {
    fn count(&self) -> u32 {
        self.0.load(SeqCst)
    }

    fn ring(&self) {
        self.0.fetch_add(1, SeqCst);
        if self.1.load(SeqCst) != 0 {
            futex::wake(&self.0, futex::Flags::empty(), 1).expect("futex wake");
        }
    }

    fn wait_past(&self, seen: u32, spins: u32) {
        for _ in 0..spins {
            if self.count() != seen {
                return;
            }
            std::hint::spin_loop();
        }
        while self.count() == seen {
            self.1.store(1, SeqCst);
            // Every way this can end (changed, woken, interrupted) asks for another look.
            let _ = futex::wait(&self.0, futex::Flags::empty(), seen, None);
            self.1.store(0, SeqCst);
        }
    }
}

/// The first page of a pair's memory; the buffers follow it.
#[repr(C)]
struct Control {
    filled: Bell,
    emptied: Bell,
    sum: AtomicU64,
}

const CONTROL: usize = 4096;

fn map(file: &File, len: usize) -> NonNull<u8> {
    let rights = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a fresh mapping at an address of the kernel's choice takes nothing from anybody.
    let at = unsafe { mmap(std::ptr::null_mut(), len, rights, MapFlags::SHARED, file, 0) };
    NonNull::new(at.expect("mmap").cast()).expect("a mapping is not at address 0")
}

/// A shared object without a name that has `len` bytes of memory.
fn object(len: usize) -> File {
    let file = open("/dev/shm", OFlags::RDWR | OFlags::TMPFILE, Mode::RUSR | Mode::WUSR);
    let file = File::from(file.expect("a place in /dev/shm"));
    fallocate(&file, FallocateFlags::empty(), 0, len as u64).expect("room in /dev/shm");
    file
}

/// A ring of buffers, or with buffers of no size a ping-pong, between this process and a child.
/// Mapped until the process ends. The child has one too, without a child.
#[derive(Debug)]
pub struct Pair {
    at: NonNull<u8>,
    buffers: usize,
    size: usize,
    spins: u32,
    child: Option<Child>,
}

impl Pair {
    /// Starts the child on `cpu`. Both sides spin `spins` times before they sleep on a futex.
    pub fn start(buffers: usize, size: usize, spins: u32, cpu: usize) -> Pair {
        let file = object(CONTROL + buffers * size);
        let at = map(&file, CONTROL + buffers * size);
        let numbers = [buffers, size, spins as usize].map(|number| number.to_string());
        let child = process::again(process::BARE, cpu).args(numbers).stdin(file).spawn();
        let pair = Pair { at, buffers, size, spins, child: Some(child.expect("a child")) };
        pair.round_trips(1);
        pair
    }

    fn control(&self) -> &Control {
        // SAFETY: the first page of a mapping that lives as long as the process; only atomics.
        unsafe { self.at.cast().as_ref() }
    }

    fn buffer(&self, count: u32) -> &mut [u64] {
        let offset = CONTROL + count as usize % self.buffers * self.size;
        // SAFETY: inside the mapping and aligned; the bells hand a buffer from one process to the
        // other and back, and each process makes one reference to it at a time.
        unsafe { from_raw_parts_mut(self.at.add(offset).cast().as_ptr(), self.size / 8) }
    }

    /// The child's process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Copies `total` buffers out of `source`, over and over, while the child adds up every word;
    /// returns the time until the last was read. Panics when the child's sum is wrong.
    pub fn stream(&self, source: &[u64], total: usize) -> Duration {
        let Control { filled, sum: seen, .. } = self.control();
        let chunks: Vec<&[u64]> = source.chunks_exact(self.size / 8).collect();
        let sums: Vec<u64> = chunks.iter().map(|chunk| sum(chunk)).collect();
        seen.store(0, SeqCst);
        let begun = Instant::now();
        for chunk in chunks.iter().cycle().take(total) {
            self.wait_until_unread(self.buffers as u32 - 1);
            self.buffer(filled.count()).copy_from_slice(chunk);
            filled.ring();
        }
        self.wait_until_unread(0);
        let elapsed = begun.elapsed();
        let expected = sums.iter().cycle().take(total).fold(0u64, |all, s| all.wrapping_add(*s));
        assert_eq!(seen.load(SeqCst), expected, "the other process read other bytes");
        elapsed
    }

    /// `count` round trips: hand over the next buffer, wait until it is back.
    pub fn round_trips(&self, count: u32) -> Duration {
        let begun = Instant::now();
        for _ in 0..count {
            self.control().filled.ring();
            self.wait_until_unread(0);
        }
        begun.elapsed()
    }

    fn wait_until_unread(&self, at_most: u32) {
        let Control { filled, emptied, .. } = self.control();
        while let seen = emptied.count()
            && filled.count().wrapping_sub(seen) > at_most
        {
            emptied.wait_past(seen, self.spins);
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = self.child.as_mut().map(|child| child.kill().and_then(|()| child.wait()));
    }
}

/// The child of a [`Pair`]: empties buffers until it is killed.
pub(crate) fn child(numbers: &[usize]) {
    let &[cpu, buffers, size, spins] = numbers else { panic!("four numbers, not {numbers:?}") };
    process::pin(cpu);
    let memory = File::options().read(true).write(true).open("/proc/self/fd/0").expect("memory");
    let at = map(&memory, CONTROL + buffers * size);
    let pair = Pair { at, buffers, size, spins: spins as u32, child: None };
    let Control { filled, emptied, sum: seen } = pair.control();
    for count in 0u32.. {
        filled.wait_past(count, pair.spins);
        seen.fetch_add(sum(pair.buffer(count)), SeqCst);
        emptied.ring();
    }
}

/// The wrapping sum of the words: the cheapest way to read every byte.
pub fn sum(words: &[u64]) -> u64 {
    words.iter().fold(0, |all, &word| all.wrapping_add(word))
}

/// One thread copies the next part of `source` into the same `target`, `total` times: the ceiling.
pub fn copy(source: &[u64], target: &mut [u64], total: usize) -> Duration {
    let begun = Instant::now();
    for chunk in source.chunks_exact(target.len()).cycle().take(total) {
        target.copy_from_slice(std::hint::black_box(chunk));
        std::hint::black_box(&mut *target);
    }
    begun.elapsed()
}

/// Creates a shared object of `len` bytes, reserves its memory and maps it.
pub fn create_object(len: usize) -> Duration {
    let begun = Instant::now();
    let at = map(&object(len), len);
    let elapsed = begun.elapsed();
    // SAFETY: mapped above, and nothing points into it.
    unsafe { munmap(at.as_ptr().cast(), len) }.expect("own mapping");
    elapsed
}
