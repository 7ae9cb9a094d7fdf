//! What is measured, against what, and what it should reach.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bare::{self, Pair, Shape};
use crate::report::{Goal, Report};
use crate::rivals::{self, Rival};
use crate::runner::{Contestant, Estimate, Rounds, Runner, estimate, mean_seconds};
use crate::source::Source;
use crate::subject::{Handles, Lives, Reading, Subject, Survivor};
use crate::{client, load, process};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: f64 = (1 << 30) as f64;
/// Buffers of most sets, and their size.
const BUFFERS: (usize, usize) = (8, MIB);
/// Bytes that a producer copies from: more than the caches hold.
const COLD: usize = 64 * MIB;
/// Bytes that a sample of a stream moves: long enough for the ends not to matter.
pub const SAMPLE: usize = 512 * MIB;
/// A rival that the kernel copies for takes several times as long, and moves this part of it.
const SLOW: usize = 4;
/// Spins of about 26 ns before sleeping: as long as being woken takes.
const SPINS: usize = 2_000;
/// Spins of a ping-pong that never sleeps while it runs; between runs it does.
const SPIN_ONLY: usize = 1_000_000;
/// Round trips that are timed together where one is too short for the clock.
const PROMPT: u32 = 1_000;
/// How long nothing happens before a round trip between sleepers.
const IDLE: Duration = Duration::from_millis(1);
/// Buffers of the set whose life is measured.
const LIFE: (usize, usize) = (4, MIB);
/// What that life may take beyond making its memory: a process has a peer to meet.
const MEETING: Duration = Duration::from_micros(300);

/// The ring that most measures are held against.
pub(crate) const RING: Shape =
    Shape { lanes: 1, buffers: BUFFERS, spins: 0, child_source: 0, relay: 0 };
const PING_PONG: Shape = Shape { buffers: (1, 0), ..RING };

/// A stream: the beginning of its measures' names, the bytes of its source, its buffers.
type Stream = (Names, usize, (usize, usize));

/// The names of a stream's measures.
#[derive(Debug)]
struct Names {
    ours: &'static str,
    aa: &'static str,
    memcpy: &'static str,
    read: &'static str,
    ring: &'static str,
    vs_ring: &'static str,
    vs_memcpy: &'static str,
    vs_iceoryx2: &'static str,
    vs_best_socket: &'static str,
    title: &'static str,
}

const STREAMS: [Stream; 3] = [
    (
        Names {
            ours: "stream_cold",
            aa: "aa",
            memcpy: "memcpy",
            read: "read",
            ring: "ring",
            vs_ring: "stream_cold_vs_ring",
            vs_memcpy: "stream_cold_vs_memcpy",
            vs_iceoryx2: "stream_cold_vs_iceoryx2",
            vs_best_socket: "stream_cold_vs_best_socket",
            title: "8 × 1 MiB, cold source of 64 MiB",
        },
        COLD,
        BUFFERS,
    ),
    (
        Names {
            ours: "stream_hot",
            aa: "aa_hot",
            memcpy: "memcpy_hot",
            read: "read_hot",
            ring: "ring_hot",
            vs_ring: "stream_hot_vs_ring",
            vs_memcpy: "stream_hot_vs_memcpy",
            vs_iceoryx2: "stream_hot_vs_iceoryx2",
            vs_best_socket: "stream_hot_vs_best_socket",
            title: "8 × 1 MiB, hot source of 1 MiB",
        },
        MIB,
        BUFFERS,
    ),
    (
        Names {
            ours: "stream_64k",
            aa: "aa_64k",
            memcpy: "memcpy_64k",
            read: "read_64k",
            ring: "ring_64k",
            vs_ring: "stream_64k_vs_ring",
            vs_memcpy: "stream_64k_vs_memcpy",
            vs_iceoryx2: "stream_64k_vs_iceoryx2",
            vs_best_socket: "stream_64k_vs_best_socket",
            title: "16 × 64 KiB, cold source of 64 MiB",
        },
        COLD,
        (16, 64 * KIB),
    ),
];

/// Where and how much is measured.
#[derive(Debug, Clone)]
pub struct Bench {
    /// How many rounds, and what disturbs one.
    pub runner: Runner,
    /// The CPUs of this process and of the other side.
    pub cpus: (usize, usize),
    /// The program with the rivals; without it there are no numbers against them.
    pub rivals: Option<PathBuf>,
    /// Deaths that are measured.
    pub deaths: usize,
    /// Bytes that a sample of a stream moves.
    pub sample: usize,
}

