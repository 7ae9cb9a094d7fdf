//! What the tests share: real backups, and reading in pieces.

use std::path::{Path, PathBuf};

use mtf::{Events, MtfError, Reader, RewriteError, Rewriter};

/// A real backup.
pub(crate) struct Golden {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

/// The real backups, or none, reported as skipped under the name of the test.
pub(crate) fn golden_files(test: &str) -> Vec<Golden> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden");
    let folder = std::env::var_os("VDISIM_GOLDEN").map_or(beside, PathBuf::from);
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    if files.is_empty() {
        eprintln!("SKIP {test}: no backups under {} (VDISIM_GOLDEN)", folder.display());
    }
    files
}

/// Those of the real backups that the tests know: what is expected of them goes beyond what holds
/// for every backup.
pub(crate) fn known_files(test: &str) -> Vec<Golden> {
    const KNOWN: [&str; 12] = [
        "full-2019.bak",
        "chain-2016/full.bak",
        "chain-2016/diff.bak",
        "chain-2016/log1.trn",
        "chain-2016/log2.trn",
        "chain-2016/log3.trn",
        "stripe-2008r2/family1.bak",
        "stripe-2008r2/family2.bak",
        "checksum-2008r2/full.bak",
        "checksum-2008r2/diff.bak",
        "diff-2008r2/full.bak",
        "diff-2008r2/diff.bak",
    ];
    let mut files = golden_files(test);
    files.retain(|file| KNOWN.iter().any(|known| file.path.ends_with(known)));
    files
}

fn collect(folder: &Path, files: &mut Vec<Golden>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "bak" || e == "trn") {
            files.push(Golden { bytes: std::fs::read(&path).unwrap(), path });
        }
    }
}

/// Feeds `bytes` in pieces of `size` and then says that there are no more. Returns the bytes taken.
pub(crate) fn read_all<S: Events>(
    reader: &mut Reader,
    bytes: &[u8],
    size: usize,
    sink: &mut S,
) -> Result<usize, S::Error> {
    let mut taken = 0;
    for piece in bytes.chunks(size) {
        taken += reader.feed(piece, sink)?;
        if reader.is_finished() {
            break;
        }
    }
    reader.finish()?;
    Ok(taken)
}

/// The stream written again from what the reader told.
pub(crate) fn rewrite(bytes: &[u8], size: usize) -> Result<Vec<u8>, RewriteError> {
    let mut rewriter = Rewriter::new(Vec::with_capacity(bytes.len()));
    read_all(&mut Reader::new(), bytes, size, &mut rewriter)?;
    Ok(rewriter.into_inner())
}

/// A receiver that is content with everything.
pub(crate) struct Nobody;

impl Events for Nobody {
    type Error = MtfError;
}

/// Where two byte strings differ first.
pub(crate) fn first_difference(a: &[u8], b: &[u8]) -> Option<usize> {
    if a == b {
        return None;
    }
    Some(a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len())))
}
