//! What Windows tells. It counts no context switches of a process, and what others used is not asked for.

use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System};

use super::{Load, Used};

/// Of this process.
pub(super) fn own() -> Used {
    let pid = Pid::from_u32(std::process::id());
    let system = look(ProcessesToUpdate::Some(&[pid]));
    system.as_ref().and_then(|system| system.process(pid)).map(used).unwrap_or_default()
}

/// Of `leader` and of what it started, and that, and so on, as far as it lives.
pub(super) fn of_group(leader: u32) -> Vec<(u32, Used)> {
    let Some(system) = look(ProcessesToUpdate::All) else { return Vec::new() };
    let mut family = vec![Pid::from_u32(leader)];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        let children = system
            .processes()
            .iter()
            .filter(|(pid, process)| process.parent() == Some(parent) && !family.contains(pid));
        let children: Vec<Pid> = children.map(|(pid, _)| *pid).collect();
        family.extend(children);
        at += 1;
    }
    let living = family.into_iter().filter_map(|pid| Some((pid, system.process(pid)?)));
    living.map(|(pid, process)| (pid.as_u32(), used(process))).collect()
}

/// Of the machine: not asked for.
pub(super) fn load() -> Option<Load> {
    None
}

fn look(processes: ProcessesToUpdate<'_>) -> Option<System> {
    let mut system = System::new().ok()?;
    system.refresh_processes_specifics(processes, false, ProcessRefreshKind::nothing().with_cpu());
    Some(system)
}

fn used(process: &Process) -> Used {
    // Milliseconds.
    Used { cpu_seconds: process.accumulated_cpu_time() as f64 / 1e3, switches: None }
}
