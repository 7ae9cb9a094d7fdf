//! The incremental reader.
//!
//! A state machine that is pushed: it takes whatever bytes the device delivered, tells an
//! [`Events`] receiver what they are, and keeps only what did not come whole: a header, a metadata
//! stream, at most one page. Its memory does not depend on the length of the stream.

mod descriptor;
mod events;
mod order;
mod payload;

pub use events::Events;

use crate::configuration::Configuration;
use crate::error::MtfError;
use crate::header::{BlockHeader, StreamHeader};
use crate::page::PAGE_SIZE;
use crate::record::{Record, Unfit};
use crate::tag::{Tag, stream_id};
use descriptor::check_signature;
use order::Place;
use payload::{Carry, Content, Payload};

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
    /// In the lead bytes of a payload, with bytes missing.
    Lead { remaining: u64, coming: Coming },
    /// In a payload, with bytes missing.
    Payload(Coming),
    /// After the end of the set.
    Finished,
    /// After an error.
    Failed(MtfError),
}

/// A payload of which bytes are to come.
#[derive(Debug, Clone)]
struct Coming {
    payload: Payload,
    remaining: u64,
    then: After,
}

/// What comes after a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Stream,
    Checksum,
    EndOfBlock,
}

impl After {
    fn payload_of(header: &StreamHeader) -> Self {
        match header.id {
            stream_id::SPAD => Self::EndOfBlock,
            _ if header.checksum_follows() => Self::Checksum,
            _ => Self::Stream,
        }
    }
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

    /// Bytes that the header, block or stream being read still lacks: the stream has at least so
    /// many more, unless the set is at its end.
    pub fn missing(&self) -> u64 {
        let size = match &self.state {
            State::Block if self.collected.len() < BlockHeader::SIZE => BlockHeader::SIZE,
            State::Block => BlockHeader::FIRST_EVENT.read(&self.collected).into(),
            State::Stream => {
                let fill = match self.collected.is_empty() {
                    true => self.position.next_multiple_of(4) - self.position,
                    false => 0,
                };
                StreamHeader::SIZE + fill as usize
            }
            State::Metadata { length, .. } => *length,
            State::Lead { remaining, coming } => return remaining.saturating_add(coming.remaining),
            State::Payload(coming) => return coming.remaining,
            State::Finished | State::Failed(_) => return 0,
        };
        size.saturating_sub(self.collected.len()) as u64
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
            State::Block if self.place == Place::Complete && self.collected.is_empty() => Ok(()),
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
                State::Lead { .. } => self.skip_lead(input),
                State::Payload(_) => self.pass_payload(input, sink)?,
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
            stream_id::SPAD | stream_id::APAD | stream_id::OTCP => {
                Self::pass_on(Content::Padding, header)
            }
            stream_id::RAID => metadata(32, RAID_LIMIT)?,
            stream_id::MQCI => metadata(1, CONFIGURATION_LIMIT)?,
            stream_id::TSMP => metadata(8, SET_MAP_LIMIT)?,
            stream_id::CSUM => metadata(4, 4)?,
            stream_id::MQDA | stream_id::MQTL if length > 0 => self.start_payload(header)?,
            _ => Self::pass_on(Content::Data, header),
        })
    }

    /// The state that reads MQDA or MQTL: lead bytes, then pages or log. What is no whole number of
    /// pages is no data of a database file, and is passed on as it is.
    fn start_payload(&self, header: &StreamHeader) -> Result<State, MtfError> {
        let Some(length) = header.length.checked_sub(LEAD_SIZE) else {
            return Err(self.malformed(header.id, "it is shorter than its lead bytes"));
        };
        let content = match header.id {
            stream_id::MQTL => Content::Log,
            _ if length.is_multiple_of(PAGE_SIZE as u64) => Content::Pages,
            _ => Content::Data,
        };
        let check = header.checksum_follows() && self.checks.backup_checksums;
        let payload = Payload::new(content, check, self.checks.page_checksums);
        let then = After::payload_of(header);
        let coming = Coming { payload, remaining: length, then };
        Ok(State::Lead { remaining: LEAD_SIZE, coming })
    }

    /// The state that passes a stream on as it is. How a checksum covers such a stream is not known.
    fn pass_on(content: Content, header: &StreamHeader) -> State {
        let payload = Payload::new(content, false, false);
        let then = After::payload_of(header);
        State::Payload(Coming { payload, remaining: header.length, then })
    }

    fn skip_lead(&mut self, input: &mut &[u8]) -> Progress {
        if let State::Lead { remaining, coming } = &mut self.state {
            let size = (*remaining).min(input.len() as u64);
            *input = &input[size as usize..];
            self.position += size;
            *remaining -= size;
            if *remaining > 0 {
                return Progress::Hungry;
            }
            self.state = State::Payload(coming.clone());
        }
        Progress::Next
    }

    fn pass_payload<S: Events>(
        &mut self,
        input: &mut &[u8],
        sink: &mut S,
    ) -> Result<Progress, Stop<S::Error>> {
        let State::Payload(Coming { payload, remaining, then }) = &mut self.state else {
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
        let then = *then;
        self.expected_checksum = (then == After::Checksum).then(|| payload.checksum());
        self.state = State::Stream;
        if then == After::EndOfBlock {
            self.end_block(sink)?;
        }
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
