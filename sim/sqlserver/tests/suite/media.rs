//! BACKUP to DISK: which files it writes to, and what becomes of what they hold.

use rstest::rstest;

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
    server.succeed("BACKUP DATABASE pubs TO DISK='c', DISK='a', DISK='b' WITH CHECKSUM");
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
