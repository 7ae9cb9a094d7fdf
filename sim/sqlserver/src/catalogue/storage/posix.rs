//! Reading and writing a file by position.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Reads at a position; fewer bytes than asked for is no error, none is the end of the file.
pub(super) fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    file.read_at(bytes, at)
}

/// Writes at a position; fewer bytes than given is no error.
pub(super) fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<usize> {
    file.write_at(bytes, at)
}
