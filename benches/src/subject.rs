//! Our side of a measurement: the server half in this process, and a client in another that goes through the drop-in.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use vdi_device::{Buffer, Completed, Environment, Namespace, Request, ServerDevice, ServerSet};
use vdi_protocol::{CommandCode, CompletionCode, Direction, HResult, ServerConfig};
use vdi_region::Backend;
use zerocopy::IntoBytes;

use crate::source::{Source, sum};
use crate::{client, process};

/// The name of a set; each is in a namespace of its own.
pub(crate) const SET: &str = "bench";
/// The most that anything here may take; whatever takes longer is broken.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));
/// As long as it takes until whoever waits has stopped spinning and sleeps.
const SETTLE: Duration = Duration::from_millis(5);

/// What a client does with the buffers it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Reads every byte, and the sum is compared.
    Sum,
    /// Copies every byte to memory of its own.
    Sink,
    /// Completes at once.
    Nothing,
    /// Has a third process read every byte, by handle.
    Relay,
}

/// A client process and a namespace for it.
#[derive(Debug)]
struct Client {
    environment: Environment,
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Client {
    /// Starts the client `kind` with its `numbers`, after the CPU.
    fn start(kind: &str, cpu: usize, numbers: &[usize]) -> Result<Client> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let namespace = format!("bench-{}-{}", std::process::id(), STARTED.fetch_add(1, SeqCst));
        let mut process = process::again(kind, &[&[cpu], numbers].concat())
            .env("VDISIM_NAMESPACE", &namespace)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().context("a pipe")?);
        Ok(Client { environment: environment(&namespace)?, process, input, output })
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.input.as_mut().context("the client was told to end")?, "{line}")?)
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the client ended; its error is above");
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.process.wait();
    }
}

fn environment(namespace: &str) -> Result<Environment> {
    Ok(Environment::new(Namespace::new(namespace)?, Backend::platform_default()))
}

/// Waits for a client's set and opens all of it.
fn open(
    environment: &Environment,
    name: &str,
    direction: Direction,
    devices: usize,
    (buffers, size): (usize, usize),
) -> Result<(ServerSet, Vec<ServerDevice>)> {
    let set = ServerSet::wait_open(environment, Some(name.as_bytes()), PATIENCE)?;
    let features = set.get_configuration()?.features().answer(direction, false);
    let (block_size, alignment, time_out) = (64 << 10, 0, 10_000);
    let max_transfer_size = size as u32;
    set.begin_configuration(&ServerConfig {
        features,
        block_size,
        alignment,
        max_transfer_size,
        time_out,
    })?;
    set.request_buffers(max_transfer_size, 0, buffers as u32)?;
    set.end_configuration()?;
    let opened =
        (0..devices).map(|index| set.open_device(client::device_name(name, index).as_bytes()));
    let opened = opened.collect::<Result<_, _>>()?;
    Ok((set, opened))
}

/// A set in use. Its completion agent runs on a thread of its own, as a server's would.
#[derive(Debug)]
pub struct Subject {
    set: ServerSet,
    devices: Vec<Arc<ServerDevice>>,
    agent: Option<JoinHandle<()>>,
    size: u32,
    buffers: usize,
    reading: Reading,
    client: Client,
}

impl Subject {
    /// Opens a set of `devices` devices that share `buffers` buffers of `size` bytes; this process stays on the first
    /// CPU, the client on the second.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong in either process.
    pub fn start(cpus: (usize, usize), devices: usize, buffers: (usize, usize)) -> Result<Subject> {
        Subject::with_client(cpus, Reading::Sum, devices, buffers)
    }

    /// The same with a client that does something else with what it is sent.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong in either process.
    pub fn with_client(
        cpus: (usize, usize),
        reading: Reading,
        devices: usize,
        buffers: (usize, usize),
    ) -> Result<Subject> {
        let kind = match reading {
            Reading::Sum => process::STREAM,
            Reading::Sink => process::SINK,
            Reading::Nothing => process::COMPLETE,
            Reading::Relay => process::RELAY,
        };
        let client = Client::start(kind, cpus.1, &[devices])?;
        Subject::of(client, cpus.0, Direction::Backup, reading, devices, buffers)
    }

