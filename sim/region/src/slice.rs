//! Bytes of a region.
//!
//! The laws of the crate root apply here most of all: there is no way from a [`SharedSlice`] to
//! `&[u8]`. Bytes are copied out into memory of one's own and copied in from it, or the kernel moves
//! them between the region and a file; what was copied is then checked and used, not the original.

use std::fs::File;
use std::io;
use std::marker::PhantomData;

use crate::{Region, RegionError, native};

/// A part of a [`Region`], bounds-checked when it was made. Copying it copies no bytes.
#[derive(Clone, Copy, Debug)]
pub struct SharedSlice<'r> {
    pub(crate) base: *mut u8,
    pub(crate) len: usize,
    pub(crate) region: PhantomData<&'r Region>,
}

// SAFETY: the pointer leads into the mapping of a Region that `'r` keeps alive, and a Region may be
// used from any thread; the bytes are only ever copied, never referenced.
unsafe impl Send for SharedSlice<'_> {}
// SAFETY: as for Send.
unsafe impl Sync for SharedSlice<'_> {}

impl<'r> SharedSlice<'r> {
    /// Its length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The address of its first byte in this process, for a caller across a language border.
    #[inline]
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.base
    }

    /// The `len` bytes from `at` on.
    #[inline]
    pub fn subslice(&self, at: usize, len: usize) -> Result<SharedSlice<'r>, RegionError> {
        Ok(SharedSlice { base: self.place(at, len)?, len, region: PhantomData })
    }

    /// Copies all of `source` in, from byte `at` on.
    #[inline]
    pub fn copy_from(&self, at: usize, source: &[u8]) -> Result<(), RegionError> {
        let place = self.place(at, source.len())?;
        // SAFETY: `place` is valid for writes of source.len() bytes, checked just above and mapped
        // for 'r; `source` is a Rust slice, which by the first law never lies in a region, so that
        // the two do not overlap. A peer that writes here at the same time mixes its bytes with
        // ours and can do no more, as nobody holds a reference to them.
        unsafe { std::ptr::copy_nonoverlapping(source.as_ptr(), place, source.len()) };
        Ok(())
    }

    /// Copies out into all of `target`, from byte `at` on.
    #[inline]
    pub fn copy_to(&self, at: usize, target: &mut [u8]) -> Result<(), RegionError> {
        let place = self.place(at, target.len())?;
        // SAFETY: as in `copy_from`, the other way round; any byte is a valid u8.
        unsafe { std::ptr::copy_nonoverlapping(place, target.as_mut_ptr(), target.len()) };
        Ok(())
    }

    /// Sets every byte to `byte`.
    #[inline]
    pub fn fill(&self, byte: u8) {
        // SAFETY: the slice's own bytes, bounds-checked when it was made and mapped for 'r.
        unsafe { std::ptr::write_bytes(self.base, byte, self.len) };
    }

    /// Reads once from `file` straight into `at .. at + len`, at `file_offset` or where the file
    /// stands, and returns the bytes read; 0 is the end of the file. Signals do not interrupt it.
    pub fn read_from(
        &self,
        at: usize,
        len: usize,
        file: &File,
        file_offset: Option<u64>,
    ) -> io::Result<usize> {
        native::transfer::read(file, self.for_io(at, len)?, file_offset)
    }

    /// Writes once from `at .. at + len` straight to `file`, at `file_offset` or where the file
    /// stands, and returns the bytes written. Signals do not interrupt it.
    pub fn write_to(
        &self,
        at: usize,
        len: usize,
        file: &File,
        file_offset: Option<u64>,
    ) -> io::Result<usize> {
        native::transfer::write(file, self.for_io(at, len)?, file_offset)
    }

    fn for_io(&self, at: usize, len: usize) -> io::Result<SharedSlice<'r>> {
        self.subslice(at, len).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    #[inline]
    fn place(&self, at: usize, len: usize) -> Result<*mut u8, RegionError> {
        if at > self.len || len > self.len - at {
            return Err(RegionError::OutOfBounds { offset: at, len, region_len: self.len });
        }
        // SAFETY: at <= self.len, so that the address is inside the slice or just behind it.
        Ok(unsafe { self.base.add(at) })
    }
}
