//! A real server's log: what it says is not known here, so its bytes are kept in a file of their own
//! and stand in the next log backup as they came.

use mtf::{Lsn, Mstl, Record, VirtualLogFile};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::database::{BackupFacts, Content, SetKind};
use super::log_blocks::{BLOCK, FIRST_BLOCK};
use super::lsn_text;

/// Bytes that a log file has at most. (spec: SFIN, "max size", log)
pub(super) const LOG_LIMIT: u64 = 0x200_0000_0000;

/// Log of one recovery path without a gap, as far as restores have brought it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptLog {
    /// Where it starts.
    #[serde(with = "lsn_text")]
    pub start: Lsn,
    /// The first record that is not in it.
    #[serde(with = "lsn_text")]
    pub end: Lsn,
    /// Its recovery path.
    pub fork: Uuid,
    /// The file that it stands in.
    pub content: Content,
    /// Bytes of the file.
    pub size: u64,
    /// Its parts, in order, none of which holds what another does.
    pub parts: Vec<KeptPart>,
}

/// The log of one virtual log file in one backup set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPart {
    /// Id of the log file.
    pub file: u16,
    /// Sequence number of the virtual log file.
    pub vlf: u32,
    /// Where that starts in its log file, in bytes.
    pub start: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its parity.
    pub parity: u16,
    /// LSN of its creation.
    #[serde(with = "lsn_text")]
    pub created: Lsn,
    /// The first block of the log.
    pub first: u32,
    /// The block behind the last.
    pub end: u32,
    /// Where its bytes stand in the file that keeps them.
    pub at: u64,
}

impl KeptPart {
    /// The log that a block of the media announces.
    pub fn announced(log: &Record<Mstl>) -> KeptPart {
        let start = log.get(Mstl::VLF_START);
        let block =
            |at: u64| u32::try_from(at.saturating_sub(start) / BLOCK as u64).unwrap_or(u32::MAX);
        KeptPart {
            file: log.get(Mstl::FILE_ID),
            vlf: log.get(Mstl::VLF_SEQUENCE),
            start,
            size: log.get(Mstl::VLF_SIZE),
            parity: log.get(Mstl::VLF_PARITY),
            created: log.get(Mstl::VLF_CREATE_LSN),
            first: block(log.get(Mstl::START)),
            end: block(log.get(Mstl::END)),
            at: 0,
        }
    }

    /// Where a block of it stands in the file that keeps it.
    pub fn place_of(&self, block: u32) -> u64 {
        self.at.saturating_add(bytes(block.saturating_sub(self.first)))
    }

    /// Its bytes.
    pub fn log_size(&self) -> u64 {
        bytes(self.end.saturating_sub(self.first))
    }
}

fn bytes(blocks: u32) -> u64 {
    u64::from(blocks) * BLOCK as u64
}

/// Why a real server's log is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// Nobody will back it up.
    #[error("as the database has the simple recovery model")]
    Simple,
    /// A log backup tells of one fork only: what lies before the last is in the sets restored.
    #[error("as its recovery path forks in the backup set")]
    Fork,
    /// Where in it the time stands is not known.
    #[error("as it may go on beyond the point in time")]
    Stop,
    /// WITH CONTINUE_AFTER_ERROR.
    #[error("as it is damaged")]
    Damaged,
    /// Virtual log files are missing, or do not hold what the set says.
    #[error("as the set does not hold all of it from its first LSN to its last")]
    Gap,
}

impl KeptLog {
    /// Whether the log of a set goes on where this one ends.
    pub fn is_continued_by(&self, set: &BackupFacts) -> bool {
        let is_same_path = set.first_fork == self.fork && set.fork == self.fork;
        let is_next = self.start < set.first && set.first <= self.end;
        set.kind == SetKind::Log && is_same_path && is_next
    }

    /// Its virtual log files, in order.
    pub fn virtual_files(&self) -> Vec<VirtualLogFile> {
        let mut files: Vec<VirtualLogFile> = Vec::new();
        for part in &self.parts {
            let filled = bytes(part.end);
            match files.last_mut().filter(|file| file.sequence == part.vlf) {
                Some(file) => file.filled = filled,
                None => files.push(VirtualLogFile {
                    file_id: part.file,
                    sequence: part.vlf,
                    start: part.start,
                    size: part.size,
                    filled,
                    parity: part.parity,
                    create_lsn: part.created,
                }),
            }
        }
        files
    }

    /// The part that holds a block.
    pub fn part_with(&self, vlf: u32, block: u32) -> Option<&KeptPart> {
        let behind = self.parts.partition_point(|part| (part.vlf, part.first) <= (vlf, block));
        let part = self.parts.get(behind.checked_sub(1)?)?;
        (part.vlf == vlf && block < part.end).then_some(part)
    }
}

/// Puts the parts of the next set behind those before: it replaces what both hold.
pub(super) fn join(mut parts: Vec<KeptPart>, next: Vec<KeptPart>) -> Vec<KeptPart> {
    if let Some(first) = next.first() {
        parts.retain(|part| (part.vlf, part.first) < (first.vlf, first.first));
        if let Some(last) = parts.last_mut().filter(|last| last.vlf == first.vlf) {
            last.end = last.end.min(first.first);
        }
    }
    for part in next {
        match parts.last_mut() {
            Some(last) if last.vlf == part.vlf && last.at + last.log_size() == part.at => {
                last.end = part.end;
            }
            _ => parts.push(part),
        }
    }
    parts
}

