//! Whether shared memory can be had, how much of it, and by whom.

use vdi_device::Environment;
use vdi_region::memory_limits;

use super::finding::{Finding, Level};

const MIB: u64 = 1024 * 1024;

/// What a container has by default, and too little for large transfers over several devices.
const SCARCE: u64 = 64 * MIB;

/// The smallest set anybody would use: a few buffers of 64 KiB.
const LEAST: u64 = MIB;

/// Looks at size, limits and permissions.
pub(super) fn examine(environment: &Environment) -> Vec<Finding> {
    let mut findings = vec![probe(environment)];
    let limits = memory_limits();
    let room = [
        (
            "shared memory",
            limits.shm_free,
            "Give it more room: `mount -o remount,size=1g /dev/shm`, or for a container \
             `--shm-size=1g`.",
        ),
        (
            "control group",
            limits.cgroup_free,
            "Raise the memory limit of the container or service: shared memory counts towards it.",
        ),
    ];
    findings.extend(
        room.into_iter().filter_map(|(what, free, remedy)| Some(enough(what, free?, remedy))),
    );
    findings.extend(umask());
    findings
}

/// Whether there is room for buffers.
fn enough(what: &'static str, free: u64, remedy: &str) -> Finding {
    let level = match free {
        _ if free < LEAST => Level::Bad,
        _ if free <= SCARCE => Level::Warning,
        _ => Level::Good,
    };
    let finding = Finding::new(what, level, format!("{} MiB are free.", free / MIB));
    if level == Level::Good { finding } else { finding.remedy(remedy) }
}

/// Makes an object and removes it again.
fn probe(environment: &Environment) -> Finding {
    use vdi_region::{Access, ObjectName, Region};
    let name = format!("vdisim.doctor-{}", std::process::id());
    let made = ObjectName::new(&name).and_then(|name| {
        let region = Region::create(environment.backend, &name, 4096, Access::Creator, |_| Ok(()))?;
        region.unlink()
    });
    match made {
        Ok(()) => Finding::new("permissions", Level::Good, "shared objects can be made here."),
        Err(error) => Finding::new("permissions", Level::Bad, format!("{error}."))
            .remedy("Shared memory must be mounted and writable for this user."),
    }
}

/// What the mask takes from the objects of clients that are started from here.
#[cfg(target_os = "linux")]
fn umask() -> Option<Finding> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"))?.trim();
    let mask = u32::from_str_radix(mask, 8).ok()?;
    let text = format!("{mask:04o}: a client's objects get mode {:04o}.", 0o660 & !mask);
    Some(if mask & 0o060 == 0 {
        Finding::new("umask", Level::Good, text)
    } else {
        Finding::new("umask", Level::Note, text).remedy(
            "A server under another user of the client's group cannot open them; such a client \
             calls umask(0) before Create, as the samples do.",
        )
    })
}

#[cfg(not(target_os = "linux"))]
fn umask() -> Option<Finding> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: calling a container's 64 MB enough, or a few MiB hopeless.
    #[test]
    fn a_containers_default_is_a_warning() {
        let level = |free| enough("x", free, "y").level;
        assert_eq!(level(64 * MIB), Level::Warning);
        assert_eq!(level(1024 * MIB), Level::Good);
        assert_eq!(level(MIB / 2), Level::Bad);
    }
}
