//! BACKUP to DISK: which files it writes to, and what becomes of what they hold.

use rstest::rstest;

use crate::devices::{client, watched};
use crate::server::Fixture;

/// The bytes of a file of backups.
fn bytes(server: &Fixture, name: &str) -> Vec<u8> {
    std::fs::read(server.backup_file(name)).unwrap()
}

/// What lies in the folder of backups.
fn names(server: &Fixture) -> Vec<String> {
    let entries = std::fs::read_dir(server.backup_file("")).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

// Catches: a file emptied before the next one could be opened; one left behind that a failed statement
// has made.
#[rstest]
fn a_device_that_cannot_be_opened_costs_nothing(
    #[values("INIT", "FORMAT", "NOINIT")] with: &str,
    #[values("good", "new")] first: &str,
) {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='good'");
    let before = bytes(&server, "good");
    let batch = format!("BACKUP DATABASE pubs TO DISK='{first}', DISK='/none/x' WITH {with}");
    assert_eq!(server.errors(&batch), [3201, 3013]);
    assert!(bytes(&server, "good") == before);
    assert_eq!(names(&server), ["good"]);
}

// Catches: a set of which one family has overwritten the other, by whatever name the file goes.
#[rstest]
#[case::same_name("x")]
#[case::another_spelling("./x")]
#[cfg_attr(unix, case::symbolic_link("soft"))]
#[case::hard_link("hard")]
fn a_file_is_one_device(#[case] again: &str, #[values("INIT", "FORMAT", "NOINIT")] with: &str) {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='x'");
    let before = bytes(&server, "x");
    std::fs::hard_link(server.backup_file("x"), server.backup_file("hard")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(server.backup_file("x"), server.backup_file("soft")).unwrap();
    let batch = format!("BACKUP DATABASE pubs TO DISK='x', DISK='{again}' WITH {with}");
    let told = server.run(&batch);
    let expected = format!("3201: Cannot open backup device '{again}'. Operating system error 32(");
    assert!(told[0].starts_with(&expected) && told[1].starts_with("3013: "), "{told:?}");
    assert!(bytes(&server, "x") == before);
    let there = names(&server);
    assert_eq!(server.errors("BACKUP DATABASE pubs TO DISK='new', DISK='new'"), [3201, 3013]);
    assert_eq!(names(&server), there, "what was refused has made no file");
}

// Catches: families that are wanted in the order of their numbers; a family appended behind another one.
#[test]
fn families_are_known_by_their_numbers() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='a', DISK='b', DISK='c' WITH CHECKSUM");
    server.succeed("EXEC vdisim.change pubs, 30, 1");
    let sizes = |server: &Fixture| ["a", "b", "c"].map(|name| bytes(server, name).len());
    let before = sizes(&server);
    server.succeed("BACKUP DATABASE pubs TO DISK='c', DISK='a', DISK='b' WITH CHECKSUM");
    let after = sizes(&server);
    let [first, second, third] = [0, 1, 2].map(|file| after[file] - before[file]);
    assert!(first > second && second == third, "the log goes to the first family");
    for from in ["DISK='a', DISK='b', DISK='c'", "DISK='b', DISK='c', DISK='a'"] {
        let batch = format!("RESTORE DATABASE copy FROM {from} WITH FILE=2, REPLACE");
        server.succeed(&batch);
        assert_eq!(server.digest("copy"), server.digest("pubs"));
    }
    let whole = bytes(&server, "a");
    std::fs::write(server.backup_file("b"), &whole).unwrap();
    let batch = "BACKUP DATABASE pubs TO DISK='a', DISK='b', DISK='c'";
    assert_eq!(server.errors(batch), [3227, 3013]);
    assert!(bytes(&server, "a") == whole);
}

// Catches: another message than SQL Server's, or one with a hole; a file that is changed though nothing
// can be appended to it.
#[test]
fn a_damaged_end_is_told_of() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='x'; BACKUP LOG pubs TO DISK='x'");
    let whole = bytes(&server, "x");
    let rubbish = [&whole[..], &[0xa5; 700]].concat();
    let cut = |size: usize| whole[..size].to_vec();
    let mut damages = vec![rubbish, [&whole[..], b"!"].concat(), cut(whole.len() - 1)];
    damages.extend([100, 700, 3000, whole.len() / 2, whole.len() - 600].map(cut));
    for damaged in damages {
        std::fs::write(server.backup_file("x"), &damaged).unwrap();
        let told = server.run("BACKUP DATABASE pubs TO DISK='x'");
        let expected = "3266: The backup data at the end of \"x\" is incorrectly formatted.";
        assert!(told[0].starts_with(expected) && told.len() == 2, "{}: {told:?}", damaged.len());
        assert!(bytes(&server, "x") == damaged);
    }
    let mut header = whole;
    header[30] ^= 1;
    std::fs::write(server.backup_file("x"), header).unwrap();
    assert_eq!(server.errors("BACKUP DATABASE pubs TO DISK='x'"), [3241, 3013]);
}

