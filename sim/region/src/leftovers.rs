//! Finding objects, and removing those that nobody lives to remove.

use crate::backend::Twin;
use crate::{Backend, ObjectName, RegionError, native, portable};

/// An object as the system lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name.
    pub name: ObjectName,
    /// Its size in bytes.
    pub len: u64,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its permission bits.
    pub mode: u32,
    /// What tells it from a later object of the same name.
    pub inode: u64,
}

/// What came of [`remove_leftover`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an object in use has not been removed"]
pub enum Removed {
    /// The name is gone.
    Removed,
    /// Its creator lives: nothing was done.
    InUse,
    /// It was gone before, or the name stands for a newer object by now: nothing was done.
    Gone,
}

/// Lists the objects whose names begin with `prefix`, by name.
pub fn list_objects(backend: Backend, prefix: &str) -> Result<Vec<ObjectInfo>, RegionError> {
    let mut found = match backend.twin()? {
        Twin::Native => native::folder::list(&|name| name.starts_with(prefix)),
        Twin::Portable => portable::folder::list(&|name| name.starts_with(prefix)),
    }?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Removes the name of an object whose creator died.
///
/// The creator's lease decides, never age: it is taken first, so that of two cleaners one works, and
/// the name is removed only if it still stands for the object that was listed.
pub fn remove_leftover(backend: Backend, info: &ObjectInfo) -> Result<Removed, RegionError> {
    match backend.twin()? {
        Twin::Native => native::folder::remove_leftover(info),
        Twin::Portable => portable::folder::remove_leftover(info),
    }
}
