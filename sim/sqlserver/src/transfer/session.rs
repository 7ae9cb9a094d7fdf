//! A statement on its device set: attach, configure, run the devices, end.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use vdi_device::{Environment, Fence, Reason, Rendezvous, ServerSet};
use vdi_protocol::{CommandCode, Direction, Features, Mode, ServerConfig, VdConfig};

use super::abort::AbortHandle;
use super::backup::send_stream;
use super::cause::{Cause, TransferError};
use super::fault::{Action, DropInFault, FaultPlan, Stage};
use super::lane::{Lane, Run, Stopped};
use super::objects::Objects;
use super::observer::{Event, Observer};
use super::restore::receive_stream;
use super::sink::Sink;
use super::source::Source;
use super::statement::{SetName, Statement, text};
use crate::messages::{Message, success};

/// The step of a failure to find or open the set.
pub(crate) const STEP_ATTACH: &str = "Open";

/// Bytes of the first transfer of a stream: what a media header needs.
/// Source: VDI, "Configuration" (metadata travels in small buffers of their own).
const HEADER_SIZE: u32 = 4096;

/// How long the client has to finish declaring its buffer areas.
const DECLARE_TIME: Duration = Duration::from_secs(60);

/// Most commands that a device has under way, well below what its queue holds.
const MAX_DEPTH: u32 = 32;

/// What a finished transfer has done.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The set's name.
    pub set: Vec<u8>,
    /// The devices' names.
    pub devices: Vec<Vec<u8>>,
    /// Bytes of each device.
    pub bytes: Vec<u64>,
    /// From the first command to the last answer.
    pub elapsed: Duration,
    /// What SQL Server says about it.
    pub messages: Vec<Message>,
}

impl Summary {
    /// Bytes of all devices.
    pub fn total(&self) -> u64 {
        self.bytes.iter().sum()
    }
}

/// What every thread has to know about the transfers.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) features: Features,
    pub(crate) alignment: u32,
    block_size: u32,
    max_transfer_size: u32,
    /// Commands of a device under way at most.
    pub(crate) depth: usize,
    /// Whether a device may keep the buffers that come back, because there are enough for all.
    pub(crate) keeps_buffers: bool,
}

impl Shape {
    fn new(config: &ServerConfig, asked: &VdConfig, devices: u32, buffer_count: u32) -> Self {
        Shape {
            features: config.features,
            alignment: config.effective_alignment().max(asked.alignment),
            block_size: config.block_size,
            max_transfer_size: config.max_transfer_size,
            depth: (buffer_count / devices).clamp(1, MAX_DEPTH) as usize,
            keeps_buffers: buffer_count >= devices,
        }
    }

    /// Bytes of a small buffer.
    fn header_size(&self) -> u32 {
        HEADER_SIZE.max(self.block_size)
    }

    /// Bytes of the transfer at `at` of a stream, if so many are wanted.
    pub(crate) fn transfer_size(&self, at: u64, wanted: u64) -> u32 {
        let most = if at == 0 { self.header_size() } else { self.max_transfer_size };
        u32::try_from(wanted).map_or(most, |wanted| wanted.min(most))
    }

    /// As many bytes in whole blocks, at least one.
    pub(crate) fn whole_blocks(&self, bytes: u64) -> u64 {
        let block = u64::from(self.block_size);
        (bytes / block).max(1) * block
    }

    /// What goes into a Read's or Write's position field.
    pub(crate) fn position(&self, at: u64) -> u64 {
        if self.features.mode() == Mode::Disk { at } else { 0 }
    }
}

/// A statement that has found its set.
pub struct Session {
    statement: Statement,
    run: Run,
    devices: Vec<Vec<u8>>,
    asked: VdConfig,
    environment: Environment,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("set", &text(self.run.set.name())).finish_non_exhaustive()
    }
}

