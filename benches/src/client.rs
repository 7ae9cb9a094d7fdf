//! The client half of our side of a measurement: processes of their own that go through the drop-in's exported ABI.
//! They obey lines on their standard input, answer with lines on their standard output, and end with the input.

use std::hint::black_box;
use std::io::BufRead;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::time::{ClockId, clock_gettime};
use sqlvdi::caller::{CallerDevice, CallerSet, Command, DropIn, locate};
use vdi_protocol::{CommandCode, CompletionCode, Features, HResult, VdConfig};
use zerocopy::IntoBytes;

use crate::runner::mean_seconds;
use crate::source::Source;
use crate::subject::SET;
use crate::{process, relay};

/// A line for all that serve a stream: answers with the sum of all words written since the last time.
pub(crate) const SUM: &str = "sum";
/// A line for [`handles`]: answers with the seconds of an `Instant::now`.
pub(crate) const NOW: &str = "now";
/// … of a GetBufferHandle.
pub(crate) const GET: &str = "get";
/// … of a MapBufferHandle of a buffer that was mapped before.
pub(crate) const MAP: &str = "map";
/// … of the first MapBufferHandle of a process that has just joined the set.
pub(crate) const MAP_FIRST: &str = "map-first";

/// Calls that are timed together.
const TIMES: u32 = 1_000;

/// The name of a device of a set; the first is named as the set is.
pub(crate) fn device_name(set: &str, index: usize) -> String {
    if index == 0 { set.to_owned() } else { format!("{set}-{index}") }
}

/// `[CPU, devices]`: one thread a device adds up what is written and completes everything.
pub(crate) fn stream(numbers: &[usize]) -> Result<()> {
    let &[cpu, devices] = numbers else { bail!("two numbers, not {numbers:?}") };
    serve_all(cpu, devices, || |command: &Command| Ok(command.buffer()?.sum()?))
}

/// `[CPU, devices]`: the same without looking at what is written.
pub(crate) fn complete(numbers: &[usize]) -> Result<()> {
    let &[cpu, devices] = numbers else { bail!("two numbers, not {numbers:?}") };
    serve_all(cpu, devices, || |_: &Command| Ok(0))
}

/// `[CPU, devices]`: the same, copying what is written to a buffer of each thread's own.
pub(crate) fn sink(numbers: &[usize]) -> Result<()> {
    let &[cpu, devices] = numbers else { bail!("two numbers, not {numbers:?}") };
    serve_all(cpu, devices, || {
        let mut sink = Vec::new();
        move |command: &Command| {
            sink.resize(command.size() as usize, 0);
            command.buffer()?.copy_to(0, &mut sink)?;
            black_box(&mut sink);
            Ok(0)
        }
    })
}

/// `[CPU, devices, bytes of the source, bytes of a buffer]`: fills what it is to read.
pub(crate) fn restore(numbers: &[usize]) -> Result<()> {
    let &[cpu, devices, bytes, size] = numbers else { bail!("four numbers, not {numbers:?}") };
    let source = &Source::new(bytes, size);
    serve_all(cpu, devices, || {
        let mut count = 0;
        move |command: &Command| {
            command.buffer()?.copy_from(0, source.chunk(count).as_bytes())?;
            count += 1;
            Ok(0)
        }
    })
}

/// `[CPU, devices]`: a third process reads the buffers of the only device.
pub(crate) fn relay(numbers: &[usize]) -> Result<()> {
    let &[cpu, 1] = numbers else { bail!("a CPU and one device, not {numbers:?}") };
    let (set, devices) = open(&load()?, SET, 1)?;
    process::pin(cpu);
    let (taken, sent) = mpsc::channel::<Command>();
    let (devices, sum) = (&devices, &AtomicU64::new(0));
    let numbers = std::iter::from_fn(move || {
        let command = devices[0].get_command(None).ok()?;
        let handle = command.buffer_handle().expect("a Write has a buffer");
        let number = u64::from(command.size()) << 32 | u64::from(handle);
        taken.send(command).ok()?;
        Some(number)
    });
    std::thread::scope(|scope| {
        scope.spawn(move || {
            relay::forward(&mut process::again(process::SECONDARY, &[cpu]), numbers, |seen| {
                sum.fetch_add(seen, Relaxed);
                let command = sent.recv().expect("a command for every answer");
                let bytes = command.size().into();
                command.complete(CompletionCode::ERROR_SUCCESS, bytes, 0).expect("an open set");
            });
        });
        answer_lines(sum)
    })?;
    Ok(set.close()?)
}

