//! `vdisim restore`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgGroup, Args};
use fake_sqlserver::transfer::{
    CompareSink, DigestSink, ExpectedFile, FileSink, SeededBytes, Sink,
};
use serde_json::{Value, json};
use vdi_device::encode_name;
use vdi_protocol::Direction;

use super::database::{self, Work};
use super::output;
use super::statement::{Options, file_per_device, presets_help};
use crate::exit::Failure;
use crate::progress::Progress;

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").multiple(true), after_help = presets_help())]
pub(super) struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Take any bytes to the end of the stream and print their number and SHA-256
    #[arg(long, group = "what")]
    raw: bool,
    /// Compare with these files, one for all devices or one each
    #[arg(long, value_name = "FILE", num_args = 1.., group = "what")]
    compare: Vec<PathBuf>,
    /// Write each stream to a file of this folder, named as its device
    #[arg(long, value_name = "DIR", group = "what", conflicts_with = "compare")]
    into: Option<PathBuf>,
    /// Compare with so many bytes made from --seed on each device, as `backup --size` sends them
    #[arg(long, value_name = "BYTES", group = "what", conflicts_with_all = ["compare", "into"])]
    size: Option<u64>,
    /// Restore a database of the namespace's server, in the place of one of the same name; without
    /// this and the options above the stream is only checked, as RESTORE VERIFYONLY does
    #[arg(long, value_name = "NAME", conflicts_with = "what")]
    database: Option<String>,
    /// Which bytes --size makes
    #[arg(long, value_name = "N", default_value_t = 0, requires = "size")]
    seed: u64,
}

impl Arguments {
    /// Whether the stream is taken as bytes, whatever they mean.
    fn wants_bytes(&self) -> bool {
        self.raw || !self.compare.is_empty() || self.into.is_some() || self.size.is_some()
    }
}

/// What becomes of a device's stream.
enum Target {
    Digest(DigestSink),
    File(FileSink),
    Compare(CompareSink<ExpectedFile>),
    Seeded(CompareSink<SeededBytes>),
}

impl Target {
    fn sink(&mut self) -> &mut dyn Sink {
        match self {
            Target::Digest(sink) => sink,
            Target::File(sink) => sink,
            Target::Compare(sink) => sink,
            Target::Seeded(sink) => sink,
        }
    }

    fn describe(&self) -> Value {
        match self {
            Target::Digest(sink) => json!({"sha256": hex(&sink.digest())}),
            Target::File(sink) => json!({"file": sink.path().display().to_string()}),
            Target::Compare(_) | Target::Seeded(_) => json!({"same": true}),
        }
    }
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(name) = &arguments.database {
        return database::execute(&arguments.options, Work::Restore(name));
    }
    if !arguments.wants_bytes() {
        return database::execute(&arguments.options, Work::Verify);
    }
    let known = arguments.options.device_count();
    // Files are made only once there are streams for them; what is compared with is opened before
    // anybody waits.
    let mut early = match known {
        Some(devices) if arguments.into.is_none() => Some(compared(arguments, devices)?),
        _ => None,
    };
    let total = early.as_mut().and_then(|targets| {
        targets.iter_mut().map(|target| target.sink().total()).sum::<Option<u64>>()
    });
    let progress = Arc::new(Progress::new(total));
    let session = arguments.options.attach(Direction::Restore, vec![progress.clone()])?;
    let mut targets = match (early, &arguments.into) {
        (Some(targets), _) => targets,
        (None, Some(folder)) => files(folder, session.devices())?,
        (None, None) => compared(arguments, session.devices().len())?,
    };
    let done = session.restore(targets.iter_mut().map(Target::sink).collect());
    progress.clear();
    let summary = done.map_err(|error| arguments.options.failed(error))?;
    if !arguments.options.json {
        for ((name, bytes), target) in summary.devices.iter().zip(&summary.bytes).zip(&targets) {
            if let Target::Digest(sink) = target {
                let name = String::from_utf8_lossy(name);
                output::print(&format!("{name}: {bytes} bytes, SHA-256 {}", hex(&sink.digest())))?;
            }
        }
    }
    let streams = targets.iter().map(Target::describe).collect();
    arguments.options.succeeded(&summary, streams)
}

/// What reads the streams, apart from new files.
fn compared(arguments: &Arguments, devices: usize) -> Result<Vec<Target>, Failure> {
    if let Some(size) = arguments.size {
        let bytes = |device| SeededBytes::new(arguments.seed, device as u32, size);
        let target = |device| Target::Seeded(CompareSink::new(bytes(device)));
        return Ok((0..devices).map(target).collect());
    }
    if arguments.compare.is_empty() {
        return Ok((0..devices).map(|_| Target::Digest(DigestSink::default())).collect());
    }
    file_per_device("--compare", &arguments.compare, devices)?
        .into_iter()
        .map(|path| match ExpectedFile::open(path) {
            Ok(expected) => Ok(Target::Compare(CompareSink::new(expected))),
            Err(error) => Err(Failure::Usage(format!("{}: {error}.", path.display()))),
        })
        .collect()
}

fn files(folder: &Path, devices: &[Vec<u8>]) -> Result<Vec<Target>, Failure> {
    let file = |name: &Vec<u8>| match FileSink::create(&folder.join(encode_name(name))) {
        Ok(sink) => Ok(Target::File(sink)),
        Err(error) => Err(Failure::Usage(format!("{error}."))),
    };
    devices.iter().map(file).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
