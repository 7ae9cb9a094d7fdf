//! The two processes, and what they tell each other beside the bytes that are measured.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::iceoryx::{self, Echo};
use crate::link::{self, Sender};
use crate::{Arguments, Mechanism, Work, threads};

/// What the consumer says once it is about to look for the next buffer.
const READY: &str = "ready";

/// The consumer's process, and the lines to and from it.
struct Consumer {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Consumer {
    fn start(folder: &Path) -> Result<Consumer> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .arg("--folder")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().context("a pipe")?);
        Ok(Consumer { process, input, output })
    }

    fn tell(&mut self, count: usize) -> Result<()> {
        writeln!(self.input.as_mut().context("the consumer was told to end")?, "{count}")?;
        ensure!(self.answer()? == READY, "the consumer is not ready");
        Ok(())
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the consumer ended; its error is above");
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.process.wait();
    }
}

/// The producer: obeys standard input.
pub(crate) fn produce(arguments: &Arguments) -> Result<()> {
    let own = std::process::id();
    if arguments.mechanism == Mechanism::Crossbeam {
        let mut threads = threads::Threads::start(arguments)?;
        pin(arguments.cpus[0])?;
        let source = Source::new(arguments);
        return obey(&[own], |total| {
            let begun = Instant::now();
            source.chunks(total).try_for_each(|chunk| threads.send(chunk))?;
            let sum = threads.sum(total)?;
            let elapsed = begun.elapsed();
            ensure!(sum == source.sum(total), "the thread read other bytes");
            Ok(elapsed)
        });
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path();
    // Their shared objects are not all removed by those that made them.
    let _leftovers = iceoryx::Leftovers(path);
    let mut consumer = Consumer::start(path)?;
    let pids = [own, consumer.process.id()];
    match arguments.work {
        Work::Stream => {
            let mut sender = link::sender(arguments, path)?;
            pin(arguments.cpus[0])?;
            let source = Source::new(arguments);
            obey(&pids, |total| stream(&mut consumer, &mut *sender, &source, total))
        }
        Work::RoundTrip => {
            let echo = Echo::start(path)?;
            pin(arguments.cpus[0])?;
            obey(&pids, |count| {
                consumer.tell(count)?;
                let begun = Instant::now();
                (0..count as u64).try_for_each(|number| echo.round_trip(number))?;
                let elapsed = begun.elapsed();
                ensure!(consumer.answer()?.parse() == Ok(count), "the consumer answered others");
                Ok(elapsed)
            })
        }
    }
}

fn stream(
    consumer: &mut Consumer,
    sender: &mut dyn Sender,
    source: &Source,
    total: usize,
) -> Result<Duration> {
    consumer.tell(total)?;
    let begun = Instant::now();
    source.chunks(total).try_for_each(|chunk| sender.send(chunk))?;
    let sum = consumer.answer()?;
    let elapsed = begun.elapsed();
    ensure!(sum.parse() == Ok(source.sum(total)), "the consumer read other bytes");
    Ok(elapsed)
}

/// The consumer: as many buffers or echoes as it is told, with their sum or number as the answer.
pub(crate) fn consume(arguments: &Arguments, folder: &str) -> Result<()> {
    // It must not outlive a producer that was killed.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let folder = Path::new(folder);
    match arguments.work {
        Work::Stream => {
            let mut receiver = link::receiver(arguments, folder)?;
            pin(arguments.cpus[1])?;
            each_line(|total| {
                println!("{READY}");
                let sums = (0..total).map(|_| receiver.receive());
                let sum = sums.sum_wrapping()?;
                println!("{sum}");
                Ok(())
            })
        }
        Work::RoundTrip => {
            let echo = Echo::start(folder)?;
            pin(arguments.cpus[1])?;
            each_line(|count| {
                println!("{READY}");
                (0..count).try_for_each(|_| echo.answer())?;
                println!("{count}");
                Ok(())
            })
        }
    }
}

/// Adds up what may fail.
trait SumWrapping {
    fn sum_wrapping(self) -> Result<u64>;
}

impl<I: Iterator<Item = Result<u64>>> SumWrapping for I {
    fn sum_wrapping(mut self) -> Result<u64> {
        self.try_fold(0u64, |all, sum| Ok(all.wrapping_add(sum?)))
    }
}

/// What the producer copies from: the words 0, 1, 2, …
struct Source {
    words: Vec<u64>,
    per_buffer: usize,
    sums: Vec<u64>,
}

impl Source {
    fn new(arguments: &Arguments) -> Source {
        let words: Vec<u64> = (0..arguments.source as u64 / 8).collect();
        let per_buffer = arguments.size / 8;
        let sums = words.chunks_exact(per_buffer).map(link::sum).collect();
        Source { words, per_buffer, sums }
    }

    fn chunks(&self, total: usize) -> impl Iterator<Item = &[u64]> {
        self.words.chunks_exact(self.per_buffer).cycle().take(total)
    }

    fn sum(&self, total: usize) -> u64 {
        self.sums.iter().cycle().take(total).fold(0u64, |all, sum| all.wrapping_add(*sum))
    }
}

fn obey(pids: &[u32], mut work: impl FnMut(usize) -> Result<Duration>) -> Result<()> {
    println!("{}", pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "));
    each_line(|count| {
        println!("{}", work(count)?.as_secs_f64());
        Ok(())
    })
}

fn each_line(mut work: impl FnMut(usize) -> Result<()>) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        work(line.parse().with_context(|| format!("'{line}' is no number"))?)?;
    }
    Ok(())
}

/// Keeps the calling thread on one CPU.
pub(crate) fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}
