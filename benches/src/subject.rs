//! Our side of a measurement: the server half in this process, and a client in another that goes through the drop-in.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use vdi_device::{Completed, Environment, Namespace, Request, ServerDevice, ServerSet};
use vdi_protocol::{CommandCode, CompletionCode, Direction, ServerConfig};
use vdi_region::Backend;
use zerocopy::IntoBytes;

use crate::{bare, client, process};

/// The name of a set; each is in a namespace of its own.
pub(crate) const SET: &str = "bench";
/// The most that anything here may take; whatever takes longer is broken.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

/// A client process and a namespace for it.
#[derive(Debug)]
struct Client {
    environment: Environment,
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Client {
    fn start(kind: &str, cpu: usize, devices: usize) -> Result<Client> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let namespace = format!("bench-{}-{}", std::process::id(), STARTED.fetch_add(1, SeqCst));
        let mut process = process::again(kind, cpu)
            .arg(devices.to_string())
            .env("VDISIM_NAMESPACE", &namespace)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().context("a pipe")?);
        let backend = Backend::platform_default();
        let environment = Environment::new(Namespace::new(&namespace)?, backend);
        Ok(Client { environment, process, input, output })
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

    /// Waits for the client's set and opens all of it.
    fn open(
        &self,
        name: &str,
        devices: usize,
        buffers: u32,
        size: u32,
    ) -> Result<(ServerSet, Vec<ServerDevice>)> {
        let set = ServerSet::wait_open(&self.environment, Some(name.as_bytes()), PATIENCE)?;
        let features = set.get_configuration()?.features().answer(Direction::Backup, false);
        let (block_size, alignment, time_out) = (64 << 10, 0, 10_000);
        set.begin_configuration(&ServerConfig {
            features,
            block_size,
            alignment,
            max_transfer_size: size,
            time_out,
        })?;
        set.request_buffers(size, 0, buffers)?;
        set.end_configuration()?;
        let opened =
            (0..devices).map(|index| set.open_device(client::device_name(name, index).as_bytes()));
        let opened = opened.collect::<Result<_, _>>()?;
        Ok((set, opened))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.process.wait();
    }
}

/// A set in use. Its completion agent runs on a thread of its own, as a server's would.
#[derive(Debug)]
pub struct Subject {
    set: ServerSet,
    devices: Vec<Arc<ServerDevice>>,
    agent: Option<JoinHandle<()>>,
    size: u32,
    client: Client,
}

impl Subject {
    /// Opens a set of `devices` devices that share `buffers` buffers of `size` bytes; this process stays on the first
    /// CPU, the client on the second.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong in either process.
    pub fn start(
        (ours, theirs): (usize, usize),
        devices: usize,
        (buffers, size): (usize, usize),
    ) -> Result<Subject> {
        Subject::of_kind(process::STREAM, (ours, theirs), devices, (buffers, size))
    }

    fn of_kind(
        kind: &str,
        (ours, theirs): (usize, usize),
        devices: usize,
        (buffers, size): (usize, usize),
    ) -> Result<Subject> {
        let client = Client::start(kind, theirs, devices)?;
        // How long a side spins depends on the CPUs it may use when it opens the set, so it is pinned after that.
        process::unpin();
        let (set, opened) = client.open(SET, devices, buffers as u32, size as u32)?;
        process::pin(ours);
        let agent = std::thread::spawn({
            let set = set.clone();
            move || _ = set.execute_completion_agent()
        });
        let devices = opened.into_iter().map(Arc::new).collect();
        Ok(Subject { set, devices, agent: Some(agent), size: size as u32, client })
    }

    /// The client's process id.
    pub fn pid(&self) -> u32 {
        self.client.process.id()
    }