/// `[CPU]`: the third process.
pub(crate) fn secondary(numbers: &[usize]) -> Result<()> {
    let &[cpu] = numbers else { bail!("one number, not {numbers:?}") };
    let set = CallerSet::new(&load()?);
    set.open_in_secondary(SET.as_bytes())?;
    process::pin(cpu);
    relay::obey(|number| {
        let (handle, size) = (number as u32, (number >> 32) as u32);
        let buffer = set.map_buffer_handle(handle, size).expect("a handle of this set");
        buffer.sum().expect("an open set")
    });
    Ok(set.close()?)
}

/// `[CPU, devices]`: every line is the name of a set that is created and opened; answers with a line once somebody waits
/// for a command, and with the time of the machine's clock when the wait ended in an abort.
pub(crate) fn survive(numbers: &[usize]) -> Result<()> {
    let &[cpu, devices] = numbers else { bail!("two numbers, not {numbers:?}") };
    let drop_in = load()?;
    for name in std::io::stdin().lock().lines() {
        process::unpin();
        let (set, devices) = open(&drop_in, &name?, devices)?;
        process::pin(cpu);
        println!("waiting");
        let ended = devices[0].get_command(None);
        println!("{}", monotonic().as_secs_f64());
        let status = ended.err().context("a command came from a killed server")?.status;
        anyhow::ensure!(status == HResult::VD_E_ABORT, "the wait ended with {status}");
        // The abort has ended it already.
        let _ = set.close();
    }
    Ok(())
}

/// `[CPU, handle]`: joins the set and answers with the seconds of the first MapBufferHandle, which maps the memory.
pub(crate) fn map_first(numbers: &[usize]) -> Result<()> {
    let &[cpu, handle] = numbers else { bail!("two numbers, not {numbers:?}") };
    let set = CallerSet::new(&load()?);
    set.open_in_secondary(SET.as_bytes())?;
    process::pin(cpu);
    let begun = Instant::now();
    black_box(set.buffer_address(handle as u32)?);
    println!("{}", begun.elapsed().as_secs_f64());
    Ok(set.close()?)
}

/// The time since the machine started, the same in all processes.
pub(crate) fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// `[CPU, devices]`: keeps the first command it gets, and times calls on its buffer.
pub(crate) fn handles(numbers: &[usize]) -> Result<()> {
    let &[cpu, devices] = numbers else { bail!("two numbers, not {numbers:?}") };
    let drop_in = load()?;
    let (set, devices) = open(&drop_in, SET, devices)?;
    process::pin(cpu);
    let command = devices[0].get_command(None)?;
    let (handle, size) = (command.buffer_handle()?, command.size());
    for line in std::io::stdin().lock().lines() {
        let seconds = match line?.as_str() {
            NOW => seconds_per_call(Instant::now),
            GET => seconds_per_call(|| command.buffer_handle()),
            // As a client in C++ calls it: what makes the address safe to use in Rust is not the interface's.
            MAP => seconds_per_call(|| set.buffer_address(handle)),
            MAP_FIRST => mean_seconds(|| {
                let mut joins = process::again(process::FIRST, &[cpu, handle as usize]);
                let answer = String::from_utf8(joins.stdin(Stdio::null()).output()?.stdout)?;
                Ok(Duration::from_secs_f64(answer.trim().parse().context("the first map failed")?))
            }),
            other => bail!("a line that is not known: {other}"),
        }?;
        println!("{seconds}");
    }
    command.complete(CompletionCode::ERROR_SUCCESS, size.into(), 0)?;
    serve(&devices[0], |_| Ok(()))?;
    Ok(set.close()?)
}

