//! What Linux tells: `/proc` and the clocks of processes.

use std::fs;

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

use super::{Load, Used};

/// Of this process.
pub(super) fn own() -> Used {
    let switches = getrusage(UsageWho::RUSAGE_SELF).ok().and_then(|usage| {
        let all = usage.voluntary_context_switches() + usage.involuntary_context_switches();
        u64::try_from(all).ok()
    });
    let cpu_seconds = seconds(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap_or(0.0);
    Used { cpu_seconds, switches }
}

/// Of the living processes of the group that `leader` leads.
pub(super) fn of_group(leader: u32) -> Vec<(u32, Used)> {
    members(leader).into_iter().filter_map(|pid| Some((pid, used(pid)?))).collect()
}

/// Of the machine; `None` where there is no `/proc/stat`.
pub(super) fn load() -> Option<Load> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    // cpu user nice system idle iowait irq softirq steal …
    let fields = stat.lines().next()?.split_whitespace().skip(1).take(8);
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    let tick = rustix::param::clock_ticks_per_second() as f64;
    let own = [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN].into_iter().map(|who| {
        let usage = getrusage(who).ok()?;
        let seconds =
            |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        Some(seconds(usage.user_time()) + seconds(usage.system_time()))
    });
    Some(Load {
        all: ticks.iter().sum::<f64>() / tick,
        idle: (ticks.get(3)? + ticks.get(4)?) / tick,
        own: own.sum::<Option<f64>>()?,
    })
}

fn used(pid: u32) -> Option<Used> {
    let cpu_seconds = seconds(clock_getcpuclockid(Pid::from_raw(pid.cast_signed())).ok()?)?;
    let mut switches = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        // A thread may end between being listed and being read.
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let counts = status.lines().filter(|line| line.contains("ctxt_switches:"));
        switches += counts
            .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
            .sum::<u64>();
    }
    Some(Used { cpu_seconds, switches: Some(switches) })
}

fn seconds(clock: ClockId) -> Option<f64> {
    let time = clock.now().ok()?;
    Some(std::time::Duration::from(time).as_secs_f64())
}

fn members(group: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| group_of(*pid) == Some(group)).collect()
}

fn group_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything; behind it come state, parent and group.
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}
