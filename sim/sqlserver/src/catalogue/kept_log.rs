//! A real server's log: what it says is not known here, so its bytes are kept in a file of their own
//! and stand in the next log backup as they came.

use mtf::{Lsn, Mstl, Record, VirtualLogFile};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::database::{BackupFacts, Content, SetKind};
use super::log_blocks::{BLOCK, FIRST_BLOCK};
use super::lsn_text;

/// Bytes that a log file has at most. (spec: SFIN, "max size", log)
const LOG_LIMIT: u64 = 0x200_0000_0000;

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
    /// Its parts, as they came.
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
    pub fn size(&self) -> u64 {
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

    /// Its virtual log files, in order: each ends where its log does.
    pub fn virtual_files(&self) -> Vec<VirtualLogFile> {
        let mut files: Vec<VirtualLogFile> = Vec::new();
        for part in &self.parts {
            let end = bytes(part.end);
            match files.iter_mut().find(|file| file.sequence == part.vlf) {
                Some(file) => file.size = file.size.max(end),
                None => files.push(VirtualLogFile {
                    file_id: part.file,
                    sequence: part.vlf,
                    start: part.start,
                    size: end,
                    parity: part.parity,
                    create_lsn: part.created,
                }),
            }
        }
        files.sort_by_key(|file| file.sequence);
        files
    }

    /// The part that holds a block; the newest, if sets overlap.
    pub fn part_with(&self, vlf: u32, block: u32) -> Option<&KeptPart> {
        let holds = |part: &&KeptPart| part.vlf == vlf && (part.first..part.end).contains(&block);
        self.parts.iter().rfind(holds)
    }
}

/// Whether these parts, in order, are the log from `first` to `last`.
pub(super) fn is_whole(parts: &[KeptPart], first: Lsn, last: Lsn) -> bool {
    let mut next = (first.vlf, first.block);
    for part in parts {
        let is_possible =
            part.start <= LOG_LIMIT && bytes(part.end) <= LOG_LIMIT && part.first < part.end;
        if (part.vlf, part.first) != next || !is_possible {
            return false;
        }
        next = if part.vlf < last.vlf { (part.vlf + 1, FIRST_BLOCK) } else { (part.vlf, part.end) };
    }
    next == (last.vlf, last.block.max(FIRST_BLOCK))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn part(vlf: u32, first: u32, end: u32) -> KeptPart {
        let (file, parity, created, at) = (2, 64, Lsn::default(), 0);
        KeptPart { file, vlf, start: 1 << 20, parity, created, first, end, at }
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
    }

    // Catches: parts of one virtual log file as several files, an older part before a newer one.
    #[test]
    fn sets_share_virtual_log_files() {
        let newer = KeptPart { at: 4096, ..part(7, 28, 40) };
        let parts = vec![part(6, 16, 90), part(7, 16, 30), newer];
        let (start, end) = (Lsn { vlf: 6, block: 16, slot: 1 }, Lsn { vlf: 7, block: 40, slot: 1 });
        let log = KeptLog { start, end, fork: Uuid::nil(), content: Content::Log, size: 0, parts };
        let files = log.virtual_files();
        let sizes: Vec<_> = files.iter().map(|file| (file.sequence, file.size)).collect();
        assert_eq!(sizes, [(6, 90 * 512), (7, 40 * 512)]);
        assert_eq!(log.part_with(7, 29).map(|part| part.place_of(29)), Some(4096 + 512));
        assert_eq!(log.part_with(7, 27).map(|part| part.place_of(27)), Some(11 * 512));
        assert_eq!(log.part_with(7, 40), None);
    }
}
