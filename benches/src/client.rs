//! The client half of our side of a measurement: processes of their own that go through the drop-in's exported ABI.
//! They obey lines on their standard input, answer with lines on their standard output, and end with the input.

use std::hint::black_box;
use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sqlvdi::caller::{CallerDevice, CallerSet, DropIn, locate};
use vdi_protocol::{CommandCode, CompletionCode, Features, HResult, VdConfig};

use crate::process;
use crate::runner::mean_seconds;
use crate::subject::SET;

/// A line for [`stream`]: answers with the sum of all words written since the last time.
pub(crate) const SUM: &str = "sum";
/// A line for [`handles`]: answers with the seconds of an `Instant::now`.
pub(crate) const NOW: &str = "now";
/// … of a GetBufferHandle.
pub(crate) const GET: &str = "get";
/// … of a MapBufferHandle of a buffer that was mapped before.
pub(crate) const MAP: &str = "map";

/// Calls that are timed together.
const TIMES: u32 = 1_000;

/// The name of a device of a set; the first is named as the set is.
pub(crate) fn device_name(set: &str, index: usize) -> String {
    if index == 0 { set.to_owned() } else { format!("{set}-{index}") }
}

/// `[CPU, devices]`: one thread a device adds up what is written and completes everything.
pub(crate) fn stream(numbers: &[usize]) -> Result<()> {
    let &[cpu, devices] = numbers else { bail!("two numbers, not {numbers:?}") };
    let (set, opened) = open(&load()?, SET, devices)?;
    process::pin(cpu);
    let sum = Arc::new(AtomicU64::new(0));
    let serve = |device: CallerDevice| {
        let sum = sum.clone();
        std::thread::spawn(move || serve(&device, &sum))
    };
    let threads: Vec<_> = opened.into_iter().map(serve).collect();
    for line in std::io::stdin().lock().lines() {
        match line?.as_str() {
            SUM => println!("{}", sum.swap(0, Relaxed)),
            other => bail!("a line that is not known: {other}"),
        }
    }
    for thread in threads {
        thread.join().expect("a thread that does not panic")?;
    }
    Ok(set.close()?)
}

/// `[CPU, devices]`: keeps the first command it gets, and times calls on its buffer.
pub(crate) fn handles(numbers: &[usize]) -> Result<()> {
    let &[cpu, devices] = numbers else { bail!("two numbers, not {numbers:?}") };
    let (set, devices) = open(&load()?, SET, devices)?;
    process::pin(cpu);
    let command = devices[0].get_command(None)?;
    let (handle, size) = (command.buffer_handle()?, command.size());
    for line in std::io::stdin().lock().lines() {
        let seconds = match line?.as_str() {
            NOW => seconds_per_call(Instant::now),
            GET => seconds_per_call(|| command.buffer_handle()),
            // As a client in C++ calls it: what makes the address safe to use in Rust is not the interface's.
            MAP => seconds_per_call(|| set.buffer_address(handle)),
            other => bail!("a line that is not known: {other}"),
        }?;
        println!("{seconds}");
    }
    command.complete(CompletionCode::ERROR_SUCCESS, size.into(), 0)?;
    serve(&devices[0], &AtomicU64::new(0))?;
    Ok(set.close()?)
}

/// `[CPU, devices]`: every line is the name of a set that is created, used and closed; answers with the seconds from Create to
/// the first command.
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
        serve(&devices[0], &AtomicU64::new(0))?;
        set.close()?;
    }
    Ok(())
}

fn load() -> Result<DropIn> {
    Ok(DropIn::load(&locate(None)?)?)
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

/// Takes a device's commands until the server closes it.
fn serve(device: &CallerDevice, sum: &AtomicU64) -> Result<()> {
    loop {
        let command = match device.get_command(None) {
            Err(error) if error.status == HResult::VD_E_CLOSE => return Ok(()),
            other => other?,
        };
        let mut bytes = 0;
        if command.code() == CommandCode::WRITE {
            sum.fetch_add(command.buffer()?.sum()?, Relaxed);
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
