//! A real server's log: kept as its bytes, and held again by the next log backup.

use std::ops::Range;
use std::path::Path;

use fake_sqlserver::catalogue::{Catalogue, Server};
use mtf::{Block, Events, Field, Lsn, Mstl, MtfError, Reader, Record, StreamHeader, stream_id};
use rstest::rstest;

use crate::golden::golden;
use crate::server::Fixture;

/// Bytes of a block of log.
const BLOCK: u64 = 512;

/// The log of a virtual log file in a stream.
#[derive(Clone, Debug)]
struct Found {
    vlf: u32,
    /// The virtual log file in the log file.
    file: Range<u64>,
    first: u64,
    /// Where its block is.
    block: usize,
    /// Where its bytes are.
    bytes: Range<usize>,
}

/// Where a stream has its log.
#[derive(Default)]
struct Logs {
    announced: Option<(Record<Mstl>, usize)>,
    found: Vec<Found>,
}

impl Events for Logs {
    type Error = MtfError;

    fn block(&mut self, block: &Block, at: u64) -> Result<(), MtfError> {
        if let Block::Mstl(log) = block {
            self.announced = Some((log.clone(), at as usize));
        }
        Ok(())
    }

    fn stream(&mut self, header: &StreamHeader, at: u64) -> Result<(), MtfError> {
        if header.id == stream_id::MQTL {
            let (log, block) = self.announced.take().unwrap();
            let (bytes, file) = (at as usize + StreamHeader::SIZE + 2, log.get(Mstl::VLF_START));
            self.found.push(Found {
                vlf: log.get(Mstl::VLF_SEQUENCE),
                file: file..file + log.get(Mstl::VLF_SIZE),
                first: (log.get(Mstl::START) - file) / BLOCK,
                block,
                bytes: bytes..bytes + log.log_size() as usize,
            });
        }
        Ok(())
    }
}

fn logs(stream: &[u8]) -> Vec<Found> {
    let mut logs = Logs::default();
    Reader::new().feed(stream, &mut logs).unwrap();
    logs.found
}

/// The log in a file: number of each virtual log file, its first block, and its bytes.
fn log_in(file: &Path) -> Vec<(u32, u64, Vec<u8>)> {
    let stream = std::fs::read(file).unwrap();
    let found = logs(&stream).into_iter();
    found.map(|log| (log.vlf, log.first, stream[log.bytes].to_vec())).collect()
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
    for log in logs(&stream) {
        stream[log.bytes].iter_mut().for_each(|byte| *byte ^= 0x5a);
    }
    std::fs::write(file, stream).unwrap();
}

/// Moves where log starts or ends in a virtual log file, which the block at `block` says.
fn move_bound(stream: &mut [u8], block: usize, bound: Field<Mstl, u64>, blocks: i64) {
    let at = block + bound.offset();
    let value = u64::from_le_bytes(*stream[at..].first_chunk().unwrap());
    let moved = value.wrapping_add_signed(blocks * BLOCK as i64);
    stream[at..at + 8].copy_from_slice(&moved.to_le_bytes());
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
    // The virtual log file is the real one; this server's lies behind the real log file's end.
    let held = logs(&std::fs::read(server.backup_file("log4")).unwrap());
    assert_eq!((held[0].file.clone(), held[1].file.start), (3_997_696..4_390_912, 5_963_776));
    assert_eq!(server.data_files(), files, "the log is not needed any more");
    server.succeed("EXEC vdisim.change real, 50, 2; BACKUP LOG real TO DISK='log5'");
    assert_eq!(log_in(&server.backup_file("log5")).iter().map(|log| log.0).min(), Some(40));
}

/// Lets the log of pubs go on in the last blocks of its virtual log file.
fn fill_virtual_file(server: &Fixture) {
    let fill = |catalogue: &mut Catalogue| {
        catalogue.database_mut("pubs").unwrap().log.next.block = 2040;
        Ok::<_, ()>(())
    };
    server.instance.server.update(fill).unwrap().unwrap();
}

