//! The incremental reader.
//!
//! A state machine that is pushed: it takes whatever bytes the device delivered, tells an
//! [`Events`] receiver what they are, and keeps only what did not come whole: a header, a metadata
//! stream, at most one page. Its memory does not depend on the length of the stream.

mod events;
mod order;
mod payload;

pub use events::Events;

use crate::block::{Block, Sset, Tape};
use crate::configuration::Configuration;
use crate::error::MtfError;
use crate::header::{BlockHeader, StreamHeader};
use crate::page::PAGE_SIZE;
use crate::record::{Record, Unfit};
use crate::tag::{Tag, block_type, stream_id};
use order::Place;
use payload::{Carry, Content, Payload};

/// The first bytes of a compressed backup.
const COMPRESSED_SIGNATURE: &[u8; 8] = b"MSSQLBAK";

/// Lead bytes, zero, before the payload of MQDA and MQTL.
const LEAD_SIZE: u64 = 2;

/// Limits in bytes of the metadata streams, which are collected whole. A configuration of 32,767
/// files, the most that a database may have, takes less than its limit.
const CONFIGURATION_LIMIT: u64 = 64 << 20;
const SET_MAP_LIMIT: u64 = 1 << 20;
const RAID_LIMIT: u64 = 4096;

/// Which checksums a reader checks. All by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Checksums in the headers of data pages.
    pub page_checksums: bool,
    /// Checksums of backups made WITH CHECKSUM.
    pub backup_checksums: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Self { page_checksums: true, backup_checksums: true }
    }
}

/// Reads one family of a backup, in pieces of any size, without seeking.
///
/// ```
/// # fn read(mut device: impl std::io::Read) -> Result<(), Box<dyn std::error::Error>> {
/// struct Pages(usize);
///
/// impl mtf::Events for Pages {
///     type Error = mtf::MtfError;
///
///     fn pages(&mut self, pages: &[u8]) -> Result<(), Self::Error> {
///         self.0 += pages.len() / mtf::PAGE_SIZE;
///         Ok(())
///     }
/// }
///
/// let (mut reader, mut pages) = (mtf::Reader::new(), Pages(0));
/// let mut buffer = vec![0; 65536];
/// while !reader.is_finished() {
///     let size = device.read(&mut buffer)?;
///     if size == 0 {
///         break;
///     }
///     reader.feed(&buffer[..size], &mut pages)?;
/// }
/// reader.finish()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Reader {
    state: State,
    place: Place,
    /// Bytes taken.
    position: u64,
    /// Start of the block or stream being read.
    item_at: u64,
    checks: Checks,
    /// The header, block or metadata stream being collected.
    collected: Vec<u8>,
    carry: Carry,
    set: SetPlace,
    /// The checksum that the next stream, CSUM, must hold; `Some(None)` if it is not checked.
    expected_checksum: Option<Option<u32>>,
    /// What the media header said.
    filemarks: bool,
    logical_block_size: u64,
}

/// Addresses and numbers of the blocks of a set.
#[derive(Debug, Clone, Copy, Default)]
struct SetPlace {
    at: u64,
    next_id: u32,
    has_configuration: bool,
}

#[derive(Debug, Clone)]
enum State {
    /// In a block's descriptor: up to its first event, once the header is there.
    Block,
    /// In the fill before a stream header, or in the header.
    Stream,
    /// In a metadata stream, with bytes missing.
    Metadata { id: Tag, length: usize },
    /// In lead bytes or padding, then the state that follows.
    Skip { remaining: u64, then: AfterSkip },
    /// In a payload, with bytes missing.
    Payload { payload: Payload, remaining: u64, checksum_follows: bool },
    /// After the end of the set.
    Finished,
    /// After an error.
    Failed(MtfError),
}

#[derive(Debug, Clone)]
enum AfterSkip {
    Payload { payload: Payload, remaining: u64, checksum_follows: bool },
    Stream,
    EndOfBlock,
}

/// Why the reader stops.
pub(crate) enum Stop<E> {
    Stream(MtfError),
    Receiver(E),
}

impl<E> From<MtfError> for Stop<E> {
    fn from(error: MtfError) -> Self {
        Self::Stream(error)
    }
}

