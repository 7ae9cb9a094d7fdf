//! What killed processes left behind: found by name, judged by lease and process, never by age.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use vdi_region::{
    Backend, ObjectInfo, ObjectName, ProcessIdentity, RegionError, Removed, list_objects,
    remove_leftover,
};

use crate::{
    environment::Environment,
    error::{Error, Reason},
    naming::{self, Namespace},
    segment::ControlSegment,
};

/// The objects of one set whose processes are all gone.
#[derive(Debug, Clone)]
pub struct Leftover {
    backend: Backend,
    /// Objects by name, the control segment last: what is found later still leads to the rest.
    pub objects: Vec<ObjectInfo>,
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
        if !in_use(backend, &control) {
            found.push(Leftover { backend, objects });
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
            && in_use(backend, control.as_str())
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
pub fn clean(leftover: &Leftover) -> Result<(), Error> {
    for object in &leftover.objects {
        match remove_leftover(leftover.backend, object)? {
            Removed::Removed | Removed::Gone => {}
            // A fork of the dead creator holds its lease; the dead process outranks it.
            Removed::InUse => remove_orphan(leftover.backend, object)?,
        }
    }
    Ok(())
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
        Err(_) => in_use(environment.backend, control.as_str()),
    };
    if alive {
        return Err(taken(environment, name, &control));
    }
    let mut sets = sets(environment.backend, Some(&environment.namespace))?;
    let objects = sets.remove(control.as_str()).unwrap_or_default();
    clean(&Leftover { backend: environment.backend, objects })
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
        // It is just being made, or has just gone.
        Reason::Region(RegionError::NotReady { .. }) | Reason::NoSuchSet { .. } => {
            RegionError::Exists { object: control.to_string() }.into()
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

/// Whether the creator or the server of the set lives, or it can't be found out.
fn in_use(backend: Backend, control: &str) -> bool {
    let environment = Environment::new(Namespace::default(), backend);
    let Ok(name) = ObjectName::new(control) else { return true };
    match ControlSegment::open_object(&environment, &name) {
        Ok(segment) => segment.client_alive() || segment.server_alive(),
        Err(e) => match e.reason() {
            // Its buffer segments are all that is left.
            Reason::Region(RegionError::NotFound { .. }) => false,
            // Not to be read, so judged by the lease alone when it is removed.
            Reason::Damaged(_) | Reason::LayoutVersion { .. } => false,
            Reason::Region(RegionError::Denied { .. } | RegionError::Empty { .. }) => false,
            _ => true,
        },
    }
}

/// Removes an object whose lease is held although creator and server are dead: by a fork of theirs.
fn remove_orphan(backend: Backend, object: &ObjectInfo) -> Result<(), Error> {
    let environment = Environment::new(Namespace::default(), backend);
    let name = object.name.as_str();
    let control = ObjectName::new(naming::control_of_segment(name).unwrap_or(name))?;
    // A held lease on what can't be read: its owner is given the benefit of the doubt.
    let Ok(segment) = ControlSegment::open_object(&environment, &control) else { return Ok(()) };
    if segment.client_alive() || segment.server_alive() {
        return Ok(());
    }
    // What was judged is removed, not what may have its name by now. A buffer segment's name is never
    // used again.
    match control == object.name {
        true => segment.region().unlink()?,
        false => vdi_region::Region::open(backend, &object.name)?.unlink()?,
    }
    Ok(())
}
