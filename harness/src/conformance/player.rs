//! Plays the server half of a script, in a process of its own.

mod answers;
mod around;
mod faults;
mod fences;
mod killing;
mod opening;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fake_sqlserver::transfer::{
    AbortHandle, Expected, FaultPlan, SeededBytes, Stage, kill_this_process,
};
use vdi_device::{Buffer, Completed, Environment, Request, ServerDevice, ServerSet};
use vdi_protocol::{CommandCode, CompletionCode, Features, HResult, ServerConfig};

use super::record::{Asked, Object, Recorder, What};
use super::script::{Content, Item, Operation, Order, Step};
use around::{Held, hide_buffers, objects_of};

/// Bytes read behind the end of a stream before the client is believed to go on for ever.
const PATIENCE: u64 = 1 << 20;

/// What fills memory that the client must not touch.
const CANARY: u8 = 0xC5;

/// Why a script goes no further; the record says it already.
struct Stop;

type Played<T = ()> = Result<T, Stop>;

/// Plays an order to its end.
pub(crate) fn play(environment: &Environment, order: &Order) -> std::io::Result<()> {
    vdi_region::install_truncation_guard();
    let recorder = Recorder::create(&order.record)?;
    perform(environment, order, &recorder, &|_| {})
}

/// Plays an order's script; how it went is in the record. `attend` hears of the set once it is
/// there, for whoever may have to abort it.
pub(crate) fn perform(
    environment: &Environment,
    order: &Order,
    recorder: &Recorder,
    attend: &dyn Fn(AbortHandle),
) -> std::io::Result<()> {
    let faults = match &order.fault {
        // The command line has been told what is wrong with it.
        Some((name, yaml)) => FaultPlan::parse(name, yaml).map_err(std::io::Error::other)?,
        None => FaultPlan::default(),
    };
    let mut player = Player {
        environment,
        order,
        recorder,
        attend,
        set: None,
        lanes: Vec::new(),
        agent: None,
        arrived: Arc::default(),
        n: 0,
        pending: BTreeMap::new(),
        reads: Vec::new(),
        complete: false,
        disk: false,
        objects: Vec::new(),
        is_stranger: false,
        size: order.script.max_transfer_size,
        faults: faults.seeded(order.seed),
        overruled: BTreeMap::new(),
        owners: BTreeMap::new(),
        flush_due: false,
    };
    let mut ended = Ok(());
    for step in &order.script.steps {
        ended = player.step(step);
        if ended.is_err() {
            break;
        }
    }
    player.end();
    if ended.is_ok() {
        player.note(What::Finished);
    }
    Ok(())
}

struct Player<'o> {
    environment: &'o Environment,
    order: &'o Order,
    recorder: &'o Recorder,
    attend: &'o dyn Fn(AbortHandle),
    set: Option<ServerSet>,
    lanes: Vec<Lane>,
    agent: Option<JoinHandle<()>>,
    arrived: Arc<Inbox>,
    n: u64,
    pending: BTreeMap<u64, Pending>,
    reads: Vec<Read>,
    complete: bool,
    disk: bool,
    /// The client's shared objects.
    objects: Vec<Object>,
    /// Whether the server runs under another account than the client.
    is_stranger: bool,
    /// Bytes of the buffers in use.
    size: u32,
    faults: FaultPlan,
    /// What faults make of answers to come, by the numbers of their commands.
    overruled: BTreeMap<u64, CompletionCode>,
    /// The device and command that a buffer, by its handle, was last given with.
    owners: BTreeMap<u32, (u32, u64)>,
    /// A fault has ordered a Flush.
    flush_due: bool,
}

/// Completions as the agent hands them over.
#[derive(Default)]
struct Inbox {
    completions: Mutex<Vec<Completed>>,
    more: Condvar,
}

struct Lane {
    device: ServerDevice,
    expected: Stream,
    /// Where in the stream the next transfer begins.
    at: u64,
    /// Where in the stream the next byte that comes back belongs.
    back: u64,
    ended: bool,
    in_error: bool,
    position: u64,
    closed: bool,
    /// Commands sent, by their codes; counted for faults only.
    sent: BTreeMap<u32, u64>,
}

struct Pending {
    device: usize,
    sent: Instant,
    /// Where in the stream the bytes belong; `None` for bytes that are not looked at.
    at: Option<u64>,
    tolerated: bool,
}

/// An answered Read whose turn has not come.
struct Read {
    device: usize,
    /// Where in the stream it was thought to be when it was sent.
    at: u64,
    completed: Completed,
}