    /// A restore's set of one device, with a client that copies out of a source of that many bytes.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong in either process.
    pub fn start_restore(
        cpus: (usize, usize),
        source: usize,
        buffers: (usize, usize),
    ) -> Result<Subject> {
        let client = Client::start(process::RESTORE, cpus.1, &[1, source, buffers.1])?;
        Subject::of(client, cpus.0, Direction::Restore, Reading::Nothing, 1, buffers)
    }

    fn of(
        client: Client,
        cpu: usize,
        direction: Direction,
        reading: Reading,
        devices: usize,
        buffers: (usize, usize),
    ) -> Result<Subject> {
        // How long a side spins depends on the CPUs it may use when it opens the set, so it is pinned after that.
        process::unpin();
        let (set, opened) = open(&client.environment, SET, direction, devices, buffers)?;
        process::pin(cpu);
        let agent = std::thread::spawn({
            let set = set.clone();
            move || _ = set.execute_completion_agent()
        });
        let devices = opened.into_iter().map(Arc::new).collect();
        let (agent, (buffers, size)) = (Some(agent), buffers);
        Ok(Subject { set, devices, agent, size: size as u32, buffers, reading, client })
    }

    /// The client's processes.
    pub fn pids(&self) -> Vec<u32> {
        process::family(self.client.process.id())
    }

    /// Copies `total` buffers out of `source` and sends each as a Write, with one thread a device as the engine does,
    /// while the client adds up every word; returns the time until the last was completed.
    ///
    /// # Errors
    ///
    /// A wrong sum, an answer that is no success, a failed call.
    pub fn stream(&mut self, source: &Source, total: usize) -> Result<Duration> {
        let devices = self.devices.len();
        let failed = Mutex::new(None);
        let elapsed = process::timed_threads(devices, |index| {
            let chunks = source.chunks(total).skip(index).step_by(devices);
            if let Err(error) = self.write(&self.devices[index], chunks) {
                *failed.lock().expect("no panic") = Some(error);
            }
        });
        failed.into_inner().expect("no panic").map_or(Ok(()), Err)?;
        self.client.tell(client::SUM)?;
        let sum = if matches!(self.reading, Reading::Sum | Reading::Relay) {
            source.sum(0, total)
        } else {
            0
        };
        ensure!(self.client.answer()?.parse() == Ok(sum), "the client read other bytes");
        Ok(elapsed)
    }

