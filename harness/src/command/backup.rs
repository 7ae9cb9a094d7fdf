//! `vdisim backup`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgGroup, Args};
use fake_sqlserver::transfer::{FileSource, SeededBytes, SeededSource, Source, SourceError};
use serde_json::json;
use vdi_protocol::Direction;

use super::database::{self, Work};
use super::statement::{Options, file_per_device, presets_help};
use crate::exit::Failure;
use crate::progress::Progress;

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true), after_help = presets_help())]
pub(super) struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Send exactly these files, one for all devices or one each
    #[arg(long, value_name = "FILE", num_args = 1.., group = "what")]
    from: Vec<PathBuf>,
    /// With --from: any bytes, not only a backup of whole blocks
    #[arg(long, requires = "from")]
    raw: bool,
    /// Send so many bytes made from --seed to each device
    #[arg(long, value_name = "BYTES", group = "what")]
    size: Option<u64>,
    /// Which bytes --size makes
    #[arg(long, value_name = "N", default_value_t = 0, requires = "size")]
    seed: u64,
    /// Back up a database of the namespace's server: a synthetic one such as AdventureWorks, or one
    /// that was restored
    #[arg(long, value_name = "NAME", group = "what")]
    database: Option<String>,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(name) = &arguments.database {
        return database::execute(&arguments.options, Work::Backup(name));
    }
    // What the command line alone shows to be wrong is said before anybody waits.
    let known = arguments.options.device_count();
    let early = known.map(|devices| sources(arguments, devices)).transpose()?;
    let total = early.as_ref().and_then(|sources| sources.iter().map(|s| s.total()).sum());
    let progress = Arc::new(Progress::new(total));
    let session = arguments.options.attach(Direction::Backup, vec![progress.clone()])?;
    let mut sources = match early {
        Some(sources) => sources,
        None => sources(arguments, session.devices().len())?,
    };
    let done = session.backup(sources.iter_mut().map(borrow).collect());
    progress.clear();
    match done {
        Ok(summary) => {
            let streams = summary.bytes.iter().map(|_| json!({})).collect();
            arguments.options.succeeded(&summary, streams)
        }
        Err(error) => Err(arguments.options.failed(error)),
    }
}

fn borrow(source: &mut Box<dyn Source>) -> &mut dyn Source {
    source.as_mut()
}

fn sources(arguments: &Arguments, devices: usize) -> Result<Vec<Box<dyn Source>>, Failure> {
    if let Some(size) = arguments.size {
        let source = |device| {
            let bytes = SeededBytes::new(arguments.seed, device as u32, size);
            Box::new(SeededSource::new(bytes)) as Box<dyn Source>
        };
        return Ok((0..devices).map(source).collect());
    }
    let block_size = arguments.options.statement(Direction::Backup).block_size();
    let open = |path: &Path| -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(if arguments.raw {
            FileSource::raw(path)?
        } else {
            FileSource::blocks(path, block_size)?
        }))
    };
    file_per_device("--from", &arguments.from, devices)?
        .into_iter()
        .map(|path| open(path).map_err(|error| Failure::Usage(format!("{error}."))))
        .collect()
}