/// Whether a step completed its state or wants more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Next,
    Hungry,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// A reader at the start of a stream, which checks all checksums.
    pub fn new() -> Self {
        Self::with_checks(Checks::default())
    }

    /// A reader at the start of a stream, which checks the given checksums. Those of headers are
    /// always checked.
    pub fn with_checks(checks: Checks) -> Self {
        Self {
            state: State::Block,
            place: Place::Start,
            position: 0,
            item_at: 0,
            checks,
            collected: Vec::new(),
            carry: Carry::default(),
            set: SetPlace::default(),
            expected_checksum: None,
            filemarks: true,
            logical_block_size: 1024,
        }
    }

    /// Bytes taken so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether the end of the set was reached. No byte after it belongs to the set.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    /// Takes the next bytes of the stream and tells `sink` what they are. Returns how many it took:
    /// all of them, unless the set ends among them.
    ///
    /// # Errors
    ///
    /// What is wrong with the stream, or what `sink` returned. The reader is of no use then: it
    /// answers every later call with the same error, or with [`MtfError::Abandoned`].
    pub fn feed<S: Events>(&mut self, bytes: &[u8], sink: &mut S) -> Result<usize, S::Error> {
        if let State::Failed(error) = &self.state {
            return Err(error.clone().into());
        }
        let mut rest = bytes;
        match self.run(&mut rest, sink) {
            Ok(()) => Ok(bytes.len() - rest.len()),
            Err(Stop::Stream(error)) => {
                self.state = State::Failed(error.clone());
                Err(error.into())
            }
            Err(Stop::Receiver(error)) => {
                self.state = State::Failed(MtfError::Abandoned { at: self.position });
                Err(error)
            }
        }
    }

    /// To be called when the stream has no more bytes.
    ///
    /// # Errors
    ///
    /// When the set is not complete.
    pub fn finish(&self) -> Result<(), MtfError> {
        match &self.state {
            State::Finished => Ok(()),
            State::Failed(error) => Err(error.clone()),
            _ if self.place == Place::Complete && self.collected.is_empty() => Ok(()),
            _ if self.position == 0 => Err(MtfError::Empty),
            _ if self.place == Place::Start => {
                check_signature(&self.collected)?;
                Err(self.place.truncated(self.position))
            }
            _ => Err(self.place.truncated(self.position)),
        }
    }

    /// Goes on with the next backup set on the same media; only after the end of a set. Sets after
    /// the first one have been seen in the specification only.
    pub fn continue_media(&mut self) {
        if self.is_finished() {
            self.state = State::Block;
        }
    }

    fn run<S: Events>(&mut self, input: &mut &[u8], sink: &mut S) -> Result<(), Stop<S::Error>> {
        loop {
            let progress = match &mut self.state {
                State::Block => self.read_block(input, sink)?,
                State::Stream => self.read_stream_header(input, sink)?,
                State::Metadata { id, length } => {
                    let (id, length) = (*id, *length);
                    self.read_metadata(id, length, input, sink)?
                }
                State::Skip { .. } => self.skip(input, sink)?,
                State::Payload { .. } => self.pass_payload(input, sink)?,
                State::Finished | State::Failed(_) => return Ok(()),
            };
            if progress == Progress::Hungry {
                return Ok(());
            }
        }
    }

    /// Collects input until there are `size` bytes.
    fn collect(&mut self, size: usize, input: &mut &[u8]) -> Progress {
        let missing = size - self.collected.len();
        let (head, rest) = input.split_at(input.len().min(missing));
        self.collected.extend_from_slice(head);
        self.position += head.len() as u64;
        *input = rest;
        if head.len() == missing { Progress::Next } else { Progress::Hungry }
    }

    fn read_block<S: Events>(
        &mut self,
        input: &mut &[u8],
        sink: &mut S,
    ) -> Result<Progress, Stop<S::Error>> {
        if self.collected.is_empty() {
            self.item_at = self.position;
        }
        if self.collected.len() < BlockHeader::SIZE {
            if self.collect(BlockHeader::SIZE, input) == Progress::Hungry {
                return Ok(Progress::Hungry);
            }
            self.check_header()?;
        }
        let size = BlockHeader::FIRST_EVENT.read(&self.collected).into();
        if self.collect(size, input) == Progress::Hungry {
            return Ok(Progress::Hungry);
        }
        let name = Tag(BlockHeader::TYPE.read(&self.collected));
        let block = Block::parse(std::mem::take(&mut self.collected))
            .map_err(|unfit| self.malformed(name, unfit.reason()))?;
        self.accept_block(&block, sink)?;
        if matches!(block, Block::Sfmb(_)) {
            self.end_block(sink)?;
        } else {
            self.state = State::Stream;
        }
        Ok(Progress::Next)
    }

    /// What can be said from the header alone.
    fn check_header(&self) -> Result<(), MtfError> {
        let header = &self.collected;
        if self.place == Place::Start {
            check_signature(header)?;
        }
        let (name, at) = (Tag(BlockHeader::TYPE.read(header)), self.item_at);
        let stored = BlockHeader::CHECKSUM.read(header);
        let computed = BlockHeader::compute_checksum(header);
        if stored != computed {
            return Err(MtfError::HeaderChecksum { name, at, stored, computed });
        }
        if order::is_foreign(name) {
            let feature = "a block type that SQL Server does not write";
            return Err(MtfError::Unsupported { name, at, feature });
        }
        if self.place.after(name, self.filemarks).is_none() {
            let after = self.place.describe();
            return Err(MtfError::UnexpectedBlock { found: name, after, at });
        }
        let size = usize::from(BlockHeader::FIRST_EVENT.read(header));
        if size < BlockHeader::SIZE || !size.is_multiple_of(4) {
            return Err(self.malformed(name, "its size is no multiple of 4 or less than 52"));
        }
        Ok(())
    }

    fn accept_block<S: Events>(
        &mut self,
        block: &Block,
        sink: &mut S,
    ) -> Result<(), Stop<S::Error>> {
        match block {
            Block::Tape(tape) => self.accept_tape(tape)?,
            Block::Sset(set) => self.accept_set(set)?,
            _ => {}
        }
        let name = block.block_type();
        let next = self.place.after(name, self.filemarks);
        self.place = next.expect("checked with the header");
        if self.place.is_in_set() {
            self.check_place(block, sink)?;
        }
        sink.block(block, self.item_at).map_err(Stop::Receiver)
    }

    fn accept_tape(&mut self, tape: &Record<Tape>) -> Result<(), MtfError> {
        let major = tape.get(Tape::FORMAT_VERSION);
        if major != 1 {
            return Err(MtfError::FormatVersion { major });
        }
        let sequence = tape.get(Tape::MEDIA_SEQUENCE);
        if sequence != 1 {
            return Err(MtfError::ContinuationVolume { sequence });
        }
        let logical_block_size = tape.get(Tape::LOGICAL_BLOCK_SIZE);
        if ![512, 1024].contains(&logical_block_size) {
            let reason = "its format logical block size is neither 512 nor 1024";
            return Err(self.malformed(block_type::TAPE, reason));
        }
        self.logical_block_size = logical_block_size.into();
        self.filemarks = tape.has_filemarks();
        if self.filemarks && !tape.get(Tape::FILEMARK_SIZE).is_power_of_two() {
            let reason = "its filemark size is no power of 2";
            return Err(self.malformed(block_type::TAPE, reason));
        }
        Ok(())
    }

    fn accept_set(&mut self, set: &Record<Sset>) -> Result<(), MtfError> {
        let vendor = set.get(Sset::SOFTWARE_VENDOR);
        if vendor != Tape::MICROSOFT_SQL_SERVER {
            return Err(MtfError::NotSqlServer { vendor, at: self.item_at });
        }
        self.set = SetPlace { at: self.item_at, ..SetPlace::default() };
        Ok(())
    }

    /// Checks number and address of a block in its set.
    fn check_place<S: Events>(
        &mut self,
        block: &Block,
        sink: &mut S,
    ) -> Result<(), Stop<S::Error>> {
        let id = block.header(BlockHeader::CONTROL_BLOCK_ID);
        let address = block.header(BlockHeader::FORMAT_LOGICAL_ADDRESS);
        let expected_id = self.set.next_id;
        let expected_address = (self.item_at - self.set.at) / self.logical_block_size;
        self.set.next_id = expected_id.wrapping_add(1);
        if (id, address) == (expected_id, expected_address) {
            return Ok(());
        }
        let (name, at) = (block.block_type(), self.item_at);
        let damage = MtfError::Misplaced { name, at, id, expected_id, address, expected_address };
        sink.damage(damage).map_err(Stop::Receiver)
    }

    fn end_block<S: Events>(&mut self, sink: &mut S) -> Result<(), Stop<S::Error>> {
        if self.place == Place::Body && !self.set.has_configuration {
            return Err(self.malformed(block_type::MSCI, "it has no configuration").into());
        }
        let finished = self.place == Place::Complete;
        self.state = if finished { State::Finished } else { State::Block };
        sink.end_block(self.position).map_err(Stop::Receiver)
    }

    fn read_stream_header<S: Events>(
        &mut self,
        input: &mut &[u8],
        sink: &mut S,
    ) -> Result<Progress, Stop<S::Error>> {
        if self.collected.is_empty() {
            let fill = self.position.next_multiple_of(4) - self.position;
            let fill = input.len().min(fill as usize);
            *input = &input[fill..];
            self.position += fill as u64;
            self.item_at = self.position;
            if !self.position.is_multiple_of(4) {
                return Ok(Progress::Hungry);
            }
        }
        if self.collect(StreamHeader::SIZE, input) == Progress::Hungry {
            return Ok(Progress::Hungry);
        }
        let mut bytes = [0; StreamHeader::SIZE];
        bytes.copy_from_slice(&self.collected);
        self.collected.clear();
        let (header, mismatch) = StreamHeader::decode(&bytes);
        let (name, at) = (header.id, self.item_at);
        if let Some((stored, computed)) = mismatch {
            return Err(MtfError::HeaderChecksum { name, at, stored, computed }.into());
        }
        self.state = self.start_stream(&header)?;
        sink.stream(&header, at).map_err(Stop::Receiver)?;
        Ok(Progress::Next)
    }

    /// The state that reads the data of a stream.
    fn start_stream(&self, header: &StreamHeader) -> Result<State, MtfError> {
        let StreamHeader { id, length, .. } = *header;
        if self.position.checked_add(length).is_none_or(|end| end > u64::MAX / 2) {
            return Err(self.malformed(id, "its length exceeds any stream's"));
        }
        if self.expected_checksum.is_some() != (id == stream_id::CSUM) {
            return Err(self.malformed(id, "a checksum stands where none belongs, or is missing"));
        }
        if header.media_attributes & (StreamHeader::ENCRYPTED | StreamHeader::COMPRESSED) != 0 {
            let feature = "encryption or compression of streams";
            return Err(MtfError::Unsupported { name: id, at: self.item_at, feature });
        }
        let metadata = |least: u64, most: u64| match length {
            length if (least..=most).contains(&length) => {
                Ok(State::Metadata { id, length: length as usize })
            }
            _ => Err(self.malformed(id, "its length is not possible for its kind")),
        };
        Ok(match id {
            stream_id::SPAD => State::Skip { remaining: length, then: AfterSkip::EndOfBlock },
            stream_id::APAD | stream_id::OTCP => {
                State::Skip { remaining: length, then: AfterSkip::Stream }
            }
            stream_id::RAID => metadata(32, RAID_LIMIT)?,
            stream_id::MQCI => metadata(1, CONFIGURATION_LIMIT)?,
            stream_id::TSMP => metadata(8, SET_MAP_LIMIT)?,
            stream_id::CSUM => metadata(4, 4)?,
            stream_id::MQDA | stream_id::MQTL if length > 0 => self.start_payload(header)?,
            _ => self.payload(Content::Data, header, length),
        })
    }

    fn start_payload(&self, header: &StreamHeader) -> Result<State, MtfError> {
        let Some(length) = header.length.checked_sub(LEAD_SIZE) else {
            return Err(self.malformed(header.id, "it is shorter than its lead bytes"));
        };
        let content = if header.id == stream_id::MQTL { Content::Log } else { Content::Pages };
        if content == Content::Pages && !length.is_multiple_of(PAGE_SIZE as u64) {
            return Err(self.malformed(header.id, "it holds no whole number of pages"));
        }
        match self.payload(content, header, length) {
            State::Payload { payload, remaining, checksum_follows } => Ok(State::Skip {
                remaining: LEAD_SIZE,
                then: AfterSkip::Payload { payload, remaining, checksum_follows },
            }),
            other => Ok(other),
        }
    }

    fn payload(&self, content: Content, header: &StreamHeader, remaining: u64) -> State {
        let checksum_follows = header.checksum_follows();
        let payload = Payload::new(content, checksum_follows, self.checks);
        State::Payload { payload, remaining, checksum_follows }
    }

    fn skip<S: Events>(
        &mut self,
        input: &mut &[u8],
        sink: &mut S,
    ) -> Result<Progress, Stop<S::Error>> {
        let State::Skip { remaining, then } = &mut self.state else { return Ok(Progress::Next) };
        let size = (*remaining).min(input.len() as u64);
        *input = &input[size as usize..];
        self.position += size;
        *remaining -= size;
        if *remaining > 0 {
            return Ok(Progress::Hungry);
        }
        match std::mem::replace(then, AfterSkip::Stream) {
            AfterSkip::Stream => self.state = State::Stream,
            AfterSkip::EndOfBlock => self.end_block(sink)?,
            AfterSkip::Payload { payload, remaining, checksum_follows } => {
                self.state = State::Payload { payload, remaining, checksum_follows };
            }
        }
        Ok(Progress::Next)
    }

    fn pass_payload<S: Events>(
        &mut self,
        input: &mut &[u8],
        sink: &mut S,
    ) -> Result<Progress, Stop<S::Error>> {
        let State::Payload { payload, remaining, checksum_follows } = &mut self.state else {
            return Ok(Progress::Next);
        };
        let size = (*remaining).min(input.len() as u64);
        let (now, rest) = input.split_at(size as usize);
        if !now.is_empty() {
            payload.pass(now, self.position, &mut self.carry, sink)?;
        }
        *input = rest;
        self.position += size;
        *remaining -= size;
        if *remaining > 0 {
            return Ok(Progress::Hungry);
        }
        self.expected_checksum = checksum_follows.then(|| payload.checksum());
        self.state = State::Stream;
        Ok(Progress::Next)
    }

    fn read_metadata<S: Events>(
        &mut self,
        id: Tag,
        length: usize,
        input: &mut &[u8],
        sink: &mut S,
    ) -> Result<Progress, Stop<S::Error>> {
        if self.collect(length, input) == Progress::Hungry {
            return Ok(Progress::Hungry);
        }
        let bytes = std::mem::take(&mut self.collected);
        self.state = State::Stream;
        let malformed = |unfit: Unfit| self.malformed(id, unfit.reason());
        match id {
            stream_id::RAID => {
                sink.raid(&Record::parse(bytes).map_err(malformed)?).map_err(Stop::Receiver)?;
            }
            stream_id::TSMP => {
                sink.set_map(&Record::parse(bytes).map_err(malformed)?).map_err(Stop::Receiver)?;
            }
            stream_id::MQCI => {
                let data_at = self.item_at + StreamHeader::SIZE as u64;
                let configuration = Configuration::parse(&bytes).map_err(|bad| {
                    let (offset, name, reason) = bad;
                    MtfError::Malformed { name, at: data_at + offset as u64, reason }
                })?;
                self.set.has_configuration = true;
                sink.configuration(&configuration).map_err(Stop::Receiver)?;
            }
            _ => self.check_checksum(&bytes, sink)?,
        }
        Ok(Progress::Next)
    }

    fn check_checksum<S: Events>(
        &mut self,
        bytes: &[u8],
        sink: &mut S,
    ) -> Result<(), Stop<S::Error>> {
        let stored = bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        if let Some(Some(computed)) = self.expected_checksum.take()
            && computed != stored
        {
            let damage = MtfError::BackupChecksum { at: self.item_at, stored, computed };
            sink.damage(damage).map_err(Stop::Receiver)?;
        }
        sink.checksum(stored).map_err(Stop::Receiver)
    }

    fn malformed(&self, name: Tag, reason: &'static str) -> MtfError {
        MtfError::Malformed { name, at: self.item_at, reason }
    }
}

/// Tells a media header from other files by their first bytes.
fn check_signature(start: &[u8]) -> Result<(), MtfError> {
    if start.starts_with(COMPRESSED_SIGNATURE) {
        return Err(MtfError::Compressed);
    }
    let known = start.len().min(4);
    if start[..known] == block_type::TAPE.0[..known] {
        return Ok(());
    }
    let mut found = [0; 4];
    found[..known].copy_from_slice(&start[..known]);
    Err(MtfError::NotMtf { found: Tag(found) })
}