/// A row of RESTORE HEADERONLY or LABELONLY about x.
fn shown(server: &mut Fixture, what: &str, row: usize, columns: &[&str]) -> Vec<String> {
    let shown = crate::server::shown(server, &format!("RESTORE {what}ONLY FROM DISK='x'"));
    columns.iter().map(|column| shown(row - 1, column)).collect()
}

// Catches: a set overwritten before it expires; one that is kept though it has expired, or though that is
// to be skipped; a look at the first or the last set alone.
#[rstest]
#[case("EXPIREDATE='2999-12-31'", "INIT", Some("Dec 31 2999 12:00:00:000AM"))]
#[case("EXPIREDATE='Feb 3, 2998 5:06 PM'", "INIT", Some("Feb  3 2998  5:06:00:000PM"))]
#[case("EXPIREDATE='2999-12-31'", "INIT, NOSKIP", Some("Dec 31 2999 12:00:00:000AM"))]
#[case("EXPIREDATE='2999-12-31'", "INIT, SKIP", None)]
#[case("EXPIREDATE='2999-12-31'", "FORMAT", None)]
#[case("EXPIREDATE='2001-01-01'", "INIT", None)]
#[case("RETAINDAYS=0", "INIT", None)]
fn a_set_is_kept_until_it_expires(
    #[case] retention: &str,
    #[case] with: &str,
    #[case] kept_until: Option<&str>,
    #[values(0, 1)] place: usize,
) {
    let mut server = Fixture::new();
    for set in 0..2 {
        let option = if set == place { retention } else { "COPY_ONLY" };
        server.succeed(&format!("BACKUP DATABASE pubs TO DISK='x' WITH {option}"));
    }
    let before = bytes(&server, "x");
    let told = server.run(&format!("BACKUP DATABASE Northwind TO DISK='x' WITH {with}"));
    match kept_until {
        Some(time) => {
            let expected = format!(
                "4030: The medium on device 'x' expires on {time} and cannot be overwritten."
            );
            assert_eq!(told[0], expected);
            assert!(told.len() == 2 && bytes(&server, "x") == before, "{told:?}");
            server.succeed("BACKUP DATABASE Northwind TO DISK='x'");
        }
        None => {
            assert!(told.last().unwrap().starts_with("3014: "), "{told:?}");
            assert_eq!(server.run("RESTORE HEADERONLY FROM DISK='x'").len(), 2);
        }
    }
}

