//! The set's shared objects, to tell whether somebody has cut one while it was in use.
//!
//! Objects in shared memory cannot be sealed. A process that survives the cut sees nothing but
//! follow-up errors: a client that cannot read its buffer, an abort without a cause. So the sizes
//! are kept and looked at again when the transfer has ended.

use vdi_device::{Environment, live_sets};
use vdi_region::{Backend, ObjectInfo, list_objects};

/// The objects of a set as they were when its buffers had been made.
#[derive(Debug)]
pub(crate) struct Objects {
    backend: Backend,
    prefix: String,
    seen: Vec<ObjectInfo>,
}

impl Objects {
    /// Looks at the objects of the set `name`; nothing if they cannot be listed.
    pub(crate) fn of(environment: &Environment, name: &[u8]) -> Option<Objects> {
        let backend = environment.backend;
        let sets = live_sets(backend, Some(&environment.namespace)).ok()?;
        let set = sets.into_iter().find(|set| set.name == name)?;
        let prefix = set.control.as_str().to_owned();
        let seen = list_objects(backend, &prefix).ok()?;
        Some(Objects { backend, prefix, seen })
    }

    /// The name of an object that has become shorter, if there is one. One that is gone was removed
    /// by its owner.
    pub(crate) fn shrunk(&self) -> Option<String> {
        let now = list_objects(self.backend, &self.prefix).ok()?;
        let shorter = |old: &&ObjectInfo| {
            now.iter()
                .any(|new| new.inode == old.inode && new.name == old.name && new.len < old.len)
        };
        self.seen.iter().find(shorter).map(|object| object.name.to_string())
    }
}
