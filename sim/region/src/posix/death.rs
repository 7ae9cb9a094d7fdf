//! Waiting for the end of a process: a pidfd in `poll`, or the lease asked again and again.

use std::os::fd::{AsFd, OwnedFd};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::identity;
use super::object::os;
use crate::{ProcessIdentity, RegionError};

/// How often the lease is asked where there is no better way.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);

/// Ends a wait from another thread.
#[derive(Debug)]
pub(crate) struct Cancel(EventFd);

impl Cancel {
    pub(crate) fn new() -> Result<Cancel, RegionError> {
        EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map(Cancel)
            .map_err(|errno| os("eventfd", "the death watch", errno))
    }

    pub(crate) fn cancel(&self) {
        // It fails only when the counter is full, and then it is readable anyway.
        let _ = self.0.write(1);
    }
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The process is dead.
    Died,
    /// [`Cancel::cancel`] was called.
    Cancelled,
}

/// Starts a thread that no handler of the process' signals ever runs on.
pub(crate) fn spawn_without_signals(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, RegionError> {
    // A fault is raised on the thread that made it, and a blocked one kills: those stay open.
    let mut blocked = SigSet::all();
    for fault in [Signal::SIGBUS, Signal::SIGSEGV, Signal::SIGFPE, Signal::SIGILL, Signal::SIGTRAP]
    {
        blocked.remove(fault);
    }
    let mut before = SigSet::empty();
    let fail = |errno| os("pthread_sigmask", name, errno);
    // The new thread inherits the mask; there is no moment in which it runs without.
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&blocked), Some(&mut before)).map_err(fail)?;
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None).map_err(fail)?;
    thread.map_err(|error| super::object::io_error("pthread_create", name, &error))
}

/// See [`ProcessIdentity::is_alive`].
pub(crate) fn is_alive(peer: ProcessIdentity) -> Option<bool> {
    match Handle::of(peer) {
        Handle::Dead => Some(false),
        // A process that has ended and was not waited for has a pidfd, too, and it is readable.
        Handle::Process(pidfd) => Some(!is_readable(&pidfd)),
        Handle::Unusable => None,
    }
}

/// Sleeps until `peer` is dead or the wait is cancelled.
pub(crate) fn await_end(
    peer: ProcessIdentity,
    cancel: &Cancel,
    lease_held: &dyn Fn() -> bool,
) -> Ended {
    match Handle::of(peer) {
        Handle::Dead => Ended::Died,
        Handle::Process(pidfd) => await_pidfd(&pidfd, cancel, lease_held),
        Handle::Unusable => await_lease(cancel, lease_held),
    }
}

/// What the kernel gave for a process.
enum Handle {
    Process(OwnedFd),
    Dead,
    Unusable,
}

impl Handle {
    fn of(peer: ProcessIdentity) -> Handle {
        let ours = identity::current().pid_namespace;
        let pid = i32::try_from(peer.pid).ok().and_then(Pid::from_raw);
        let (Some(pid), true) = (pid, ours != 0 && peer.pid_namespace == ours) else {
            return Handle::Unusable;
        };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(rustix::io::Errno::SRCH) => return Handle::Dead,
            Err(_) => return Handle::Unusable,
        };
        // From here on the pidfd stands for one process; the start time says whether for ours.
        match identity::start_time(peer.pid) {
            Some(start) if start == peer.start_time => Handle::Process(pidfd),
            Some(_) => Handle::Dead,
            // Hidden from us (hidepid), unless it went away in between.
            None if is_readable(&pidfd) => Handle::Dead,
            None => Handle::Unusable,
        }
    }
}

fn is_readable(descriptor: &OwnedFd) -> bool {
    let mut descriptors = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
    poll(&mut descriptors, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

fn await_pidfd(pidfd: &OwnedFd, cancel: &Cancel, lease_held: &dyn Fn() -> bool) -> Ended {
    loop {
        let mut descriptors = [
            PollFd::new(cancel.0.as_fd(), PollFlags::POLLIN),
            PollFd::new(pidfd.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut descriptors, PollTimeout::NONE) {
            Ok(_) => {
                if descriptors[0].any() == Some(true) {
                    return Ended::Cancelled;
                }
                if descriptors[1].any() == Some(true) {
                    return Ended::Died;
                }
            }
            Err(Errno::EINTR) => {}
            // Not enough memory for the call, for one: the lease still tells.
            Err(_) => return await_lease(cancel, lease_held),
        }
    }
}

fn await_lease(cancel: &Cancel, lease_held: &dyn Fn() -> bool) -> Ended {
    loop {
        if !lease_held() {
            return Ended::Died;
        }
        let mut descriptors = [PollFd::new(cancel.0.as_fd(), PollFlags::POLLIN)];
        match poll(&mut descriptors, poll_timeout(Some(PROBE_INTERVAL))) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ended::Cancelled,
            Err(_) => std::thread::sleep(PROBE_INTERVAL),
        }
    }
}

/// A duration for `poll`, rounded up so that a wait is never cut short; `None` is for ever.
pub(crate) fn poll_timeout(left: Option<Duration>) -> PollTimeout {
    match left {
        None => PollTimeout::NONE,
        Some(left) => {
            let ms = left.as_nanos().div_ceil(1_000_000);
            i32::try_from(ms).ok().and_then(|ms| ms.try_into().ok()).unwrap_or(PollTimeout::MAX)
        }
    }
}
