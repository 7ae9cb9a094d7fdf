//! A real server's log: kept as its bytes, and held again by the next log backup.

use std::ops::Range;
use std::path::Path;

use fake_sqlserver::catalogue::Server;
use mtf::{Block, Events, Mstl, MtfError, Reader, StreamHeader, stream_id};
use rstest::rstest;

use crate::golden::golden;
use crate::server::Fixture;

/// Bytes of a block of log.
const BLOCK: u64 = 512;

/// Where a stream has its log: what each block of a virtual log file says, and the bytes behind it.
#[derive(Default)]
struct Logs {
    /// Number of the virtual log file, its first block, bytes, and where the block is.
    announced: Option<(u32, u64, usize, usize)>,
    found: Vec<(u32, u64, Range<usize>)>,
}

impl Events for Logs {
    type Error = MtfError;

    fn block(&mut self, block: &Block, at: u64) -> Result<(), MtfError> {
        if let Block::Mstl(log) = block {
            let first = log.get(Mstl::START).saturating_sub(log.get(Mstl::VLF_START)) / BLOCK;
            let size = log.log_size() as usize;
            self.announced = Some((log.get(Mstl::VLF_SEQUENCE), first, size, at as usize));
        }
        Ok(())
    }

    fn stream(&mut self, header: &StreamHeader, at: u64) -> Result<(), MtfError> {
        if header.id == stream_id::MQTL {
            let (vlf, first, size, _) = self.announced.unwrap();
            let start = at as usize + StreamHeader::SIZE + 2;
            self.found.push((vlf, first, start..start + size));
        }
        Ok(())
    }
}

fn logs(stream: &[u8]) -> Logs {
    let mut logs = Logs::default();
    Reader::new().feed(stream, &mut logs).unwrap();
    logs
}

/// The log in a file: number of each virtual log file, its first block, and its bytes.
fn log_in(file: &Path) -> Vec<(u32, u64, Vec<u8>)> {
    let stream = std::fs::read(file).unwrap();
    let found = logs(&stream).found.into_iter();
    found.map(|(vlf, first, at)| (vlf, first, stream[at].to_vec())).collect()
}

/// Puts the log of a file behind that of others, where they end.
fn join(mut log: Vec<(u32, u64, Vec<u8>)>, next: &Path) -> Vec<(u32, u64, Vec<u8>)> {
    for (vlf, first, bytes) in log_in(next) {
        match log.last_mut().filter(|last| last.0 == vlf) {
            Some((_, start, before)) => {
                assert_eq!(*start + before.len() as u64 / BLOCK, first);
                before.extend(bytes);
            }
            None => log.push((vlf, first, bytes)),
        }
    }
    log
}

/// Makes the log in a backup one that this server cannot have written.
fn disguise(file: &Path) {
    let mut stream = std::fs::read(file).unwrap();
    for (_, _, at) in logs(&stream).found {
        stream[at].iter_mut().for_each(|byte| *byte ^= 0x5a);
    }
    std::fs::write(file, stream).unwrap();
}

/// What is said of a real server's log, or the numbers of errors.
fn note(server: &mut Fixture, batch: &str) -> String {
    const START: &str = "0: The log in this backup set was written by a real server. Its place in the \
        log chain was checked; its records are not replayed, ";
    let lines = server.run(batch);
    let said: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix(START)).collect();
    if said.is_empty() { format!("{:?}", server.errors(batch)) } else { said.join(" ") }
}

const KEPT: &str = "but kept for the next log backup.";

