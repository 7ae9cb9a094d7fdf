//! All objects of `/dev/shm`: listing, clean-up, waiting for one to come.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::leases::Leases;
use super::object::{FOLDER, io_error, open_file, owner_of, path_of, unlink_if_same};
use crate::{Lease, LeaseRole, ObjectInfo, ObjectName, Owner, RegionError, Removed, process_token};

/// How long to sleep between looks where the kernel has no more inotify instances to give.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The objects whose names `matches` accepts, in no order.
pub(crate) fn list(matches: &dyn Fn(&str) -> bool) -> Result<Vec<ObjectInfo>, RegionError> {
    let entries = std::fs::read_dir(FOLDER).map_err(|error| io_error("opendir", FOLDER, &error))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| io_error("readdir", FOLDER, &error))?;
        let file_name = entry.file_name();
        let Some(Ok(name)) = file_name.to_str().filter(|n| matches(n)).map(ObjectName::new) else {
            continue;
        };
        // One that vanished meanwhile was not left over.
        let Ok(about) = entry.metadata() else { continue };
        if about.is_file() {
            let Owner { uid, gid, mode } = owner_of(&about);
            found.push(ObjectInfo { name, len: about.len(), uid, gid, mode, inode: about.ino() });
        }
    }
    Ok(found)
}

/// See [`crate::remove_leftover`].
pub(crate) fn remove_leftover(info: &ObjectInfo) -> Result<Removed, RegionError> {
    let object = info.name.as_str();
    let leases = match open_file(&info.name, "remove") {
        Ok(file) => Leases::on(file, object),
        Err(RegionError::NotFound { .. } | RegionError::NotAnObject { .. }) => {
            return Ok(Removed::Gone);
        }
        Err(error) => return Err(error),
    };
    let about = leases.file().metadata().map_err(|error| io_error("fstat", object, &error))?;
    if about.ino() != info.inode {
        return Ok(Removed::Gone);
    }
    match leases.take(LeaseRole::Creator)? {
        Lease::HeldByAnother => return Ok(Removed::InUse),
        Lease::Taken => {}
    }
    // The lease is held until `leases` goes, behind the removal.
    Ok(match unlink_if_same(&path_of(&info.name), object, (about.dev(), about.ino()))? {
        true => Removed::Removed,
        false => Removed::Gone,
    })
}

/// See [`crate::wait_for_object`].
pub(crate) fn wait_for(
    matches: &dyn Fn(&str) -> bool,
    deadline: Option<Instant>,
) -> Result<Option<ObjectName>, RegionError> {
    let look = || Ok(list(matches)?.into_iter().map(|info| info.name).min());
    if let Some(name) = look()? {
        return Ok(Some(name));
    }
    let arrivals = take_arrivals()?;
    let found = look_until(&look, arrivals.as_ref(), deadline);
    keep_arrivals(arrivals);
    found
}

/// Looks again after every notice. The watch stands before the first look, so that nothing slips
/// between.
fn look_until(
    look: &dyn Fn() -> Result<Option<ObjectName>, RegionError>,
    arrivals: Option<&Inotify>,
    deadline: Option<Instant>,
) -> Result<Option<ObjectName>, RegionError> {
    loop {
        if let Some(name) = look()? {
            return Ok(Some(name));
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(None);
        }
        match arrivals {
            Some(arrivals) => sleep_until_event(arrivals, left)?,
            None => std::thread::sleep(left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN))),
        }
    }
}

/// The instance that nobody uses at the moment, and the process that made it. The kernel takes some
/// 15 ms to close one (it waits for every CPU to forget it), and that would be in the way of the very
/// object that was waited for: so one is kept for the next time.
static SPARE: Mutex<Option<(u32, Inotify)>> = Mutex::new(None);

/// Notices of new names; old ones may be among them and cost one look more.
fn take_arrivals() -> Result<Option<Inotify>, RegionError> {
    // A forked child would share the notices with its parent.
    let spare = lock_spare().take_if(|(of, _)| *of == process_token());
    match spare {
        Some((_, arrivals)) => Ok(Some(arrivals)),
        None => watch_folder(),
    }
}

fn keep_arrivals(arrivals: Option<Inotify>) {
    if let Some(arrivals) = arrivals {
        let superfluous = lock_spare().replace((process_token(), arrivals));
        // Outside of the lock: this is the slow close.
        drop(superfluous);
    }
}

fn lock_spare() -> MutexGuard<'static, Option<(u32, Inotify)>> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new instance; `None` if the system is out of inotify instances.
fn watch_folder() -> Result<Option<Inotify>, RegionError> {
    let fail = |call| move |errno: Errno| super::object::os(call, FOLDER, errno);
    let arrivals = match Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK) {
        Ok(arrivals) => arrivals,
        Err(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOSYS) => return Ok(None),
        Err(errno) => return Err(fail("inotify_init1")(errno)),
    };
    let events = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ONLYDIR;
    match arrivals.add_watch(FOLDER, events) {
        Ok(_) => Ok(Some(arrivals)),
        Err(Errno::ENOSPC) => Ok(None),
        Err(errno) => Err(fail("inotify_add_watch")(errno)),
    }
}

fn sleep_until_event(arrivals: &Inotify, left: Option<Duration>) -> Result<(), RegionError> {
    let fail = |call| move |errno: Errno| super::object::os(call, FOLDER, errno);
    let mut descriptors = [PollFd::new(arrivals.as_fd(), PollFlags::POLLIN)];
    match poll(&mut descriptors, super::death::poll_timeout(left)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(fail("poll")(errno)),
    }
    match arrivals.read_events() {
        Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
        Err(errno) => Err(fail("read of inotify")(errno)),
    }
}
