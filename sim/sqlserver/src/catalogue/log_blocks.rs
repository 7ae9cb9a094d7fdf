//! The blocks of a log as they stand in a backup. One of this server's own log tells its place and has
//! a sum; a real server's is passed on as it came.

use jiff::civil::DateTime;
use mtf::Lsn;

use super::log::{LogRecord, blocks};

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;

/// The first block with log: the start of a virtual log file is its header.
pub(super) const FIRST_BLOCK: u32 = 16;

/// Records of a block at most.
pub(super) const RECORDS: usize = 20;

/// Start of a block with records of this server.
const MAGIC: [u8; 8] = *b"vdisimLG";

/// Bytes before the records of a block: the magic number, then how many there are.
const HEADER: usize = 16;

/// Where a block says its place, virtual log file and block; and where the sum of what is before it.
const PLACE: usize = 496;
const SUM: usize = 504;

/// Bytes of a record: file, slot, page, seed, time.
const RECORD: usize = 24;

/// The bytes of the log from `first` to `last` in the virtual log file `vlf`: whole blocks, in
/// which `records`, sorted, have their places.
pub(super) fn encode_log(records: &[LogRecord], vlf: u32, first: Lsn, last: Lsn) -> Vec<u8> {
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
/// every block; a real server's is passed on.
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

    /// Takes the next bytes. Zeros behind the last block fill a unit of the stream up. A real server's
    /// blocks go to `pass_on`, with the number of the first.
    ///
    /// # Errors
    ///
    /// The first block of this server that is not what was written; those of `pass_on`.
    pub fn read<E: From<LogDamage>>(
        &mut self,
        bytes: &[u8],
        mut pass_on: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.carry.extend_from_slice(bytes);
        let carry = std::mem::take(&mut self.carry);
        let (blocks, rest) = carry.as_chunks::<BLOCK>();
        let first = self.next;
        let left = self.end.saturating_sub(first) as usize;
        let blocks = &blocks[..blocks.len().min(left)];
        for block in blocks {
            self.block(block)?;
            self.next += 1;
        }
        if self.is_own == Some(false) && !blocks.is_empty() {
            pass_on(first, blocks.as_flattened())?;
        }
        if self.next < self.end {
            self.carry = rest.to_vec();
        } else if carry[blocks.len() * BLOCK..].iter().any(|byte| *byte != 0) {
            // There is more log than was announced.
            return Err(self.damaged().into());
        }
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
    use mtf::PageId;

    use super::*;
    use crate::catalogue::Log;

    /// Whoever reads log of this server's own has none to pass on.
    fn none(_: u32, _: &[u8]) -> Result<(), LogDamage> {
        panic!("log of this server is passed on")
    }

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
        for file in log.virtual_files(first, last, 0) {
            let bytes = encode_log(&log.records, file.sequence, first, last);
            let range = file.range(first, last).unwrap();
            assert_eq!(range.end - range.start, bytes.len() as u64);
            let block = ((range.start - file.start) / BLOCK as u64) as u32;
            let mut reader = LogReader::new(file.sequence, block, block + blocks_of(&bytes));
            // In pieces, and with what fills a unit up.
            bytes.chunks(700).for_each(|piece| reader.read(piece, none).unwrap());
            reader.read(&[0; BLOCK], none).unwrap();
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
        let mut passed = Vec::new();
        for piece in bytes.chunks(700) {
            reader.read(piece, |block, foreign| {
                assert_eq!(block as usize, 24 + passed.len() / BLOCK);
                passed.extend_from_slice(foreign);
                Ok::<_, LogDamage>(())
            })?;
        }
        let part = reader.finish()?;
        assert_eq!(passed, if part.is_foreign { bytes } else { &[] });
        Ok(part)
    }

    // Catches: a foreign block taken for records, or log of ours in the middle of it for foreign; one
    // that is passed on late, twice or with another's number.
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