// Catches: bytes of a real server's log lost, changed, doubled or out of place; log of a differential
// backup's kept that a log backup holds as well; a backup that does not start where that log does, a
// COPY_ONLY one that uses it up, one that holds it though an earlier one has; a file left behind.
#[rstest]
fn the_next_log_backup_holds_a_real_log(#[values(false, true)] in_memory: bool) {
    let Some(folder) = golden("the_next_log_backup_holds_a_real_log") else { return };
    let mut server = match in_memory {
        true => Fixture::on(Server::in_memory),
        false => Fixture::new(),
    };
    let file = |name: &str| folder.join("chain-2016").join(name);
    for (what, name, end) in [
        ("DATABASE", "full.bak", "NORECOVERY"),
        ("DATABASE", "diff.bak", "NORECOVERY"),
        ("LOG", "log1.trn", "NORECOVERY"),
        ("LOG", "log2.trn", "NORECOVERY"),
        ("LOG", "log3.trn", "RECOVERY"),
    ] {
        let device = file(name).display().to_string();
        let batch = format!("RESTORE {what} real FROM DISK='{device}' WITH {end}");
        assert_eq!(note(&mut server, &batch), KEPT, "{name}");
    }
    let files = if in_memory { 0 } else { 1 };
    assert_eq!(server.data_files(), 2 * files, "the pages, and the log of the last restores");

    let mut real = log_in(&file("log1.trn"));
    for name in ["log2.trn", "log3.trn"] {
        real = join(real, &file(name));
    }
    assert_eq!((real.len(), real[0].0, real[0].1), (1, 39, 588));
    for name in ["copy", "log4"] {
        let with = if name == "copy" { " WITH COPY_ONLY" } else { "" };
        let change = "EXEC vdisim.change real, 50, 1;";
        server.succeed(&format!("{change} BACKUP LOG real TO DISK='{name}'{with}"));
        let held = log_in(&server.backup_file(name));
        assert!(held[0] == real[0], "{name}: not the bytes that came");
        assert!(held.len() == 2 && held[1].0 == 40, "{name}: this server's own log follows");
        let header = server.run(&format!("RESTORE HEADERONLY FROM DISK='{name}'")).join("|");
        // First LSN, and where the recovery path forked: there the real log ended.
        for lsn in ["|39000000058800001|", "|39000000064200001|"] {
            assert!(header.contains(lsn), "{name}: {lsn} in {header}");
        }
    }
    assert_eq!(server.data_files(), files, "the log is not needed any more");
    server.succeed("EXEC vdisim.change real, 50, 2; BACKUP LOG real TO DISK='log5'");
    assert_eq!(log_in(&server.backup_file("log5")).iter().map(|log| log.0).min(), Some(40));
}

/// A full backup of a database, and three log backups as if a real server had made them; the log of
/// the first is in several virtual log files.
fn as_of_a_real_server() -> Fixture {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='full'");
    for (name, pages) in [("l1", 45_000), ("l2", 100), ("l3", 100)] {
        let batch =
            format!("EXEC vdisim.change pubs, {pages}, 1; BACKUP LOG pubs TO DISK='{name}'");
        server.succeed(&batch);
        disguise(&server.backup_file(name));
    }
    server
}

/// Restores the full backup as `name`, and these log backups. Returns what is said of the last.
fn restore(server: &mut Fixture, name: &str, logs: &[&str], end: &str) -> String {
    let full = format!("RESTORE DATABASE {name} FROM DISK='full' WITH NORECOVERY, REPLACE");
    server.succeed(&full);
    let mut said = String::new();
    for (number, log) in logs.iter().enumerate() {
        let end = if number + 1 == logs.len() { end } else { "NORECOVERY" };
        said = note(server, &format!("RESTORE LOG {name} FROM {log} WITH {end}"));
    }
    said
}

