//! A database's log.
//!
//! Virtual log files of one size follow each other; a log sequence number is a place in one of
//! them (spec: log sequence numbers, "VLF, block, slot"). Each block of 512 bytes of this server's
//! own log holds up to [`RECORDS`] records of changed pages, its place and a sum.

use jiff::civil::DateTime;
use mtf::{Lsn, PageId, VirtualLogFile};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::lsn_text;

/// Bytes of a block.
const BLOCK: usize = 512;

/// Bytes of a virtual log file.
const VLF_SIZE: u64 = 1 << 20;

/// The first block with log: the start of a virtual log file is its header.
const FIRST_BLOCK: u32 = 16;

/// Blocks of a virtual log file.
const VLF_BLOCKS: u32 = (VLF_SIZE / BLOCK as u64) as u32;

/// Virtual log files that the log file has room for; they are used in turn.
const VLF_COUNT: u32 = 8;

/// Where the virtual log files start in the log file.
const VLF_OFFSET: u64 = 8192;

/// File id of the log.
pub(super) const LOG_FILE: u16 = 2;

/// Records of a block at most.
const RECORDS: usize = 20;

/// Start of a block with records of this server.
const MAGIC: [u8; 8] = *b"vdisimLG";

/// Bytes before the records of a block: the magic number, then how many there are.
const HEADER: usize = 16;

/// Where a block says its place, virtual log file and block; and where the sum of what is before it.
const PLACE: usize = 496;
const SUM: usize = 504;

/// Bytes of a record: file, slot, page, seed, time.
const RECORD: usize = 24;

/// A page was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Where the record stands.
    #[serde(with = "lsn_text")]
    pub lsn: Lsn,
    /// When, local time, to the second.
    pub time: DateTime,
    /// File of the page.
    pub file: u16,
    /// Its number in the file.
    pub page: u32,
    /// Seed of its new content.
    pub seed: u64,
}

impl LogRecord {
    /// The page that was changed.
    pub fn page_id(&self) -> PageId {
        PageId { file: self.file, page: self.page }
    }
}

/// The log of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Where the next record will stand.
    #[serde(with = "lsn_text")]
    pub next: Lsn,
    /// The last checkpoint.
    #[serde(with = "lsn_text")]
    pub checkpoint: Lsn,
    /// Where the next log backup starts; none while there is no log chain.
    pub chain: Option<ChainPoint>,
    /// Where the log chain began on this server.
    #[serde(default)]
    pub began: Option<ChainPoint>,
    /// Records not yet truncated, in order.
    pub records: Vec<LogRecord>,
}

/// A place in the log chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainPoint {
    /// Where.
    #[serde(with = "lsn_text")]
    pub lsn: Lsn,
    /// The recovery path there.
    pub fork: Uuid,
}

impl Log {
    /// A log without records.
    pub fn new() -> Self {
        let next = Lsn { vlf: 30, block: FIRST_BLOCK, slot: 1 };
        Log { next, checkpoint: next, chain: None, began: None, records: Vec::new() }
    }

    /// The log of a database that has been restored up to `redo`: it goes on in the next block that
    /// this server's records fit in. A real server's log, and one restored to a point in time, end
    /// in the middle of a block, or beyond the end of the virtual log files written here.
    pub fn continued(redo: Lsn, chain: Option<ChainPoint>) -> Self {
        let mut log = Log { next: redo, checkpoint: redo, chain, began: None, records: Vec::new() };
        if redo.slot != 1 || redo.block >= VLF_BLOCKS {
            log.end_block();
        }
        log.write_checkpoint();
        log
    }

    /// Writes records of changed pages, and returns where each stands.
    pub fn append(
        &mut self,
        time: DateTime,
        changes: impl IntoIterator<Item = (PageId, u64)>,
    ) -> Vec<Lsn> {
        let mut written = Vec::new();
        for (id, seed) in changes {
            let lsn = self.next;
            self.records.push(LogRecord { lsn, time, file: id.file, page: id.page, seed });
            written.push(lsn);
            self.next.slot += 1;
            if usize::from(lsn.slot) == RECORDS {
                self.end_block();
            }
        }
        if self.next.slot > 1 {
            self.end_block();
        }
        written
    }

