//! What processes have used: CPU time and context switches.

use std::collections::HashMap;
use std::fs;

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// Of one process, so far.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    cpu_seconds: f64,
    switches: u64,
}

/// Of this process and of a group of others, so far.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    own: Used,
    group: HashMap<i32, Used>,
}

/// What was used between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    pub(crate) client_cpu_seconds: f64,
    pub(crate) server_cpu_seconds: f64,
    pub(crate) client_switches: u64,
    pub(crate) server_switches: u64,
}

impl Usage {
    /// Looks at this process and the living processes of a group.
    pub(crate) fn now(group: u32) -> Usage {
        let members = members(group.cast_signed()).into_iter();
        Usage { own: own(), group: members.filter_map(|pid| Some((pid, used(pid)?))).collect() }
    }

    /// What was used since `before`. A process that was not there then counts with all it used, one
    /// that is not here any more does not.
    pub(crate) fn since(&self, before: &Usage) -> Share {
        let mut share = Share {
            server_cpu_seconds: self.own.cpu_seconds - before.own.cpu_seconds,
            server_switches: self.own.switches.saturating_sub(before.own.switches),
            ..Share::default()
        };
        for (pid, now) in &self.group {
            let then = before.group.get(pid).copied().unwrap_or_default();
            share.client_cpu_seconds += now.cpu_seconds - then.cpu_seconds;
            share.client_switches += now.switches.saturating_sub(then.switches);
        }
        share
    }
}

/// The machine's CPU time so far, and what of it was this process's and its children's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    all: f64,
    idle: f64,
    own: f64,
}

impl Load {
    /// Looks now; `None` where there is no `/proc/stat`.
    pub(crate) fn now() -> Option<Load> {
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

    /// The part of all CPU time since `before` that others used; what a hypervisor took counts as theirs.
    pub(crate) fn others_since(&self, before: &Load) -> f64 {
        let all = self.all - before.all;
        let rest = all - (self.idle - before.idle) - (self.own - before.own);
        if all > 0.0 { (rest / all).clamp(0.0, 1.0) } else { 0.0 }
    }
}

fn own() -> Used {
    let switches = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| {
        usage.voluntary_context_switches() + usage.involuntary_context_switches()
    });
    Used {
        cpu_seconds: seconds(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap_or(0.0),
        switches: u64::try_from(switches).unwrap_or(0),
    }
}

fn used(pid: i32) -> Option<Used> {
    let cpu_seconds = seconds(clock_getcpuclockid(Pid::from_raw(pid)).ok()?)?;
    let mut switches = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        // A thread may end between being listed and being read.
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let counts = status.lines().filter(|line| line.contains("ctxt_switches:"));
        switches += counts
            .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
            .sum::<u64>();
    }
    Some(Used { cpu_seconds, switches })
}

fn seconds(clock: ClockId) -> Option<f64> {
    let time = clock.now().ok()?;
    Some(std::time::Duration::from(time).as_secs_f64())
}

/// The processes of a group.
fn members(group: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| group_of(*pid) == Some(group)).collect()
}

fn group_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything; behind it come state, parent and group.
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::process::ProcessGroup;

    // Catches: work of this process that counts as others', or idle time as work.
    #[test]
    fn own_work_is_nobody_elses() {
        let load = |all, idle, own| Load { all, idle, own };
        let before = load(100.0, 50.0, 10.0);
        assert_eq!(load(110.0, 55.0, 15.0).others_since(&before), 0.0);
        assert_eq!(load(110.0, 52.0, 13.0).others_since(&before), 0.5);
        assert!(Load::now().is_some_and(|now| now.all > now.idle && now.own > 0.0));
    }

    // Catches: the CPU time of another process, of its start-up, or in another unit; a group without its
    // members.
    #[test]
    fn a_group_is_asked_for_what_it_used_meanwhile() {
        let mut command = Command::new("sh");
        let group =
            ProcessGroup::spawn(command.args(["-c", "while :; do :; done & wait"])).unwrap();
        let busy = |usage: &Usage, before: &Usage| usage.since(before).client_cpu_seconds > 0.1;
        let nothing = Usage { own: own(), group: HashMap::new() };
        while Usage::now(group.id()).since(&nothing).client_cpu_seconds < 0.3 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let before = Usage::now(group.id());
        let begun = std::time::Instant::now();
        let after = loop {
            let now = Usage::now(group.id());
            if busy(&now, &before) {
                break now;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        let elapsed = begun.elapsed().as_secs_f64();
        let used = after.since(&before).client_cpu_seconds;
        assert!(used <= elapsed * 2.0 + 0.05, "{used} CPU seconds in {elapsed} s");
        assert_eq!(members(group.id().cast_signed()).len(), 2);
    }
}
