//! What is said of a client that touches a buffer which is not its own.
//!
//! Only behind a fence of pages, which the server sets up, and only then with a handler for the
//! signal or exception. [`witness`] runs in that handler: it writes into memory of its own, makes one
//! system call for each place that it writes to, and allocates nothing.

#[cfg(not(windows))]
mod posix;
#[cfg(windows)]
mod windows;

#[cfg(not(windows))]
use posix as native;
#[cfg(windows)]
use windows as native;

use std::fmt::{self, Write};
use std::sync::OnceLock;

use vdi_device::BufferFault;
use vdi_region::{AccessFault, install_access_witness};

use super::{set, trace};

/// A part of the process's code, as it was when the buffers came.
#[derive(Debug)]
struct Module {
    begin: usize,
    end: usize,
    /// Where the file's first byte would be.
    base: usize,
    path: String,
}

static MODULES: OnceLock<Vec<Module>> = OnceLock::new();

/// From now on the signal or exception is handled.
pub(super) fn watch() {
    MODULES.get_or_init(native::modules);
    // SAFETY: `witness` keeps to what such a handler may do, as it says.
    unsafe { install_access_witness(witness) };
}

/// Async-signal-safe: `set::witness` tries locks only, formatting goes to the stack, and both places
/// are written with single system calls.
fn witness(fault: &AccessFault) {
    let Some(seen) = set::witness(fault) else { return };
    let place = Place(fault.instruction);
    let address = fault.address;
    let mut line = Line::new();
    let _ = writeln!(line, "vdisim: the client {seen}: address {address:#x}, {place}.");
    native::write_to_stderr(line.as_bytes());
    trace::fault(|line| write_details(line, &seen, address, &place));
}

fn write_details(
    line: &mut Line,
    seen: &BufferFault,
    address: usize,
    place: &Place,
) -> fmt::Result {
    write!(line, r#"{{"text":"{seen}","address":"{address:#x}","place":"{place}"}}"#)
}

/// An instruction as people look it up.
struct Place(usize);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place(at) = *self;
        let within = |module: &&Module| (module.begin..module.end).contains(&at);
        match MODULES.get().and_then(|modules| modules.iter().find(within)) {
            Some(module) => {
                write!(f, "instruction {:#x} of {}", at.wrapping_sub(module.base), module.path)
            }
            None if at == 0 => f.write_str("instruction unknown"),
            None => write!(f, "instruction {at:#x}"),
        }
    }
}

/// A line made without allocating; what does not fit is cut off.
pub(super) struct Line {
    bytes: [u8; 2048],
    len: usize,
}

impl Line {
    pub(super) const fn new() -> Line {
        Line { bytes: [0; 2048], len: 0 }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let fits = text.len().min(room.len());
        room[..fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
        Ok(())
    }
}
