//! Reading and writing a file by position.
//! Windows moves the file's own position too; nobody here uses that.

use std::fs::File;
use std::io;
use std::os::windows::fs::FileExt;

/// Reads at a position; fewer bytes than asked for is no error, none is the end of the file.
pub(super) fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    file.seek_read(bytes, at)
}

/// Writes at a position; fewer bytes than given is no error.
pub(super) fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<usize> {
    file.seek_write(bytes, at)
}
