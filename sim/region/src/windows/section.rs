//! A section of the page file and its mapping.

use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::ptr::NonNull;

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEMORY_BASIC_INFORMATION,
    MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, OpenFileMappingW, PAGE_READWRITE, UnmapViewOfFile,
    VirtualQuery,
};

use super::accounts::Security;
use super::handle::{Made, last, made, opened};
use crate::RegionError;

/// A section, open and mapped.
#[derive(Debug)]
pub(crate) struct Section {
    base: NonNull<u8>,
    len: usize,
    /// Keeps the section's name.
    _handle: OwnedHandle,
}

// SAFETY: `base` leads to memory that is mapped for as long as this lives, and unmapping and closing
// may be done from any thread.
unsafe impl Send for Section {}
// SAFETY: nothing of it is changed through a shared reference.
unsafe impl Sync for Section {}

impl Section {
    /// Makes a section of that name, zeroed, its room reserved in the page file, or opens the one
    /// there is; and says whether it is new. An error is the system's number.
    pub(crate) fn make(name: &[u16], len: usize, security: &Security) -> Result<Made, u32> {
        let attributes = security.attributes();
        let (high, low) = ((len as u64 >> 32) as u32, len as u32);
        // SAFETY: `name` ends in a zero, the attributes live through the call, and no file is
        // involved. The call returns a handle of ours or 0.
        made(|| unsafe {
            CreateFileMappingW(
                INVALID_HANDLE_VALUE,
                &attributes,
                PAGE_READWRITE,
                high,
                low,
                name.as_ptr(),
            )
        })
    }

    /// Opens the section of that name.
    pub(crate) fn open(name: &[u16]) -> Result<OwnedHandle, u32> {
        // SAFETY: `name` ends in a zero; the call returns a handle of ours or 0.
        opened(|| unsafe { OpenFileMappingW(FILE_MAP_READ | FILE_MAP_WRITE, 0, name.as_ptr()) })
    }

    /// Maps all of an open section.
    pub(crate) fn map(handle: OwnedHandle, object: &str) -> Result<Section, RegionError> {
        // SAFETY: the handle is one of a section, opened for reading and writing; the system
        // chooses the address.
        let view = unsafe {
            MapViewOfFile(handle.as_raw_handle(), FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, 0)
        };
        let Some(base) = NonNull::new(view.Value.cast::<u8>()) else {
            return Err(last("MapViewOfFile", object));
        };
        let mut section = Section { base, len: 0, _handle: handle };
        let mut about = MEMORY_BASIC_INFORMATION::default();
        // SAFETY: `about` has the size given; the address is only looked up.
        let known = unsafe { VirtualQuery(view.Value, &mut about, size_of_val(&about)) };
        if known == 0 {
            return Err(last("VirtualQuery", object));
        }
        section.len = about.RegionSize;
        Ok(section)
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes mapped: what was asked for, rounded up to pages.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        let view = MEMORY_MAPPED_VIEW_ADDRESS { Value: self.base.as_ptr().cast() };
        // SAFETY: mapped by `map`, unmapped nowhere else; whoever borrowed it is gone.
        unsafe { UnmapViewOfFile(view) };
    }
}