    /// Copies `total` buffers out of `source`, over and over, and sends each as a Write, to the devices in turn, while
    /// the client adds up every word; returns the time until the last was completed.
    ///
    /// # Errors
    ///
    /// A wrong sum, an answer that is no success, a failed call.
    pub fn stream(&mut self, source: &[u64], total: usize) -> Result<Duration> {
        let chunks: Vec<&[u64]> = source.chunks_exact(self.size as usize / 8).collect();
        let sums: Vec<u64> = chunks.iter().map(|chunk| bare::sum(chunk)).collect();
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
        let driver = self.set.drive();
        let begun = Instant::now();
        for (index, chunk) in chunks.iter().cycle().take(total).enumerate() {
            let buffer = self.set.allocate_buffer_wait(self.size, 0, PATIENCE)?;
            buffer.slice().copy_from(0, chunk.as_bytes())?;
            self.devices[index % self.devices.len()].send_command(Request {
                code: CommandCode::WRITE,
                size: self.size,
                position: 0,
                buffer: Some(buffer),
                context: 0,
                routine: routine.clone(),
            })?;
        }
        self.set.run_agent_until(&mut || stored.load(SeqCst) == total, PATIENCE)?;
        let elapsed = begun.elapsed();
        drop(driver);
        let expected =
            sums.iter().cycle().take(total).fold(0u64, |all, sum| all.wrapping_add(*sum));
        self.client.tell(client::SUM)?;
        ensure!(self.client.answer()?.parse() == Ok(expected), "the client read other bytes");
        Ok(elapsed)
    }

    /// The time of `count` commands without a buffer, each sent by the completion routine of the one before.
    ///
    /// # Errors
    ///
    /// A failed call; VD_E_TIMEOUT when a command was lost.
    pub fn round_trips(&self, count: u32) -> Result<Duration> {
        let left = Arc::new(AtomicU32::new(count));
        let next: Arc<OnceLock<Weak<Routine>>> = Arc::default();
        let device = self.devices[0].clone();
        let routine: Arc<Routine> = Arc::new({
            let (left, next) = (left.clone(), next.clone());
            move |_| {
                if left.fetch_sub(1, SeqCst) > 1 {
                    // One that can't be sent completes with an error and so ends the chain below.
                    let _ = next
                        .get()
                        .and_then(Weak::upgrade)
                        .map(|routine| device.send_command(flush(routine)));
                }
            }
        });
        _ = next.set(Arc::downgrade(&routine));
        let _driver = self.set.drive();
        let begun = Instant::now();
        self.devices[0].send_command(flush(routine.clone()))?;
        self.set.run_agent_until(&mut || left.load(SeqCst) == 0, PATIENCE)?;
        Ok(begun.elapsed())
    }

    /// The time of one command without a buffer.
    ///
    /// # Errors
    ///
    /// A failed call.
    pub fn round_trip(&self) -> Result<Duration> {
        let begun = Instant::now();
        self.devices[0].execute(CommandCode::FLUSH, 0, 0, None)?;
        Ok(begun.elapsed())
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

fn flush(routine: Arc<Routine>) -> Request {
    Request { code: CommandCode::FLUSH, size: 0, position: 0, buffer: None, context: 0, routine }
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
        let subject = Subject::of_kind(process::HANDLES, cpus, 1, (1, size))?;
        let buffer = subject.set.allocate_buffer(size as u32, 0)?;
        subject.devices[0].send_command(Request {
            code: CommandCode::WRITE,
            size: size as u32,
            position: 0,
            buffer: Some(buffer),
            context: 0,
            routine: Arc::new(|_| ()),
        })?;
        Ok(Handles { subject })
    }

    /// The client's process id.
    pub fn pid(&self) -> u32 {
        self.subject.pid()
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
        Ok(Lives { client: Client::start(process::LIVES, cpus.1, 1)?, lived: 0, buffers })
    }

    /// The client's process id.
    pub fn pid(&self) -> u32 {
        self.client.process.id()
    }

    /// The time from Create to the first command, as the client sees it.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong in either process.
    pub fn live(&mut self) -> Result<Duration> {
        let name = format!("{SET}{}", self.lived);
        self.lived += 1;
        self.client.tell(&name)?;
        let (set, devices) =
            self.client.open(&name, 1, self.buffers.0 as u32, self.buffers.1 as u32)?;
        devices[0].execute(CommandCode::FLUSH, 0, 0, None)?;
        devices[0].close_device()?;
        set.close()?;
        Ok(Duration::from_secs_f64(self.client.answer()?.parse()?))
    }
}
