//! A database's log.
//!
//! Virtual log files of one size follow each other; a log sequence number is a place in one of
//! them (spec: log sequence numbers, "VLF, block, slot"). A block of this server's own log holds up
//! to [`RECORDS`] records of changed pages. A real server's log that was restored stands before it, in
//! virtual log files of its own.

use jiff::civil::DateTime;
use mtf::{Lsn, PageId, VirtualLogFile};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::kept_log::KeptLog;
use super::log_blocks::{BLOCK, FIRST_BLOCK, RECORDS};
use super::lsn_text;

/// Bytes of a virtual log file.
const VLF_SIZE: u64 = 1 << 20;

/// Blocks of a virtual log file.
const VLF_BLOCKS: u32 = (VLF_SIZE / BLOCK as u64) as u32;

/// Virtual log files that the log file has room for; they are used in turn.
const VLF_COUNT: u32 = 8;

/// Where the virtual log files start in the log file.
const VLF_OFFSET: u64 = 8192;

/// File id of the log.
pub(super) const LOG_FILE: u16 = 2;

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
    /// Where the present recovery path left the one before.
    #[serde(default, with = "lsn_text")]
    pub forked: Lsn,
    /// What is before this is not in the records any more.
    #[serde(default, with = "lsn_text")]
    pub truncated: Lsn,
    /// Records not yet truncated, in order.
    pub records: Vec<LogRecord>,
    /// A real server's log that the last restores have brought, until it is truncated.
    #[serde(default)]
    pub kept: Option<KeptLog>,
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
        Log {
            next,
            checkpoint: next,
            chain: None,
            began: None,
            forked: Lsn::default(),
            truncated: Lsn::default(),
            records: Vec::new(),
            kept: None,
        }
    }

    /// The log of a database that has been restored up to `redo`: it goes on in the next block that
    /// this server's records fit in. A real server's log, and one restored to a point in time, end
    /// in the middle of a block, or beyond the end of the virtual log files written here.
    ///
    /// `fork` is the recovery path up to there, if the log chain goes on. The log that was `kept` is
    /// the chain's next, if it reaches that far; this server's own then starts in a virtual log file
    /// of its own.
    pub fn continued(redo: Lsn, fork: Option<Uuid>, kept: Option<KeptLog>) -> Self {
        let kept = kept.filter(|kept| kept.end == redo && Some(kept.fork) == fork);
        let start = kept.as_ref().map_or(redo, |kept| kept.start);
        let mut log = Log {
            next: redo,
            checkpoint: redo,
            chain: fork.map(|fork| ChainPoint { lsn: start, fork }),
            forked: redo,
            kept,
            ..Log::new()
        };
        let last = log.kept.as_ref().and_then(|kept| kept.parts.last());
        match last {
            Some(last) if last.vlf == redo.vlf => log.end_virtual_file(),
            _ if redo.slot != 1 || redo.block >= VLF_BLOCKS => log.end_block(),
            _ => {}
        }
        log.write_checkpoint();
        log
    }

    /// Goes on on another recovery path from here. A log chain that has not come so far yet tells of
    /// its first fork.
    pub fn fork_off(&mut self, from: Uuid) {
        if self.chain.is_none_or(|chain| chain.fork == from) {
            self.forked = self.next;
        }
        self.write_checkpoint();
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

    /// Forgets the log before `lsn`.
    pub fn truncate(&mut self, lsn: Lsn) {
        self.truncated = self.truncated.max(lsn);
        self.records.retain(|record| record.lsn >= lsn);
        self.kept.take_if(|kept| kept.end <= lsn);
    }

    /// Whether the next log backup starts here.
    pub fn chain_starts(&self, lsn: Lsn) -> bool {
        self.chain.is_some_and(|chain| chain.lsn == lsn)
    }

    /// Ends the log chain: no log backup can be made until a full one begins another.
    pub fn end_chain(&mut self) {
        (self.chain, self.began, self.kept) = (None, None, None);
    }

    fn end_block(&mut self) {
        match self.next.block.saturating_add(1) {
            VLF_BLOCKS.. => self.end_virtual_file(),
            block => self.next = Lsn { block, slot: 1, ..self.next },
        }
    }

    fn end_virtual_file(&mut self) {
        // A restored backup may have claimed any number.
        let vlf = self.next.vlf.saturating_add(1);
        self.next = Lsn { vlf, block: FIRST_BLOCK, slot: 1 };
    }

    /// Bytes of the log file.
    pub fn file_size() -> u64 {
        VLF_OFFSET + VLF_SIZE * u64::from(VLF_COUNT)
    }

    /// The virtual log files that hold the log from `first` to `last`, in a log file of `size` bytes.
    /// More of them than it has room for mean that it has grown.
    pub fn virtual_files(&self, first: Lsn, last: Lsn, size: u64) -> Vec<VirtualLogFile> {
        let kept = self.kept.iter().flat_map(KeptLog::virtual_files);
        let kept: Vec<_> = kept.filter(|file| file.sequence >= first.vlf).collect();
        let own = kept.last().map_or(first.vlf, |file| file.sequence.saturating_add(1));
        // A real server's virtual log files may lie anywhere in its log file.
        let ends = kept.iter().map(|file| (file.start + file.size).max(size));
        let offset = ends.max().unwrap_or(VLF_OFFSET);
        let file = |sequence: u32| {
            let size = u64::from(blocks(sequence, first)) * BLOCK as u64;
            VirtualLogFile {
                file_id: LOG_FILE,
                sequence,
                start: offset + u64::from(sequence - own) * VLF_SIZE,
                size,
                filled: size,
                parity: 64,
                create_lsn: Lsn::default(),
            }
        };
        let own = (own..=last.vlf).map(file);
        kept.iter().copied().chain(own).collect()
    }
}

/// Blocks of this server's virtual log file `vlf` in a backup from `first` on. A chain that began on a
/// real server may start behind the blocks that a file has here: such a file ends where the chain
/// starts.
pub(super) fn blocks(vlf: u32, first: Lsn) -> u32 {
    if vlf == first.vlf { VLF_BLOCKS.max(first.block) } else { VLF_BLOCKS }
}

impl Default for Log {
    fn default() -> Self {
        Log::new()
    }
}
