//! A database's log.
//!
//! Virtual log files of one size follow each other; a log sequence number is a place in one of
//! them (spec: log sequence numbers, "VLF, block, slot"). Each block of 512 bytes of this server's
//! own log holds up to [`RECORDS`] records of changed pages.

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
        block[..8].copy_from_slice(&MAGIC);
        block[8] += 1;
        let place = HEADER + (usize::from(record.lsn.slot) - 1) * RECORD;
        let fields = &mut block[place..place + RECORD];
        fields[..2].copy_from_slice(&record.file.to_le_bytes());
        fields[2..4].copy_from_slice(&record.lsn.slot.to_le_bytes());
        fields[4..8].copy_from_slice(&record.page.to_le_bytes());
        fields[8..16].copy_from_slice(&record.seed.to_le_bytes());
        fields[16..].copy_from_slice(&seconds(record.time).to_le_bytes());
    }
    bytes
}

/// The records in log of this server that starts at block `block` of virtual log file `vlf`. Blocks
/// without the mark of this server hold none: they are a real server's, or checkpoints.
pub fn decode_log(bytes: &[u8], vlf: u32, block: u32) -> Vec<LogRecord> {
    let mut records = Vec::new();
    for (block, bytes) in (block..).zip(bytes.chunks_exact(BLOCK)) {
        let count = if bytes.starts_with(&MAGIC) { usize::from(bytes[8]).min(RECORDS) } else { 0 };
        for fields in bytes[HEADER..].chunks_exact(RECORD).take(count) {
            let (numbers, words) = (&fields[..8], &fields[8..]);
            let half = |at| u16::from_le_bytes([numbers[at], numbers[at + 1]]);
            let word = |at: usize| {
                let mut word = [0; 8];
                word.copy_from_slice(&words[at..at + 8]);
                u64::from_le_bytes(word)
            };
            records.push(LogRecord {
                lsn: Lsn { vlf, block, slot: half(2) },
                time: from_seconds(word(8)),
                file: half(0),
                page: u32::from(half(4)) | u32::from(half(6)) << 16,
                seed: word(0),
            });
        }
    }
    records
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
            read.extend(decode_log(&bytes, file.sequence, block));
        }
        assert_eq!(read.len(), log.records.len() - 1);
        assert_eq!(read, log.records[..read.len()]);
    }

    // Catches: a foreign block taken for records.
    #[test]
    fn foreign_log_holds_no_records() {
        assert_eq!(decode_log(&[0x40; 4096], 40, 24), []);
        let mut block = [0xff; BLOCK];
        block[..8].copy_from_slice(&MAGIC);
        assert_eq!(decode_log(&block, 40, 24).len(), RECORDS, "as many as fit, whatever it says");
    }
}