/// A full backup of a database, and three log backups as if a real server had made them; the log of
/// the first is in several virtual log files.
fn as_of_a_real_server() -> Fixture {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='full'");
    fill_virtual_file(&server);
    for (name, pages) in [("l1", 5_000), ("l2", 100), ("l3", 100)] {
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
    let end = logs(&whole)[0].bytes.end;
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
    let mut gap = std::fs::read(&first).unwrap();
    // As many blocks, from one later on: the body of a block has no checksum.
    let block = logs(&gap)[0].block;
    move_bound(&mut gap, block, Mstl::START, 1);
    move_bound(&mut gap, block, Mstl::END, 1);
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

// Catches: log of one path taken for that of two, as the set starts where its path does.
#[test]
fn log_that_starts_at_a_fork_is_kept() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='full'");
    restore(&mut server, "copy", &[], "");
    server.succeed("RESTORE DATABASE copy WITH RECOVERY; EXEC vdisim.change copy, 9, 1");
    server.succeed("BACKUP LOG copy TO DISK='l1'");
    disguise(&server.backup_file("l1"));
    assert_eq!(restore(&mut server, "twin", &["DISK='l1'"], "RECOVERY"), KEPT);
    server.succeed("BACKUP LOG twin TO DISK='l2'");
    let came = log_in(&server.backup_file("l1"));
    assert!(log_in(&server.backup_file("l2")).starts_with(&came));
    let forks = "and not kept, as its recovery path forks in the backup set.";
    assert_eq!(restore(&mut server, "third", &["DISK='l1'", "DISK='l2'"], "RECOVERY"), forks);
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

// Catches: log of a real server cut off, with headers and checksums right; damaged log that was let pass,
// or log beyond the point in time, handed on as if it were good.
#[test]
fn log_that_is_not_as_it_was_is_not_handed_on() {
    let mut server = as_of_a_real_server();
    let file = server.backup_file("l1");
    let whole = std::fs::read(&file).unwrap();
    let found = logs(&whole);
    assert!(found.len() > 1, "several virtual log files");
    for log in &found {
        let all = -(log.bytes.len() as i64 / BLOCK as i64);
        for (bound, blocks) in [
            (Mstl::END, -1),
            (Mstl::END, 1),
            (Mstl::END, 129),
            (Mstl::END, all),
            (Mstl::START, 1),
            (Mstl::START, -1),
        ] {
            let mut cut = whole.clone();
            move_bound(&mut cut, log.block, bound, blocks);
            std::fs::write(&file, cut).unwrap();
            let said = restore(&mut server, "copy", &["DISK='l1'"], "NORECOVERY");
            let is_told =
                said == "[3189, 3013]" || said.starts_with("and not kept, as the set does");
            assert!(is_told, "{log:?} {blocks}: {said}");
        }
    }
    std::fs::write(&file, &whole).unwrap();
    let stop = "RECOVERY, STOPAT='2001-01-01'";
    let said = restore(&mut server, "copy", &["DISK='l1'"], stop);
    assert_eq!(said, "and not kept, as it may go on beyond the point in time.");

    server.succeed("EXEC vdisim.change pubs, 9, 1; BACKUP LOG pubs TO DISK='none' WITH CHECKSUM");
    let file = server.backup_file("none");
    let mut none = std::fs::read(&file).unwrap();
    let log = logs(&none).remove(0);
    move_bound(&mut none, log.block, Mstl::END, -(log.bytes.len() as i64 / BLOCK as i64));
    std::fs::write(&file, none).unwrap();
    assert_eq!(server.errors("RESTORE VERIFYONLY FROM DISK='none'"), [3189, 3013]);

    server.succeed("BACKUP DATABASE pubs TO DISK='full' WITH INIT");
    server.succeed("EXEC vdisim.change pubs, 9, 1; BACKUP LOG pubs TO DISK='l4' WITH CHECKSUM");
    let l4 = server.backup_file("l4");
    disguise(&l4);
    let mut damaged = std::fs::read(&l4).unwrap();
    let at = logs(&damaged)[0].bytes.start;
    damaged[at] ^= 1;
    std::fs::write(&l4, damaged).unwrap();
    let sets = ["DISK='l4'"];
    assert_eq!(restore(&mut server, "copy", &sets, "RECOVERY"), "[3189, 3013]");
    let said = restore(&mut server, "copy", &sets, "CONTINUE_AFTER_ERROR");
    assert_eq!(said, "and not kept, as it is damaged.");
    assert_eq!(server.data_files(), 1, "only the pages");
}

// Catches: own log that cannot be told from a real one that ends where a virtual log file begins; places
// in a log file that claims any size.
#[test]
fn real_log_may_end_with_its_virtual_log_file() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='full'");
    fill_virtual_file(&server);
    let next = |server: &Fixture| {
        let catalogue = server.instance.server.read().unwrap();
        catalogue.database("pubs").unwrap().log.next
    };
    let vlf = next(&server).vlf;
    while next(&server).vlf == vlf {
        // Each takes a block.
        server.succeed("EXEC vdisim.change pubs, 1, 1");
    }
    assert_eq!((next(&server).block, next(&server).slot), (16, 1));
    server.succeed("BACKUP LOG pubs TO DISK='l1'");
    disguise(&server.backup_file("l1"));
    assert_eq!(restore(&mut server, "copy", &["DISK='l1'"], "RECOVERY"), KEPT);
    let grow = |catalogue: &mut Catalogue| {
        catalogue.database_mut("copy").unwrap().files.last_mut().unwrap().size = u64::MAX;
        Ok::<_, ()>(())
    };
    server.instance.server.update(grow).unwrap().unwrap();
    server.succeed("EXEC vdisim.change copy, 30, 2; BACKUP LOG copy TO DISK='after'");
    let held = log_in(&server.backup_file("after"));
    assert!(held.starts_with(&log_in(&server.backup_file("l1"))));
    assert_eq!((held.len(), held[1].0, held[1].1), (2, vlf + 1, 16));
    restore(&mut server, "twin", &["DISK='after'"], "RECOVERY");
    assert_eq!(server.digest("twin"), server.digest("copy"));
}

// Catches: kept log that is lost and handed on as zeros, or goes on behind what is lost, or that keeps a full backup from being made.
#[test]
fn lost_kept_log_is_told_of() {
    let mut server = as_of_a_real_server();
    assert_eq!(restore(&mut server, "copy", &["DISK='l1'"], "NORECOVERY"), KEPT);
    let data = server.backup_file("../data").read_dir().unwrap();
    let mut files = data.map(|entry| entry.unwrap().path());
    let kept = files.find(|file| file.extension().is_some_and(|end| end == "log")).unwrap();
    let size = std::fs::metadata(&kept).unwrap().len();
    let file = std::fs::File::options().write(true).open(&kept).unwrap();
    file.set_len(size - 1).unwrap();
    let next = "RESTORE LOG copy FROM DISK='l2'";
    assert_eq!(server.errors(next), [3271, 3013], "it would go on behind a gap");
    server.succeed("RESTORE DATABASE copy WITH RECOVERY");
    for size in [size - 1, 0] {
        file.set_len(size).unwrap();
        assert_eq!(server.errors("BACKUP LOG copy TO DISK='x'"), [3271, 3013], "{size}");
    }
    std::fs::remove_file(&kept).unwrap();
    assert_eq!(server.errors("BACKUP LOG copy TO DISK='x'"), [3271, 3013]);
    server.succeed("BACKUP DATABASE copy TO DISK='full2'");
    server.succeed("BACKUP DATABASE copy TO DISK='diff2' WITH DIFFERENTIAL");
}

// Catches: a log chain that a copy takes over: log since the backup before it is in no other; a chain over
// two forks that tells of the second.
#[test]
fn a_copy_of_the_tail_leaves_the_chain() {
    let mut server = as_of_a_real_server();
    let (l1, l2) = ("DISK='l1'", "DISK='l2'");
    assert_eq!(restore(&mut server, "copy", &[l1, l2], "RECOVERY"), KEPT);
    server.succeed("EXEC vdisim.change copy, 30, 1");
    server.succeed("BACKUP LOG copy TO DISK='tail' WITH NORECOVERY, COPY_ONLY");
    // It brings nothing that is not there.
    let files = server.data_files();
    server.run("RESTORE LOG copy FROM DISK='tail' WITH RECOVERY");
    assert_eq!(server.data_files(), files);
    server.succeed("EXEC vdisim.change copy, 30, 2; BACKUP LOG copy TO DISK='after'");
    let came = join(log_in(&server.backup_file("l1")), &server.backup_file("l2"));
    assert!(log_in(&server.backup_file("after")).starts_with(&came));
    restore(&mut server, "twin", &[l1, l2, "DISK='after'"], "RECOVERY");
    assert_eq!(server.digest("twin"), server.digest("copy"));
    // The first fork decides, not the last.
    let sets = [l1, l2, "DISK='l3'", "DISK='after'"];
    assert_eq!(restore(&mut server, "twin", &sets, "RECOVERY"), "[4330, 3013]");

    // The same with log of this server alone, and the tail itself.
    server.succeed("BACKUP LOG pubs TO DISK='p1'; EXEC vdisim.change pubs, 30, 3");
    server.succeed("BACKUP DATABASE pubs TO DISK='full' WITH INIT");
    server.succeed("EXEC vdisim.change pubs, 30, 4");
    server.succeed("BACKUP LOG pubs TO DISK='tail2' WITH NORECOVERY, COPY_ONLY");
    server.succeed("RESTORE DATABASE pubs WITH RECOVERY; EXEC vdisim.change pubs, 30, 5");
    server.succeed("BACKUP LOG pubs TO DISK='p2'");
    for sets in [&["DISK='p2'"][..], &["DISK='tail2'", "DISK='p2'"]] {
        restore(&mut server, "twin", sets, "RECOVERY");
        assert_eq!(server.digest("twin"), server.digest("pubs"), "{sets:?}");
    }
}

// Catches: log of a database taken for that of a copy of it, whose backup is restored onto it and ends with
// the same LSN.
#[test]
fn the_log_of_another_path_does_not_go_on() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='full'");
    for (name, seed) in [("copy", 1), ("other", 2)] {
        restore(&mut server, name, &[], "");
        server.succeed(&format!("RESTORE DATABASE {name} WITH RECOVERY"));
        server.succeed(&format!("EXEC vdisim.change {name}, 9, {seed}"));
    }
    server.succeed("BACKUP LOG copy TO DISK='tail' WITH NORECOVERY, COPY_ONLY");
    let meet = |catalogue: &mut Catalogue| {
        let end = catalogue.database("copy").unwrap().log.next;
        // The backup writes a checkpoint, which takes a block.
        catalogue.database_mut("other").unwrap().log.next = Lsn { block: end.block - 1, ..end };
        Ok::<_, ()>(())
    };
    server.instance.server.update(meet).unwrap().unwrap();
    server.succeed("BACKUP DATABASE other TO DISK='diff' WITH DIFFERENTIAL");
    server.succeed("RESTORE DATABASE copy FROM DISK='diff' WITH RECOVERY");
    server.succeed("BACKUP LOG copy TO DISK='after'");
    let said = restore(&mut server, "twin", &["DISK='after'"], "RECOVERY");
    assert_eq!(said, "[4305, 3013]", "it starts where the differential backup ended");
}