    /// The lane of one device.
    fn write<'s>(
        &self,
        device: &ServerDevice,
        chunks: impl Iterator<Item = &'s [u64]>,
    ) -> Result<()> {
        let stored = Arc::new(AtomicUsize::new(0));
        let routine = Arc::new({
            let (stored, size) = (stored.clone(), self.size);
            move |completed: Completed| {
                if completed.completion == CompletionCode::ERROR_SUCCESS && completed.bytes == size
                {
                    stored.fetch_add(1, SeqCst);
                }
            }
        });
        let _driver = self.set.drive();
        let mut sent = 0;
        for chunk in chunks {
            let buffer = self.set.allocate_buffer_wait(self.size, 0, PATIENCE)?;
            buffer.slice().copy_from(0, chunk.as_bytes())?;
            let buffer = Some(buffer);
            device.send_command(Request {
                size: self.size,
                buffer,
                ..request(CommandCode::WRITE, routine.clone())
            })?;
            sent += 1;
        }
        Ok(device.run_agent_until(&mut || stored.load(SeqCst) == sent, PATIENCE)?)
    }

    /// Sends `total` Reads and adds up every word that the client fills in, which copies out of a source like `source`;
    /// `before` buffers were read before these. Returns the time until the last was read.
    ///
    /// # Errors
    ///
    /// A wrong sum, an answer that is no success, a failed call.
    pub fn restore(&self, source: &Source, before: usize, total: usize) -> Result<Duration> {
        let inbox = Arc::new(Mutex::new(VecDeque::new()));
        let routine = Arc::new({
            let inbox = inbox.clone();
            move |completed: Completed| inbox.lock().expect("no panic").push_back(completed)
        });
        let (device, _driver) = (&self.devices[0], self.set.drive());
        let read = |buffer| {
            let (size, buffer) = (self.size, Some(buffer));
            device.send_command(Request {
                size,
                buffer,
                ..request(CommandCode::READ, routine.clone())
            })
        };
        let (begun, mut seen) = (Instant::now(), 0u64);
        for _ in 0..self.buffers.min(total) {
            read(self.set.allocate_buffer_wait(self.size, 0, PATIENCE)?)?;
        }
        for number in 0..total {
            let came = || inbox.lock().expect("no panic").pop_front();
            let mut completed = came();
            if completed.is_none() {
                let is_there = || !inbox.lock().expect("no panic").is_empty();
                device.run_agent_until(&mut { is_there }, PATIENCE)?;
                completed = came();
            }
            let completed = completed.context("a completion")?;
            ensure!(completed.bytes == self.size, "a Read brought {} bytes", completed.bytes);
            let buffer = completed.buffer.context("a buffer")?;
            seen = seen.wrapping_add(sum_of(&buffer)?);
            if number + self.buffers < total {
                read(buffer)?;
            }
        }
        let elapsed = begun.elapsed();
        ensure!(seen == source.sum(before, total), "the client filled in other bytes");
        Ok(elapsed)
    }

    /// The time of `count` commands without a buffer, each sent and waited for as the engine's device threads do.
    ///
    /// # Errors
    ///
    /// A failed call; VD_E_TIMEOUT when a command was lost.
    pub fn round_trips(&self, count: u32) -> Result<Duration> {
        let answered = Arc::new(AtomicU32::new(0));
        let routine: Arc<Routine> = Arc::new({
            let answered = answered.clone();
            move |_| _ = answered.fetch_add(1, SeqCst)
        });
        let (device, _driver) = (&self.devices[0], self.set.drive());
        let begun = Instant::now();
        for sent in 1..=count {
            device.send_command(request(CommandCode::FLUSH, routine.clone()))?;
            device.run_agent_until(&mut || answered.load(SeqCst) == sent, PATIENCE)?;
        }
        Ok(begun.elapsed())
    }

    /// The time from the client's death until this side, which waits meanwhile, hears VD_E_ABORT.
    ///
    /// # Errors
    ///
    /// Another end of the wait.
    pub fn kill_client(mut self) -> Result<Duration> {
        let set = &self.set;
        let (killed, ended) = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let ended = set.run_agent_until(&mut || false, PATIENCE);
                (ended, Instant::now())
            });
            std::thread::sleep(SETTLE);
            let killed = Instant::now();
            let done = self.client.process.kill();
            (done.map(|()| killed), waiter.join().expect("no panic"))
        });
        let status = ended.0.err().context("the wait ended well")?.status();
        ensure!(status == HResult::VD_E_ABORT, "the wait ended with {status}");
        Ok(ended.1.saturating_duration_since(killed?))
    }

    /// Bytes of shared memory that the set takes beyond its buffers.
    ///
    /// # Errors
    ///
    /// When /dev/shm cannot be read.
    pub fn overhead(&self, buffers: usize) -> Result<u64> {
        let prefix = format!("vdisim.{}.", self.client.environment.namespace.as_str());
        let mut bytes = 0;
        for entry in fs::read_dir("/dev/shm")? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                bytes += entry.metadata()?.blocks() * 512;
            }
        }
        ensure!(bytes > 0, "no object {prefix}* in /dev/shm");
        Ok(bytes.saturating_sub(buffers as u64 * u64::from(self.size)))
    }
}

type Routine = dyn Fn(Completed) + Send + Sync;

fn request(code: CommandCode, routine: Arc<Routine>) -> Request {
    Request { code, size: 0, position: 0, buffer: None, context: 0, routine }
}

/// The sum of a buffer's words. They are copied out first, in parts that stay in the nearest cache: safe code has no
/// references into shared memory.
fn sum_of(buffer: &Buffer) -> Result<u64> {
    let mut part = [0u64; 1024];
    let mut seen = 0u64;
    for at in (0..buffer.len()).step_by(size_of_val(&part)) {
        let words = (buffer.len() - at).min(size_of_val(&part)) / 8;
        buffer.slice().copy_to(at, part[..words].as_mut_bytes())?;
        seen = seen.wrapping_add(sum(&part[..words]));
    }
    Ok(seen)
}

impl Drop for Subject {
    fn drop(&mut self) {
        // An error here means that the set is aborted, which ends the client as well.
        self.client.input = None;
        for device in &self.devices {
            let _ = device.close_device();
        }
        let _ = self.agent.take().map(JoinHandle::join);
        let _ = self.set.close();
    }
}

/// A client that holds a buffer and times calls on it.
#[derive(Debug)]
pub struct Handles {
    subject: Subject,
}