    /// Writes a checkpoint, which takes a block, and returns where it stands.
    pub fn write_checkpoint(&mut self) -> Lsn {
        self.checkpoint = self.next;
        self.end_block();
        self.checkpoint
    }

    /// Forgets the records before `lsn`.
    pub fn truncate(&mut self, lsn: Lsn) {
        self.records.retain(|record| record.lsn >= lsn);
    }

    fn end_block(&mut self) {
        self.next = match self.next.block.saturating_add(1) {
            VLF_BLOCKS.. => Lsn { vlf: self.next.vlf + 1, block: FIRST_BLOCK, slot: 1 },
            block => Lsn { block, slot: 1, ..self.next },
        };
    }

    /// Bytes of the log file.
    pub fn file_size() -> u64 {
        VLF_OFFSET + VLF_SIZE * u64::from(VLF_COUNT)
    }

    /// The virtual log files that hold the log from `first` to `last`. More of them than the log
    /// file has room for mean that it has grown.
    pub fn virtual_files(first: Lsn, last: Lsn) -> Vec<VirtualLogFile> {
        let file = |sequence: u32| VirtualLogFile {
            file_id: LOG_FILE,
            sequence,
            start: VLF_OFFSET + u64::from(sequence - first.vlf) * VLF_SIZE,
            size: u64::from(blocks(sequence, first)) * BLOCK as u64,
            parity: 64,
            create_lsn: Lsn::default(),
        };
        (first.vlf..=last.vlf).map(file).collect()
    }
}

/// Blocks of the virtual log file `vlf` in a backup from `first` on. A chain that began on a real
/// server may start behind the blocks that a file has here: such a file ends where the chain starts.
fn blocks(vlf: u32, first: Lsn) -> u32 {
    if vlf == first.vlf { VLF_BLOCKS.max(first.block) } else { VLF_BLOCKS }
}

impl Default for Log {
    fn default() -> Self {
        Log::new()
    }
}

/// The bytes of the log from `first` to `last` in the virtual log file `vlf`: whole blocks, in
/// which `records`, sorted, have their places.
pub fn encode_log(records: &[LogRecord], vlf: u32, first: Lsn, last: Lsn) -> Vec<u8> {
    let start = if vlf == first.vlf { first.block } else { FIRST_BLOCK };
    let end = if vlf == last.vlf { last.block } else { blocks(vlf, first) };
    let mut bytes = vec![0; end.saturating_sub(start) as usize * BLOCK];
    let inside = records.iter().filter(|record| {
        record.lsn.vlf == vlf && (start..end).contains(&record.lsn.block) && record.lsn < last
    });
    for record in inside {
        let at = (record.lsn.block - start) as usize * BLOCK;
        let block = &mut bytes[at..at + BLOCK];
        block[8] += 1;
        let place = HEADER + (usize::from(record.lsn.slot) - 1) * RECORD;
        let fields = &mut block[place..place + RECORD];
        fields[..2].copy_from_slice(&record.file.to_le_bytes());
        fields[2..4].copy_from_slice(&record.lsn.slot.to_le_bytes());
        fields[4..8].copy_from_slice(&record.page.to_le_bytes());
        fields[8..16].copy_from_slice(&record.seed.to_le_bytes());
        fields[16..].copy_from_slice(&seconds(record.time).to_le_bytes());
    }
    for (number, block) in (start..).zip(bytes.as_chunks_mut::<BLOCK>().0) {
        block[..8].copy_from_slice(&MAGIC);
        block[PLACE..SUM].copy_from_slice(&place(vlf, number));
        let sum = sum(block);
        block[SUM..SUM + 4].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

fn place(vlf: u32, block: u32) -> [u8; 8] {
    (u64::from(vlf) << 32 | u64::from(block)).to_le_bytes()
}

/// FNV-1a of a block up to its sum: no change of one byte leaves it as it is.
fn sum(block: &[u8; BLOCK]) -> u32 {
    let step = |sum: u32, byte: &u8| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    block[..SUM].iter().fold(0x811c_9dc5, step)
}

/// Log that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "block {block} of virtual log file {vlf} is damaged, or another one is in its place; take the \
     log backup from where it is whole"
)]
pub struct LogDamage {
    /// Virtual log file.
    pub vlf: u32,
    /// Block.
    pub block: u32,
}

