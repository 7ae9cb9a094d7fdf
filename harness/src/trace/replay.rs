//! The server half of a recorded run once more: the same statement, sizes and order of commands.

use fake_sqlserver::transfer::{
    Action, Ask, At, DigestSink, Fault, Nth, SeededBytes, SeededSource, SetName, Sink, SinkError,
    Source, SourceError, Statement, Step,
};
use serde_json::Value;
use vdi_protocol::{CommandCode, Direction, Profile};
use vdi_region::SharedSlice;

use super::record::{Record, What};

/// A command that the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentCommand {
    /// What it was.
    pub code: CommandCode,
    /// Its size.
    pub size: u32,
    /// Its position.
    pub position: u64,
}

/// What a trace says of the server half of one run.
#[derive(Clone, Debug)]
pub struct Recording {
    /// BACKUP or RESTORE.
    pub direction: Direction,
    /// The names of the devices.
    pub devices: Vec<String>,
    /// BLOCKSIZE in bytes.
    pub block_size: u32,
    /// MAXTRANSFERSIZE in bytes.
    pub max_transfer_size: u32,
    /// BUFFERCOUNT.
    pub buffer_count: u32,
    /// The commands of each device, in their order.
    pub commands: Vec<Vec<SentCommand>>,
    /// The faults at commands that were carried out.
    pub faults: Vec<Fault>,
    /// Why the recorded run failed, if it did.
    pub failed: Option<String>,
}

/// A trace that cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// No server wrote to it.
    #[error(
        "the trace holds nothing of a server; record one with `vdisim backup|restore --trace FILE`."
    )]
    NoServer,
    /// Several runs in one file.
    #[error("the trace holds {0} runs; record each run to a file of its own.")]
    Several(usize),
    /// The server came not so far.
    #[error("the recorded server sent no Write and no Read, so that there is nothing to replay.")]
    NoStream,
    /// A line of the server lacks something.
    #[error(
        "the trace has a line `{event}` whose details are not those of this version: {details}."
    )]
    Unusable {
        /// The event.
        event: String,
        /// What it holds.
        details: String,
    },
}

impl Recording {
    /// Takes the server's part out of a trace.
    pub fn new(records: &[Record]) -> Result<Self, RecordingError> {
        let events = |wanted: &'static str| {
            records.iter().filter_map(move |record| match &record.what {
                What::Event { event, details } if event == wanted => Some(details),
                _ => None,
            })
        };
        match events("attached").count() {
            0 => return Err(RecordingError::NoServer),
            1 => {}
            several => return Err(RecordingError::Several(several)),
        }
        let devices: Vec<_> = events("attached")
            .flat_map(|details| details["devices"].as_array().into_iter().flatten())
            .map(|name| name.as_str().unwrap_or_default().to_owned())
            .collect();
        let mut commands = vec![Vec::new(); devices.len()];
        for details in events("sent") {
            let (device, command) = sent(details).ok_or_else(|| unusable("sent", details))?;
            commands.get_mut(device).ok_or_else(|| unusable("sent", details))?.push(command);
        }
        let any = |code| commands.iter().flatten().any(|command| command.code == code);
        let direction = if any(CommandCode::WRITE) {
            Direction::Backup
        } else if any(CommandCode::READ) {
            Direction::Restore
        } else {
            return Err(RecordingError::NoStream);
        };
        let configured = events("configured").next().ok_or(RecordingError::NoStream)?;
        let size = |name| small(configured, name).ok_or_else(|| unusable("configured", configured));
        Ok(Recording {
            direction,
            block_size: size("blockSize")?,
            max_transfer_size: size("maxTransferSize")?,
            buffer_count: size("bufferCount")?,
            faults: events("fault").filter_map(fault).collect(),
            failed: events("failed")
                .find_map(|details| Some(details["cause"].as_str()?.to_owned())),
            devices,
            commands,
        })
    }

    /// The statement, for the next set that a client creates.
    pub fn statement(&self) -> Statement {
        let completes =
            self.commands.iter().flatten().any(|command| command.code == CommandCode::COMPLETE);
        let profile =
            Profile { offers_complete: completes, refuses_disk: None, ..Profile::default() };
        Statement {
            block_size: Some(self.block_size),
            max_transfer_size: Some(self.max_transfer_size),
            buffer_count: Some(self.buffer_count),
            ..Statement::new(self.direction, SetName::Any, profile)
        }
    }

    /// A stream for each device with the recorded Writes, filled from a seed.
    pub fn sources(&self, seed: u64) -> Vec<ReplaySource> {
        let source = |(device, commands): (usize, &Vec<SentCommand>)| {
            ReplaySource::new(commands, seed, device as u32)
        };
        self.commands.iter().enumerate().map(source).collect()
    }

    /// A reader for each device with the recorded Reads.
    pub fn sinks(&self) -> Vec<ReplaySink> {
        self.commands.iter().map(|commands| ReplaySink::new(commands)).collect()
    }
}