impl Handles {
    /// Gives the client its buffer.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong in either process.
    pub fn start(cpus: (usize, usize)) -> Result<Handles> {
        let size = 64 << 10;
        let subject = {
            let client = Client::start(process::HANDLES, cpus.1, &[1])?;
            Subject::of(client, cpus.0, Direction::Backup, Reading::Nothing, 1, (1, size))?
        };
        let buffer = subject.set.allocate_buffer(size as u32, 0)?;
        subject.devices[0].send_command(Request {
            size: size as u32,
            buffer: Some(buffer),
            ..request(CommandCode::WRITE, Arc::new(|_| ()))
        })?;
        Ok(Handles { subject })
    }

    /// The client's processes.
    pub fn pids(&self) -> Vec<u32> {
        self.subject.pids()
    }

    /// The seconds that the client says a call takes.
    ///
    /// # Errors
    ///
    /// When the client failed.
    pub(crate) fn ask(&mut self, question: &str) -> Result<f64> {
        self.subject.client.tell(question)?;
        Ok(self.subject.client.answer()?.parse()?)
    }
}

/// A client that creates, uses and closes sets.
#[derive(Debug)]
pub struct Lives {
    client: Client,
    lived: usize,
    buffers: (usize, usize),
}

impl Lives {
    /// Starts the client; every set will have buffers of this number and size.
    ///
    /// # Errors
    ///
    /// When the client can't be started.
    pub fn start(cpus: (usize, usize), buffers: (usize, usize)) -> Result<Lives> {
        Ok(Lives { client: Client::start(process::LIVES, cpus.1, &[1])?, lived: 0, buffers })
    }

    /// The client's processes.
    pub fn pids(&self) -> Vec<u32> {
        process::family(self.client.process.id())
    }

    /// The times from Create to the first command and of Close, as the client sees them.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong in either process.
    pub fn live(&mut self) -> Result<(Duration, Duration)> {
        let name = format!("{SET}{}", self.lived);
        self.lived += 1;
        self.client.tell(&name)?;
        let environment = &self.client.environment;
        let (set, devices) = open(environment, &name, Direction::Backup, 1, self.buffers)?;
        devices[0].execute(CommandCode::FLUSH, 0, 0, None)?;
        devices[0].close_device()?;
        set.close()?;
        let mut seconds = || anyhow::Ok(Duration::from_secs_f64(self.client.answer()?.parse()?));
        Ok((seconds()?, seconds()?))
    }
}

/// A client that creates one set after the other, and whose servers are killed.
#[derive(Debug)]
pub struct Survivor {
    client: Client,
    cpu: usize,
    deaths: usize,
}

impl Survivor {
    /// Starts the client.
    ///
    /// # Errors
    ///
    /// When it can't be started.
    pub fn start(cpus: (usize, usize)) -> Result<Survivor> {
        let client = Client::start(process::SURVIVE, cpus.1, &[1])?;
        Ok(Survivor { client, cpu: cpus.0, deaths: 0 })
    }

    /// The time from the death of a server until the client, which waits for a command, hears VD_E_ABORT.
    ///
    /// # Errors
    ///
    /// Another end of the wait, or whatever goes wrong before.
    pub fn kill_server(&mut self) -> Result<Duration> {
        let name = format!("{SET}{}", self.deaths);
        self.client.tell(&name)?;
        let mut server = process::again(process::SERVER, &[self.cpu, self.deaths])
            .env("VDISIM_NAMESPACE", self.client.environment.namespace.as_str())
            .stdin(Stdio::null())
            .spawn()?;
        self.deaths += 1;
        ensure!(self.client.answer()? == "waiting", "the client is not waiting");
        std::thread::sleep(SETTLE);
        let killed = client::monotonic();
        server.kill()?;
        server.wait()?;
        let ended = Duration::from_secs_f64(self.client.answer()?.parse()?);
        Ok(ended.saturating_sub(killed))
    }
}

/// `[CPU, number of the set]`: a server that opens the set and then does nothing until it is killed.
pub(crate) fn serve_nothing(numbers: &[usize]) -> Result<()> {
    let &[cpu, number] = numbers else { bail!("two numbers, not {numbers:?}") };
    let environment = environment(&std::env::var("VDISIM_NAMESPACE")?)?;
    let name = format!("{SET}{number}");
    let _opened = open(&environment, &name, Direction::Backup, 1, (1, 64 << 10))?;
    process::pin(cpu);
    loop {
        std::thread::park();
    }
}