/// Whether these parts, in order, are the log from `first` to `last`, as far as their places tell: where
/// the log of a virtual log file ends that is not the last, only its own block says.
pub(super) fn is_whole(parts: &[KeptPart], first: Lsn, last: Lsn) -> bool {
    let mut next = (first.vlf, first.block);
    for part in parts {
        let is_possible = part.first < part.end
            && bytes(part.end) <= part.size
            && part.size <= LOG_LIMIT
            && part.start <= LOG_LIMIT;
        if (part.vlf, part.first) != next || !is_possible {
            return false;
        }
        next = if part.vlf < last.vlf { (part.vlf + 1, FIRST_BLOCK) } else { (part.vlf, part.end) };
    }
    // This server's own log goes on in the next.
    last.vlf < u32::MAX && next == (last.vlf, last.block.max(FIRST_BLOCK))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn part(vlf: u32, first: u32, end: u32) -> KeptPart {
        let (file, parity, created, at) = (2, 64, Lsn::default(), 0);
        let (start, size) = (1 << 20, 2 << 20);
        KeptPart { file, vlf, start, size, parity, created, first, end, at }
    }

    // Catches: a virtual log file that is missing, there twice, out of order, or that holds less or
    // other log than the set says; one that lies where no log file reaches.
    #[rstest]
    #[case::one(&[part(7, 20, 30)], true)]
    #[case::several(&[part(7, 20, 4096), part(8, 16, 4096), part(9, 16, 30)], true)]
    #[case::none(&[], false)]
    #[case::late(&[part(7, 21, 30)], false)]
    #[case::short(&[part(7, 20, 29)], false)]
    #[case::long(&[part(7, 20, 31)], false)]
    #[case::nothing(&[part(7, 20, 20), part(7, 20, 30)], false)]
    #[case::another(&[part(8, 20, 30)], false)]
    #[case::without_the_second(&[part(7, 20, 4096), part(9, 16, 30)], false)]
    #[case::twice(&[part(7, 20, 4096), part(7, 20, 4096), part(8, 16, 4096), part(9, 16, 30)], false)]
    #[case::exchanged(&[part(8, 16, 4096), part(7, 20, 4096), part(9, 16, 30)], false)]
    #[case::inside_a_file(&[part(7, 20, 4096), part(8, 17, 4096), part(9, 16, 30)], false)]
    #[case::beyond_its_file(&[part(7, 20, 4097), part(8, 16, 4096), part(9, 16, 30)], false)]
    #[case::nowhere(&[KeptPart { start: u64::MAX, ..part(7, 20, 30) }], false)]
    fn log_is_whole_from_its_first_to_its_last(#[case] parts: &[KeptPart], #[case] whole: bool) {
        let last = parts.last().map_or(7, |part| part.vlf);
        let (vlf, block) = if last > 8 { (9, 30) } else { (7, 30) };
        let first = Lsn { vlf: 7, block: 20, slot: 3 };
        assert_eq!(is_whole(parts, first, Lsn { vlf, block, slot: 1 }), whole);
    }

    // Catches: the end of a virtual log file taken for more log, its beginning for none.
    #[test]
    fn log_may_end_with_its_virtual_log_file() {
        let first = Lsn { vlf: 7, block: 20, slot: 1 };
        let last = Lsn { vlf: 8, block: 16, slot: 1 };
        assert!(is_whole(&[part(7, 20, 4096)], first, last));
        assert!(!is_whole(&[part(7, 20, 4096)], first, Lsn { block: 17, ..last }));
        // Behind the last number there is none for log to go on in.
        let [first, last] = [20, 30].map(|block| Lsn { vlf: u32::MAX, block, slot: 1 });
        assert!(!is_whole(&[part(u32::MAX, 20, 30)], first, last));
    }

    // Catches: parts of one virtual log file as several files, one that seems smaller than it is, an older
    // part before a newer one, log between parts or behind them, parts that are one and stay two.
    #[test]
    fn sets_share_virtual_log_files() {
        let at = |at, part| KeptPart { at, ..part };
        let older = vec![part(6, 16, 90), at(50_000, part(7, 16, 30))];
        let next = vec![at(60_000, part(7, 28, 40)), at(70_000, part(8, 16, 20))];
        let later = vec![at(70_000 + 4 * 512, part(8, 20, 50))];
        let parts = join(join(older, next), later);
        let places: Vec<_> = parts.iter().map(|part| (part.vlf, part.first, part.end)).collect();
        assert_eq!(places, [(6, 16, 90), (7, 16, 28), (7, 28, 40), (8, 16, 50)]);
        let (start, end) = (Lsn { vlf: 6, block: 16, slot: 1 }, Lsn { vlf: 8, block: 50, slot: 1 });
        let log = KeptLog { start, end, fork: Uuid::nil(), content: Content::Log, size: 0, parts };
        let files = log.virtual_files();
        let sizes: Vec<_> = files.iter().map(|file| (file.sequence, file.filled)).collect();
        assert_eq!(sizes, [(6, 90 * 512), (7, 40 * 512), (8, 50 * 512)]);
        assert!(files.iter().all(|file| file.size == 2 << 20));
        let place = |vlf, block| log.part_with(vlf, block).map(|part| part.place_of(block));
        assert_eq!(place(7, 27), Some(50_000 + 11 * 512));
        assert_eq!(place(7, 28), Some(60_000));
        assert_eq!(place(8, 49), Some(70_000 + 33 * 512));
        for (vlf, block) in [(5, 16), (6, 15), (6, 90), (7, 40), (8, 50), (9, 16)] {
            assert_eq!(place(vlf, block), None, "{vlf} {block}");
        }
    }
}