/// The recorded Writes, filemarks and Flushes of a device.
#[derive(Debug)]
pub struct ReplaySource {
    steps: std::vec::IntoIter<Step>,
    bytes: SeededSource,
    total: u64,
}

impl ReplaySource {
    fn new(commands: &[SentCommand], seed: u64, device: u32) -> Self {
        // Flushes behind the last data are the end of every BACKUP and not the stream's.
        let is_data = |command: &SentCommand| {
            matches!(command.code, CommandCode::WRITE | CommandCode::WRITE_MARK)
        };
        let last = commands.iter().rposition(is_data).map_or(0, |last| last + 1);
        let step = |command: &SentCommand| match command.code {
            CommandCode::WRITE => Some(Step::Data(u64::from(command.size))),
            CommandCode::WRITE_MARK => Some(Step::FileMark),
            CommandCode::FLUSH => Some(Step::Flush),
            _ => None,
        };
        let steps: Vec<_> = commands[..last].iter().filter_map(step).collect();
        let size = |step: &Step| if let Step::Data(size) = step { *size } else { 0 };
        let total = steps.iter().map(size).sum();
        let bytes = SeededSource::new(SeededBytes::new(seed, device, total));
        ReplaySource { steps: steps.into_iter(), bytes, total }
    }
}

impl Source for ReplaySource {
    fn step(&mut self) -> Result<Step, SourceError> {
        Ok(self.steps.next().unwrap_or(Step::End))
    }

    fn fill(&mut self, buffer: &SharedSlice<'_>) -> Result<(), SourceError> {
        self.bytes.fill(buffer)
    }

    fn total(&self) -> Option<u64> {
        Some(self.total)
    }
}

/// The recorded Reads of a device; what comes back is counted and digested.
#[derive(Debug)]
pub struct ReplaySink {
    sizes: std::vec::IntoIter<u32>,
    digest: DigestSink,
}

impl ReplaySink {
    fn new(commands: &[SentCommand]) -> Self {
        let reads = commands.iter().filter(|command| command.code == CommandCode::READ);
        let sizes: Vec<_> = reads.map(|command| command.size).collect();
        ReplaySink { sizes: sizes.into_iter(), digest: DigestSink::default() }
    }

    /// What came back: its length and SHA-256.
    pub fn digest(&self) -> (u64, [u8; 32]) {
        (self.digest.bytes(), self.digest.digest())
    }
}

impl Sink for ReplaySink {
    fn ask(&mut self, _: u64) -> Ask {
        self.sizes.next().map_or(Ask::Enough, |size| Ask::Read(u64::from(size)))
    }

    fn accept(&mut self, buffer: &SharedSlice<'_>) -> Result<(), SinkError> {
        self.digest.accept(buffer)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn total(&self) -> Option<u64> {
        None
    }
}

fn sent(details: &Value) -> Option<(usize, SentCommand)> {
    let name = details["command"].as_str()?;
    let code = *CommandCode::ALL.iter().find(|code| code.to_string() == name)?;
    let device = usize::try_from(details["device"].as_u64()?).ok()?;
    let position = details["position"].as_u64()?;
    Some((device, SentCommand { code, size: small(details, "size")?, position }))
}

/// A fault at a command; those of a stage are not recorded with their place.
fn fault(details: &Value) -> Option<Fault> {
    let device = u32::try_from(details["device"].as_u64()?).ok()?;
    let at =
        At { device: Some(device), nth: details["n"].as_u64().map(Nth::from), ..At::default() };
    let action = match details["action"].as_str()?.split_once(' ') {
        None => serde_json::from_value(details["action"].clone()).ok()?,
        Some((name, time)) => {
            serde_json::from_value::<Action>(serde_json::json!({name: time})).ok()?
        }
    };
    Some(Fault { at, action })
}

fn small(details: &Value, name: &str) -> Option<u32> {
    details[name].as_u64()?.try_into().ok()
}

fn unusable(event: &str, details: &Value) -> RecordingError {
    RecordingError::Unusable { event: event.to_owned(), details: details.to_string() }
}
