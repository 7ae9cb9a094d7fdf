//! Buffers in shared memory that a drop-in gave an address of.
//!
//! The other side may write to them at any time, so there are no references to them, only copies
//! and transfers by the kernel.

use std::fs::File;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::BufferError;
use super::native;
use super::set::SetInner;

/// A buffer of a command that this process got, or another one (`CallerSet::map_buffer_handle`); usable
/// until the set is closed.
///
/// Invariant, kept by whoever calls `Buffer::new`: `len` bytes from `start` on are readable and
/// writable shared memory until the set is closed for the (`closes` + 1)st time.
#[derive(Debug)]
pub struct Buffer {
    set: Arc<SetInner>,
    closes: u64,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the bytes are shared memory that is only copied, which any thread may do.
unsafe impl Send for Buffer {}
// SAFETY: as for Send.
unsafe impl Sync for Buffer {}

impl Buffer {
    pub(super) fn new(set: Arc<SetInner>, closes: u64, start: NonNull<u8>, len: usize) -> Buffer {
        Buffer { set, closes, start, len }
    }

    /// The buffer that a handle stands for, mapped into this process.
    pub(super) fn mapped(
        set: &Arc<SetInner>,
        handle: u32,
        size: usize,
    ) -> Result<Buffer, BufferError> {
        let _open = set.hold_open();
        // SAFETY: the object lives as long as `set`.
        let start = unsafe { set.symbols().map_buffer_handle(set.object(), handle) }?;
        let not_shared = BufferError::NotShared { address: start.addr(), size };
        let Some(start) = NonNull::new(start) else { return Err(not_shared) };
        // The size came from another process and the library does not know it, so the mappings of
        // this process are asked; that makes the invariant of `Buffer` hold.
        if !set.is_shared_memory(start.addr().get(), size)? {
            return Err(not_shared);
        }
        Ok(Buffer::new(set.clone(), set.closes(), start, size))
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.len
    }

    /// Copies out of the buffer, from byte `at` on, into all of `target`.
    ///
    /// # Errors
    /// [`BufferError`]: beyond its end, or the set was closed.
    pub fn copy_to(&self, at: usize, target: &mut [u8]) -> Result<(), BufferError> {
        self.with(at, target.len(), |source| {
            // SAFETY: `with` checked the bounds and holds the set open; `target` is a Rust slice,
            // which never lies in shared memory, so the two do not overlap.
            unsafe { ptr::copy_nonoverlapping(source, target.as_mut_ptr(), target.len()) };
            Ok(())
        })
    }

    /// Copies all of `source` into the buffer, from byte `at` on.
    ///
    /// # Errors
    /// As for [`Buffer::copy_to`].
    pub fn copy_from(&self, at: usize, source: &[u8]) -> Result<(), BufferError> {
        self.with(at, source.len(), |target| {
            // SAFETY: as in `copy_to`, the other way round.
            unsafe { ptr::copy_nonoverlapping(source.as_ptr(), target, source.len()) };
            Ok(())
        })
    }

    /// The wrapping sum of the buffer's 64-bit words, read where they lie: the cheapest way to touch
    /// every byte and to prove it. A rest of less than 8 bytes is left out.
    ///
    /// # Errors
    /// [`BufferError`]: the set was closed.
    pub fn sum(&self) -> Result<u64, BufferError> {
        self.with(0, self.len, |source| {
            let words = source.cast::<u64>();
            let word = |index| {
                // SAFETY: index < len / 8, and `with` checked `len` and holds the set open. The value is
                // copied out; whatever the other side writes meanwhile is a number, too.
                unsafe { words.add(index).read_unaligned() }
            };
            Ok((0..self.len / 8).map(word).fold(0, u64::wrapping_add))
        })
    }

    /// Reads once from a file straight into `len` bytes of the buffer, at the file's `offset` or
    /// where it stands; 0 is the end of the file.
    ///
    /// # Errors
    /// As for [`Buffer::copy_to`], and those of the file.
    pub fn read_from(
        &self,
        at: usize,
        len: usize,
        file: &File,
        offset: Option<u64>,
    ) -> Result<usize, BufferError> {
        self.with(at, len, |target| {
            // SAFETY: `with` checked the bounds and holds the set open; nobody has references.
            Ok(unsafe { native::read(file, target, len, offset) }?)
        })
    }

    /// Writes once to a file straight from `len` bytes of the buffer, at the file's `offset` or
    /// where it stands.
    ///
    /// # Errors
    /// As for [`Buffer::read_from`].
    pub fn write_to(
        &self,
        at: usize,
        len: usize,
        file: &File,
        offset: Option<u64>,
    ) -> Result<usize, BufferError> {
        self.with(at, len, |source| {
            // SAFETY: `with` checked the bounds and holds the set open.
            Ok(unsafe { native::write(file, source, len, offset) }?)
        })
    }

    /// Runs `transfer` on the address of byte `at`, with the set held open.
    fn with<T>(
        &self,
        at: usize,
        len: usize,
        transfer: impl FnOnce(*mut u8) -> Result<T, BufferError>,
    ) -> Result<T, BufferError> {
        if at > self.len || len > self.len - at {
            return Err(BufferError::OutOfBounds { at, len, size: self.len });
        }
        let _open = self.set.hold_open();
        if self.set.closes() != self.closes {
            return Err(BufferError::Closed);
        }
        // SAFETY: at <= len, so that the address is inside the buffer or just behind it.
        transfer(unsafe { self.start.add(at) }.as_ptr())
    }
}
