//! Waiting for the end of a process: its handle, or the lease asked again and again.

use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::ptr::null;

use windows_sys::Win32::Foundation::{
    ERROR_INVALID_PARAMETER, WAIT_FAILED, WAIT_OBJECT_0, WAIT_TIMEOUT,
};
use windows_sys::Win32::System::Threading::{
    CreateEventW, INFINITE, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
    SetEvent, WaitForMultipleObjects, WaitForSingleObject,
};

use super::handle::{failed, opened};
use super::identity;
pub(crate) use crate::portable::native::death::{Ended, spawn_without_signals};
use crate::{ProcessIdentity, RegionError};

/// How often the lease is asked where there is no better way.
const PROBE_INTERVAL_MS: u32 = 50;

/// Ends a wait from another thread.
#[derive(Debug)]
pub(crate) struct Cancel(OwnedHandle);

impl Cancel {
    pub(crate) fn new() -> Result<Cancel, RegionError> {
        // SAFETY: no name and no attributes; the call returns a handle of ours or 0. It stays set
        // once it is set.
        opened(|| unsafe { CreateEventW(null(), 1, 0, null()) })
            .map(Cancel)
            .map_err(|error| failed("CreateEvent", "the death watch", error))
    }

    pub(crate) fn cancel(&self) {
        // SAFETY: the handle is open for as long as `self`.
        unsafe { SetEvent(self.0.as_raw_handle()) };
    }
}

/// See [`ProcessIdentity::is_alive`].
pub(crate) fn is_alive(peer: ProcessIdentity) -> Option<bool> {
    match Process::of(peer) {
        Process::Dead => Some(false),
        Process::Open(process) => {
            // One that has ended keeps its number for as long as anybody has a handle.
            // SAFETY: the handle is open through the call.
            let waited = unsafe { WaitForSingleObject(process.as_raw_handle(), 0) };
            Some(waited == WAIT_TIMEOUT)
        }
        Process::Unusable => None,
    }
}

/// Sleeps until `peer` is dead or the wait is cancelled.
pub(crate) fn await_end(
    peer: ProcessIdentity,
    cancel: &Cancel,
    lease_held: &dyn Fn() -> bool,
) -> Ended {
    match Process::of(peer) {
        Process::Dead => Ended::Died,
        Process::Open(process) => await_process(&process, cancel, lease_held),
        Process::Unusable => await_lease(cancel, lease_held),
    }
}

/// What the system gave for a process.
enum Process {
    Open(OwnedHandle),
    Dead,
    Unusable,
}

impl Process {
    fn of(peer: ProcessIdentity) -> Process {
        if peer.pid == 0 || peer.start_time == 0 || peer.pid_namespace != 0 {
            return Process::Unusable;
        }
        let rights = PROCESS_SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION;
        // SAFETY: the call has no preconditions; it returns a handle of ours or 0.
        let process = match opened(|| unsafe { OpenProcess(rights, 0, peer.pid) }) {
            Ok(process) => process,
            // No process has that number.
            Err(ERROR_INVALID_PARAMETER) => return Process::Dead,
            Err(_) => return Process::Unusable,
        };
        // From here on the handle stands for one process; its start says whether for ours.
        match identity::start_time(process.as_raw_handle()) {
            Some(start) if start == peer.start_time => Process::Open(process),
            Some(_) => Process::Dead,
            None => Process::Unusable,
        }
    }
}

fn await_process(process: &OwnedHandle, cancel: &Cancel, lease_held: &dyn Fn() -> bool) -> Ended {
    const DIED: u32 = WAIT_OBJECT_0 + 1;
    let handles = [cancel.0.as_raw_handle(), process.as_raw_handle()];
    // SAFETY: two handles, both open through the call.
    match unsafe { WaitForMultipleObjects(2, handles.as_ptr(), 0, INFINITE) } {
        WAIT_OBJECT_0 => Ended::Cancelled,
        DIED => Ended::Died,
        // The lease still tells.
        _ => await_lease(cancel, lease_held),
    }
}

fn await_lease(cancel: &Cancel, lease_held: &dyn Fn() -> bool) -> Ended {
    loop {
        if !lease_held() {
            return Ended::Died;
        }
        // SAFETY: the handle is open through the call.
        match unsafe { WaitForSingleObject(cancel.0.as_raw_handle(), PROBE_INTERVAL_MS) } {
            WAIT_OBJECT_0 => return Ended::Cancelled,
            WAIT_FAILED => std::thread::sleep(std::time::Duration::from_millis(50)),
            _ => {}
        }
    }
}
