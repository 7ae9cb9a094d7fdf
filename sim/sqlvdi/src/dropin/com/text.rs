//! What crosses the border: names, statuses, pointers.

use std::ffi::OsString;
use std::os::windows::ffi::OsStringExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use vdi_protocol::HResult;
use windows_core::HRESULT;

use super::interfaces::Name;

/// The longest name that is looked at, in UTF-16 units; the interface's own limit is below.
const NAME_MAX: usize = 1 << 16;

/// A name as bytes, in the encoding that the standard library has for UTF-16 that may be ill-formed;
/// `None` for null.
///
/// # Safety
/// `name` is null or a string with a zero at its end.
pub(super) unsafe fn name(name: Name) -> Option<Vec<u8>> {
    if name.is_null() {
        return None;
    }
    let units: Vec<u16> = (0..NAME_MAX)
        // SAFETY: the caller's promise; nothing behind the zero is read.
        .map(|at| unsafe { name.add(at).read_unaligned() })
        .take_while(|unit| *unit != 0)
        .collect();
    Some(OsString::from_wide(&units).into_encoded_bytes())
}

/// An instance: null and the empty name are the default one.
///
/// # Safety
/// As for [`name`].
pub(super) unsafe fn instance(instance: Name) -> Option<Vec<u8>> {
    // SAFETY: the caller's promise.
    unsafe { name(instance) }.filter(|instance| !instance.is_empty())
}

/// A pointer that the call needs.
pub(super) fn needed<T>(pointer: *mut T) -> Result<*mut T, HResult> {
    if pointer.is_null() { Err(HResult::VD_E_INVALID) } else { Ok(pointer) }
}

/// The status of a call; a panic in it is VD_E_UNEXPECTED.
pub(super) fn guarded(call: impl FnOnce() -> Result<(), HResult>) -> HRESULT {
    let status = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => HResult::NOERROR,
        Ok(Err(status)) => status,
        Err(panic) => {
            // Dropping what it carries could panic again.
            std::mem::forget(panic);
            HResult::VD_E_UNEXPECTED
        }
    };
    HRESULT(status.as_i32())
}
