//! Bytes between a region and a file, moved by the kernel.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use crate::SharedSlice;

/// Reads once into all of `target`.
pub(crate) fn read(file: &File, target: SharedSlice<'_>, at: Option<u64>) -> io::Result<usize> {
    let (fd, place, len) = (file.as_raw_fd(), target.as_mut_ptr().cast(), target.len());
    let at = at.map(offset).transpose()?;
    retry(|| match at {
        // SAFETY: `place` is valid for `len` bytes for as long as `target`'s region is borrowed,
        // and the kernel writes at most that many; they are never referenced.
        Some(at) => unsafe { libc::pread(fd, place, len, at) },
        // SAFETY: as above.
        None => unsafe { libc::read(fd, place, len) },
    })
}

/// Writes once from `source`.
pub(crate) fn write(file: &File, source: SharedSlice<'_>, at: Option<u64>) -> io::Result<usize> {
    let (fd, place, len) = (file.as_raw_fd(), source.as_mut_ptr().cast(), source.len());
    let at = at.map(offset).transpose()?;
    retry(|| match at {
        // SAFETY: `place` is valid for `len` bytes for as long as `source`'s region is borrowed,
        // and the kernel only reads them.
        Some(at) => unsafe { libc::pwrite(fd, place, len, at) },
        // SAFETY: as above.
        None => unsafe { libc::write(fd, place, len) },
    })
}

fn offset(at: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(at)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the file offset is beyond 2^63"))
}

fn retry(mut call: impl FnMut() -> libc::ssize_t) -> io::Result<usize> {
    loop {
        if let Ok(count) = usize::try_from(call()) {
            return Ok(count);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
