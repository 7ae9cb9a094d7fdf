//! Who used the CPUs: a measurement's own processes, or others.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The CPU time used until some moment.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    at: Instant,
    cpus: usize,
    /// Of all CPUs together.
    idle: Duration,
    /// Of this process and those named with it: their living threads, to the nanosecond.
    own: Duration,
    /// The same with the threads and children that have ended, in ticks of the clock.
    own_with_ended: Duration,
}

impl Load {
    /// Reads the machine's idle time, and what this process and `pids` used.
    ///
    /// # Errors
    ///
    /// When one of them is gone, or there is no Linux `/proc`.
    pub fn now(pids: &[u32]) -> Result<Load> {
        let stat = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        // cpu user nice system idle iowait …
        let numbers = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
        let idle_ticks: u64 =
            numbers.skip(3).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        let cpus = stat.lines().skip(1).take_while(|line| line.starts_with("cpu")).count();
        let (mut own, mut own_ticks) = (process_time("self")?, process_ticks("self")?);
        for pid in pids {
            let pid = pid.to_string();
            own += process_time(&pid)?;
            own_ticks += process_ticks(&pid)?;
        }
        let duration = |ticks: u64| Duration::from_millis(ticks * 1000 / ticks_per_second);
        let (idle, own_with_ended) = (duration(idle_ticks), duration(own_ticks));
        Ok(Load { at: Instant::now(), cpus, idle, own, own_with_ended })
    }

    /// CPU seconds of the own processes' living threads since `before`.
    pub fn own_since(&self, before: &Load) -> f64 {
        self.own.saturating_sub(before.own).as_secs_f64()
    }

    /// The share of all CPU time since `before` that was neither idle nor the own processes'; a hypervisor that took
    /// a CPU away counts as one of the others. Exact to 10 ms a CPU.
    pub fn others_since(&self, before: &Load) -> f64 {
        let whole = (self.at - before.at).as_secs_f64() * self.cpus as f64;
        let idle = self.idle.saturating_sub(before.idle).as_secs_f64();
        let own = self.own_with_ended.saturating_sub(before.own_with_ended).as_secs_f64();
        (whole - idle - own.max(self.own_since(before))) / whole
    }
}

/// What all threads of a process ran, those that ended not counted.
fn process_time(pid: &str) -> Result<Duration> {
    let tasks =
        fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}"))?;
    let mut nanoseconds = 0;
    for task in tasks {
        // A thread may end between being listed and being read.
        let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|ran| ran.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// User and system time of a process and of its children that have ended, in ticks.
fn process_ticks(pid: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("process {pid}"))?;
    // The name in brackets may hold anything; utime, stime, cutime, cstime are the 12th field behind it
    // and those after it.
    let (_, fields) = stat.rsplit_once(')').with_context(|| format!("{path} reads '{stat}'"))?;
    let times = fields.split_whitespace().skip(11).take(4);
    Ok(times.filter_map(|field| field.parse::<u64>().ok()).sum())
}

/// Context switches of all threads of a process but the calling one, which wakes up to ask.
///
/// # Errors
///
/// When the process is gone.
pub fn switches(pid: &str) -> Result<u64> {
    let caller = rustix::thread::gettid().as_raw_nonzero().to_string();
    let tasks =
        fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}"))?;
    let mut switches = 0;
    for task in tasks {
        let task = task?;
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let counts = status.lines().filter(|line| line.contains("ctxt_switches:"));
        let numbers = counts.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        if task.file_name() != caller.as_str() {
            switches += numbers.sum::<u64>();
        }
    }
    Ok(switches)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: another field of /proc, or another unit, by which this would be more than there was, or never end.
    #[test]
    fn work_of_this_process_counts_as_its_own() {
        let before = Load::now(&[]).unwrap();
        while Load::now(&[]).unwrap().own_since(&before) < 0.2 {}
        let after = Load::now(&[]).unwrap();
        let elapsed = (after.at - before.at).as_secs_f64();
        assert!(after.own_since(&before) <= elapsed * after.cpus as f64 + 0.01, "{elapsed} s");
        assert!(after.others_since(&before) <= 1.0);
    }

    /// Catches: taking the work of threads that have ended for that of others.
    #[test]
    fn work_of_ended_threads_counts_as_its_own() {
        let before = Load::now(&[]).unwrap();
        let work = || {
            let before = Load::now(&[]).unwrap();
            while Load::now(&[]).unwrap().own_since(&before) < 0.3 {}
        };
        std::thread::spawn(work).join().unwrap();
        let after = Load::now(&[]).unwrap();
        let own = after.own_with_ended.saturating_sub(before.own_with_ended).as_secs_f64();
        assert!(own >= 0.25, "{own} s");
    }

    /// Catches: counting nothing; counting the caller.
    #[test]
    fn a_thread_that_wakes_ten_times_has_switched_ten_times() {
        let before = switches("self").unwrap();
        let thread = std::thread::spawn(|| {
            (0..10).for_each(|_| std::thread::sleep(Duration::from_millis(5)));
            std::thread::sleep(Duration::from_secs(60));
        });
        while switches("self").unwrap() < before + 10 {
            assert!(!thread.is_finished());
        }
    }
}
