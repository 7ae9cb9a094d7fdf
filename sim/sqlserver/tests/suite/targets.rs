//! What a server takes a backup for, and where it puts the files.

use fake_sqlserver::catalogue::Server;
use rstest::rstest;
use vdi_protocol::Profile;

use crate::golden::golden;
use crate::server::Fixture;

/// A server as real ones are: a place that another database has is refused.
fn strict() -> Fixture {
    Fixture::with(|folder| Server::open(folder).unwrap(), |_| {})
}

/// Where the files of a database lie.
fn places(server: &mut Fixture, database: &str) -> Vec<String> {
    let query = format!(
        "SELECT physical_name FROM sys.master_files WHERE database_id = DB_ID('{database}')"
    );
    server.run(&query).split_off(1)
}

// Catches: a database restored over the files of another, or refused because of its own; a message of
// the four left out; files compared by case.
#[test]
fn files_in_use_are_not_overwritten() {
    let mut server = strict();
    server.succeed("BACKUP DATABASE pubs TO DISK='x'");
    let refused = server.run("RESTORE DATABASE copy FROM DISK='x'");
    let folder = r"C:\Program Files\Microsoft SQL Server\MSSQL13.MSSQLSERVER\MSSQL\DATA";
    let expected = [("pubs", "pubs.mdf"), ("pubs_log", "pubs_log.ldf")].map(|(logical, file)| {
        [
            format!("1834: The file '{folder}\\{file}' cannot be overwritten. It is being used by database 'pubs'."),
            format!("3156: File '{logical}' cannot be restored to '{folder}\\{file}'. Use WITH MOVE to identify a valid location for the file."),
        ]
    });
    let mut expected = expected.concat();
    expected.push("3119: Problems were identified while planning for the RESTORE statement. Previous messages provide details.".to_owned());
    expected.push("3013: RESTORE DATABASE is terminating abnormally.".to_owned());
    assert_eq!(refused, expected);
    assert_eq!(server.run("SELECT DB_ID('copy')")[1], "NULL");

    let restore = |moves: &str| format!("RESTORE DATABASE copy FROM DISK='x' WITH {moves}");
    let one = format!(r"MOVE 'pubs' TO 'd:\copy.mdf', MOVE 'pubs_log' TO '{folder}/PUBS_LOG.LDF'");
    assert_eq!(server.errors(&restore(&one)), [1834, 3156, 3119, 3013]);
    let same = r"MOVE 'pubs' TO 'd:\copy', MOVE 'pubs_log' TO 'D:\COPY'";
    assert_eq!(server.errors(&restore(same)), [3176, 3013]);
    let moved = r"MOVE 'pubs' TO 'd:\copy.mdf', MOVE 'PUBS_LOG' TO 'd:\copy.ldf'";
    server.succeed(&restore(moved));
    assert_eq!(places(&mut server, "copy"), [r"d:\copy.mdf", r"d:\copy.ldf"]);
    // A new database's files would stand there too.
    let place = format!(r"MOVE 'pubs' TO '{folder}\next.mdf', MOVE 'pubs_log' TO 'd:\next.ldf'");
    server.succeed(&format!("RESTORE DATABASE other FROM DISK='x' WITH {place}"));
    assert_eq!(server.errors("CREATE DATABASE next"), [5170, 1802]);
    // Its own places a database may have again, and those of one that is gone.
    server.succeed("RESTORE DATABASE pubs FROM DISK='x' WITH REPLACE");
    server.succeed("DROP DATABASE pubs; RESTORE DATABASE copy FROM DISK='x' WITH REPLACE");
    assert_eq!(
        places(&mut server, "copy"),
        [r"pubs.mdf", r"pubs_log.ldf"].map(|file| format!("{folder}\\{file}"))
    );
}

// Catches: a place that another database has given out again, a file moved for nothing, a move that
// nobody is told of.
#[test]
fn a_relocating_server_finds_places() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='x'");
    let told = server.run("RESTORE DATABASE copy FROM DISK='x' WITH MOVE 'pubs_log' TO 'd:\\log'");
    assert!(told[0].starts_with("0: File 'pubs' is placed at '"), "{told:?}");
    server.succeed("RESTORE DATABASE [a:b] FROM DISK='x'");
    let folder = r"C:\Program Files\Microsoft SQL Server\MSSQL13.MSSQLSERVER\MSSQL\DATA";
    server.succeed(&format!(
        r"RESTORE DATABASE other FROM DISK='x' WITH MOVE 'pubs' TO '{folder}\third_PUBS.mdf'"
    ));
    server.succeed("RESTORE DATABASE third FROM DISK='x'");
    let files = |paths: Vec<String>| {
        let name = |path: &String| path.rsplit('\\').next().unwrap().to_owned();
        paths.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(files(places(&mut server, "copy")), ["copy_pubs.mdf", "log"]);
    assert_eq!(files(places(&mut server, "third")), ["third2_pubs.mdf", "third_pubs_log.ldf"]);
    assert_eq!(files(places(&mut server, "a:b")), ["a_b_pubs.mdf", "a_b_pubs_log.ldf"]);
    server.succeed("RESTORE DATABASE pubs FROM DISK='x' WITH REPLACE");
    assert_eq!(files(places(&mut server, "pubs")), ["pubs.mdf", "pubs_log.ldf"]);
}

// Catches: a newer server's backup taken by an older one, or looked at in vain; one of the same
// release or an older one refused.
#[rstest]
#[case(Profile::SQL2008, Some("10.50.1600"))]
#[case(Profile::SQL2016, Some("13.00.5026"))]
#[case(Profile::SQL2019, None)]
#[case(Profile::SQL2022, None)]
#[case(Profile::DEFAULT, None)]
fn a_backup_of_a_newer_server_is_refused(
    #[case] profile: Profile,
    #[case] refused_by: Option<&str>,
) {
    let Some(folder) = golden("a_backup_of_a_newer_server_is_refused") else { return };
    let mut server = Fixture::with(
        |folder| Server::open(folder).unwrap(),
        |instance| instance.profile = profile,
    );
    let from = |name: &str| format!("FROM DISK='{}'", folder.join(name).display());
    let newer = from("full-2019.bak");
    for statement in ["RESTORE DATABASE real", "RESTORE VERIFYONLY"] {
        let told = server.run(&format!("{statement} {newer}"));
        let verb = if statement.contains("VERIFY") {
            "VERIFY DATABASE"
        } else {
            statement.trim_end_matches(" real")
        };
        match refused_by {
            Some(version) => assert_eq!(
                told,
                [
                    format!(
                        "3169: The database was backed up on a server running version 15.00.2000. That version is incompatible with this server, which is running version {version}. Either restore the database on a server that supports the backup, or use a backup that is compatible with this server."
                    ),
                    format!("3013: {verb} is terminating abnormally."),
                ]
            ),
            None => assert!(!told.last().unwrap().starts_with("3013"), "{told:?}"),
        }
    }
    for look in ["HEADERONLY", "FILELISTONLY", "LABELONLY"] {
        assert!(server.run(&format!("RESTORE {look} {newer}")).len() > 1, "{look}");
    }
    let older = from("diff-2008r2/full.bak");
    assert_eq!(server.errors(&format!("RESTORE DATABASE older {older}")), [0]);
}
