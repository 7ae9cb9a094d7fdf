//! The writer of a whole backup: one family of one set.

use std::io;

use crate::block::{Eset, Msci, Msda, Msls, Mstl, Sset, Tape, Volb};
use crate::configuration::Configuration;
use crate::header::StreamHeader;
use crate::page::EXTENT_SIZE;
use crate::record::Record;
use crate::set_map::{Raid, SetMap};
use crate::tag::{Tag, stream_id};
use crate::writer::Writer;

/// Log is written in units of this many bytes, filled up with zeros.
const LOG_UNIT: u64 = 65536;

/// Lead bytes that the length of MQDA and MQTL counts.
const LEAD_SIZE: u64 = 2;

/// What stands before the data of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupStart {
    /// Media header of this family.
    pub tape: Record<Tape>,
    /// Numbers of the media set and of this family.
    pub raid: Record<Raid>,
    /// Start of the set; the same on every family.
    pub set: Record<Sset>,
    /// Volume; the same on every family.
    pub volume: Record<Volb>,
    /// Configuration; the same on every family.
    pub configuration: Configuration,
    /// Whether data and log get backup checksums (WITH CHECKSUM).
    pub checksums: bool,
}

/// Writes one family of a backup in the order of SQL Server: the start, blocks of data, blocks of
/// log, the end.
///
/// ```
/// # fn write(start: mtf::BackupStart, extent: &[u8], log: &[mtf::Record<mtf::Mstl>])
/// #     -> std::io::Result<Vec<u8>> {
/// let mut finished = start.configuration.clone();
/// let mut writer = mtf::BackupWriter::begin(Vec::new(), start)?;
/// writer.begin_data()?;
/// writer.begin_extents(1)?;
/// writer.payload(extent)?;
/// writer.end_payload()?;
/// writer.end_data()?;
/// for block in log {
///     writer.begin_log(block)?;
///     writer.payload(&vec![0; block.log_size() as usize])?;
///     writer.end_log()?;
/// }
/// let size = writer.family_size();
/// finished.finish(mtf::MediaDate::UNKNOWN, size);
/// writer.finish(&finished, size)
/// # }
/// ```
#[derive(Debug)]
pub struct BackupWriter<W> {
    writer: Writer<W>,
    start: BackupStart,
    set_at: u64,
}

/// Errors are those of the output, and [`io::ErrorKind::InvalidInput`] when more or less payload
/// comes than was announced.
impl<W: io::Write> BackupWriter<W> {
    /// Writes everything before the data.
    pub fn begin(out: W, start: BackupStart) -> io::Result<Self> {
        let mut writer = Writer::new(out);
        writer.tape(&start.tape)?;
        writer.stream(&metadata(stream_id::RAID), start.raid.bytes())?;
        writer.end_block()?;
        if start.tape.has_filemarks() {
            writer.filemark()?;
        }
        Self::begin_set(writer, start)
    }

    /// Writes everything before the data of another set behind those that the media has. The media
    /// header in `start` is the one that it has; it ends at byte `position`, and `marks` are the byte
    /// offsets of its filemarks. No such media of a real server has been seen.
    pub fn append(out: W, start: BackupStart, position: u64, marks: Vec<u64>) -> io::Result<Self> {
        let writer = Writer::behind(out, &start.tape, position, marks);
        Self::begin_set(writer, start)
    }

    fn begin_set(mut writer: Writer<W>, start: BackupStart) -> io::Result<Self> {
        let set_at = writer.position();
        writer.set(&start.set)?;
        writer.end_block()?;
        writer.block_of_set(&start.volume)?;
        writer.end_block()?;
        writer.block_of_set(&Record::<Msci>::new())?;
        writer.stream(&metadata(stream_id::MQCI), &start.configuration.encode())?;
        writer.end_block()?;
        Ok(Self { writer, start, set_at })
    }

    /// Begins a block of data pages.
    pub fn begin_data(&mut self) -> io::Result<()> {
        self.writer.block_of_set(&Record::<Msda>::new())
    }

    /// Begins a stream of `count` extents in the block of data begun; their bytes come by
    /// [`Self::payload`]. At least one.
    pub fn begin_extents(&mut self, count: u64) -> io::Result<()> {
        self.writer.align_payload()?;
        let attributes = StreamHeader::VARIABLE | self.checksum_attribute();
        let length = count * EXTENT_SIZE as u64 + LEAD_SIZE;
        self.writer.begin_payload(&StreamHeader::new(stream_id::MQDA, attributes, length))
    }

