//! Backups that this server does not make: made of its own, or of real ones, by changing fields.

use std::fs;

use mtf::{Scin, Sfin};
use rstest::rstest;

use crate::golden::golden;
use crate::server::{Fixture, shown};

/// Changes every chunk with this tag in a backup.
fn patch(server: &Fixture, from: &str, to: &str, tag: &[u8; 4], change: impl Fn(&mut [u8])) {
    let mut stream = fs::read(server.backup_file(from)).unwrap();
    let is_chunk = |at: &usize| stream[*at..].starts_with(tag);
    let places: Vec<_> = (0..stream.len()).filter(is_chunk).collect();
    assert!(places.len() >= 2, "one before the data and one behind");
    places.iter().for_each(|at| change(&mut stream[*at..]));
    fs::write(server.backup_file(to), stream).unwrap();
}

// Catches: a file or partial backup taken for one of a whole database.
#[rstest]
#[case(b'F', "4", "File")]
#[case(b'G', "6", "File Differential")]
#[case(b'P', "7", "Partial")]
#[case(b'Q', "8", "Partial Differential")]
fn parts_of_databases_are_known_and_refused(
    #[case] letter: u8,
    #[case] number: &str,
    #[case] description: &str,
) {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='full'");
    patch(&server, "full", "part", b"SCIN", |chunk| Scin::BACKUP_TYPE.write(chunk, letter));
    let header = shown(&mut server, "RESTORE HEADERONLY FROM DISK='part'");
    assert_eq!(
        ["BackupType", "BackupTypeDescription"].map(|name| header(0, name)),
        [number, description]
    );
    let lines = server.run("RESTORE DATABASE copy FROM DISK='part'");
    let named = format!("3015: RESTORE of a backup set of type {description} is not yet");
    assert!(lines[0].starts_with(&named), "{lines:?}");
    assert_eq!(server.errors("USE copy"), [911]);
}

// Catches: a container of FILESTREAM taken for a file of pages, or one that is left out for an empty one.
#[rstest]
#[case::container(Sfin::FILE_ID, 65_537, ["S", "1"], "memory-optimized data 'pubs'")]
#[case::absent(Sfin::FLAGS, 0, ["D", "0"], "without the file 'pubs'")]
fn files_that_cannot_be_restored_are_named(
    #[case] field: mtf::Field<Sfin, u32>,
    #[case] value: u32,
    #[case] listed: [&str; 2],
    #[case] named: &str,
) {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='full'");
    patch(&server, "full", "odd", b"SFIN", |chunk| {
        if Sfin::FILE_ID.read(chunk) == 1 {
            Sfin::PAGE_COUNT.write(chunk, 0);
            field.write(chunk, value);
        }
    });
    let list = shown(&mut server, "RESTORE FILELISTONLY FROM DISK='odd'");
    assert_eq!(["Type", "IsPresent"].map(|name| list(0, name)), listed);
    let lines = server.run("RESTORE DATABASE copy FROM DISK='odd'");
    assert!(lines[0].starts_with("3015: ") && lines[0].contains(named), "{lines:?}");
    assert_eq!(server.errors("USE copy"), [911]);
}

// Catches: a set with known damage restored like any other, or not at all.
#[test]
fn a_set_of_a_damaged_database_is_restored_on_demand_only() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='full'");
    patch(&server, "full", "marked", b"SCIN", |chunk| {
        let flags = Scin::FLAGS.read(chunk);
        Scin::FLAGS.write(chunk, flags | Scin::DAMAGED);
    });
    assert_eq!(server.errors("RESTORE VERIFYONLY FROM DISK='marked'"), [3262, 3188]);
    assert_eq!(server.errors("RESTORE DATABASE copy FROM DISK='marked'"), [3182, 3013]);
    server.succeed("RESTORE DATABASE copy FROM DISK='marked' WITH CONTINUE_AFTER_ERROR");
}

// Catches: the facts of a full set taken from before its data: SQL Server 2019 writes others behind it.
#[test]
fn a_differential_backup_continues_what_stands_behind_the_data() {
    let Some(folder) = golden("a_differential_backup_continues_what_stands_behind_the_data") else {
        return;
    };
    let mut server = Fixture::new();
    let full = folder.join("full-2019.bak").display().to_string();
    let header = shown(&mut server, &format!("RESTORE HEADERONLY FROM DISK='{full}'"));
    server.run(&format!("RESTORE DATABASE real FROM DISK='{full}'"));
    server.succeed("BACKUP DATABASE real TO DISK='next' WITH DIFFERENTIAL");
    let next = shown(&mut server, "RESTORE HEADERONLY FROM DISK='next'");
    assert_eq!(next(0, "DifferentialBaseLSN"), header(0, "CheckpointLSN"));
    assert_eq!(next(0, "CompatibilityLevel"), header(0, "CompatibilityLevel"));
}

// Catches: READ_ONLY lost by a restore.
#[test]
fn a_read_only_database_is_restored_read_only() {
    let mut server = Fixture::new();
    server.succeed("ALTER DATABASE pubs SET READ_ONLY; BACKUP DATABASE pubs TO DISK='full'");
    server.succeed("RESTORE DATABASE copy FROM DISK='full'");
    let asked = shown(&mut server, "SELECT is_read_only FROM sys.databases WHERE name='copy'");
    assert_eq!(asked(0, "is_read_only"), "1");
}

// Catches: sets not listed because of what does not concern their heads: damaged pages, a set that was
// cut, bytes behind the last one; a cut set listed as whole.
#[test]
fn sets_are_listed_in_spite_of_damage() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='two' WITH NAME='first'");
    let first = fs::metadata(server.backup_file("two")).unwrap().len() as usize;
    server.succeed("BACKUP DATABASE pubs TO DISK='two' WITH NAME='second'");
    let whole = fs::read(server.backup_file("two")).unwrap();
    let mut damaged = whole.clone();
    damaged[first / 2] ^= 1;
    let cut = whole[..first + (whole.len() - first) / 2].to_vec();
    let padded = [&whole[..], &[0; 5000]].concat();
    for (stream, second) in [(damaged, "second"), (cut, "*** INCOMPLETE ***"), (padded, "second")] {
        fs::write(server.backup_file("odd"), stream).unwrap();
        let sets = shown(&mut server, "RESTORE HEADERONLY FROM DISK='odd'");
        assert_eq!([0, 1].map(|row| sets(row, "BackupName")), ["first", second]);
    }
    fs::write(server.backup_file("odd"), &whole[..first / 2]).unwrap();
    assert_eq!(server.errors("RESTORE HEADERONLY FROM DISK='odd'"), [3203, 3013]);
}

// Catches: damage in a set that is not the one to restore.
#[test]
fn a_set_is_restored_from_behind_a_damaged_one() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='two'; BACKUP DATABASE pubs TO DISK='two'");
    let mut stream = fs::read(server.backup_file("two")).unwrap();
    let quarter = stream.len() / 4;
    stream[quarter] ^= 1;
    fs::write(server.backup_file("two"), stream).unwrap();
    assert_eq!(server.errors("RESTORE DATABASE copy FROM DISK='two'"), [3183, 3013]);
    server.succeed("RESTORE DATABASE copy FROM DISK='two' WITH FILE=2");
    assert_eq!(server.digest("copy"), server.digest("pubs"));
}
