//! What is measured, against what, and what it should reach.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bare::{self, Pair};
use crate::report::{Goal, Report};
use crate::runner::{Contestant, Estimate, Runner, mean_seconds};
use crate::subject::{Handles, Lives, Subject};
use crate::{client, load, process};

const MIB: usize = 1 << 20;
/// Buffers of the streams, and their size.
const BUFFERS: (usize, usize) = (8, MIB);
/// What a producer copies from: more than the caches hold.
const COLD: usize = 64 * MIB;
/// Buffers that a sample moves.
const STREAM: usize = 512;
/// Spins of about 26 ns before sleeping: as long as being woken takes.
const SPINS: u32 = 2_000;
/// Spins of a ping-pong that never sleeps while it runs; between runs it does.
const SPIN_ONLY: u32 = 1_000_000;
/// Round trips that are timed together where one is too short for the clock.
const PROMPT: u32 = 1_000;
/// How long nothing happens before a round trip between sleepers.
const IDLE: Duration = Duration::from_millis(1);
/// What a set may take from Create to its first command beyond making its objects: it has a peer to wait for.
const MEETING: Duration = Duration::from_millis(1);

/// The CPUs of this process and of the other side.
type Cpus = (usize, usize);

/// Runs everything; prints nothing.
///
/// # Errors
///
/// When the machine has only one CPU, or a contestant fails.
pub fn all(runner: &Runner) -> Result<Report> {
    let cpus = process::two_cpus().context(
        "two processes are measured, each on a CPU of its own, and this machine offers one",
    )?;
    process::pin(cpus.0);
    let mut report = Report::default();
    streams(runner, cpus, &mut report)?;
    prompt(runner, cpus, &mut report)?;
    parked(runner, cpus, &mut report)?;
    handles(runner, cpus, &mut report)?;
    set_life(runner, cpus, &mut report)?;
    at_rest(cpus, &mut report)?;
    Ok(report)
}

/// Bytes a second through the same buffers, beside what one thread can copy.
fn streams(runner: &Runner, cpus: Cpus, report: &mut Report) -> Result<()> {
    let source: Vec<u64> = (0..(COLD / 8) as u64).collect();
    let mut hot = vec![0; BUFFERS.1 / 8];
    let ring = |name, spins| {
        let (pair, source) = (Pair::start(BUFFERS.0, BUFFERS.1, spins, cpus.1), &source);
        let pid = Some(pair.pid());
        Contestant::new(name, pid, move || Ok(gib_per_second(pair.stream(source, STREAM))))
    };
    let devices = |name, count| {
        let (mut subject, source) = (Subject::start(cpus, count, BUFFERS)?, &source);
        let pid = Some(subject.pid());
        let sample = move || Ok(gib_per_second(subject.stream(source, STREAM)?));
        anyhow::Ok(Contestant::new(name, pid, sample))
    };
    let memcpy = || Ok(gib_per_second(bare::copy(&source, &mut hot, STREAM)));
    let rounds = runner.measure(&mut [
        Contestant::new("memcpy", None, memcpy),
        ring("ring_futex", 0),
        ring("ring_spin", SPINS),
        ring("ring_again", SPINS),
        devices("devices_1", 1)?,
        devices("devices_64", 64)?,
    ])?;
    let ring = rounds.greatest(&["ring_futex", "ring_spin"]);
    report.count(&rounds);
    report.add_noise("aa", rounds.ratio("ring_again", "ring_spin"));
    report.add("memcpy", "GiB/s", rounds.value("memcpy"), Goal::Reported);
    report.add("ring", "GiB/s", rounds.value(ring), Goal::Reported);
    report.add("ring_vs_memcpy", "", rounds.ratio(ring, "memcpy"), Goal::AtLeast(0.5));
    report.add("stream_cold", "GiB/s", rounds.value("devices_1"), Goal::Reported);
    report.add("stream_cold_vs_ring", "", rounds.ratio("devices_1", ring), Goal::AtLeast(0.9));
    report.add("stream_cold_vs_memcpy", "", rounds.ratio("devices_1", "memcpy"), Goal::Reported);
    report.add("cpu_vs_ring", "", rounds.cpu_ratio("devices_1", ring), Goal::Reported);
    report.add("devices_64_vs_1", "", rounds.ratio("devices_64", "devices_1"), Goal::AtLeast(0.85));
    Ok(())
}

