//! Device sets that live, those that killed processes left, and those of a real SQL Server.

use vdi_device::{Cleaned, Environment, Leftover, SetInfo, clean, leftovers, live_sets};
use vdi_region::list_objects;

use super::finding::{Finding, Level};

/// The part that the names of all control segments have, ours and SQL Server's own.
const FAMILY: &str = "_SQLVDIMemoryName_";

/// The beginning of the names of all our objects.
const OURS: &str = "vdisim.";

/// Looks at the objects of all namespaces, or only of the one that VDISIM_NAMESPACE names.
pub(super) fn examine(environment: &Environment, remove: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let backend = environment.backend;
    let asked = std::env::var_os("VDISIM_NAMESPACE").is_some();
    let namespace = asked.then_some(&environment.namespace);
    match live_sets(backend, namespace) {
        Ok(sets) => findings.extend(sets.iter().map(living)),
        Err(error) => findings.push(Finding::new("sets", Level::Bad, format!("{error}."))),
    }
    match leftovers(backend, namespace) {
        Ok(left) => {
            findings.extend(left.iter().map(|leftover| dead(leftover, remove)));
            if let Some(last) = findings.last_mut().filter(|_| !left.is_empty() && !remove) {
                last.remedy = Some(
                    "Run `vdisim doctor --clean`, or create a set of the same name.".to_owned(),
                );
            }
        }
        Err(error) => findings.push(Finding::new("leftovers", Level::Bad, format!("{error}."))),
    }
    if let Ok(objects) = list_objects(backend, "") {
        let foreign = |name: &str| name.contains(FAMILY) && !name.starts_with(OURS);
        findings.extend(objects.iter().filter(|object| foreign(object.name.as_str())).map(
            |object| {
                Finding::new(
                    "foreign objects",
                    Level::Note,
                    format!(
                        "{} belongs to a real SQL Server or its client and is left alone.",
                        object.name
                    ),
                )
            },
        ));
    }
    findings
}

fn living(set: &SetInfo) -> Finding {
    let server = match &set.server {
        Some(server) => format!("served by process {}", server.pid),
        None => "waiting for a server".to_owned(),
    };
    Finding::new(
        "sets",
        Level::Note,
        format!(
            "the set '{}' of process {} lives, {server}, {} KiB in {}.",
            String::from_utf8_lossy(&set.name),
            set.client.pid,
            set.bytes / 1024,
            set.control,
        ),
    )
}

fn dead(leftover: &Leftover, remove: bool) -> Finding {
    let names: Vec<_> = leftover.objects.iter().map(|object| object.name.as_str()).collect();
    let bytes: u64 = leftover.objects.iter().map(|object| object.len).sum();
    let whose = match leftover.is_certain {
        true => "left by killed processes",
        false => "whose processes this user may not look for",
    };
    let what = format!("{} ({} KiB), {whose}", names.join(", "), bytes / 1024);
    if !remove {
        return Finding::new("leftovers", Level::Warning, format!("{what}."));
    }
    match clean(leftover) {
        Ok(Cleaned::Held) => Finding::new(
            "leftovers",
            Level::Warning,
            format!("{what}, stays in part: a process holds it that may be alive."),
        ),
        Ok(Cleaned::Removed) => Finding::new("leftovers", Level::Good, format!("removed {what}.")),
        Err(error) => Finding::new(
            "leftovers",
            Level::Warning,
            format!("{what}, cannot be removed: {error}."),
        ),
    }
}
