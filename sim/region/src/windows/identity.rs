//! Process identity: the number, and when the process was created.

use std::os::windows::io::RawHandle;

use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetProcessTimes};

use crate::ProcessIdentity;

/// See [`ProcessIdentity::current`].
pub(crate) fn current() -> ProcessIdentity {
    // SAFETY: the call has no preconditions and returns a constant that needs no closing.
    let this = unsafe { GetCurrentProcess() };
    let start_time = start_time(this).unwrap_or(0);
    ProcessIdentity { pid: std::process::id(), start_time, pid_namespace: 0 }
}

/// When a process was created, in units of 100 ns; `None` if the system does not say.
pub(crate) fn start_time(process: RawHandle) -> Option<u64> {
    let zero = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    let (mut created, mut exited, mut kernel, mut user) = (zero, zero, zero, zero);
    // SAFETY: the pointers lead to structures of the right type; a handle that is none is an error.
    let done =
        unsafe { GetProcessTimes(process, &mut created, &mut exited, &mut kernel, &mut user) };
    let time = u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime);
    (done != 0).then_some(time)
}