enum Stream {
    Seeded(SeededBytes),
    Byte(u8),
}

impl Stream {
    fn read_at(&mut self, at: u64, target: &mut [u8]) {
        match self {
            // Made from a seed, so nothing can fail.
            Stream::Seeded(bytes) => drop(bytes.read_at(at, target)),
            Stream::Byte(byte) => target.fill(*byte),
        }
    }
}

impl Player<'_> {
    fn note(&self, what: What) {
        // Without a record the runner sees that nothing happened, and says so.
        let _ = self.recorder.write(what);
    }

    fn stop(&self, why: impl Into<String>) -> Stop {
        self.note(What::Stopped { why: why.into() });
        Stop
    }

    fn failed(&self, call: &str, error: &vdi_device::Error) -> Stop {
        if error.status() == HResult::VD_E_ABORT {
            return self.aborted();
        }
        self.note(What::Failed { why: format!("{call}: {error}") });
        Stop
    }

    fn aborted(&self) -> Stop {
        let cause = self.set.as_ref().and_then(ServerSet::abort_cause);
        let cause = cause.map_or_else(|| "no cause given".to_owned(), |cause| cause.to_string());
        self.note(What::Aborted { cause });
        Stop
    }

    fn set(&self) -> Played<&ServerSet> {
        self.set.as_ref().ok_or_else(|| {
            self.note(What::Failed { why: "the script has no set yet".to_owned() });
            Stop
        })
    }

    fn step(&mut self, step: &Step) -> Played {
        match step {
            Step::Attach => self.attach(),
            Step::Configure => self.configure(),
            Step::Open => self.open(),
            Step::Write { bytes, size } => self.write(*bytes, *size),
            Step::Read { bytes, size } => self.read(*bytes, *size),
            Step::WriteAt { position, size } => {
                self.seek(*position);
                self.on_all(|player, k| player.send_write(k, *size))?;
                self.settle()
            }
            Step::ReadAt { position, size } => {
                self.seek(*position);
                self.on_all(|player, k| player.send_read(k, *size))?;
                self.settle()
            }
            Step::ReadToEnd { size } => self.read_to_end(*size),
            Step::ReadBehindEnd { size } => {
                self.on_all(|player, k| player.send_read(k, *size))?;
                self.settle()
            }
            Step::Send(items) => self.on_all(|player, k| {
                items.iter().try_for_each(|item| match *item {
                    Item::Write(size) => player.send_write(k, size),
                    Item::Read(size) => player.send_read(k, size),
                    Item::Command(code, size, position) => {
                        player.send(k, CommandCode(code), size, position, None, None, false)
                    }
                })
            }),
            Step::Await => self.settle(),
            Step::Command { code, size, position } => {
                self.on_all(|player, k| {
                    player.send(k, CommandCode(*code), *size, *position, None, None, true)
                })?;
                self.settle()
            }
            Step::SetToLastPosition => {
                self.on_all(|player, k| {
                    let position = player.lanes[k].position;
                    player.send(k, CommandCode::SET_POSITION, 0, position, None, None, true)
                })?;
                self.settle()
            }
            Step::StreamAt(at) => {
                self.seek(*at);
                Ok(())
            }
            Step::ClearError => self.clear_error(),
            Step::Flush => {
                self.stage(Stage::Transferred)?;
                self.plain(CommandCode::FLUSH)?;
                self.stage(Stage::Flushed)
            }
            Step::Complete if self.complete => {
                self.plain(CommandCode::COMPLETE)?;
                self.stage(Stage::Completed)
            }
            Step::Complete => Ok(()),
            Step::MoreBuffers => {
                self.size *= 2;
                let count = self.buffer_count();
                let asked = self.set()?.request_buffers(self.size, 0, count);
                asked.map_err(|error| self.failed("RequestBuffers", &error))
            }
            Step::Pause(time) => {
                self.note(What::Action { name: format!("pause of {time} ms") });
                thread::sleep(Duration::from_millis(*time));
                Ok(())
            }
            Step::Abort => {
                self.note(What::Action { name: "SignalAbort".to_owned() });
                self.set()?.signal_abort();
                Err(Stop)
            }
            Step::Die => {
                self.note(What::Action { name: "the server dies".to_owned() });
                kill_this_process()
            }
            Step::KillClient => self.kill_client(),
            Step::KillSecondary => self.kill_secondary(),
            Step::Close => {
                self.close_devices();
                Ok(())
            }
            Step::AsOther => {
                self.is_stranger = true;
                Ok(())
            }
            // Of the statement, not of the set.
            Step::Refuse | Step::FailStatement => Ok(()),
        }
    }

    fn seek(&mut self, at: u64) {
        for lane in &mut self.lanes {
            lane.at = at;
            lane.back = at;
            lane.ended = false;
        }
    }

    fn on_all(&mut self, mut send: impl FnMut(&mut Self, usize) -> Played) -> Played {
        (0..self.lanes.len()).try_for_each(|k| send(self, k))
    }

    fn plain(&mut self, code: CommandCode) -> Played {
        self.on_all(|player, k| player.send(k, code, 0, 0, None, None, false))?;
        self.settle()
    }

    /// Writes the next bytes of all streams, `depth` transfers a device under way.
    fn write(&mut self, bytes: u64, size: u32) -> Played {
        let mut left = bytes;
        while left > 0 {
            for _ in 0..self.order.script.depth.max(1) {
                let now = left.min(u64::from(size)) as u32;
                if now > 0 {
                    self.on_all(|player, k| player.send_write(k, now))?;
                    left -= u64::from(now);
                }
            }
            self.settle()?;
            if std::mem::take(&mut self.flush_due) {
                self.plain(CommandCode::FLUSH)?;
            }
        }
        self.note_streams();
        Ok(())
    }

    /// Reads the next bytes of all streams, unless they end before.
    fn read(&mut self, bytes: u64, size: u32) -> Played {
        let targets: Vec<_> = self.lanes.iter().map(|lane| lane.at + bytes).collect();
        let depth = self.order.script.depth.max(1);
        let open = |lane: &Lane, target: u64| !lane.ended && lane.at < target;
        while self.lanes.iter().zip(&targets).any(|(lane, target)| open(lane, *target)) {
            for _ in 0..depth {
                self.on_all(|player, k| {
                    let lane = &player.lanes[k];
                    let now = targets[k].saturating_sub(lane.at).min(u64::from(size)) as u32;
                    if open(lane, targets[k]) { player.send_read(k, now) } else { Ok(()) }
                })?;
            }
            self.settle()?;
        }
        self.note_streams();
        Ok(())
    }

    fn read_to_end(&mut self, size: u32) -> Played {
        let depth = self.order.script.depth.max(1);
        let length = self.order.script.length;
        while self.lanes.iter().any(|lane| !lane.ended) {
            for _ in 0..depth {
                self.on_all(|player, k| {
                    if player.lanes[k].ended { Ok(()) } else { player.send_read(k, size) }
                })?;
            }
            self.settle()?;
            if self.lanes.iter().any(|lane| lane.back > length + PATIENCE) {
                return Err(self
                    .stop(format!("the client returned {PATIENCE} bytes more than it was given")));
            }
        }
        self.note_streams();
        Ok(())
    }

    fn note_streams(&self) {
        for (k, lane) in self.lanes.iter().enumerate() {
            let bytes =
                if self.order.script.operation == Operation::Backup { lane.at } else { lane.back };
            self.note(What::Stream { device: k as u32, bytes });
        }
    }

    fn clear_error(&mut self) -> Played {
        self.on_all(|player, k| {
            if player.lanes[k].in_error {
                player.send(k, CommandCode::CLEAR_ERROR, 0, 0, None, None, false)
            } else {
                Ok(())
            }
        })?;
        self.settle()?;
        self.lanes.iter_mut().for_each(|lane| lane.in_error = false);
        Ok(())
    }

    fn send_write(&mut self, k: usize, size: u32) -> Played {
        let buffer = self.buffer(size)?;
        let at = self.lanes[k].at;
        let mut bytes = vec![0; size as usize];
        self.lanes[k].expected.read_at(at, &mut bytes);
        if buffer.slice().copy_from(0, &bytes).is_err() {
            return Err(self.stop("a buffer is gone"));
        }
        self.lanes[k].at += u64::from(size);
        let position = if self.disk { at } else { 0 };
        self.send(k, CommandCode::WRITE, size, position, Some(buffer), Some(at), false)
    }

    fn send_read(&mut self, k: usize, size: u32) -> Played {
        let buffer = self.buffer(size)?;
        let at = self.lanes[k].at;
        // What the client has to replace differs from what it has to return, byte for byte.
        let mut before = vec![0; size as usize];
        let stream = &mut self.lanes[k].expected;
        stream.read_at(at, &mut before);
        before.iter_mut().for_each(|byte| *byte = !*byte);
        if buffer.slice().copy_from(0, &before).is_err() {
            return Err(self.stop("a buffer is gone"));
        }
        self.lanes[k].at += u64::from(size);
        let position = if self.disk { at } else { 0 };
        self.send(k, CommandCode::READ, size, position, Some(buffer), Some(at), false)
    }

    /// A buffer of the present size with canaries behind the bytes of the transfer.
    fn buffer(&mut self, size: u32) -> Played<Buffer> {
        let set = self.set()?.clone();
        let asked = if self.order.guard { size } else { self.size };
        loop {
            match set.allocate_buffer_wait(asked, 0, Some(Duration::from_millis(50))) {
                Ok(buffer) => {
                    self.look_at_free(&buffer);
                    if let Ok(rest) =
                        buffer.slice().subslice(size as usize, buffer.len() - size as usize)
                    {
                        rest.fill(CANARY);
                    }
                    return Ok(buffer);
                }
                Err(error) if error.status() == HResult::VD_E_TIMEOUT => self.take_arrived()?,
                Err(error) => return Err(self.failed("AllocateBuffer", &error)),
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of a command and what it is for")]
    fn send(
        &mut self,
        k: usize,
        code: CommandCode,
        size: u32,
        position: u64,
        buffer: Option<Buffer>,
        at: Option<u64>,
        tolerated: bool,
    ) -> Played {
        self.n += 1;
        let n = self.n;
        self.fault_of_command(k, code, n)?;
        if let Some(buffer) = &buffer {
            self.owners.insert(buffer.handle(), (k as u32, n));
        }
        self.note(What::Sent { device: k as u32, n, code: code.0, size, position });
        let sent = Instant::now();
        self.pending.insert(n, Pending { device: k, sent, at, tolerated });
        let inbox = Arc::clone(&self.arrived);
        let routine = Arc::new(move |completed| {
            inbox.completions.lock().unwrap_or_else(PoisonError::into_inner).push(completed);
            inbox.more.notify_all();
        });
        let request = Request { code, size, position, buffer, context: n, routine };
        match self.lanes[k].device.send_command(request) {
            // The routine was called, and says it.
            Err(error) if error.status() == HResult::VD_E_ABORT => Ok(()),
            Err(error) if error.status() == HResult::VD_E_IO_ERROR => Ok(()),
            Err(error) => Err(self.failed("SendCommand", &error)),
            Ok(()) => Ok(()),
        }
    }

    /// Waits for everything that was sent and looks at the answers.
    fn settle(&mut self) -> Played {
        let mut ended = Ok(());
        while !self.pending.is_empty() {
            let inbox = Arc::clone(&self.arrived);
            let mut arrived = inbox.completions.lock().unwrap_or_else(PoisonError::into_inner);
            while arrived.is_empty() {
                arrived = inbox.more.wait(arrived).unwrap_or_else(PoisonError::into_inner);
            }
            drop(arrived);
            ended = ended.and(self.take_arrived());
        }
        // A client may answer in any order; the stream has one.
        let mut reads = std::mem::take(&mut self.reads);
        reads.sort_by_key(|read| read.completed.context);
        for read in &reads {
            ended = ended.and(self.returned(read));
        }
        for read in &reads {
            let lane = &mut self.lanes[read.device];
            lane.at = lane.back;
        }
        ended
    }

    fn take_arrived(&mut self) -> Played {
        let taken = std::mem::take(
            &mut *self.arrived.completions.lock().unwrap_or_else(PoisonError::into_inner),
        );
        let mut ended = Ok(());
        for completed in taken {
            ended = ended.and(self.completed(completed));
        }
        ended
    }

    fn close_devices(&mut self) {
        for (k, lane) in self.lanes.iter_mut().enumerate() {
            if !std::mem::replace(&mut lane.closed, true) && lane.device.close_device().is_ok() {
                let _ = self.recorder.write(What::Closed { device: k as u32 });
            }
        }
    }

    /// Waits for what is under way, closes, and leaves the set.
    fn end(&mut self) {
        let _ = self.settle();
        self.look_at_all_free();
        self.close_devices();
        let _ = self.stage(Stage::Closed);
        let Some(set) = self.set.take() else { return };
        if self.lanes.is_empty() {
            set.signal_abort();
        }
        if let Some(agent) = self.agent.take() {
            let _ = agent.join();
        }
        if let Some(fault) = set.buffer_fault() {
            self.note(What::BufferFault { text: fault.to_string(), pid: fault.pid });
        }
        let _ = set.close();
    }
}