// Catches: an expiration that the media does not have, or another one; a retention that is not checked.
#[test]
fn the_header_tells_when_a_set_expires() {
    let mut server = Fixture::new();
    for option in ["EXPIREDATE='2030-05-06 07:08:09'", "COPY_ONLY", "RETAINDAYS=3"] {
        server.succeed(&format!("BACKUP DATABASE pubs TO DISK='x' WITH {option}"));
    }
    let mut expires = |set| shown(&mut server, "HEADER", set, &["ExpirationDate"]).remove(0);
    assert_eq!(expires(1), "May  6 2030  7:08AM");
    assert_eq!(expires(2), "NULL");
    let [start, end]: [String; 2] =
        shown(&mut server, "HEADER", 3, &["BackupStartDate", "ExpirationDate"]).try_into().unwrap();
    let time = |text: String| {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        jiff::civil::DateTime::strptime("%b %d %Y %I:%M%p", words).unwrap()
    };
    assert_eq!(time(end), time(start) + jiff::Span::new().days(3));
    for (option, expected) in [
        ("RETAINDAYS=-1", "3250: The value '-1' is not within range for the RETAINDAYS parameter."),
        (
            "RETAINDAYS=100000",
            "3250: The value '100000' is not within range for the RETAINDAYS parameter.",
        ),
        ("EXPIREDATE='never'", "3217: Invalid value specified for EXPIREDATE parameter."),
    ] {
        let told = server.run(&format!("BACKUP DATABASE pubs TO DISK='y' WITH {option}"));
        assert_eq!(told[0], expected);
    }
    assert_eq!(names(&server), ["x"]);
}

// Catches: media with a password that anybody appends to or overwrites; a password that INIT takes away.
#[test]
fn a_media_password_is_asked_for_by_whoever_writes() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='x' WITH MEDIAPASSWORD='m'");
    let before = bytes(&server, "x");
    for with in ["INIT", "NOINIT", "INIT, SKIP", "INIT, MEDIAPASSWORD='M'"] {
        let batch = format!("BACKUP DATABASE pubs TO DISK='x' WITH {with}");
        assert_eq!(server.errors(&batch), [3279, 3013], "{with}");
    }
    assert!(bytes(&server, "x") == before);
    for with in ["NOINIT", "INIT"] {
        let batch = format!("BACKUP DATABASE pubs TO DISK='x' WITH {with}, MEDIAPASSWORD='m'");
        server.succeed(&batch);
    }
    assert_eq!(server.errors("RESTORE VERIFYONLY FROM DISK='x'"), [3279, 3013]);
    server.succeed("BACKUP DATABASE pubs TO DISK='x' WITH FORMAT");
    assert_eq!(server.errors("RESTORE VERIFYONLY FROM DISK='x'"), [3262]);
}

// Catches: one family of a set overwritten alone, or beside what is none of its media.
#[test]
fn media_are_overwritten_as_a_whole() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='a', DISK='b'; BACKUP DATABASE pubs TO DISK='x'");
    server.succeed("BACKUP DATABASE pubs TO DISK='c', DISK='d'");
    std::fs::write(server.backup_file("text"), "notes").unwrap();
    let before = names(&server);
    let files = before.clone();
    let state = |server: &Fixture| files.iter().map(|name| bytes(server, name)).collect::<Vec<_>>();
    let whole = state(&server);
    for (to, expected) in [
        ("DISK='a'", 3231),
        ("DISK='x', DISK='new'", 3231),
        ("DISK='new', DISK='b'", 3258),
        ("DISK='a', DISK='text'", 3258),
        ("DISK='a', DISK='d'", 3258),
    ] {
        let batch = format!("BACKUP DATABASE pubs TO {to} WITH INIT");
        assert_eq!(server.errors(&batch), [expected, 3013], "{to}");
        assert!(state(&server) == whole && names(&server) == before, "{to}");
    }
    server.succeed("BACKUP DATABASE Northwind TO DISK='b', DISK='a' WITH INIT");
    server.succeed("RESTORE DATABASE copy FROM DISK='a', DISK='b'");
    assert_eq!(server.digest("copy"), server.digest("Northwind"));
    for batch in [
        "BACKUP DATABASE pubs TO DISK='c' WITH FORMAT",
        "BACKUP DATABASE pubs TO DISK='text', DISK='new' WITH INIT",
        "RESTORE DATABASE again FROM DISK='text', DISK='new'",
    ] {
        server.succeed(batch);
    }
}

