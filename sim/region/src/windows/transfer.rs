//! Bytes between a region and a file, moved by the kernel.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::windows::io::AsRawHandle;
use std::ptr::{from_mut, null_mut};

use windows_sys::Win32::Foundation::{ERROR_BROKEN_PIPE, ERROR_HANDLE_EOF};
use windows_sys::Win32::Storage::FileSystem::{ReadFile, WriteFile};
use windows_sys::Win32::System::IO::{OVERLAPPED, OVERLAPPED_0, OVERLAPPED_0_0};

use crate::SharedSlice;

/// Reads once into all of `target`.
pub(crate) fn read(file: &File, target: SharedSlice<'_>, at: Option<u64>) -> io::Result<usize> {
    let result = moved(file, target.len(), at, |len, count, place| {
        // SAFETY: the slice is valid for `len` bytes for as long as its region is borrowed, and the
        // kernel writes at most that many; they are never referenced. The other pointers are the
        // caller's own and live through the call, which is not asynchronous.
        unsafe { ReadFile(file.as_raw_handle(), target.as_mut_ptr(), len, count, place) }
    });
    match result {
        // How the end of a file at an offset, and of a pipe, are told.
        Err(error) if is_end(&error) => Ok(0),
        result => result,
    }
}

/// Writes once from `source`.
pub(crate) fn write(file: &File, source: SharedSlice<'_>, at: Option<u64>) -> io::Result<usize> {
    moved(file, source.len(), at, |len, count, place| {
        // SAFETY: as in `read`; the kernel only reads them.
        unsafe { WriteFile(file.as_raw_handle(), source.as_mut_ptr(), len, count, place) }
    })
}

fn is_end(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(i32::cast_unsigned);
    matches!(number, Some(ERROR_HANDLE_EOF | ERROR_BROKEN_PIPE))
}

/// Calls with a length that the system can take, and at the file offset if there is one. Such a call
/// moves the place where the file stands; it is put back.
fn moved(
    mut file: &File,
    len: usize,
    at: Option<u64>,
    call: impl FnOnce(u32, *mut u32, *mut OVERLAPPED) -> i32,
) -> io::Result<usize> {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let mut count = 0;
    let done = match at {
        None => call(len, &mut count, null_mut()),
        Some(at) => {
            let stood = file.stream_position()?;
            let place = OVERLAPPED_0_0 { Offset: at as u32, OffsetHigh: (at >> 32) as u32 };
            let mut overlapped =
                OVERLAPPED { Anonymous: OVERLAPPED_0 { Anonymous: place }, ..Default::default() };
            let done = call(len, &mut count, from_mut(&mut overlapped));
            let result = (done != 0).then_some(()).ok_or_else(io::Error::last_os_error);
            file.seek(SeekFrom::Start(stood))?;
            return result.map(|()| count as usize);
        }
    };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(count as usize) }
}
