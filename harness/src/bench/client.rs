//! The client that vdisim brings: it does as little as a client can. In a backup it reads every byte
//! of a buffer, in a restore it has a file's bytes put into it, and answers at once; a thread a
//! device. So what is left is the interface.

use std::fs::File;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use sqlvdi::caller::{BufferError, CallError, CallerDevice, CallerSet, Command, DropIn, LoadError};
use vdi_protocol::{CommandCode, CompletionCode, Features, HResult, VdConfig};

use super::stream::Pattern;

/// How long the client waits for the server's configuration.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it is to do.
#[derive(Clone, Debug)]
pub struct MoverPlan {
    /// The drop-in.
    pub drop_in: PathBuf,
    /// The names of all devices; the first is the set's.
    pub devices: Vec<String>,
    /// The file whose bytes a restore gets, over and over.
    pub pattern: Option<PathBuf>,
}

/// What can go wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum MoverError {
    /// The drop-in cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A call failed.
    #[error("{0}.")]
    Call(#[from] CallError),
    /// A buffer could not be used.
    #[error("{0}.")]
    Buffer(#[from] BufferError),
    /// There is no file to restore from.
    #[error("the pattern {}: {error}.", .path.display())]
    Pattern {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The server reads, and there is nothing to give.
    #[error("the server reads, and no pattern was given.")]
    NoPattern,
}

/// Serves one set until the server closes it; of each device the sum of the words that it got.
pub fn move_stream(plan: &MoverPlan) -> Result<Vec<u64>, MoverError> {
    let pattern = plan.pattern.as_ref().map(|path| {
        File::open(path).map_err(|error| MoverError::Pattern { path: path.clone(), error })
    });
    let pattern = pattern.transpose()?;
    let drop_in = DropIn::load(&plan.drop_in)?;
    let set = CallerSet::new(&drop_in);
    let config = VdConfig {
        device_count: u32::try_from(plan.devices.len()).unwrap_or(u32::MAX),
        features: Features::LIKE_PIPE.bits(),
        ..VdConfig::default()
    };
    let name = plan.devices.first().map_or("", String::as_str);
    set.create(name.as_bytes(), &config)?;
    set.get_configuration(Some(PATIENCE))?;
    let open = |name: &String| set.open_device(name.as_bytes());
    let devices = plan.devices.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let served: Vec<_> = thread::scope(|scope| {
        let pattern = pattern.as_ref();
        let start = |device| scope.spawn(move || serve(device, pattern));
        let threads: Vec<_> = devices.iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let mut sums = Vec::new();
    for sum in served {
        sums.push(sum.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
    }
    set.close()?;
    Ok(sums)
}

fn serve(device: &CallerDevice, pattern: Option<&File>) -> Result<u64, MoverError> {
    let (mut sum, mut at) = (0u64, 0);
    loop {
        let command = match device.get_command(None) {
            Err(error) if error.status == HResult::VD_E_CLOSE => return Ok(sum),
            other => other?,
        };
        let size = command.size();
        let mut moved = 0;
        match command.code() {
            CommandCode::WRITE => {
                sum = sum.wrapping_add(command.buffer()?.sum()?);
                moved = size;
            }
            CommandCode::READ => {
                fetch(&command, pattern.ok_or(MoverError::NoPattern)?, at)?;
                (at, moved) = (at + u64::from(size), size);
            }
            _ => {}
        }
        command.complete(CompletionCode::ERROR_SUCCESS, u64::from(moved), 0)?;
    }
}

/// Fills a command's buffer with the pattern from `at` of the endless stream on.
fn fetch(command: &Command, pattern: &File, at: u64) -> Result<(), MoverError> {
    let (size, mut done) = (command.size() as usize, 0);
    while done < size {
        let place = (at + done as u64) % Pattern::LEN as u64;
        let most = (size - done).min((Pattern::LEN as u64 - place) as usize);
        match command.buffer()?.read_from(done, most, pattern, Some(place))? {
            0 => return Err(MoverError::NoPattern),
            read => done += read,
        }
    }
    Ok(())
}
