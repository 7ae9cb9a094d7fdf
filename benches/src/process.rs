//! The two processes of a measurement: this program starts itself again as the other one, each on a CPU of its own.

use std::fs::{self, File};
use std::process::{Child, Command};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{bare, client, subject};

/// The hidden first argument of a process that is the other side of a bare baseline.
pub(crate) const BARE: &str = "__bare";
/// … of a client of the drop-in that takes what it is sent.
pub(crate) const STREAM: &str = "__stream";
/// … of a client that times calls on a buffer.
pub(crate) const HANDLES: &str = "__handles";
/// … of a client that creates one set after the other.
pub(crate) const LIVES: &str = "__lives";
/// … of a client that fills what it is sent, from a source of its own.
pub(crate) const RESTORE: &str = "__restore";
/// … of a client that only completes what it is sent.
pub(crate) const COMPLETE: &str = "__complete";
/// … of a client that copies what it is sent to memory of its own.
pub(crate) const SINK: &str = "__sink";
/// … of a client that has a third process read what it is sent.
pub(crate) const RELAY: &str = "__relay";
/// … of that third process.
pub(crate) const SECONDARY: &str = "__secondary";
/// … of a process that joins a set and maps one buffer.
pub(crate) const FIRST: &str = "__first";
/// … of a client whose server is killed.
pub(crate) const SURVIVE: &str = "__survive";
/// … of a server that opens one set and then does nothing.
pub(crate) const SERVER: &str = "__server";

/// This program as the process `kind` with its numbers, the first of which is its CPU; `spawn` is the caller's.
pub(crate) fn again(kind: &str, numbers: &[usize]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command.arg(kind).args(numbers.iter().map(usize::to_string));
    command
}

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Other(pub(crate) Child);

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// If this process was started as the other side, is that until it ends and says true. Call it first
/// in `main`.
///
/// # Errors
///
/// What went wrong there.
pub fn run_if_other_side() -> Result<bool> {
    let mut arguments = std::env::args().skip(1);
    let work = match arguments.next().as_deref() {
        Some(BARE) => |numbers: &[usize]| {
            bare::child(numbers);
            Ok(())
        },
        Some(STREAM) => client::stream,
        Some(HANDLES) => client::handles,
        Some(LIVES) => client::lives,
        Some(RESTORE) => client::restore,
        Some(COMPLETE) => client::complete,
        Some(SINK) => client::sink,
        Some(RELAY) => client::relay,
        Some(SECONDARY) => client::secondary,
        Some(FIRST) => client::map_first,
        Some(SURVIVE) => client::survive,
        Some(SERVER) => subject::serve_nothing,
        _ => return Ok(false),
    };
    let numbers: Vec<usize> = arguments.map(|text| text.parse().expect("a number")).collect();
    // It must not outlive a parent that was killed.
    set_parent_process_death_signal(Some(Signal::KILL)).expect("prctl");
    unpin();
    work(&numbers)?;
    Ok(true)
}

/// The first two CPUs that this process may use: ours and the other side's.
pub fn two_cpus() -> Option<(usize, usize)> {
    let allowed = sched_getaffinity(None).expect("own affinity");
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
    Some((cpus.next()?, cpus.next()?))
}

/// Lets the calling thread use all CPUs again.
pub fn unpin() {
    let mut set = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|cpu| set.set(cpu));
    sched_setaffinity(None, &set).expect("the CPUs of this machine");
}

/// Keeps the calling thread, and those it starts later, on one CPU.
pub fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).expect("a CPU of this machine");
}

/// The shared memory that this process was given as its standard input, or its parent was.
pub(crate) fn given_file(to_parent: bool) -> File {
    let owner = getppid().filter(|_| to_parent);
    let owner = owner.map_or_else(|| "self".to_owned(), |pid| pid.as_raw_nonzero().to_string());
    let path = format!("/proc/{owner}/fd/0");
    File::options().read(true).write(true).open(path).expect("a shared object")
}

/// A process and all that it started, whichever thread did, and so on.
pub fn family(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = tasks.map(|task| fs::read_to_string(task.path().join("children")));
    let pids = |text: String| text.split_whitespace().flat_map(str::parse).collect::<Vec<u32>>();
    let children = children.flatten().flat_map(pids);
    std::iter::once(pid).chain(children.flat_map(family)).collect()
}

/// The time that `work` takes with the numbers from 0 up to `count`, each on a thread, all let go at once; with one,
/// on the calling thread.
pub(crate) fn timed_threads(count: usize, work: impl Fn(usize) + Sync) -> Duration {
    if count == 1 {
        let begun = Instant::now();
        work(0);
        return begun.elapsed();
    }
    let (ready, start, work) = (&Barrier::new(count + 1), &Barrier::new(count + 1), &work);
    let begun = thread::scope(|scope| {
        for number in 0..count {
            scope.spawn(move || {
                ready.wait();
                start.wait();
                work(number);
            });
        }
        ready.wait();
        // Before the others are let go: on the same CPU they may be done before this thread runs again.
        let begun = Instant::now();
        start.wait();
        begun
    });
    begun.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a clock that starts when the threads have been let go, which on their CPU is when they are done.
    #[test]
    fn the_time_of_threads_on_one_cpu_is_all_of_theirs() {
        if let Some((cpu, _)) = two_cpus() {
            pin(cpu);
        }
        let busy = Duration::from_millis(3);
        let elapsed = timed_threads(8, |_| {
            let begun = Instant::now();
            while begun.elapsed() < busy {
                std::hint::spin_loop();
            }
        });
        assert!(elapsed >= busy, "{elapsed:?} for threads of {busy:?} each");
    }

    /// Catches: the children of the first thread alone, so that the work of the others' counts as somebody else's.
    #[test]
    fn a_child_of_any_thread_is_of_the_family() {
        let (tell, told) = std::sync::mpsc::channel();
        // When a thread ends, its children pass to another one of the process: this one stays.
        let parent = thread::spawn(move || {
            let mut child = Other(Command::new("sleep").arg("60").spawn().unwrap());
            tell.send(child.0.id()).unwrap();
            child.0.wait().unwrap();
        });
        let child = told.recv().unwrap();
        let family = family(std::process::id());
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(child as i32).unwrap(),
            Signal::KILL,
        )
        .unwrap();
        parent.join().unwrap();
        assert!(family.contains(&child), "{child} is none of {family:?}");
    }
}
