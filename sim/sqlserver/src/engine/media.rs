//! The media of a file that another backup set is appended to.
//!
//! No real media with several sets has been seen: the sets stand one behind the other, each counts
//! its addresses from its own start, and filemarks tell of all before them; unconfirmed.

use std::fs::File;
use std::io::Read;

use mtf::{Block, Checks, Events, MtfError, Raid, Reader, Record, Tape};

use super::device::os_error;
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
}

#[derive(Default)]
struct Scan {
    tape: Option<Record<Tape>>,
    raid: Option<Record<Raid>>,
    marks: Vec<u64>,
    sets: u16,
}

impl Events for Scan {
    type Error = MtfError;

    fn block(&mut self, block: &Block, at: u64) -> Result<(), MtfError> {
        match block {
            Block::Tape(tape) => self.tape = Some(tape.clone()),
            Block::Sfmb(_) => self.marks.push(at),
            Block::Sset(_) => self.sets += 1,
            _ => {}
        }
        Ok(())
    }

    fn raid(&mut self, raid: &Record<Raid>) -> Result<(), MtfError> {
        self.raid = Some(raid.clone());
        Ok(())
    }
}

/// Reads what is on a device's file.
///
/// # Errors
///
/// The messages if the file cannot be read or is no whole backup.
pub(super) fn scan(device: &DevicePlan, file: &mut File) -> Result<Media, SeveralMessages> {
    let name = &device.name;
    let malformed = |error: MtfError| Message::new(error.sql_message(), &[name]);
    let checks = Checks { page_checksums: false, backup_checksums: false };
    let (mut reader, mut scan) = (Reader::with_checks(checks), Scan::default());
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file
            .read(&mut buffer)
            .map_err(|error| Message::new(3203, &[name, &os_error(&error)]))?;
        let mut bytes = &buffer[..count];
        while !bytes.is_empty() {
            let taken = reader.feed(bytes, &mut scan).map_err(malformed)?;
            bytes = &bytes[taken..];
            reader.continue_media();
        }
        if count == 0 {
            break;
        }
    }
    reader.finish().map_err(malformed)?;
    let Scan { tape: Some(tape), raid: Some(raid), marks, sets } = scan else {
        return Err(Message::new(3241, &[name]).into());
    };
    Ok(Media { tape, raid, marks, sets, end: reader.position() })
}
