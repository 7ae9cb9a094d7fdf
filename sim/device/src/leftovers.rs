//! What killed processes left behind: found by name, judged by lease and process, never by age.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use vdi_region::{
    Backend, LeaseRole, ObjectInfo, ObjectName, ProcessIdentity, Region, RegionError, Removed,
    list_objects, remove_leftover,
};

use crate::{
    environment::Environment,
    error::{Error, Reason},
    naming::{self, Namespace},
    segment::ControlSegment,
};

/// The objects of one set whose processes are all gone, or cannot be asked after.
#[derive(Debug, Clone)]
pub struct Leftover {
    backend: Backend,
    /// Whether its processes were found dead. Not so for objects that this user may not open.
    pub is_certain: bool,
    /// Objects by name, the control segment last: what is found later still leads to the rest.
    pub objects: Vec<ObjectInfo>,
}

/// What became of a leftover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleaned {
    /// It is gone.
    Removed,
    /// Some of it stays: a process holds it that may be alive.
    Held,
}

/// A set that is alive.
#[derive(Debug, Clone)]
pub struct SetInfo {
    /// Its name.
    pub name: Vec<u8>,
    /// Its control segment.
    pub control: ObjectName,
    /// The process that created it.
    pub client: ProcessIdentity,
    /// The server, if one has attached.
    pub server: Option<ProcessIdentity>,
    /// Whether its Create is done, so that a server may attach.
    pub created: bool,
    /// Bytes of all its objects.
    pub bytes: u64,
}

/// Finds the leftovers of `namespace`, or of all namespaces.
///
/// # Errors
/// The objects can't be listed.
pub fn leftovers(backend: Backend, namespace: Option<&Namespace>) -> Result<Vec<Leftover>, Error> {
    let mut found = Vec::new();
    for (control, objects) in sets(backend, namespace)? {
        match is_alive(backend, &control) {
            Some(true) => {}
            dead => found.push(Leftover { backend, is_certain: dead.is_some(), objects }),
        }
    }
    Ok(found)
}

/// Lists the sets that are alive.
///
/// # Errors
/// The objects can't be listed.
pub fn live_sets(backend: Backend, namespace: Option<&Namespace>) -> Result<Vec<SetInfo>, Error> {
    let environment = Environment::new(namespace.cloned().unwrap_or_default(), backend);
    let mut live = Vec::new();
    for (control, objects) in sets(backend, namespace)? {
        if let Ok(control) = ObjectName::new(&control)
            && let Ok(segment) = ControlSegment::open_object(&environment, &control)
            && is_alive(backend, control.as_str()) == Some(true)
        {
            let identity = segment.identity();
            live.push(SetInfo {
                name: identity.name.clone(),
                client: identity.client,
                server: segment.server(),
                created: segment.control().phase.load(Ordering::Acquire) != 0,
                bytes: objects.iter().map(|object| object.len).sum(),
                control,
            });
        }
    }
    Ok(live)
}

/// Removes what belongs to a leftover.
///
/// # Errors
/// `VD_E_SECURITY` an object is another user's: the error names owner, mode and the command to run.
pub fn clean(leftover: &Leftover) -> Result<Cleaned, Error> {
    let mut cleaned = Cleaned::Removed;
    for object in &leftover.objects {
        match remove_leftover(leftover.backend, object)? {
            Removed::Removed | Removed::Gone => {}
            // A fork of the dead creator holds its lease; the dead process outranks it.
            Removed::InUse => {
                if remove_orphan(leftover.backend, object)? == Cleaned::Held {
                    cleaned = Cleaned::Held;
                }
            }
        }
    }
    Ok(cleaned)
}

/// Before a Create: removes the set `name` if its client is dead. A server that still lives keeps what
/// it has mapped and removes its own buffers.
///
/// # Errors
/// `VD_E_PROTOCOL` the set is alive; `VD_E_SECURITY` its remains can't be removed.
pub(crate) fn make_way(environment: &Environment, name: &[u8]) -> Result<(), Error> {
    let control = naming::control_name(&environment.namespace, name)?;
    let alive = match ControlSegment::open_object(environment, &control) {
        Ok(segment) => segment.client_alive(),
        Err(_) => is_alive(environment.backend, control.as_str()) == Some(true),
    };
    if alive {
        return Err(taken(environment, name, &control));
    }
    let mut sets = sets(environment.backend, Some(&environment.namespace))?;
    let objects = sets.remove(control.as_str()).unwrap_or_default();
    let backend = environment.backend;
    // What a living server holds are its buffers; the name is free without them.
    clean(&Leftover { backend, is_certain: true, objects }).map(|_| ())
}

