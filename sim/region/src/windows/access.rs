//! Access by page. Nobody is told of violations here: they end the process.

use std::ptr::from_mut;

use windows_sys::Win32::System::Memory::{PAGE_NOACCESS, PAGE_READWRITE, VirtualProtect};

pub(crate) use crate::portable::native::access::install;

/// What takes access away, for error texts.
pub(crate) const CALL: &str = "VirtualProtect";

/// The pages of every processor that Windows runs on.
pub(crate) fn page_size() -> usize {
    4096
}

/// See [`crate::Region::set_access`]; the error is the system's number.
pub(crate) fn set(place: *mut u8, len: usize, accessible: bool) -> Result<(), i32> {
    let protection = if accessible { PAGE_READWRITE } else { PAGE_NOACCESS };
    let mut before = 0;
    // SAFETY: the caller took the bytes from a slice of a region, hence they lie in its view, which is
    // mapped for reading and writing; nobody has a reference to them.
    match unsafe { VirtualProtect(place.cast(), len, protection, from_mut(&mut before)) } {
        0 => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        _ => Ok(()),
    }
}
