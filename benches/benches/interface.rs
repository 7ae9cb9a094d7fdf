//! The interface and its bare baselines under criterion, for a person's question of the day:
//! `cargo bench -p vdisim-benches -- stream`. For claims use the `ratios` program, which measures
//! in turns.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Context, Result};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use vdisim_benches::bare::{Pair, Shape};
use vdisim_benches::process;
use vdisim_benches::source::Source;
use vdisim_benches::subject::{Lives, Subject};

const KIB: usize = 1 << 10;
/// Bytes of the source that streams are copied from: more than the caches hold.
const COLD: usize = 64 << 20;
/// The most bytes in flight, and the most buffers.
const POOL: (usize, usize) = (8 << 20, 32);
/// A ping-pong that sleeps at once.
const PING_PONG: Shape = Shape { lanes: 1, buffers: (1, 0), spins: 0, child_source: 0, relay: 0 };

fn main() -> Result<()> {
    // criterion's own `main` would take the other side's hidden arguments for a filter.
    if process::run_if_other_side()? {
        return Ok(());
    }
    let cpus = process::two_cpus().context("two CPUs are needed")?;
    process::pin(cpus.0);
    let mut criterion = Criterion::default().configure_from_args();
    streams(&mut criterion, cpus)?;
    round_trips(&mut criterion, cpus)?;
    set_life(&mut criterion, cpus)?;
    criterion.final_summary();
    Ok(())
}

fn streams(criterion: &mut Criterion, cpus: (usize, usize)) -> Result<()> {
    let mut group = criterion.benchmark_group("stream");
    for size in [64 * KIB, 256 * KIB, 1024 * KIB, 4096 * KIB] {
        let buffers = (POOL.0 / size).min(POOL.1);
        group.throughput(Throughput::Bytes(size as u64));
        let source = Source::new(COLD, size);
        let ring = Pair::start(Shape { buffers: (buffers, size), ..PING_PONG }, cpus.1);
        timed(&mut group, "ring", size, |times| Ok(ring.stream(&source, times as usize)))?;
        for devices in [1, 4, 16, 64] {
            let mut subject = Subject::start(cpus, devices, (buffers, size))?;
            let name = format!("devices-{devices}");
            timed(&mut group, &name, size, |times| subject.stream(&source, times as usize))?;
        }
    }
    group.finish();
    Ok(())
}

fn round_trips(criterion: &mut Criterion, cpus: (usize, usize)) -> Result<()> {
    let subject = Subject::start(cpus, 1, (8, 64 * KIB))?;
    let spin = Pair::start(Shape { spins: 1_000_000, ..PING_PONG }, cpus.1);
    let futex = Pair::start(PING_PONG, cpus.1);
    let mut group = criterion.benchmark_group("round-trip");
    timed(&mut group, "prompt", "spin", |times| Ok(spin.round_trips(times as u32)))?;
    timed(&mut group, "prompt", "ours", |times| subject.round_trips(times as u32))?;
    let parked = |times, one: &dyn Fn() -> Result<Duration>| {
        (0..times).try_fold(Duration::ZERO, |all, _| {
            std::thread::sleep(Duration::from_millis(1));
            Ok(all + one()?)
        })
    };
    timed(&mut group, "parked", "futex", |times| parked(times, &|| Ok(futex.round_trips(1))))?;
    timed(&mut group, "parked", "ours", |times| parked(times, &|| subject.round_trips(1)))?;
    group.finish();
    Ok(())
}

fn set_life(criterion: &mut Criterion, cpus: (usize, usize)) -> Result<()> {
    let mut group = criterion.benchmark_group("set-life");
    for size in [64 * KIB, 1024 * KIB] {
        let mut lives = Lives::start(cpus, (8, size))?;
        timed(&mut group, "create-to-first-command", size, |times| {
            (0..times).try_fold(Duration::ZERO, |all, _| Ok(all + lives.live()?.0))
        })?;
    }
    group.finish();
    Ok(())
}

/// A benchmark whose work tells its own time; the work's first error ends it.
fn timed(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    parameter: impl Display,
    mut work: impl FnMut(u64) -> Result<Duration>,
) -> Result<()> {
    let mut failed = None;
    group.bench_function(BenchmarkId::new(name, parameter), |bencher| {
        bencher.iter_custom(|times| {
            let elapsed = if failed.is_none() { work(times) } else { Ok(Duration::ZERO) };
            elapsed
                .unwrap_or_else(|error| {
                    failed = Some(error);
                    Duration::ZERO
                }) // criterion divides by the time, so an end without one is no time at all
                .max(Duration::from_nanos(1))
        });
    });
    failed.map_or(Ok(()), Err)
}
