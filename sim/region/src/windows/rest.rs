//! Sleeping for a while, between two looks.

use std::time::Duration;

use windows_sys::Win32::System::Threading::SleepEx;

/// Sleeps as the standard library does, whose sleep lets no asynchronous procedure call in; those that
/// came meanwhile run behind it. The caller's own look at the clock says whether its wait is over.
pub(crate) fn rest(time: Duration) {
    std::thread::sleep(time);
    // SAFETY: the call has no preconditions. What runs in it is what this thread's owner queued to it.
    unsafe { SleepEx(0, 1) };
}
