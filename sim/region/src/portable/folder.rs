//! All objects of this user: listing, clean-up, waiting for one to come.

use std::time::{Duration, Instant};

use super::object::{Object, remove};
use super::registry::{self, Leases, user_id};
use crate::{Lease, LeaseRole, ObjectInfo, ObjectName, Owner, RegionError, Removed, native};

/// How long to sleep between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The objects whose names `matches` accepts, in no order, unfinished ones among them.
pub(crate) fn list(matches: &dyn Fn(&str) -> bool) -> Result<Vec<ObjectInfo>, RegionError> {
    let found = registry::entries().into_iter().filter(|(entry, _)| matches(entry.name.as_str()));
    Ok(found
        .map(|(entry, Owner { uid, gid, mode })| ObjectInfo {
            name: entry.name,
            len: entry.len,
            uid,
            gid,
            mode,
            inode: entry.generation,
        })
        .collect())
}

/// See [`crate::remove_leftover`].
pub(crate) fn remove_leftover(info: &ObjectInfo) -> Result<Removed, RegionError> {
    let leases = match Leases::open(user_id(), &info.name, false) {
        Ok(leases) => leases,
        Err(RegionError::NotFound { .. }) => return Ok(Removed::Gone),
        Err(error) => return Err(error),
    };
    if leases.take(LeaseRole::Creator)? == Lease::HeldByAnother {
        return Ok(Removed::InUse);
    }
    match leases.entry() {
        // The lock is held until `leases` goes, behind the removal.
        Some(entry) if entry.generation == info.inode && leases.is_named() => {
            remove(&entry, &leases).map(|()| Removed::Removed)
        }
        _ => Ok(Removed::Gone),
    }
}

/// See [`crate::wait_for_object`].
pub(crate) fn wait_for(
    matches: &dyn Fn(&str) -> bool,
    deadline: Option<Instant>,
) -> Result<Option<ObjectName>, RegionError> {
    loop {
        let mut names: Vec<_> = list(matches)?.into_iter().map(|info| info.name).collect();
        names.sort();
        // Only what can be opened is finished.
        if let Some(name) = names.into_iter().find(|name| Object::open(name).is_ok()) {
            return Ok(Some(name));
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(None);
        }
        native::rest(left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN)));
    }
}
