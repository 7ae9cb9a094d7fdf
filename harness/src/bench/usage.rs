//! What processes have used: CPU time and context switches.

#[cfg(unix)]
#[path = "usage/posix.rs"]
mod platform;
#[cfg(windows)]
#[path = "usage/windows.rs"]
mod platform;

use std::collections::HashMap;

/// Of one process, so far.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    cpu_seconds: f64,
    /// Where the system counts them.
    switches: Option<u64>,
}

/// Of this process and of a group of others, so far.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    own: Used,
    group: HashMap<u32, Used>,
}

/// What was used between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    pub(crate) client_cpu_seconds: f64,
    pub(crate) server_cpu_seconds: f64,
    pub(crate) client_switches: Option<u64>,
    pub(crate) server_switches: Option<u64>,
}

impl Usage {
    /// Looks at this process and the living processes of the group that `leader` leads.
    pub(crate) fn now(leader: u32) -> Usage {
        Usage { own: platform::own(), group: platform::of_group(leader).into_iter().collect() }
    }

    /// What was used since `before`. A process that was not there then counts with all it used, one
    /// that is not here any more does not.
    pub(crate) fn since(&self, before: &Usage) -> Share {
        let mut share = Share {
            server_cpu_seconds: self.own.cpu_seconds - before.own.cpu_seconds,
            server_switches: self.own.switches_since(&before.own),
            ..Share::default()
        };
        for (pid, now) in &self.group {
            let then = before.group.get(pid).copied().unwrap_or_default();
            share.client_cpu_seconds += now.cpu_seconds - then.cpu_seconds;
            if let Some(switches) = now.switches_since(&then) {
                *share.client_switches.get_or_insert(0) += switches;
            }
        }
        share
    }
}

impl Used {
    fn switches_since(&self, before: &Used) -> Option<u64> {
        Some(self.switches?.saturating_sub(before.switches.unwrap_or(0)))
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
    /// Looks now; `None` where the system does not tell.
    pub(crate) fn now() -> Option<Load> {
        platform::load()
    }

    /// The part of all CPU time since `before` that others used; what a hypervisor took counts as theirs.
    pub(crate) fn others_since(&self, before: &Load) -> f64 {
        let all = self.all - before.all;
        let rest = all - (self.idle - before.idle) - (self.own - before.own);
        if all > 0.0 { (rest / all).clamp(0.0, 1.0) } else { 0.0 }
    }
}

#[cfg(all(test, unix))]
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
        let nothing = Usage { own: Used::default(), group: HashMap::new() };
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
        assert_eq!(after.group.len(), 2);
        assert!(after.since(&before).client_switches.is_some());
    }
}