impl Session {
    /// Waits for the statement's set and looks at what its client asks for.
    pub fn attach(
        environment: &Environment,
        statement: Statement,
        faults: FaultPlan,
        observer: Arc<dyn Observer>,
    ) -> Result<Session, TransferError> {
        let name = match &statement.set {
            SetName::Named(name) => Some(name.as_slice()),
            SetName::Any => None,
        };
        let shown = name.map_or_else(|| "*".to_owned(), text);
        let failed = |cause: Cause| {
            observer.event(&Event::Failed { cause: &cause });
            TransferError { messages: cause.messages(&statement, &shown), cause }
        };
        statement.check().map_err(|error| failed(error.into()))?;
        let refused = refuse_create(environment, &faults)
            .map_err(|error| failed(Cause::Interface { step: STEP_ATTACH, error }))?;
        before_attaching(&faults, observer.as_ref());
        let opened = open_set(environment, &statement, name);
        let set = opened.map_err(|cause| match (cause, faults.in_create()) {
            (Cause::NoSet { .. }, Some(fault)) => failed(Cause::Fault {
                action: Action::DropIn(fault),
                place: "in every Create".to_owned(),
            }),
            (cause, _) => failed(cause),
        })?;
        drop(refused);
        let asked = set
            .get_configuration()
            .map_err(|error| failed(Cause::Interface { step: "GetConfiguration", error }))?;
        let devices = statement
            .device_names(set.name(), asked.device_count)
            .map_err(|error| failed(error.into()))?;
        observer.event(&Event::Attached { set: set.name(), devices: &devices, asked: &asked });
        let run = Run::new(set, faults, observer);
        Ok(Session { run, statement, devices, asked, environment: environment.clone() })
    }

    /// The set's name.
    pub fn set(&self) -> &[u8] {
        self.run.set.name()
    }

    /// The names of the set's devices, in the order of their sources or sinks.
    pub fn devices(&self) -> &[Vec<u8>] {
        &self.devices
    }

    /// What the client asked for.
    pub fn asked(&self) -> &VdConfig {
        &self.asked
    }