// Catches: a database that waits for backups altered under a restore; a recovery model that was changed
// between backups taken from the first.
#[test]
fn a_restored_database_has_the_last_recovery_model() {
    let mut server = Fixture::new();
    let model = |server: &mut Fixture| {
        server.run("SELECT recovery_model_desc FROM sys.databases WHERE name = 'copy'").remove(1)
    };
    server.succeed("ALTER DATABASE pubs SET RECOVERY SIMPLE; BACKUP DATABASE pubs TO DISK='full'");
    server.succeed("ALTER DATABASE pubs SET RECOVERY FULL");
    server.succeed("BACKUP DATABASE pubs TO DISK='diff' WITH DIFFERENTIAL");
    server.succeed("RESTORE DATABASE copy FROM DISK='full' WITH NORECOVERY");
    assert_eq!(model(&mut server), "SIMPLE");
    let alter = "ALTER DATABASE copy SET RECOVERY SIMPLE";
    assert_eq!(server.errors(alter), [5052, 5069]);
    server.succeed("RESTORE DATABASE copy FROM DISK='diff' WITH STANDBY='undo'");
    assert_eq!(server.errors(alter), [5063, 5069]);
    server.succeed("ALTER DATABASE copy SET SINGLE_USER; ALTER DATABASE copy SET MULTI_USER");
    assert_eq!(model(&mut server), "FULL");
    server.succeed("RESTORE DATABASE copy WITH RECOVERY; BACKUP LOG copy TO DISK='log'");
    server.succeed(alter);
}

// Catches: a file deleted because it is named in another way than before.
#[cfg(unix)]
#[test]
fn a_file_that_has_another_name_now_stays() {
    use fake_sqlserver::catalogue::Content;
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='full'; RESTORE DATABASE copy FROM DISK='full'");
    let digest = server.digest("copy");
    let rename = |catalogue: &mut Catalogue| {
        let file = &mut catalogue.database_mut("copy").unwrap().files[0];
        let Content::Stored(path) = &file.content else { panic!("{file:?}") };
        let (folder, name) = (path.parent().unwrap(), path.file_name().unwrap());
        file.content = Content::Stored(folder.join("../data").join(name));
        Ok::<_, ()>(())
    };
    server.instance.server.update(rename).unwrap().unwrap();
    assert_eq!((server.data_files(), server.digest("copy")), (1, digest));
}
