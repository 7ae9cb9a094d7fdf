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

    // Catches: the CPU time of another process, of its start-up, or in another unit; a group without its
    // members.
    #[test]
    fn a_group_is_asked_for_what_it_used_meanwhile() {
        let mut command = Command::new("sh");
        let group =
            ProcessGroup::spawn(command.args(["-c", "while :; do :; done & wait"])).unwrap();
        let busy = |usage: &Usage, before: &Usage| usage.since(before).client_cpu_seconds > 0.1;
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
