//! Access by page, and the handler that sees it violated.
//!
//! The handler may run on any thread at any instruction: it reads an atomic, calls the witness, and
//! leaves the exception to whoever it would have gone to.

use std::ptr::{from_mut, null_mut};
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, Ordering};

use windows_sys::Win32::Foundation::{EXCEPTION_ACCESS_VIOLATION, GetLastError, SetLastError};
use windows_sys::Win32::System::Diagnostics::Debug::{
    AddVectoredExceptionHandler, EXCEPTION_CONTINUE_SEARCH, EXCEPTION_POINTERS,
};
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
};
use windows_sys::Win32::System::Memory::{PAGE_NOACCESS, PAGE_READWRITE, VirtualProtect};

use crate::AccessFault;

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

/// The handler's own state: set before the handler is.
static WITNESS: AtomicPtr<fn(&AccessFault)> = AtomicPtr::new(null_mut());

/// See [`crate::install_access_witness`], whose caller keeps the witness's promise.
pub(crate) fn install(witness: fn(&AccessFault)) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        WITNESS.store(Box::leak(Box::new(witness)), Ordering::Release);
        let flags = GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS;
        let mut module = null_mut();
        // SAFETY: the address is one of this module's, and only looked up. The module, which COM would
        // unload, stays from here on, and with it the handler, which has the signature asked for.
        unsafe {
            if GetModuleHandleExW(flags, (&raw const WITNESS).cast(), &mut module) != 0 {
                AddVectoredExceptionHandler(1, Some(on_exception));
            }
        }
    });
}

/// Before any handler of the program's: it may be one that goes on.
unsafe extern "system" fn on_exception(exception: *mut EXCEPTION_POINTERS) -> i32 {
    // SAFETY: the system hands valid pointers to a handler.
    let record = unsafe { &*(*exception).ExceptionRecord };
    // SAFETY: the witness was stored before the handler was installed and is never freed.
    let witness = unsafe { WITNESS.load(Ordering::Acquire).as_ref() };
    if record.ExceptionCode == EXCEPTION_ACCESS_VIOLATION
        && record.NumberParameters >= 2
        && let Some(witness) = witness
    {
        // Source: EXCEPTION_RECORD; 8 is the attempt to execute.
        let [kind, address, ..] = record.ExceptionInformation;
        let is_write = match kind {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        };
        let instruction = record.ExceptionAddress.addr();
        // SAFETY: the number belongs to this thread; the interrupted code must not see ours.
        unsafe {
            let error = GetLastError();
            witness(&AccessFault { address, is_write, instruction });
            SetLastError(error);
        }
    }
    EXCEPTION_CONTINUE_SEARCH
}
