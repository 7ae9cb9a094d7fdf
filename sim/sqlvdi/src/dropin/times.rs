//! Gathers when commands were taken and completed, for [`crate::times`].

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use vdi_device::MAX_OUTSTANDING;

use super::messages::say;
use crate::times::{CommandTimes, VARIABLE};

/// Records that are written at a time.
const AT_ONCE: usize = 4096;

static FILE: OnceLock<Option<File>> = OnceLock::new();
static BEGINNING: OnceLock<Instant> = OnceLock::new();

/// Nanoseconds since the first look at the clock.
pub(super) fn now() -> u64 {
    let beginning = *BEGINNING.get_or_init(Instant::now);
    u64::try_from(beginning.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The times of one device's commands.
#[derive(Debug)]
pub(super) struct Recorder {
    device: u32,
    /// Of the open commands, by their ids: when GetCommand was called and when it returned.
    open: [(AtomicU64, AtomicU64); MAX_OUTSTANDING],
    /// Records that are not yet written.
    gathered: Mutex<Vec<u8>>,
}

impl Recorder {
    /// One for a new device, if the environment names a file. The first call decides for the process.
    pub(super) fn new(device: u32) -> Option<Box<Recorder>> {
        FILE.get_or_init(open).as_ref()?;
        Some(Box::new(Recorder {
            device,
            open: [const { (AtomicU64::new(0), AtomicU64::new(0)) }; MAX_OUTSTANDING],
            gathered: Mutex::new(Vec::with_capacity(AT_ONCE * CommandTimes::BYTES)),
        }))
    }

    /// GetCommand gave the command with that id. Relaxed: a command passes from thread to thread by
    /// the client's own means.
    pub(super) fn given(&self, id: usize, asked: u64) {
        if let Some((asked_at, given_at)) = self.open.get(id) {
            asked_at.store(asked, Ordering::Relaxed);
            given_at.store(now(), Ordering::Relaxed);
        }
    }

    /// CompleteCommand was called for it: the record, but for the call's end. To be asked before the
    /// command is completed, because its id may be given out again at once.
    pub(super) fn answered(&self, id: usize, code: u32) -> Option<CommandTimes> {
        let (asked, given) = self.open.get(id)?;
        Some(CommandTimes {
            process: std::process::id(),
            device: self.device,
            code,
            asked: asked.load(Ordering::Relaxed),
            given: given.load(Ordering::Relaxed),
            answered: now(),
            taken: 0,
        })
    }

    /// CompleteCommand succeeded.
    pub(super) fn taken(&self, times: CommandTimes) {
        let record = CommandTimes { taken: now(), ..times }.to_bytes();
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.extend_from_slice(&record);
        if gathered.len() >= AT_ONCE * CommandTimes::BYTES {
            write(&mut gathered);
        }
    }

    /// No more commands come.
    pub(super) fn ended(&self) {
        write(&mut self.gathered.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn open() -> Option<File> {
    let path = std::env::var_os(VARIABLE).filter(|path| !path.is_empty())?;
    let opened = File::options().append(true).create(true).open(&path);
    opened
        .inspect_err(|error| {
            say(&format!("vdisim: {VARIABLE}: {} cannot be appended to: {error}", path.display()));
        })
        .ok()
}

fn write(gathered: &mut Vec<u8>) {
    if let Some(Some(mut file)) = FILE.get().map(Option::as_ref) {
        // A full disk must not fail the backup that is measured.
        let _ = file.write_all(gathered);
    }
    gathered.clear();
}