    /// What ends the transfer from another thread, from now on until it has ended.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle::new(&self.run.set, &self.run.cancelled)
    }

    /// Sends each source to its device.
    pub fn backup(self, sources: Vec<&mut dyn Source>) -> Result<Summary, TransferError> {
        self.transfer(sources, send_stream)
    }

    /// Reads each device into its sink.
    pub fn restore(self, sinks: Vec<&mut dyn Sink>) -> Result<Summary, TransferError> {
        self.transfer(sinks, receive_stream)
    }

    fn transfer<W: Send>(
        self,
        workers: Vec<W>,
        stream: impl Fn(&mut Lane<'_>, W, &Shape) -> Result<u64, Stopped> + Sync,
    ) -> Result<Summary, TransferError> {
        let set = text(self.set());
        let done = self.run_devices(workers, &stream);
        let _ = self.run.stage(Stage::Closed);
        // With every device closed or the set aborted there is nothing left that Close could miss.
        let _ = self.run.set.close();
        let (bytes, elapsed) = match done {
            Ok(done) => done,
            Err(Stopped) => (Vec::new(), Duration::ZERO),
        };
        let Session { statement, run, devices, .. } = self;
        let name = run.set.name().to_vec();
        match run.into_cause() {
            Some(cause) => Err(TransferError { messages: cause.messages(&statement, &set), cause }),
            None => {
                let messages = vec![success(
                    statement.verb(),
                    bytes.iter().sum::<u64>().div_ceil(8192),
                    elapsed,
                )];
                Ok(Summary { set: name, devices, bytes, elapsed, messages })
            }
        }
    }

    fn run_devices<W: Send>(
        &self,
        workers: Vec<W>,
        stream: &(impl Fn(&mut Lane<'_>, W, &Shape) -> Result<u64, Stopped> + Sync),
    ) -> Result<(Vec<u64>, Duration), Stopped> {
        let run = &self.run;
        let shape = self.configure(workers.len()).inspect_err(|_| run.set.signal_abort())?;
        let objects = Objects::of(&self.environment, self.set());
        let done = thread::scope(|scope| {
            let agent = scope.spawn(|| run.set.execute_completion_agent());
            let done = self.run_lanes(workers, &shape, stream);
            // How the agent ended says nothing that the devices' threads have not seen.
            let _ = agent.join();
            done
        });
        if let Some(fault) = run.set.buffer_fault() {
            return Err(run.overrule(Cause::BufferFault { fault }));
        }
        match objects.and_then(|objects| objects.shrunk()) {
            Some(object) => Err(run.overrule(Cause::Shrunk { object })),
            None => done,
        }
    }

    /// Opens, runs and closes the devices; the agent ends with the last of them or with an abort.
    fn run_lanes<W: Send>(
        &self,
        workers: Vec<W>,
        shape: &Shape,
        stream: &(impl Fn(&mut Lane<'_>, W, &Shape) -> Result<u64, Stopped> + Sync),
    ) -> Result<(Vec<u64>, Duration), Stopped> {
        let run = &self.run;
        let mut lanes = self.open_lanes().inspect_err(|_| run.set.signal_abort())?;
        let start = Instant::now();
        let done = run
            .stage(Stage::Opened)
            .and_then(|()| run_streams(&mut lanes, workers, shape, stream))
            .and_then(|bytes| self.finish(&mut lanes, shape).map(|()| bytes));
        let elapsed = start.elapsed();
        for lane in &mut lanes {
            lane.drain();
            lane.close();
        }
        run.check()?;
        done.map(|bytes| (bytes, elapsed))
    }

    /// Flush to all devices, then Complete to all if it was negotiated; each of them is sent to
    /// all before an answer is awaited. WITH SNAPSHOT the client takes or mounts it in the end;
    /// that it is asked to Flush the metadata before is unconfirmed. Source: VDI, VDC_Flush and
    /// VDC_Snapshot pages; KB3188454.
    fn finish(&self, lanes: &mut [Lane<'_>], shape: &Shape) -> Result<(), Stopped> {
        self.run.observer.event(&Event::Transferred);
        self.run.stage(Stage::Transferred)?;
        if self.statement.direction == Direction::Backup {
            send_to_all(lanes, CommandCode::FLUSH)?;
            self.run.stage(Stage::Flushed)?;
            if shape.features.contains(Features::COMPLETE_ENABLED) {
                send_to_all(lanes, CommandCode::COMPLETE)?;
            }
        }
        match self.statement.direction {
            Direction::Backup if self.statement.snapshot => {
                send_to_all(lanes, CommandCode::SNAPSHOT)?;
            }
            Direction::Restore if self.statement.snapshot => {
                // The end of the metadata was an error, behind which nothing else is executed.
                send_to_all(lanes, CommandCode::CLEAR_ERROR)?;
                send_to_all(lanes, CommandCode::MOUNT_SNAPSHOT)?;
            }
            _ => {}
        }
        self.run.stage(Stage::Completed)
    }

    fn open_lanes(&self) -> Result<Vec<Lane<'_>>, Stopped> {
        let open = |name: &Vec<u8>| match self.run.set.open_device(name) {
            Ok(device) => Ok(Lane::new(&self.run, device)),
            Err(error) => Err(self.run.interface_failed("OpenDevice", error, None)),
        };
        let lanes = self.devices.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        self.run.observer.event(&Event::Opened);
        Ok(lanes)
    }

    /// BeginConfiguration to EndConfiguration. Source: VDI, "Configuration".
    fn configure(&self, workers: usize) -> Result<Shape, Stopped> {
        let run = &self.run;
        let failed = |step| move |error| run.interface_failed(step, error, None);
        run.stage(Stage::Attached)?;
        self.check_usable(workers)
            .map_err(|reason| run.fail(Cause::Unusable { set: text(self.set()), reason }))?;
        let devices = self.asked.device_count;
        let config = ServerConfig {
            features: self
                .asked
                .features()
                .answer(self.statement.direction, self.statement.profile.offers_complete),
            block_size: self.statement.block_size(),
            alignment: 0,
            max_transfer_size: self.statement.max_transfer_size(),
            time_out: DECLARE_TIME.as_millis() as u32,
        };
        let buffer_count = self.statement.buffer_count(devices);
        let shape = Shape::new(&config, &self.asked, devices, buffer_count);
        run.set.begin_configuration(&config).map_err(failed("BeginConfiguration"))?;
        run.stage(Stage::Configuring)?;
        if self.statement.fence != Fence::None {
            run.set.fence_buffers(self.statement.fence).map_err(failed("fence_buffers"))?;
        }
        for (size, count) in
            [(config.max_transfer_size, buffer_count), (shape.header_size(), devices)]
        {
            run.set.request_buffers(size, 0, count).map_err(failed("RequestBuffers"))?;
        }
        run.set.end_configuration().map_err(failed("EndConfiguration"))?;
        run.observer.event(&Event::Configured { chosen: &config, buffer_count });
        run.stage(Stage::Configured)?;
        Ok(shape)
    }

    /// What SQL Server refuses with 3261.
    fn check_usable(&self, workers: usize) -> Result<(), String> {
        let asked = self.asked.device_count;
        let named = self.devices.len();
        if asked as usize != named {
            return Err(format!(
                "the client asked for {asked} devices and the statement names {named}; name every \
                 device of the set, or have the client ask for as many as are named"
            ));
        }
        if named != workers {
            return Err(format!("{workers} streams were given for {named} devices"));
        }
        match self.statement.profile.refuses_disk {
            Some(reason) if self.asked.features().mode() == Mode::Disk => {
                Err(reason.trim_end_matches('.').to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// A thread a device, until every stream has ended and nothing is outstanding.
fn run_streams<W: Send>(
    lanes: &mut [Lane<'_>],
    workers: Vec<W>,
    shape: &Shape,
    stream: &(impl Fn(&mut Lane<'_>, W, &Shape) -> Result<u64, Stopped> + Sync),
) -> Result<Vec<u64>, Stopped> {
    let ended: Vec<_> = thread::scope(|scope| {
        let work = |(lane, worker): (&mut Lane<'_>, W)| {
            let bytes = stream(lane, worker, shape);
            lane.drain();
            bytes
        };
        let start = |both| scope.spawn(move || work(both));
        let threads: Vec<_> = lanes.iter_mut().zip(workers).map(start).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    ended
        .into_iter()
        .map(|bytes| bytes.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        .collect()
}

/// Orders what is to become of Create, where the drop-in looks before there is a server; for as long as
/// the order is kept.
fn refuse_create(
    environment: &Environment,
    faults: &FaultPlan,
) -> Result<Option<Rendezvous>, vdi_device::Error> {
    let leave = |fault: DropInFault| Rendezvous::leave(environment, &[fault.setting()]);
    faults.in_create().map(leave).transpose()
}

/// The faults that come before there is a set; only waiting and dying make sense there.
fn before_attaching(faults: &FaultPlan, observer: &dyn Observer) {
    let Some(action) = faults.at_stage(Stage::Started) else { return };
    observer.event(&Event::Fault { device: None, n: None, action });
    match action {
        Action::Delay(time) => thread::sleep(*time),
        Action::Stall => loop {
            thread::park();
        },
        Action::Kill => super::kill::kill_this_process(),
        // There is nothing yet to abort or close.
        _ => {}
    }
}

fn open_set(
    environment: &Environment,
    statement: &Statement,
    name: Option<&[u8]>,
) -> Result<ServerSet, Cause> {
    let opened = match (&statement.instance, name) {
        (Some(instance), Some(name)) => poll_instance(environment, instance, name, statement.wait),
        _ => ServerSet::wait_open(environment, name, statement.wait),
    };
    opened.map_err(|error| match (error.reason(), statement.wait) {
        (Reason::NoSuchSet { .. } | Reason::TimedOut(_), Some(waited)) => {
            let set = name.map_or_else(|| "a set".to_owned(), |n| format!("the set '{}'", text(n)));
            Cause::NoSet { set, waited }
        }
        _ => Cause::Interface { step: STEP_ATTACH, error },
    })
}

/// Waits for a set of another instance than the default one, which cannot be waited for by name.
fn poll_instance(
    environment: &Environment,
    instance: &[u8],
    name: &[u8],
    wait: Option<Duration>,
) -> Result<ServerSet, vdi_device::Error> {
    let start = Instant::now();
    loop {
        match ServerSet::open(environment, Some(instance), name) {
            Err(error)
                if matches!(error.reason(), Reason::NoSuchSet { .. })
                    && wait.is_none_or(|wait| start.elapsed() < wait) =>
            {
                thread::sleep(Duration::from_millis(20));
            }
            opened => return opened,
        }
    }
}

fn send_to_all(lanes: &mut [Lane<'_>], code: CommandCode) -> Result<(), Stopped> {
    for lane in lanes.iter_mut() {
        lane.send(code, 0, 0, None)?;
    }
    for lane in lanes {
        let answer = lane.next()?;
        lane.succeeded(&answer)?;
    }
    Ok(())
}
