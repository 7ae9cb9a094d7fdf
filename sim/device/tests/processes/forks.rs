//! What a forked child finds of its parent's set.
#![allow(unsafe_code, reason = "fork and _exit")]
#![expect(
    clippy::disallowed_methods,
    reason = "the peer's other threads sleep in poll and hold no lock that the child takes"
)]

use std::{io::Read, io::Write, time::Duration};

use nix::{
    sys::wait::{WaitStatus, waitpid},
    unistd::{ForkResult, fork},
};
use vdi_device::{ClientDevice, ClientSet};
use vdi_protocol::{CompletionCode, HResult};

use crate::support::client_config;

/// Makes every call in a child and returns what each answered; the child drops its copies, too.
pub(crate) fn calls_in_a_child(set: &mut ClientSet, device: &ClientDevice) -> String {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    // SAFETY: see the head of the file; the child ends in `_exit`.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let answers = calls(set, device);
            drop(std::mem::replace(set, ClientSet::new(set.environment().clone())));
            drop(device.clone());
            writer.write_all(answers.as_bytes()).unwrap();
            // SAFETY: it ends the process at once, without the destructors of the parent's values.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let mut answers = String::new();
            reader.read_to_string(&mut answers).unwrap();
            assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
            answers
        }
    }
}

fn calls(set: &ClientSet, device: &ClientDevice) -> String {
    let status = |result: Result<(), vdi_device::Error>| {
        result.map_or_else(|error| error.status(), |()| HResult::NOERROR)
    };
    let bare = |result: Result<(), HResult>| result.map_or_else(|s| s, |()| HResult::NOERROR);
    let answers = [
        status(set.create(b"set", &client_config(1))),
        status(set.open_in_secondary(b"set")),
        status(set.get_configuration(None).map(drop)),
        status(set.open_device(b"set").map(drop)),
        bare(device.get_command(None).map(drop)),
        bare(device.complete_command(0, CompletionCode::ERROR_SUCCESS, 0, 0)),
        bare(set.get_buffer_handle(std::ptr::dangling()).map(drop)),
        bare(set.map_buffer_handle(1 << 23).map(drop)),
        status(set.signal_abort()),
        status(set.close()),
    ];
    answers.map(|answer| answer.to_string()).join("; ")
}

/// Forks a child that only sleeps and keeps what it inherited open; returns its pid.
pub(crate) fn leave_a_child_behind() -> i32 {
    // SAFETY: as above.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            std::thread::sleep(Duration::from_secs(60));
            // SAFETY: as above.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => child.as_raw(),
    }
}
