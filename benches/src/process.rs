//! The two processes of a measurement: this program starts itself again as the other one, each on a CPU of its own.

use std::process::Command;

use anyhow::Result;
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{bare, client};

/// The hidden first argument of a process that is the other side of a bare baseline.
pub(crate) const BARE: &str = "__bare";
/// … of a client of the drop-in that takes what it is sent.
pub(crate) const STREAM: &str = "__stream";
/// … of a client that times calls on a buffer.
pub(crate) const HANDLES: &str = "__handles";
/// … of a client that creates one set after the other.
pub(crate) const LIVES: &str = "__lives";

/// This program as the process `kind`, on `cpu`; the kind's own arguments and `spawn` are the caller's.
pub(crate) fn again(kind: &str, cpu: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command.arg(kind).arg(cpu.to_string());
    command
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