    /// Writes the next bytes of the extents or of the log begun.
    pub fn payload(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.payload(bytes)
    }

    /// Counts the next bytes of the extents begun as written: the caller brings them to the output
    /// by a shorter way.
    pub fn payload_beside(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.payload_beside(bytes)
    }

    /// Counts `size` bytes of the extents or of the log begun as written, whatever they are: for
    /// whoever wants to know places and sizes only.
    pub fn payload_unseen(&mut self, size: u64) -> io::Result<()> {
        self.writer.payload_unseen(size)
    }

    /// Ends the extents begun.
    pub fn end_payload(&mut self) -> io::Result<()> {
        if self.start.checksums { self.writer.checksum() } else { Ok(()) }
    }

    /// Ends the block of data begun.
    pub fn end_data(&mut self) -> io::Result<()> {
        let attributes = StreamHeader::VARIABLE | StreamHeader::VARIABLE_END;
        self.writer.begin_payload(&StreamHeader::new(stream_id::MQDA, attributes, 0))?;
        self.writer.end_block()
    }

    /// Writes the block of a virtual log file whose log another family carries, or that has none in
    /// this backup.
    pub fn log_elsewhere(&mut self, log: &Record<Mstl>) -> io::Result<()> {
        self.writer.block_of_set(log)?;
        self.writer.end_block()
    }

    /// Begins the block of a virtual log file; its [`log_size`](Record::log_size) bytes come by
    /// [`Self::payload`]. One family carries all log of a backup.
    pub fn begin_log(&mut self, log: &Record<Mstl>) -> io::Result<()> {
        self.writer.block_of_set(log)?;
        let size = log.log_size().next_multiple_of(LOG_UNIT);
        if size == 0 {
            return Ok(());
        }
        self.writer.align_payload()?;
        let length = size + LEAD_SIZE;
        let attributes = self.checksum_attribute();
        self.writer.begin_payload(&StreamHeader::new(stream_id::MQTL, attributes, length))
    }

    /// Ends the block of log begun: fills the last unit of its payload up with zeros.
    pub fn end_log(&mut self) -> io::Result<()> {
        if self.writer.has_payload() {
            self.writer.fill_payload()?;
            self.end_payload()?;
        }
        self.writer.end_block()
    }

    /// This family's part of the size of the backup, in bytes; known when all data and log are
    /// written. The size of the backup is the sum over all families.
    pub fn family_size(&self) -> u64 {
        self.writer.set_size()
    }

    /// Writes everything after the log. `configuration` has the final values, among them
    /// `backup_size`, the size over all families.
    pub fn finish(mut self, configuration: &Configuration, backup_size: u64) -> io::Result<W> {
        let BackupStart { tape, set, volume, .. } = &self.start;
        let (end, writer) = (Record::<Eset>::of(set), &mut self.writer);
        writer.summary(&Record::<Msls>::new())?;
        writer.stream(&metadata(stream_id::MQCI), &configuration.encode())?;
        writer.end_block()?;
        if tape.has_filemarks() {
            writer.filemark()?;
        }
        writer.end_of_set(&end)?;
        writer.align_set_map()?;
        let map = Record::<SetMap>::of(tape, set, self.set_at, volume, backup_size);
        writer.stream(&metadata(stream_id::TSMP), map.bytes())?;
        writer.end_block()?;
        writer.end_of_set(&end)?;
        writer.end_block()?;
        if tape.has_filemarks() {
            writer.filemark()?;
        }
        Ok(self.writer.into_inner())
    }

    /// Where the set starts, behind the media header, in bytes.
    pub fn set_position(&self) -> u64 {
        self.set_at
    }

    /// Bytes written so far.
    pub fn position(&self) -> u64 {
        self.writer.position()
    }

    /// Where the bytes go.
    pub fn get_mut(&mut self) -> &mut W {
        self.writer.get_mut()
    }

    fn checksum_attribute(&self) -> u16 {
        if self.start.checksums { StreamHeader::CHECKSUM_FOLLOWS } else { 0 }
    }
}

/// The header of a metadata stream, whose length comes with its data.
fn metadata(id: Tag) -> StreamHeader {
    StreamHeader::new(id, 0, 0)
}
