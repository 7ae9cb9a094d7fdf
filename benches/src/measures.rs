//! What is measured, against what, and what it should reach.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::bare::{self, Pair};
use crate::process;
use crate::report::{Goal, Report};
use crate::runner::{Contestant, Runner, mean_seconds};

const MIB: usize = 1 << 20;
/// Buffers of the streams, and their size.
const BUFFERS: (usize, usize) = (8, MIB);
/// What the producer copies from: more than the caches hold.
const COLD: usize = 64 * MIB;
/// Buffers a sample moves.
const STREAM: usize = 512;
/// Spins of about 26 ns before sleeping: as long as being woken takes.
const SPINS: u32 = 2_000;
/// Spins of a ping-pong that never sleeps while it runs; between runs it does.
const SPIN_ONLY: u32 = 1_000_000;

/// Calls or round trips that are timed together where one is too short for the clock.
const TIMES: u32 = 1_000;
/// How long nothing happens before a round trip between sleepers.
const IDLE: Duration = Duration::from_millis(1);

/// Runs everything; prints nothing.
///
/// # Errors
///
/// When the machine has only one CPU, or a contestant fails.
pub fn all(runner: &Runner) -> Result<Report> {
    let (ours, theirs) = process::two_cpus().context(
        "two processes are measured, each on a CPU of its own, and this machine offers one",
    )?;
    process::pin(ours);
    let mut report = Report::default();
    streams(runner, theirs, &mut report)?;
    round_trips(runner, theirs, &mut report)?;
    calls(runner, &mut report)?;
    set_life(runner, &mut report)?;
    Ok(report)
}

/// Bytes a second through rings of the same buffers, beside what one thread can copy.
fn streams(runner: &Runner, theirs: usize, report: &mut Report) -> Result<()> {
    let source: Vec<u64> = (0..(COLD / 8) as u64).collect();
    let mut hot = vec![0; BUFFERS.1 / 8];
    let ring = |name, spins| {
        let pair = Pair::start(BUFFERS.0, BUFFERS.1, spins, theirs);
        let source = &source;
        Contestant::new(name, Some(pair.pid()), move || {
            Ok(gib_per_second(pair.stream(source, STREAM)))
        })
    };
    let rounds = runner.measure(&mut [
        Contestant::new("memcpy", None, || {
            Ok(gib_per_second(bare::copy(&source, &mut hot, STREAM)))
        }),
        ring("ring_futex", 0),
        ring("ring_spin", SPINS),
        ring("ring_again", SPINS),
    ])?;
    let best_ring = rounds.greatest(&["ring_futex", "ring_spin"]);
    report.count(&rounds);
    report.add_noise("aa", rounds.ratio("ring_again", "ring_spin"));
    report.add("memcpy", "GiB/s", rounds.value("memcpy"), Goal::Reported);
    report.add("ring", "GiB/s", rounds.value(best_ring), Goal::Reported);
    report.add("ring_vs_memcpy", "", rounds.ratio(best_ring, "memcpy"), Goal::AtLeast(0.5));
    Ok(())
}

/// Seconds a round trip takes: with a peer that spins, and with one that sleeps after a millisecond of nothing.
fn round_trips(runner: &Runner, theirs: usize, report: &mut Report) -> Result<()> {
    let spin = Pair::start(1, 0, SPIN_ONLY, theirs);
    let rounds = runner.measure(&mut [Contestant::new("spin", Some(spin.pid()), || {
        Ok(mean_seconds(|| spin.round_trips(TIMES) / TIMES))
    })])?;
    report.count(&rounds);
    report.add("spin", "ns", rounds.value("spin").times(1e9), Goal::AtMost(1000.0));

    let futex = Pair::start(1, 0, 0, theirs);
    let rounds = runner.measure(&mut [Contestant::new("futex", Some(futex.pid()), || {
        Ok(mean_seconds(|| {
            std::thread::sleep(IDLE);
            futex.round_trips(1)
        }))
    })])?;
    report.count(&rounds);
    report.add("futex", "ns", rounds.value("futex").times(1e9), Goal::Reported);
    Ok(())
}

/// Seconds a call takes that leaves the process alone.
fn calls(runner: &Runner, report: &mut Report) -> Result<()> {
    let rounds = runner.measure(&mut [Contestant::new("now", None, || {
        Ok(mean_seconds(|| {
            let begun = Instant::now();
            (0..TIMES).for_each(|_| _ = black_box(Instant::now()));
            begun.elapsed() / TIMES
        }))
    })])?;
    report.count(&rounds);
    report.add("now", "ns", rounds.value("now").times(1e9), Goal::Reported);
    Ok(())
}

/// Seconds from nothing to a set in use.
fn set_life(runner: &Runner, report: &mut Report) -> Result<()> {
    let rounds = runner.measure(&mut [Contestant::new("object", None, || {
        Ok(mean_seconds(|| bare::create_object(BUFFERS.0 * BUFFERS.1)))
    })])?;
    report.count(&rounds);
    report.add("object", "ms", rounds.value("object").times(1e3), Goal::Reported);
    Ok(())
}

fn gib_per_second(elapsed: Duration) -> f64 {
    (STREAM * BUFFERS.1) as f64 / (1 << 30) as f64 / elapsed.as_secs_f64()
}