impl Bench {
    /// Runs everything; prints only how far it is, on stderr.
    ///
    /// # Errors
    ///
    /// When a contestant fails.
    pub fn run(&self) -> Result<Report> {
        process::pin(self.cpus.0);
        let mut report = Report::default();
        for stream in &STREAMS {
            self.stream(stream, &mut report)?;
            self.rivals(stream, &mut report)?;
        }
        self.restore(&mut report)?;
        self.devices(&mut report)?;
        self.by_handle(&mut report)?;
        self.prompt(&mut report)?;
        self.parked(&mut report)?;
        self.handles(&mut report)?;
        self.set_life(&mut report)?;
        self.deaths(&mut report)?;
        self.at_rest(&mut report)?;
        Ok(report)
    }

    fn measure(
        &self,
        what: &str,
        report: &mut Report,
        contestants: &mut [Contestant<'_>],
    ) -> Result<Rounds> {
        eprintln!("{what} ...");
        let rounds = self.runner.measure(contestants).with_context(|| what.to_owned())?;
        report.count(&rounds);
        Ok(rounds)
    }

    fn ring<'s>(&self, name: &'static str, shape: Shape, source: &'s Source) -> Contestant<'s> {
        let pair = Pair::start(shape, self.cpus.1);
        // The reader of a relayed ring is there once something was read.
        pair.stream(source, shape.lanes);
        let (pids, sample) = (process::family(pair.pid()), self.sample);
        let total = sample / shape.buffers.1;
        Contestant::new(name, pids, move || Ok(gib_per_second(sample, pair.stream(source, total))))
            .of_work(sample as f64 / GIB)
    }

    fn ours<'s>(
        &self,
        name: &'static str,
        (reading, devices): (Reading, usize),
        buffers: (usize, usize),
        source: &'s Source,
    ) -> Result<Contestant<'s>> {
        let mut subject = Subject::with_client(self.cpus, reading, devices, buffers)?;
        subject.stream(source, devices)?;
        let (pids, sample, total) = (subject.pids(), self.sample, self.sample / buffers.1);
        let once = move || Ok(gib_per_second(sample, subject.stream(source, total)?));
        Ok(Contestant::new(name, pids, once).of_work(sample as f64 / GIB))
    }

    /// Bytes a second through the same buffers, beside what one thread can copy and read.
    fn stream(&self, (names, bytes, buffers): &Stream, report: &mut Report) -> Result<()> {
        let source = Source::new(*bytes, buffers.1);
        let (mut target, total) = (vec![0; buffers.1 / 8], self.sample / buffers.1);
        let shape = Shape { buffers: *buffers, ..RING };
        let spins = Shape { spins: SPINS, ..shape };
        let memcpy = || Ok(gib_per_second(self.sample, source.copy(&mut target, total)));
        let read = || Ok(gib_per_second(self.sample, source.read(total)));
        let rounds = self.measure(
            names.ours,
            report,
            &mut [
                Contestant::new("memcpy", Vec::new(), memcpy),
                Contestant::new("read", Vec::new(), read),
                self.ring("ring_futex", shape, &source),
                self.ring("ring_spin", spins, &source),
                self.ring("ring_again", spins, &source),
                self.ours("ours", (Reading::Sum, 1), *buffers, &source)?,
            ],
        )?;
        let ring = rounds.greatest(&["ring_futex", "ring_spin"]);
        let again = rounds.ratio("ring_again", "ring_spin");
        if names.aa == "aa" {
            report.add_noise(names.aa, again);
        } else {
            report.add(names.aa, "", again, Goal::Reported);
        }
        report.add(names.memcpy, "GiB/s", rounds.value("memcpy"), Goal::Reported);
        report.add(names.read, "GiB/s", rounds.value("read"), Goal::Reported);
        report.add(names.ring, "GiB/s", rounds.value(ring), Goal::Reported);
        report.add(names.ours, "GiB/s", rounds.value("ours"), Goal::Reported);
        report.add(names.vs_ring, "", rounds.ratio("ours", ring), Goal::AtLeast(0.95));
        report.add(names.vs_memcpy, "", rounds.ratio("ours", "memcpy"), Goal::Reported);
        if names.aa == "aa" {
            report.demand("ring_vs_memcpy", "", rounds.ratio(ring, "memcpy"), Goal::AtLeast(0.5));
            report.add("cpu_vs_ring", "", rounds.cpu_ratio("ours", ring), Goal::AtMost(1.1));
        }
        report.compare(format!("{}: limits", names.title), &rounds);
        Ok(())
    }

    /// The same work over other mechanisms.
    fn rivals(&self, (names, bytes, buffers): &Stream, report: &mut Report) -> Result<()> {
        let Some(program) = &self.rivals else { return Ok(()) };
        let source = Source::new(*bytes, buffers.1);
        let mut contestants = vec![self.ours("ours", (Reading::Sum, 1), *buffers, &source)?];
        let others = rivals::OTHERS.map(|rival| (rival, self.sample));
        let sockets = rivals::SOCKETS.map(|rival| (rival, self.sample / SLOW));
        for ((name, mechanism), sample) in others.into_iter().chain(sockets) {
            let work = (mechanism, "stream");
            let mut rival = Rival::start(program, work, *buffers, *bytes, self.cpus)?;
            let pids = rival.pids();
            let total = sample / buffers.1;
            let sample_once = move || Ok(gib_per_second(sample, rival.run(total)?));
            contestants.push(Contestant::new(name, pids, sample_once).of_work(sample as f64 / GIB));
        }
        let title = format!("{}: rivals", names.title);
        let rounds = self.measure(&title, report, &mut contestants)?;
        let iceoryx2 = rounds.greatest(&["iceoryx2_polling", "iceoryx2_blocking"]);
        let socket = rounds.greatest(&rivals::SOCKETS.map(|(name, _)| name));
        let (vs_iceoryx2, vs_socket) =
            (rounds.ratio("ours", iceoryx2), rounds.ratio("ours", socket));
        report.add(names.vs_iceoryx2, "", vs_iceoryx2, Goal::AtLeast(1.0));
        let goal = match names.ours {
            "stream_cold" => Goal::AtLeast(2.5),
            "stream_hot" => Goal::AtLeast(6.0),
            _ => Goal::Reported,
        };
        report.add(names.vs_best_socket, "", vs_socket, goal);
        if names.ours == "stream_cold" {
            let cpu = rounds.cpu_ratio("ours", "iceoryx2_polling");
            report.add("cpu_vs_iceoryx2", "", cpu, Goal::AtMost(0.7));
        }
        report.compare(title, &rounds);
        Ok(())
    }

    /// The other direction: the client fills, the server reads every byte.
    fn restore(&self, report: &mut Report) -> Result<()> {
        let (source, total) = (Source::new(COLD, BUFFERS.1), self.sample / BUFFERS.1);
        let ring = |name, spins| {
            let pair = Pair::start(Shape { child_source: COLD, spins, ..RING }, self.cpus.1);
            let (pids, source) = (process::family(pair.pid()), &source);
            Contestant::new(name, pids, move || {
                Ok(gib_per_second(self.sample, pair.restore(source, total)))
            })
        };
        let subject = Subject::start_restore(self.cpus, COLD, BUFFERS)?;
        let mut before = 0;
        let ours = Contestant::new("ours", subject.pids(), || {
            let elapsed = subject.restore(&source, before, total)?;
            before += total;
            Ok(gib_per_second(self.sample, elapsed))
        });
        let contestants = &mut [ring("ring_futex", 0), ring("ring_spin", SPINS), ours];
        let rounds = self.measure("restore", report, contestants)?;
        let ring = rounds.greatest(&["ring_futex", "ring_spin"]);
        report.add("restore", "GiB/s", rounds.value("ours"), Goal::Reported);
        report.add("restore_vs_ring", "", rounds.ratio("ours", ring), Goal::Reported);
        Ok(())
    }

    /// 64 devices, each with a thread on either side, that share one pool.
    fn devices(&self, report: &mut Report) -> Result<()> {
        let source = Source::new(COLD, BUFFERS.1);
        let rounds = self.measure(
            "devices",
            report,
            &mut [
                self.ours("devices_1", (Reading::Sum, 1), BUFFERS, &source)?,
                self.ours("devices_64", (Reading::Sum, 64), BUFFERS, &source)?,
                self.ring("ring_64", Shape { lanes: 64, ..RING }, &source),
            ],
        )?;
        report.add("devices_64", "GiB/s", rounds.value("devices_64"), Goal::Reported);
        report.add("ring_64", "GiB/s", rounds.value("ring_64"), Goal::Reported);
        let ratio = |to| rounds.ratio("devices_64", to);
        report.add("devices_64_vs_1", "", ratio("devices_1"), Goal::AtLeast(0.9));
        report.add("devices_64_vs_ring64", "", ratio("ring_64"), Goal::AtLeast(0.95));
        Ok(())
    }

    /// Three processes: the second passes handles on to the third, which reads.
    fn by_handle(&self, report: &mut Report) -> Result<()> {
        let source = Source::new(COLD, BUFFERS.1);
        let relayed = Shape { relay: 1, ..RING };
        let rounds = self.measure(
            "by handle",
            report,
            &mut [
                self.ring("ring_futex", relayed, &source),
                self.ring("ring_spin", Shape { spins: SPINS, ..relayed }, &source),
                self.ours("ours", (Reading::Relay, 1), BUFFERS, &source)?,
            ],
        )?;
        let ring = rounds.greatest(&["ring_futex", "ring_spin"]);
        report.add("by_handle", "GiB/s", rounds.value("ours"), Goal::Reported);
        report.add("by_handle_vs_ring_relay", "", rounds.ratio("ours", ring), Goal::AtLeast(0.9));
        Ok(())
    }

    /// Seconds of a round trip while the other side is awake.
    fn prompt(&self, report: &mut Report) -> Result<()> {
        let bare = Pair::start(Shape { spins: SPIN_ONLY, ..PING_PONG }, self.cpus.1);
        let ours = Subject::start(self.cpus, 1, BUFFERS)?;
        let mut contestants = vec![
            Contestant::new("spin", vec![bare.pid()], || {
                mean_seconds(|| Ok(bare.round_trips(PROMPT) / PROMPT))
            }),
            Contestant::new("ours", ours.pids(), || {
                mean_seconds(|| Ok(ours.round_trips(PROMPT)? / PROMPT))
            }),
        ];
        if let Some(program) = &self.rivals {
            let work = ("iceoryx-polling", "round-trip");
            let mut rival = Rival::start(program, work, BUFFERS, MIB, self.cpus)?;
            contestants.push(Contestant::new("iceoryx2", rival.pids(), move || {
                mean_seconds(|| Ok(rival.run(PROMPT as usize)? / PROMPT))
            }));
        }
        let rounds = self.measure("round trip, prompt", report, &mut contestants)?;
        report.demand("spin", "ns", rounds.value("spin").times(1e9), Goal::AtMost(1000.0));
        report.add("rtt_prompt", "ns", rounds.value("ours").times(1e9), Goal::Reported);
        report.add("rtt_prompt_vs_spin", "", rounds.ratio("ours", "spin"), Goal::AtMost(1.5));
        if self.rivals.is_some() {
            let iceoryx2 = rounds.value("iceoryx2").times(1e9);
            report.add("rtt_iceoryx2", "ns", iceoryx2, Goal::Reported);
            let ratio = rounds.ratio("ours", "iceoryx2");
            report.add("rtt_prompt_vs_iceoryx2", "", ratio, Goal::AtMost(0.5));
        }
        Ok(())
    }

    /// Seconds of a round trip that has to wake the other side and be woken by it, each pinned to a CPU of its own.
    fn parked(&self, report: &mut Report) -> Result<()> {
        let bare = Pair::start(PING_PONG, self.cpus.1);
        let ours = Subject::start(self.cpus, 1, BUFFERS)?;
        let rounds = self.measure(
            "round trip, parked",
            report,
            &mut [
                Contestant::new("futex", vec![bare.pid()], || {
                    mean_seconds(|| {
                        std::thread::sleep(IDLE);
                        Ok(bare.round_trips(1))
                    })
                }),
                Contestant::new("ours", ours.pids(), || {
                    mean_seconds(|| {
                        std::thread::sleep(IDLE);
                        ours.round_trips(1)
                    })
                }),
            ],
        )?;
        report.add("futex", "us", rounds.value("futex").times(1e6), Goal::Reported);
        report.add("rtt_parked", "us", rounds.value("ours").times(1e6), Goal::Reported);
        report.add("rtt_parked_vs_futex", "", rounds.ratio("ours", "futex"), Goal::AtMost(1.1));
        Ok(())
    }

    /// Seconds of the client's calls that leave nobody waiting.
    fn handles(&self, report: &mut Report) -> Result<()> {
        let client = RefCell::new(Handles::start(self.cpus)?);
        let pids = client.borrow().pids();
        let call = |name, question| {
            let client = &client;
            Contestant::new(name, pids.clone(), move || client.borrow_mut().ask(question))
        };
        let rounds = self.measure(
            "handles",
            report,
            &mut [
                call("now", client::NOW),
                call("get", client::GET),
                call("map", client::MAP),
                call("map_first", client::MAP_FIRST),
            ],
        )?;
        report.add("now", "ns", rounds.value("now").times(1e9), Goal::Reported);
        let first = rounds.value("map_first").times(1e6);
        report.add("map_handle_first", "us", first, Goal::Reported);
        report.add("get_handle_vs_now", "", rounds.ratio("get", "now"), Goal::AtMost(0.6));
        report.add("map_handle_vs_now", "", rounds.ratio("map", "now"), Goal::AtMost(1.0));
        Ok(())
    }

    /// Seconds from Create to the first command, less the time to meet the server; and of Close.
    fn set_life(&self, report: &mut Report) -> Result<()> {
        let (lives, len) = (RefCell::new(Lives::start(self.cpus, LIFE)?), LIFE.0 * LIFE.1);
        let pids = lives.borrow().pids();
        let object = bare::object(len);
        let timed = |work: &dyn Fn()| {
            mean_seconds(|| {
                let begun = std::time::Instant::now();
                work();
                Ok(begun.elapsed())
            })
        };
        let rounds = self.measure(
            "life of a set",
            report,
            &mut [
                Contestant::new("object", Vec::new(), || {
                    timed(&|| drop(bare::map(&bare::object(len))))
                }),
                Contestant::new("fallocate", Vec::new(), || timed(&|| drop(bare::object(len)))),
                Contestant::new("mmap", Vec::new(), || timed(&|| drop(bare::map(&object)))),
                Contestant::new("set", pids.clone(), || {
                    Ok(mean_seconds(|| Ok(lives.borrow_mut().live()?.0))? - MEETING.as_secs_f64())
                }),
                Contestant::new("close", pids, || {
                    mean_seconds(|| Ok(lives.borrow_mut().live()?.1))
                }),
            ],
        )?;
        let ms = |name| rounds.value(name).times(1e3);
        report.add("object", "ms", ms("object"), Goal::Reported);
        report.add("fallocate", "ms", ms("fallocate"), Goal::Reported);
        report.add("mmap", "ms", ms("mmap"), Goal::Reported);
        report.add("teardown", "ms", ms("close"), Goal::Reported);
        report.add("set_life_vs_bare", "", rounds.ratio("set", "object"), Goal::AtMost(1.3));
        Ok(())
    }

    /// Milliseconds from a kill to VD_E_ABORT at the other side, which sleeps: the client's deaths and the server's.
    fn deaths(&self, report: &mut Report) -> Result<()> {
        eprintln!("deaths ...");
        let mut survivor = Survivor::start(self.cpus)?;
        let mut milliseconds = Vec::new();
        for death in 0..self.deaths {
            let elapsed = if death % 2 == 0 {
                Subject::start(self.cpus, 1, BUFFERS)?.kill_client()?
            } else {
                survivor.kill_server()?
            };
            milliseconds.push(elapsed.as_secs_f64() * 1e3);
        }
        let worst = milliseconds.iter().copied().fold(f64::NAN, f64::max);
        report.add("death_ms_median", "ms", estimate(milliseconds), Goal::AtMost(2.0));
        report.add("death_ms_max", "ms", Estimate::exactly(worst), Goal::AtMost(50.0));
        Ok(())
    }

    /// What an open set takes that has nothing to do: memory beyond its buffers, and context switches in a second.
    fn at_rest(&self, report: &mut Report) -> Result<()> {
        eprintln!("at rest ...");
        let subject = Subject::start(self.cpus, 64, BUFFERS)?;
        // The threads get to sleep first.
        subject.round_trips(1)?;
        std::thread::sleep(Duration::from_millis(100));
        let pids = subject.pids();
        let switches = || -> Result<Vec<u64>> {
            let own = std::iter::once(load::switches("self"));
            own.chain(pids.iter().map(|pid| load::switches(&pid.to_string()))).collect()
        };
        let before = switches()?;
        std::thread::sleep(Duration::from_secs(1));
        let after = switches()?;
        let worse = before.iter().zip(after).map(|(before, after)| after - before).max();
        let worse = Estimate::exactly(worse.unwrap_or(0) as f64);
        report.add("idle_switches_per_s", "", worse, Goal::AtMost(0.0));
        let kib = subject.overhead(BUFFERS.0)? as f64 / 1024.0;
        report.add("set_overhead", "KiB", Estimate::exactly(kib), Goal::AtMost(1024.0));
        Ok(())
    }
}

pub(crate) fn gib_per_second(bytes: usize, elapsed: Duration) -> f64 {
    bytes as f64 / GIB / elapsed.as_secs_f64()
}