// Catches: a virtual log file or a piece of one lost, log of a restore that failed in what is kept, log
// for another family than the first; a database refused that is on the path before its fork, or one
// taken that went on beyond it.
#[test]
fn kept_log_is_whole_over_virtual_files_sets_and_stripes() {
    let mut server = as_of_a_real_server();
    let (l1, l2, l3) = ("DISK='l1'", "DISK='l2'", "DISK='l3'");
    assert_eq!(restore(&mut server, "copy", &[l1], "NORECOVERY"), KEPT);
    let whole = std::fs::read(server.backup_file("l2")).unwrap();
    let end = logs(&whole).found[0].2.end;
    std::fs::write(server.backup_file("cut"), &whole[..end]).unwrap();
    assert_eq!(server.errors("RESTORE LOG copy FROM DISK='cut' WITH NORECOVERY"), [3203, 3013]);
    assert_eq!(note(&mut server, "RESTORE LOG copy FROM DISK='l2'"), KEPT);

    let came = join(log_in(&server.backup_file("l1")), &server.backup_file("l2"));
    assert!(came.len() > 1, "several virtual log files");
    server.succeed("EXEC vdisim.change copy, 100, 7");
    server.succeed("BACKUP LOG copy TO DISK='a', DISK='b' WITH CHECKSUM");
    let held = log_in(&server.backup_file("a"));
    assert!(held[..came.len()] == came, "not the bytes that came");
    assert_eq!(held.len(), came.len() + 1, "and this server's own behind them");
    assert_eq!(log_in(&server.backup_file("b")), []);

    let both = "DISK='a', DISK='b'";
    let forks = "and not kept, as its recovery path forks in the backup set.";
    for before in [&[][..], &[l1], &[l1, l2]] {
        let sets: Vec<_> = before.iter().copied().chain([both]).collect();
        assert_eq!(restore(&mut server, "twin", &sets, "RECOVERY"), forks, "{before:?}");
        assert_eq!(server.digest("twin"), server.digest("copy"), "{before:?}");
    }
    assert_eq!(restore(&mut server, "twin", &[l1, l2, l3, both], "RECOVERY"), "[4330, 3013]");
}

// Catches: log kept that nobody can back up, that is not all there, or that this server's own follows; a
// file of it left behind; log behind a gap not kept.
#[test]
fn log_that_is_not_kept_is_told_of() {
    let mut server = as_of_a_real_server();
    let first = server.backup_file("l1");
    let whole = std::fs::read(&first).unwrap();
    let mut gap = whole.clone();
    // A block less at the start: the body of a block has no checksum.
    let at = logs(&whole).announced.unwrap().3 + Mstl::START.offset();
    let start = u64::from_le_bytes(*gap[at..].first_chunk().unwrap());
    gap[at..at + 8].copy_from_slice(&(start + BLOCK).to_le_bytes());
    std::fs::write(&first, gap).unwrap();
    let said = restore(&mut server, "copy", &["DISK='l1'"], "NORECOVERY");
    assert_eq!(
        said,
        "and not kept, as the set does not hold all of it from its first LSN to its last."
    );
    assert_eq!(server.data_files(), 1, "only the pages");
    assert_eq!(note(&mut server, "RESTORE LOG copy FROM DISK='l2'"), KEPT);
    server.succeed("BACKUP LOG copy TO DISK='after'");
    let came = log_in(&server.backup_file("l2"));
    assert!(log_in(&server.backup_file("after")).starts_with(&came));

    server.succeed("EXEC vdisim.change pubs, 9, 2; BACKUP LOG pubs TO DISK='own'");
    restore(
        &mut server,
        "copy",
        &["DISK='l1'", "DISK='l2'", "DISK='l3'", "DISK='own'"],
        "RECOVERY",
    );
    assert_eq!(server.data_files(), 1, "a gap would be before the next log");
    server.succeed("EXEC vdisim.change copy, 9, 3; BACKUP LOG copy TO DISK='next'");
    assert_eq!(log_in(&server.backup_file("next")).len(), 1);

    server.succeed("ALTER DATABASE pubs SET RECOVERY SIMPLE");
    server.succeed("BACKUP DATABASE pubs TO DISK='simple'");
    disguise(&server.backup_file("simple"));
    let said = note(&mut server, "RESTORE DATABASE plain FROM DISK='simple'");
    assert_eq!(said, "and not kept, as the database has the simple recovery model.");
    assert_eq!(server.data_files(), 2, "the pages of two databases");
}

// Catches: log kept, and its file, that no backup will ever hold.
#[test]
fn kept_log_goes_with_its_chain_or_its_database() {
    let mut server = as_of_a_real_server();
    for end in ["ALTER DATABASE copy SET RECOVERY SIMPLE", "DROP DATABASE copy"] {
        assert_eq!(restore(&mut server, "copy", &["DISK='l1'"], "RECOVERY"), KEPT);
        assert_eq!(server.data_files(), 2, "pages and log");
        server.succeed(end);
        let left = usize::from(!end.starts_with("DROP"));
        assert_eq!(server.data_files(), left, "{end}");
    }
}
