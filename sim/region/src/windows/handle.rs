//! Calls that give a handle or fail, and their errors.

use std::os::windows::io::{FromRawHandle, OwnedHandle};

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS, ERROR_FILE_NOT_FOUND, ERROR_INVALID_HANDLE,
    ERROR_PATH_NOT_FOUND, GetLastError, HANDLE,
};

use crate::RegionError;

/// What a call that makes or opens a named object came to.
pub(crate) enum Made {
    /// It was not there before.
    New(OwnedHandle),
    /// It was.
    Existing(OwnedHandle),
}

impl Made {
    pub(crate) fn into_handle(self) -> OwnedHandle {
        match self {
            Made::New(handle) | Made::Existing(handle) => handle,
        }
    }
}

/// Takes over what `call` returned: 0 is a failure.
///
/// `call` is one that returns a new handle which nobody else closes, or 0 and the reason in the
/// thread's last error.
pub(crate) fn made(call: impl FnOnce() -> HANDLE) -> Result<Made, u32> {
    let handle = call();
    // SAFETY: the call has no preconditions; it comes right behind the one it is about.
    let error = unsafe { GetLastError() };
    if handle.is_null() {
        return Err(error);
    }
    // SAFETY: by the rule above the handle is open and ours alone.
    let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
    Ok(if error == ERROR_ALREADY_EXISTS { Made::Existing(handle) } else { Made::New(handle) })
}

/// As [`made`] for a call that only opens.
pub(crate) fn opened(call: impl FnOnce() -> HANDLE) -> Result<OwnedHandle, u32> {
    made(call).map(Made::into_handle)
}

/// Whether the number says that there is no such thing.
pub(crate) fn is_absent(error: u32) -> bool {
    matches!(error, ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND)
}

/// A system's number as an error of ours.
pub(crate) fn failed(call: &'static str, object: &str, error: u32) -> RegionError {
    let object = object.to_owned();
    let errno = error.cast_signed();
    match error {
        _ if is_absent(error) => RegionError::NotFound { object },
        // What the name stands for is of another kind. Handles of ours are open.
        ERROR_INVALID_HANDLE => RegionError::NotAnObject { object },
        ERROR_ACCESS_DENIED => RegionError::Denied {
            action: "open",
            object,
            owner: None,
            remedy: "run both sides as one user, or the one that comes second as an administrator"
                .to_owned(),
            errno,
        },
        _ => RegionError::Os { call, object, errno },
    }
}

/// The last error of this thread as one of ours.
pub(crate) fn last(call: &'static str, object: &str) -> RegionError {
    // SAFETY: the call has no preconditions.
    failed(call, object, unsafe { GetLastError() })
}