/// `[CPU, devices]`: every line is the name of a set that is created, used and closed; answers with the seconds from Create to
/// the first command, and then with those of the end.
pub(crate) fn lives(numbers: &[usize]) -> Result<()> {
    let &[_, devices] = numbers else { bail!("two numbers, not {numbers:?}") };
    let drop_in = load()?;
    for name in std::io::stdin().lock().lines() {
        let begun = Instant::now();
        let (set, devices) = open(&drop_in, &name?, devices)?;
        let command = devices[0].get_command(None)?;
        println!("{}", begun.elapsed().as_secs_f64());
        let size = command.size();
        command.complete(CompletionCode::ERROR_SUCCESS, size.into(), 0)?;
        serve(&devices[0], |_| Ok(()))?;
        let begun = Instant::now();
        set.close()?;
        println!("{}", begun.elapsed().as_secs_f64());
    }
    Ok(())
}

fn load() -> Result<DropIn> {
    Ok(DropIn::load(&locate(None)?)?)
}

/// Opens the set, and lets one thread a device do with every command what `worker` makes for it.
fn serve_all<W: FnMut(&Command) -> Result<u64> + Send>(
    cpu: usize,
    devices: usize,
    worker: impl Fn() -> W,
) -> Result<()> {
    let (set, opened) = open(&load()?, SET, devices)?;
    process::pin(cpu);
    let sum = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        let threads: Vec<_> = opened
            .into_iter()
            .map(|device| {
                let (sum, mut work) = (sum.clone(), worker());
                scope.spawn(move || {
                    serve(&device, |command| {
                        sum.fetch_add(work(command)?, Relaxed);
                        Ok(())
                    })
                })
            })
            .collect();
        answer_lines(&sum)?;
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })?;
    Ok(set.close()?)
}

fn answer_lines(sum: &AtomicU64) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        match line?.as_str() {
            SUM => println!("{}", sum.swap(0, Relaxed)),
            other => bail!("a line that is not known: {other}"),
        }
    }
    Ok(())
}

/// Creates a set that is like a pipe, waits for the server, and opens all its devices.
fn open(drop_in: &DropIn, name: &str, devices: usize) -> Result<(CallerSet, Vec<CallerDevice>)> {
    let set = CallerSet::new(drop_in);
    let features = Features::LIKE_PIPE.bits();
    let config = VdConfig { device_count: devices as u32, features, ..VdConfig::default() };
    set.create(name.as_bytes(), &config)?;
    set.get_configuration(Some(Duration::from_secs(10)))?;
    let opened = (0..devices).map(|index| set.open_device(device_name(name, index).as_bytes()));
    let opened = opened.collect::<Result<_, _>>()?;
    Ok((set, opened))
}

/// Takes a device's commands until the server closes it; `work` has those with a buffer.
fn serve(device: &CallerDevice, mut work: impl FnMut(&Command) -> Result<()>) -> Result<()> {
    loop {
        let command = match device.get_command(None) {
            Err(error) if error.status == HResult::VD_E_CLOSE => return Ok(()),
            other => other?,
        };
        let mut bytes = 0;
        if matches!(command.code(), CommandCode::READ | CommandCode::WRITE) {
            work(&command)?;
            bytes = command.size();
        }
        command.complete(CompletionCode::ERROR_SUCCESS, bytes.into(), 0)?;
    }
}

fn seconds_per_call<T>(call: impl Fn() -> T) -> Result<f64> {
    mean_seconds(|| {
        let begun = Instant::now();
        (0..TIMES).for_each(|_| _ = black_box(call()));
        Ok(begun.elapsed() / TIMES)
    })
}
