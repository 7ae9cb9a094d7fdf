//! Settings for processes that nobody could give an environment: a resident agent, perhaps of another account, is
//! not started by whoever tests it.
//!
//! ```text
//! vdisim.<namespace>.rendezvous     length of the text, then NAME=VALUE lines
//! ```
//! The names are those of environment variables. Whoever leaves the object holds its lease, so what a killed
//! test left is not taken for a living one's. A process heeds what its own account or the superuser left, and
//! nobody else: the settings name files that it writes.

use std::sync::atomic::Ordering;

use vdi_region::{
    Access, Backend, LeaseRole, ObjectInfo, ObjectName, Region, list_objects, remove_leftover,
};

use crate::{environment::Environment, error::Error, naming::rendezvous_name};

/// Where the text begins, behind its length.
const TEXT: usize = 4;

/// Longest text in bytes.
const TEXT_MAX: usize = 64 * 1024;

/// Settings of a namespace, until this is dropped.
#[derive(Debug)]
pub struct Rendezvous {
    region: Region,
}

impl Rendezvous {
    /// Leaves settings in the environment's namespace. A line break in a value ends it.
    ///
    /// # Errors
    /// Somebody alive has left settings there, or there is no room.
    pub fn leave(
        environment: &Environment,
        settings: &[(&str, &str)],
    ) -> Result<Rendezvous, Error> {
        let name = rendezvous_name(&environment.namespace)?;
        remove_dead(environment.backend, &name)?;
        let line = |(name, value): &(&str, &str)| {
            format!("{name}={}\n", value.lines().next().unwrap_or_default())
        };
        let text: String = settings.iter().map(line).collect();
        let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let fill = |region: &Region| {
            region.slice(TEXT, text.len())?.copy_from(0, text.as_bytes())?;
            region.word(0)?.store(len, Ordering::Relaxed);
            Ok(())
        };
        let size = TEXT + text.len().max(1);
        let region = Region::create(environment.backend, &name, size, Access::Creator, fill)?;
        Ok(Rendezvous { region })
    }
}

impl Drop for Rendezvous {
    fn drop(&mut self) {
        // What cannot be removed is found dead by the next.
        let _ = self.region.unlink();
    }
}

/// Takes the name from a test that was killed.
fn remove_dead(backend: Backend, name: &ObjectName) -> Result<(), Error> {
    let is_it = |object: &ObjectInfo| object.name == *name;
    if let Some(object) = list_objects(backend, name.as_str())?.into_iter().find(is_it) {
        // In use: Create says so.
        let _ = remove_leftover(backend, &object)?;
    }
    Ok(())
}

/// What was left in the environment's namespace for this process, as names and values; nothing if nobody alive has
/// left anything, or somebody whom this process need not trust.
pub fn settings_left(environment: &Environment) -> Vec<(String, String)> {
    read(environment).unwrap_or_default()
}

fn read(environment: &Environment) -> Option<Vec<(String, String)>> {
    let name = rendezvous_name(&environment.namespace).ok()?;
    let region = Region::open(environment.backend, &name).ok()?;
    if !is_trusted(region.owner().uid) || !region.lease_held(LeaseRole::Creator).ok()? {
        return None;
    }
    let len = region.word(0).ok()?.load(Ordering::Relaxed) as usize;
    let mut text = vec![0; Some(len).filter(|len| *len <= TEXT_MAX)?];
    region.slice(TEXT, len).ok()?.copy_to(0, &mut text).ok()?;
    let text = String::from_utf8(text).ok()?;
    let pair =
        |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Some(text.lines().filter_map(pair).collect())
}

/// Whether a user may tell this process what to do.
#[cfg(unix)]
fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == own_uid()
}

/// Access to the object says it all.
#[cfg(not(unix))]
fn is_trusted(_: u32) -> bool {
    true
}

/// Who this process acts for: a file that it makes belongs to its effective user.
#[cfg(unix)]
fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    // The folder of the process itself, which the kernel gives to that user.
    std::fs::metadata("/proc/self").map_or(u32::MAX, |folder| folder.uid())
}

#[cfg(test)]
mod tests {
    use crate::Namespace;

    use super::*;

    fn environment(name: &str) -> Environment {
        let name = format!("rv-{}-{name}", std::process::id());
        Environment::new(Namespace::new(&name).unwrap(), Backend::platform_default())
    }

    fn pairs(settings: &[(&str, &str)]) -> Vec<(String, String)> {
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    // Catches: settings that outlive whoever left them, that leak into another namespace, or that are cut.
    #[test]
    fn settings_are_there_while_they_are_left() {
        let here = environment("here");
        assert_eq!(settings_left(&here), []);
        let settings = [("VDISIM_TRACE", "/tmp/a=b c"), ("VDISIM_TIMEOUT_UNIT", "s")];
        let left = Rendezvous::leave(&here, &settings).unwrap();
        assert_eq!(settings_left(&here), pairs(&settings));
        assert_eq!(settings_left(&environment("there")), []);
        assert!(Rendezvous::leave(&here, &[]).is_err(), "somebody alive has left settings");
        drop(left);
        assert_eq!(settings_left(&here), []);
        let none = Rendezvous::leave(&here, &[]).unwrap();
        assert_eq!(settings_left(&here), []);
        drop(none);
    }

    // Catches: a length out of shared memory that is believed.
    #[test]
    fn a_damaged_object_says_nothing() {
        let here = environment("damaged");
        let left = Rendezvous::leave(&here, &[("A", "b")]).unwrap();
        for len in [u32::MAX, TEXT_MAX as u32, TEXT_MAX as u32 + 1] {
            left.region.word(0).unwrap().store(len, Ordering::Relaxed);
            assert_eq!(settings_left(&here), []);
        }
    }

    // Catches: a process that does as any account of the machine says.
    #[cfg(unix)]
    #[test]
    fn strangers_are_not_heeded() {
        assert!(is_trusted(own_uid()) && is_trusted(0));
        assert!(!is_trusted(own_uid().wrapping_add(12_345)));
    }
}
