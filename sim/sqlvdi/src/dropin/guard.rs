//! What is said of a client that touches a buffer which is not its own.
//!
//! Only behind a fence of pages, which the server sets up, and only then with a handler for the
//! signal. [`witness`] runs in that handler: it writes into memory of its own, calls write(2), and
//! allocates nothing.

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

/// From now on the signal is handled.
pub(super) fn watch() {
    MODULES
        .get_or_init(|| modules(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default()));
    // SAFETY: `witness` keeps to what a signal handler may do, as it says.
    unsafe { install_access_witness(witness) };
}

/// Async-signal-safe: `set::witness` tries locks only, formatting goes to the stack, and both places
/// are written with single calls of write(2).
fn witness(fault: &AccessFault) {
    let Some(seen) = set::witness(fault) else { return };
    let place = Place(fault.instruction);
    let address = fault.address;
    let mut line = Line::new();
    let _ = writeln!(line, "vdisim: the client {seen}: address {address:#x}, {place}.");
    line.write_to_stderr();
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

/// The executable parts of a process's memory map. Source: proc_pid_maps(5).
fn modules(maps: &str) -> Vec<Module> {
    let mut bases: Vec<(&str, usize)> = Vec::new();
    let mut modules = Vec::new();
    for line in maps.lines() {
        let mut fields = line.splitn(6, ' ');
        let range = fields.next().and_then(|range| range.split_once('-'));
        let (Some((begin, end)), Some(rights)) = (range, fields.next()) else { continue };
        let path = fields.nth(3).unwrap_or_default().trim_start();
        let number = |hex| usize::from_str_radix(hex, 16).unwrap_or(0);
        let (begin, end) = (number(begin), number(end));
        if !bases.iter().any(|(known, _)| *known == path) {
            bases.push((path, begin));
        }
        if rights.contains('x') {
            let base = bases.iter().find(|(known, _)| *known == path).map_or(begin, |(_, it)| *it);
            // It stands between quotation marks in a trace.
            let path = path.replace(['"', '\\'], "?");
            modules.push(Module { begin, end, base, path });
        }
    }
    modules
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

    fn write_to_stderr(&self) {
        // SAFETY: the bytes are the line's own. A client that closed its stderr does not hear us.
        unsafe { libc::write(2, self.bytes.as_ptr().cast(), self.len) };
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: taking the code's own mapping for the file's first, losing a path with spaces.
    #[test]
    fn an_instruction_is_found_in_its_file() {
        let maps = "55d0a000-55d0b000 r--p 00000000 08:01 7    /a b/client\n\
                    55d0b000-55d0d000 r-xp 00001000 08:01 7    /a b/client\n\
                    7f000000-7f001000 rw-p 00000000 00:00 0 \n";
        let modules = modules(maps);
        assert_eq!(modules.len(), 1);
        let Module { begin, end, base, path } = &modules[0];
        assert_eq!((*begin, *end, *base), (0x55d0_b000, 0x55d0_d000, 0x55d0_a000));
        assert_eq!(path, "/a b/client");
    }
}