/// Reads the log of a virtual log file as it comes. That of this server has its place and a sum in
/// every block; a real server's is passed over.
#[derive(Debug)]
pub struct LogReader {
    vlf: u32,
    first: u32,
    /// The block that comes next, and the one behind the last.
    next: u32,
    end: u32,
    carry: Vec<u8>,
    /// Whether this server wrote it, once a block has come.
    is_own: Option<bool>,
    /// Whether anything but zeros has come.
    has_bytes: bool,
    records: Vec<LogRecord>,
}

/// What was read of a virtual log file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LogPart {
    /// The records of this server.
    pub records: Vec<LogRecord>,
    /// Whether a real server wrote it.
    pub is_foreign: bool,
    /// Whether there was any log.
    pub is_carried: bool,
}

impl LogReader {
    /// Reads the blocks from `first` to the one before `end`.
    pub fn new(vlf: u32, first: u32, end: u32) -> LogReader {
        let (carry, records) = Default::default();
        LogReader { vlf, first, next: first, end, carry, is_own: None, has_bytes: false, records }
    }

    /// The virtual log file.
    pub fn vlf(&self) -> u32 {
        self.vlf
    }

    /// Takes the next bytes. What lies behind the last block fills a unit of the stream up.
    ///
    /// # Errors
    ///
    /// The first block of this server that is not what was written.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), LogDamage> {
        self.carry.extend_from_slice(bytes);
        let carry = std::mem::take(&mut self.carry);
        let (blocks, rest) = carry.as_chunks::<BLOCK>();
        for block in blocks {
            if self.next >= self.end {
                return Ok(());
            }
            self.block(block)?;
            self.next += 1;
        }
        self.carry = rest.to_vec();
        Ok(())
    }

    fn block(&mut self, block: &[u8; BLOCK]) -> Result<(), LogDamage> {
        let place = place(self.vlf, self.next);
        let is_in_place = block[PLACE..SUM] == place;
        // Damage of one of the two marks leaves the other.
        let is_own = block.starts_with(&MAGIC) || is_in_place;
        self.has_bytes |= block.iter().any(|byte| *byte != 0);
        let is_sound = is_in_place && block[SUM..SUM + 4] == sum(block).to_le_bytes();
        if is_own != *self.is_own.get_or_insert(is_own) || (is_own && !is_sound) {
            return Err(self.damaged());
        }
        let count = if is_own { usize::from(block[8]).min(RECORDS) } else { 0 };
        let records = block[HEADER..PLACE].chunks_exact(RECORD).take(count);
        self.records.extend(records.map(|fields| record(fields, self.vlf, self.next)));
        Ok(())
    }

    fn damaged(&self) -> LogDamage {
        LogDamage { vlf: self.vlf, block: self.next }
    }

    /// What was read.
    ///
    /// # Errors
    ///
    /// Log that ends too early, or of which nothing is left but zeros.
    pub fn finish(self) -> Result<LogPart, LogDamage> {
        let is_carried = self.next > self.first;
        if is_carried && (self.next < self.end || !self.has_bytes) {
            return Err(self.damaged());
        }
        let is_foreign = self.is_own == Some(false);
        Ok(LogPart { records: self.records, is_foreign, is_carried })
    }
}

fn record(fields: &[u8], vlf: u32, block: u32) -> LogRecord {
    let (numbers, words) = (&fields[..8], &fields[8..]);
    let half = |at| u16::from_le_bytes([numbers[at], numbers[at + 1]]);
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&words[at..at + 8]);
        u64::from_le_bytes(word)
    };
    LogRecord {
        lsn: Lsn { vlf, block, slot: half(2) },
        time: from_seconds(word(8)),
        file: half(0),
        page: u32::from(half(4)) | u32::from(half(6)) << 16,
        seed: word(0),
    }
}

/// Seconds from the year 0 on; local time, so no zone is concerned.
fn seconds(time: DateTime) -> u64 {
    let since = time.duration_since(DateTime::ZERO);
    u64::try_from(since.as_secs()).unwrap_or(0)
}