/// The error for a name that a living set has, or that can't even be looked at.
fn taken(environment: &Environment, name: &[u8], control: &ObjectName) -> Error {
    let error = match ControlSegment::open(environment, name) {
        Ok(segment) => {
            let pid = segment.identity().client.pid;
            return Reason::Exists { name: naming::display(name), pid }.into();
        }
        Err(error) => error,
    };
    match error.reason() {
        // It is just being made, has just gone, or is something else that somebody uses.
        Reason::Region(RegionError::NotReady { .. })
        | Reason::NoSuchSet { .. }
        | Reason::Damaged(_)
        | Reason::LayoutVersion { .. } => {
            RegionError::Exists { object: control.to_string() }.into()
        }
        Reason::Region(other @ RegionError::NotAnObject { .. }) => {
            Reason::Taken(other.clone()).into()
        }
        _ => error,
    }
}

/// Objects grouped by the control segment that they belong to, whether or not that still exists.
fn sets(
    backend: Backend,
    namespace: Option<&Namespace>,
) -> Result<BTreeMap<String, Vec<ObjectInfo>>, Error> {
    let mut sets = BTreeMap::<String, Vec<ObjectInfo>>::new();
    for object in list_objects(backend, &naming::object_prefix(namespace))? {
        let name = object.name.as_str();
        let control = match naming::control_of_segment(name) {
            Some(control) => control.to_owned(),
            None if naming::is_control(name) => name.to_owned(),
            // Nothing that this crate makes: not ours to judge.
            None => continue,
        };
        sets.entry(control).or_default().push(object);
    }
    for (control, objects) in &mut sets {
        objects.sort_by_key(|object| object.name.as_str() == control);
    }
    Ok(sets)
}

/// Whether the creator or the server of the set lives; None if this user may not look.
fn is_alive(backend: Backend, control: &str) -> Option<bool> {
    let environment = Environment::new(Namespace::default(), backend);
    let Ok(name) = ObjectName::new(control) else { return Some(true) };
    match ControlSegment::open_object(&environment, &name) {
        Ok(segment) => Some(segment.client_alive() || segment.server_alive()),
        Err(e) => match e.reason() {
            // Its buffer segments are all that is left.
            Reason::Region(RegionError::NotFound { .. } | RegionError::Empty { .. }) => Some(false),
            // Not to be read, so judged by the leases alone.
            Reason::Damaged(_) | Reason::LayoutVersion { .. } => Some(is_held(backend, &name)),
            Reason::Region(RegionError::Denied { .. }) => None,
            _ => Some(true),
        },
    }
}

/// Whether somebody holds a lease of the object.
fn is_held(backend: Backend, name: &ObjectName) -> bool {
    let held = |role| Region::open(backend, name).and_then(|region| region.lease_held(role));
    [LeaseRole::Creator, LeaseRole::Attacher].into_iter().any(|role| held(role).unwrap_or(false))
}

/// Removes an object whose lease is held although creator and server are dead: by a fork of theirs.
fn remove_orphan(backend: Backend, object: &ObjectInfo) -> Result<Cleaned, Error> {
    let environment = Environment::new(Namespace::default(), backend);
    let name = object.name.as_str();
    let control = ObjectName::new(naming::control_of_segment(name).unwrap_or(name))?;
    // A held lease on what can't be read: its owner is given the benefit of the doubt.
    let Ok(segment) = ControlSegment::open_object(&environment, &control) else {
        return Ok(Cleaned::Held);
    };
    if segment.client_alive() || segment.server_alive() {
        return Ok(Cleaned::Held);
    }
    // What was judged is removed, not what may have its name by now. A buffer segment's name is never
    // used again.
    match control == object.name {
        true => segment.region().unlink()?,
        false => Region::open(backend, &object.name)?.unlink()?,
    }
    Ok(Cleaned::Removed)
}