// Catches: a media header that INIT replaces, or that FORMAT keeps; a set behind the old ones; a
// damaged end that stands in INIT's way.
#[rstest]
fn the_media_header_stays_unless_it_is_formatted(#[values(false, true)] is_cut: bool) {
    const LABEL: [&str; 4] = ["MediaName", "MediaDescription", "MediaSetId", "MediaFamilyId"];
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='x' WITH MEDIANAME='n', MEDIADESCRIPTION='d'");
    server.succeed("BACKUP DATABASE pubs TO DISK='x'");
    let before = shown(&mut server, "LABEL", 1, &LABEL);
    assert_eq!(before[..2], ["n", "d"]);
    if is_cut {
        let cut = bytes(&server, "x");
        std::fs::write(server.backup_file("x"), &cut[..cut.len() - 3000]).unwrap();
    }
    server.succeed("BACKUP DATABASE Northwind TO DISK='x' WITH INIT, BLOCKSIZE=4096");
    assert_eq!(shown(&mut server, "LABEL", 1, &LABEL), before);
    assert_eq!(shown(&mut server, "HEADER", 1, &["DatabaseName", "Position"]), ["Northwind", "1"]);
    assert_eq!(server.run("RESTORE HEADERONLY FROM DISK='x'").len(), 2);
    server.succeed("BACKUP DATABASE pubs TO DISK='x'");
    for (file, name) in [(1, "Northwind"), (2, "pubs")] {
        server.succeed(&format!("RESTORE DATABASE copy FROM DISK='x' WITH FILE={file}, REPLACE"));
        assert_eq!(server.digest("copy"), server.digest(name));
    }
    server.succeed("BACKUP DATABASE pubs TO DISK='x' WITH FORMAT");
    let after = shown(&mut server, "LABEL", 1, &LABEL);
    assert!(after[..2] == ["NULL", "NULL"] && after[2] != before[2], "{after:?}");
}

// Catches: a damaged page backed up WITH CHECKSUM as if it were well; one that stops a backup that does
// not check, or that is to go on; a backup of damaged pages that does not say so.
#[test]
fn a_backup_with_checksum_checks_the_pages() {
    watched(|| {
        let mut server = Fixture::new();
        server.succeed("BACKUP DATABASE pubs TO DISK='x'");
        let mut damaged = bytes(&server, "x");
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        std::fs::write(server.backup_file("x"), damaged).unwrap();
        let batch = "RESTORE DATABASE copy FROM DISK='x' WITH CONTINUE_AFTER_ERROR";
        assert_eq!(server.errors(batch), [3184]);
        let told = server.run("BACKUP DATABASE copy TO DISK='y' WITH CHECKSUM");
        assert!(
            told[0].starts_with("3043: BACKUP 'copy' detected an error on page (1:"),
            "{told:?}"
        );
        assert!(told.len() == 2 && told[1].starts_with("3013: "), "{told:?}");
        assert_eq!(names(&server), ["x"]);
        let keeping = client(&server.instance, "set", vec![Vec::new()]);
        let told = server.errors("BACKUP DATABASE copy TO VIRTUAL_DEVICE='set' WITH CHECKSUM");
        assert!(told.contains(&3043), "{told:?}");
        keeping.join().unwrap();

        let damaged = |server: &mut Fixture| shown(server, "HEADER", 1, &["IsDamaged"]).remove(0);
        server.succeed("BACKUP DATABASE copy TO DISK='x' WITH FORMAT");
        assert_eq!(damaged(&mut server), "0");
        let batch = "BACKUP DATABASE copy TO DISK='x' WITH FORMAT, CHECKSUM, CONTINUE_AFTER_ERROR";
        assert_eq!(server.errors(batch), [3042]);
        assert_eq!(damaged(&mut server), "1");
        assert!(server.log.entries().iter().any(|entry| entry.message.number == 3043));
        server.succeed("BACKUP DATABASE pubs TO DISK='x' WITH FORMAT, CHECKSUM");
    });
}