fn from_seconds(seconds: u64) -> DateTime {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    DateTime::ZERO.saturating_add(jiff::SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    // Catches: records in the wrong block or slot, a lost time, log of the next file in this one,
    // records at or behind the last LSN.
    #[test]
    fn log_is_read_back_as_it_was_written() {
        let mut log = Log::new();
        let time = date(2024, 2, 29).at(23, 59, 58, 0);
        let first = log.next;
        for count in [1, 20, 21, 45_000] {
            let id = |page| PageId { file: 1, page };
            log.append(time, (0..count).map(|page| (id(page), u64::from(page) << 40 | 7)));
            log.write_checkpoint();
        }
        let last = log.next;
        assert!(last.vlf > first.vlf, "more than one virtual log file");
        log.append(time, [(PageId { file: 1, page: 9 }, 9)]);

        let mut read = Vec::new();
        for file in Log::virtual_files(first, last) {
            let bytes = encode_log(&log.records, file.sequence, first, last);
            let range = file.range(first, last).unwrap();
            assert_eq!(range.end - range.start, bytes.len() as u64);
            let block = ((range.start - file.start) / BLOCK as u64) as u32;
            let mut reader = LogReader::new(file.sequence, block, block + blocks_of(&bytes));
            // In pieces, and with what fills a unit up.
            bytes.chunks(700).for_each(|piece| reader.read(piece).unwrap());
            reader.read(&[0; BLOCK]).unwrap();
            read.extend(reader.finish().unwrap().records);
        }
        assert_eq!(read.len(), log.records.len() - 1);
        assert_eq!(read, log.records[..read.len()]);
    }

    fn blocks_of(bytes: &[u8]) -> u32 {
        (bytes.len() / BLOCK) as u32
    }

    fn read(bytes: &[u8]) -> Result<LogPart, LogDamage> {
        let mut reader = LogReader::new(40, 24, 24 + blocks_of(bytes));
        reader.read(bytes)?;
        reader.finish()
    }

    // Catches: a foreign block taken for records, or log of ours in the middle of it for foreign.
    #[test]
    fn foreign_log_holds_no_records() {
        let foreign = LogPart { is_foreign: true, is_carried: true, records: Vec::new() };
        assert_eq!(read(&[0x40; 4096]), Ok(foreign));
        assert_eq!(LogReader::new(40, 24, 30).finish(), Ok(LogPart::default()), "elsewhere");
        let mut mixed = [0x40; 4096];
        mixed[1024..1032].copy_from_slice(&MAGIC);
        assert_eq!(read(&mixed), Err(LogDamage { vlf: 40, block: 26 }));
    }

    // Catches: any byte of a block that nothing covers; a block dropped, doubled or exchanged.
    #[test]
    fn log_of_this_server_is_whole_or_refused() {
        for count in [0, 3] {
            let mut log = Log { next: Lsn { vlf: 40, block: 24, slot: 1 }, ..Log::new() };
            let first = log.next;
            for page in 0..count {
                log.append(DateTime::ZERO, [(PageId { file: 1, page }, 5)]);
            }
            log.write_checkpoint();
            let whole = encode_log(&log.records, 40, first, log.next);
            assert_eq!(read(&whole).unwrap().records, log.records);
            for at in 0..whole.len() {
                if at % BLOCK >= SUM + 4 {
                    continue;
                }
                let mut damaged = whole.clone();
                damaged[at] ^= 0x40;
                assert!(read(&damaged).is_err(), "byte {at} of {count} records");
            }
            for block in 0..whole.len() / BLOCK {
                let at = block * BLOCK;
                let mut dropped = whole.clone();
                dropped.copy_within(at + BLOCK.., at);
                let end = dropped.len() - BLOCK;
                dropped[end..].fill(0);
                let mut doubled = whole.clone();
                doubled.copy_within(at..whole.len() - BLOCK, at + BLOCK.min(whole.len() - at));
                let mut exchanged = whole.clone();
                exchanged.rotate_left(BLOCK);
                for damaged in [dropped, doubled, exchanged] {
                    assert!(damaged == whole || read(&damaged).is_err(), "block {block}");
                }
            }
        }
    }
}