/// Seconds of a round trip while the other side is awake.
fn prompt(runner: &Runner, cpus: Cpus, report: &mut Report) -> Result<()> {
    let bare = Pair::start(1, 0, SPIN_ONLY, cpus.1);
    let ours = Subject::start(cpus, 1, BUFFERS)?;
    let rounds = runner.measure(&mut [
        Contestant::new("spin", Some(bare.pid()), || {
            mean_seconds(|| Ok(bare.round_trips(PROMPT) / PROMPT))
        }),
        Contestant::new("ours", Some(ours.pid()), || {
            mean_seconds(|| Ok(ours.round_trips(PROMPT)? / PROMPT))
        }),
    ])?;
    report.count(&rounds);
    report.add("spin", "ns", rounds.value("spin").times(1e9), Goal::AtMost(1000.0));
    report.add("rtt_prompt", "ns", rounds.value("ours").times(1e9), Goal::Reported);
    report.add("rtt_prompt_vs_spin", "", rounds.ratio("ours", "spin"), Goal::AtMost(3.0));
    Ok(())
}

/// Seconds of a round trip that has to wake the other side and be woken by it.
fn parked(runner: &Runner, cpus: Cpus, report: &mut Report) -> Result<()> {
    let bare = Pair::start(1, 0, 0, cpus.1);
    let ours = Subject::start(cpus, 1, BUFFERS)?;
    let rounds = runner.measure(&mut [
        Contestant::new("futex", Some(bare.pid()), || {
            mean_seconds(|| {
                std::thread::sleep(IDLE);
                Ok(bare.round_trips(1))
            })
        }),
        Contestant::new("ours", Some(ours.pid()), || {
            mean_seconds(|| {
                std::thread::sleep(IDLE);
                ours.round_trip()
            })
        }),
    ])?;
    report.count(&rounds);
    report.add("futex", "us", rounds.value("futex").times(1e6), Goal::Reported);
    report.add("rtt_parked", "us", rounds.value("ours").times(1e6), Goal::Reported);
    report.add("rtt_parked_vs_futex", "", rounds.ratio("ours", "futex"), Goal::AtMost(1.2));
    Ok(())
}

/// Seconds of the client's calls that leave nobody waiting.
fn handles(runner: &Runner, cpus: Cpus, report: &mut Report) -> Result<()> {
    let client = RefCell::new(Handles::start(cpus)?);
    let pid = Some(client.borrow().pid());
    let call = |name, question| {
        let client = &client;
        Contestant::new(name, pid, move || client.borrow_mut().ask(question))
    };
    let rounds = runner.measure(&mut [
        call("now", client::NOW),
        call("get", client::GET),
        call("map", client::MAP),
    ])?;
    report.count(&rounds);
    report.add("now", "ns", rounds.value("now").times(1e9), Goal::Reported);
    report.add("get_handle_vs_now", "", rounds.ratio("get", "now"), Goal::AtMost(2.0));
    report.add("map_handle_vs_now", "", rounds.ratio("map", "now"), Goal::AtMost(4.0));
    Ok(())
}

/// Seconds from Create to the first command, less the time to meet the server.
fn set_life(runner: &Runner, cpus: Cpus, report: &mut Report) -> Result<()> {
    let mut lives = Lives::start(cpus, BUFFERS)?;
    let rounds = runner.measure(&mut [
        Contestant::new("object", None, || {
            mean_seconds(|| Ok(bare::create_object(BUFFERS.0 * BUFFERS.1)))
        }),
        Contestant::new("set", Some(lives.pid()), || {
            Ok(mean_seconds(|| lives.live())? - MEETING.as_secs_f64())
        }),
    ])?;
    report.count(&rounds);
    report.add("object", "ms", rounds.value("object").times(1e3), Goal::Reported);
    report.add("set_life_vs_bare", "", rounds.ratio("set", "object"), Goal::AtMost(1.3));
    Ok(())
}

/// What an open set takes that has nothing to do: memory beyond its buffers, and context switches in a second.
fn at_rest(cpus: Cpus, report: &mut Report) -> Result<()> {
    let subject = Subject::start(cpus, 64, BUFFERS)?;
    // The threads get to sleep first.
    subject.round_trip()?;
    std::thread::sleep(Duration::from_millis(100));
    let switches =
        || anyhow::Ok([load::switches("self")?, load::switches(&subject.pid().to_string())?]);
    let before = switches()?;
    std::thread::sleep(Duration::from_secs(1));
    let after = switches()?;
    let worse = before.iter().zip(after).map(|(before, after)| after - before).max().unwrap_or(0);
    report.add("idle_switches_per_s", "", Estimate::exactly(worse as f64), Goal::AtMost(0.0));
    let kib = subject.overhead(BUFFERS.0)? as f64 / 1024.0;
    report.add("set_overhead", "KiB", Estimate::exactly(kib), Goal::AtMost(1024.0));
    Ok(())
}

fn gib_per_second(elapsed: Duration) -> f64 {
    (STREAM * BUFFERS.1) as f64 / (1 << 30) as f64 / elapsed.as_secs_f64()
}
