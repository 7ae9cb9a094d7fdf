//! The media of a file that another backup set is written to.
//!
//! No real media with several sets has been seen: the sets stand one behind the other, each counts
//! its addresses from its own start, and filemarks tell of all before them; unconfirmed.

use std::fs::File;

use mtf::{Block, Checks, Events, MediaDate, MtfError, Raid, Reader, Record, Sset, Tape};

use super::context::Context;
use super::device;
use crate::messages::{Message, SeveralMessages};
use crate::session::DevicePlan;

/// What stands on a family's media.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) tape: Record<Tape>,
    pub(super) raid: Record<Raid>,
    /// Byte offsets of the filemarks.
    pub(super) marks: Vec<u64>,
    /// Sets on it.
    pub(super) sets: u16,
    /// Its bytes.
    pub(super) end: u64,
    /// When the last of its sets expires.
    pub(super) expiration: MediaDate,
}

impl Media {
    /// What is left of it when its sets are overwritten: the header.
    pub(super) fn emptied(self) -> Self {
        Media { marks: Vec::new(), sets: 0, end: 0, ..self }
    }
}

#[derive(Default)]
struct Scan {
    tape: Option<Record<Tape>>,
    raid: Option<Record<Raid>>,
    marks: Vec<u64>,
    sets: u16,
    expiration: MediaDate,
}

impl Events for Scan {
    type Error = MtfError;

    fn block(&mut self, block: &Block, at: u64) -> Result<(), MtfError> {
        match block {
            Block::Tape(tape) => self.tape = Some(tape.clone()),
            Block::Sfmb(_) => self.marks.push(at),
            Block::Sset(set) => {
                self.sets = self.sets.saturating_add(1);
                self.expiration = self.expiration.max(set.get(Sset::EXPIRATION));
            }
            _ => {}
        }
        Ok(())
    }

    fn raid(&mut self, raid: &Record<Raid>) -> Result<(), MtfError> {
        self.raid = Some(raid.clone());
        Ok(())
    }
}

impl Scan {
    /// The media that ends there; none without its header.
    fn media(self, end: u64) -> Option<Media> {
        let Scan { tape, raid, marks, sets, expiration } = self;
        Some(Media { tape: tape?, raid: raid?, marks, sets, end, expiration })
    }
}

/// Reads what is on a device's file, to append to it.
///
/// # Errors
///
/// The messages if the file cannot be read, is no backup, or has no end to append to.
pub(super) fn scan(
    context: &Context<'_>,
    device: &DevicePlan,
    file: &mut File,
) -> Result<Media, SeveralMessages> {
    let (scan, end) = read(context, device, file)?;
    let end = end.map_err(|error| refused(context, device, &error))?;
    scan.media(end).ok_or_else(|| Message::new(3241, &[&device.name]).into())
}

/// Reads what is on a device's file, to overwrite its sets. What is no backup is overwritten as a whole,
/// and a damaged one is worth what can be read of it.
///
/// # Errors
///
/// The messages if the file cannot be read.
pub(super) fn look(
    context: &Context<'_>,
    device: &DevicePlan,
    file: &mut File,
) -> Result<Option<Media>, SeveralMessages> {
    let (scan, end) = read(context, device, file)?;
    Ok(scan.media(end.unwrap_or(0)))
}

/// Reads a file as far as it is a backup: what stands there, and where it ends or what is wrong.
fn read(
    context: &Context<'_>,
    device: &DevicePlan,
    file: &mut File,
) -> Result<(Scan, Result<u64, MtfError>), SeveralMessages> {
    let checks = Checks { page_checksums: false, backup_checksums: false };
    let (mut reader, mut scan) = (Reader::with_checks(checks), Scan::default());
    let mut buffer = vec![0; 1 << 20];
    loop {
        context.check_cancelled()?;
        let count = device::read(device, file, &mut buffer)?;
        if count == 0 {
            let end = reader.finish().map(|()| reader.position());
            return Ok((scan, end));
        }
        let mut bytes = &buffer[..count];
        while !bytes.is_empty() {
            match reader.feed(bytes, &mut scan) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(error) => return Ok((scan, Err(error))),
            }
            reader.continue_media();
        }
    }
}

/// Why nothing can be appended: the file is not of this kind, or its end is not that of a set.
fn refused(context: &Context<'_>, device: &DevicePlan, error: &MtfError) -> Message {
    let name = &device.name;
    let cause = Message::user(0, 10, 1, format!("'{name}': {error}."));
    if let MtfError::Compressed = error {
        // SQL Server's message does not say what is wrong with it.
        context.tell(cause.clone());
    }
    context.instance.log("Backup", cause);
    match (error.sql_message(), error) {
        (3243, MtfError::FormatVersion { major }) => Message::new(3243, &[name, major, &0, &1, &0]),
        (number @ (3143 | 3239 | 3242 | 3249 | 3254), _) => Message::new(number, &[name]),
        // Not even the media header can be read.
        (3241, _) if error.at().unwrap_or(0) == 0 => Message::new(3241, &[name]),
        _ => Message::new(3266, &[name]),
    }
}
