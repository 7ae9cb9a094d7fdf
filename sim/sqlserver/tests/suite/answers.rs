//! What single statements answer: values, rights, mistakes.

use fake_sqlserver::session::{Client, Gone, Login, Reply, Session};
use rstest::rstest;

use crate::server::Fixture;

// Catches: a part of SELECT that is left out, a column or function without a value.
#[test]
fn scripts_get_their_answers() {
    let mut server = Fixture::new();
    assert_eq!(
        server.run(
            "SELECT TOP 2 name, recovery_model_desc AS model FROM sys.databases d
             WHERE d.database_id > 4 AND name LIKE '%n%' ORDER BY name DESC"
        ),
        ["name|model", "Northwind|FULL", "AdventureWorks|FULL"]
    );
    assert_eq!(
        server.run(
            "SELECT COUNT(*), MAX(database_id) FROM sys.databases WHERE state_desc = 'online'"
        ),
        ["|", "7|7"]
    );
    assert_eq!(
        server.run(
            "USE pubs; DECLARE @n sysname = DB_NAME(); SET @n += '!'
             IF EXISTS (SELECT 1 FROM sys.database_files WHERE type = 1) PRINT @n + CAST(1 + 2 AS nvarchar(9))
             ELSE PRINT 'none'"
        ),
        ["5701: Changed database context to 'pubs'.", "0: pubs!3"]
    );
    assert_eq!(
        server.run(
            "SELECT CASE DB_ID('nothing') WHEN 1 THEN 'a' ELSE ISNULL(NULL, 'b') END AS x, 7 / 2"
        ),
        ["x|", "b|3"]
    );
    assert_eq!(
        server.run(
            "SELECT d.name, f.name FROM sys.databases d JOIN sys.master_files f
             ON f.database_id = d.database_id WHERE d.name = 'pubs' ORDER BY f.file_id"
        ),
        ["name|name", "pubs|pubs", "pubs|pubs_log"]
    );
    let version = server.run("SELECT @@VERSION, SERVERPROPERTY('ProductVersion')");
    assert!(version[1].contains("Microsoft SQL Server 2016"), "{version:?}");
    assert!(server.run("EXEC sp_helpfile")[1].starts_with("pubs|1|"));
}

// Catches: parameters that do not reach the batch, an output that does not come back.
#[test]
fn sp_executesql_passes_parameters_both_ways() {
    let mut server = Fixture::new();
    assert_eq!(
        server.run(
            "DECLARE @out int, @d nvarchar(20) = N'pubs'
             EXEC sp_executesql N'SET @o = @a + DB_ID(@d); PRINT @d', N'@a int, @d sysname, @o int OUTPUT',
                  40, @d = @d, @o = @out OUTPUT
             SELECT @out"
        ),
        ["0: pubs", "", "45"]
    );
    server.succeed(
        "EXEC sp_executesql N'BACKUP DATABASE @d TO DISK = @f WITH INIT',
             N'@d sysname, @f nvarchar(260)', N'pubs', N'p.bak'",
    );
    assert!(server.backup_file("p.bak").exists());
}

// Catches: an error without its number, a batch that goes on or stops where the real one does not.
#[rstest]
#[case("SELECT * FROM nowhere", &[208])]
#[case("SELECT x FROM sys.databases", &[207])]
#[case("EXEC sp_nothing", &[2812])]
#[case("EXEC vdisim.change pubs, -1", &[3250])]
#[case("EXEC vdisim.change pubs, 100001", &[3250])]
#[case("EXEC vdisim.change pubs, 99999999999", &[3250])]
#[case("USE nowhere", &[911])]
#[case("SELECT 1/0", &[8134])]
#[case("SELECT CAST('x' AS int)", &[245])]
#[case("SELECT nofunction(1)", &[195])]
#[case("SELECT LEFT('abc', -1)", &[537])]
#[case("SELECT SUBSTRING('abc', 1, -1)", &[537])]
#[case("SELECT RIGHT('abc', -1)", &[536])]
#[case("SELECT LEFT('abc')", &[174])]
#[case("SELECT CHARINDEX('abc')", &[189])]
#[case("SELECT DATEADD('day', 1, GETDATE())", &[1023])]
#[case("SELECT DATEADD(fortnight, 1, GETDATE())", &[155])]
#[case("SELECT DATEADD(day, 1)", &[174])]
#[case("SELECT DATEADD(year, -300, '2020-01-01')", &[517])]
#[case("SELECT DATEADD(year, 2147483647, '2020-01-01')", &[517])]
#[case("SELECT DATEADD(day, 2147483648, '2020-01-01')", &[8115])]
#[case("SELECT DATEDIFF(ms, '1900-01-01', '2020-01-01')", &[535])]
#[case("SELECT GETDATE() - 9999999", &[517])]
#[case("SELECT GETDATE() * 2", &[402])]
#[case("SELECT [CAST]()", &[195])]
#[case("SELECT SUM(name) FROM sys.databases", &[8117])]
#[case("SELECT SUM(CAST(REPLICATE('9', 38) AS numeric)) FROM sys.databases", &[8115])]
#[case("BACKUP DATABASE nowhere TO DISK='x'", &[911, 3013])]
#[case("BACKUP DATABASE tempdb TO DISK='x'", &[3147, 3013])]
#[case("BACKUP LOG master TO DISK='x'", &[4212, 3013])]
#[case("BACKUP DATABASE master TO DISK='m' BACKUP DATABASE master TO DISK='m' WITH DIFFERENTIAL", &[3024, 3013])]
#[case("BACKUP LOG pubs TO DISK='x'", &[4214, 3013])]
#[case("BACKUP DATABASE pubs TO DISK='x' WITH DIFFERENTIAL", &[3035, 3013])]
#[case("BACKUP DATABASE pubs TO pubsdump", &[3206, 3013])]
#[case("BACKUP DATABASE pubs TO DISK=''", &[3044, 3013])]
#[case("BACKUP DATABASE pubs TO DISK='x', VIRTUAL_DEVICE='y'", &[3011, 3013])]
#[case("BACKUP DATABASE pubs TO DISK='x' WITH INIT, NOINIT", &[3031, 3013])]
#[case("BACKUP LOG pubs TO DISK='x' WITH DIFFERENTIAL", &[3032, 3013])]
#[case("BACKUP DATABASE pubs TO DISK='x' WITH BLOCKSIZE=1000", &[3253, 3013])]
#[case("BACKUP DATABASE pubs TO DISK='x' WITH STATS=101", &[3250, 3013])]
#[case("BACKUP DATABASE pubs TO VIRTUAL_DEVICE='a', VIRTUAL_DEVICE='b' WITH SNAPSHOT", &[3277, 3013])]
#[case("BACKUP DATABASE pubs TO VIRTUAL_DEVICE='there is none'", &[18210, 3013])]
#[case("BEGIN TRAN BACKUP DATABASE pubs TO DISK='x'", &[3021, 3013])]
#[case("RESTORE DATABASE pubs FROM DISK='missing'", &[3201, 3013])]
#[case("RESTORE DATABASE pubs WITH RECOVERY", &[3153, 3013])]
#[case("RESTORE HEADERONLY FROM DISK='missing'", &[3201, 3013])]
#[case("RESTORE REWINDONLY FROM DISK='missing'", &[3216, 3013])]
#[case("RESTORE DATABASE master FROM DISK='x'", &[3102, 3013])]
#[case("USE nowhere SELECT 1/0", &[911])]
#[case("SELECT 1/0 SELECT FROM", &[156])]
#[case("DROP DATABASE master", &[3708])]
fn mistakes_have_their_numbers(#[case] batch: &str, #[case] numbers: &[u32]) {
    assert_eq!(Fixture::new().errors(batch), numbers, "{batch}");
}

// Catches: a statement that anybody may execute; a wrong message, or one that tells a login what is
// there; a database that is gone or changed although the statement was refused.
#[test]
fn without_sysadmin_there_are_no_backups() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='x'");
    let before = server.instance.server.read().unwrap();
    let login = Login { is_sysadmin: false, ..Login::default() };
    let mut server = server.logged_in_as(login);
    let create = "262: CREATE DATABASE permission denied in database 'master'.";
    for (batch, expected) in [
        (
            "BACKUP DATABASE PUBS TO DISK='y'",
            "262: BACKUP DATABASE permission denied in database 'pubs'.",
        ),
        ("BACKUP LOG pubs TO DISK='y'", "262: BACKUP LOG permission denied in database 'pubs'."),
        (
            "BACKUP DATABASE none TO DISK='y'",
            "911: Database 'none' does not exist. Make sure that the name is entered correctly.",
        ),
        (
            "RESTORE DATABASE pubs FROM DISK='x' WITH REPLACE",
            "3110: User does not have permission to RESTORE database 'pubs'.",
        ),
        (
            "RESTORE LOG pubs FROM DISK='x'",
            "3110: User does not have permission to RESTORE database 'pubs'.",
        ),
        (
            "RESTORE DATABASE pubs WITH RECOVERY",
            "3110: User does not have permission to RESTORE database 'pubs'.",
        ),
        ("RESTORE DATABASE other FROM DISK='x'", create),
        ("RESTORE HEADERONLY FROM DISK='x'", create),
        ("RESTORE VERIFYONLY FROM DISK='x'", create),
    ] {
        let told = server.run(batch);
        assert_eq!((told.len(), told[0].as_str()), (2, expected), "{batch}");
        assert!(told[1].starts_with("3013: "), "{told:?}");
    }
    for (batch, expected) in [
        ("BACKUP DATABASE pubs TO VIRTUAL_DEVICE='x'", [3265, 3013].as_slice()),
        ("RESTORE DATABASE other FROM VIRTUAL_DEVICE='x'", &[3265, 3013]),
        ("RESTORE FILELISTONLY FROM VIRTUAL_DEVICE='x'", &[3265, 3013]),
        ("CREATE DATABASE mine", &[262]),
        ("ALTER DATABASE pubs SET RECOVERY SIMPLE", &[5011, 5069]),
        ("DROP DATABASE pubs", &[3701]),
        ("DROP DATABASE IF EXISTS pubs", &[3701]),
        ("EXEC vdisim.change pubs, 1", &[15247]),
        ("USE pubs; SELECT name FROM sys.databases", &[]),
    ] {
        assert_eq!(server.errors(batch), expected, "{batch}");
    }
    assert!(server.instance.server.read().unwrap() == before);
}

// Catches: a backup in the clear that its user takes for an encrypted one; a word about what nobody
// asked for.
#[rstest]
#[case("COMPRESSION", Some("COMPRESSION"))]
#[case("ENCRYPTION (ALGORITHM = AES_256, SERVER CERTIFICATE = c), FORMAT", Some("ENCRYPTION"))]
#[case("NO_COMPRESSION", None)]
fn what_has_no_effect_is_said(#[case] with: &str, #[case] option: Option<&str>) {
    let mut server = Fixture::new();
    let told = server.run(&format!("BACKUP DATABASE pubs TO DISK='x' WITH {with}"));
    let expected = option.map(|option| {
        format!("0: {option} has no effect: the backup is in the clear and not compressed.")
    });
    let said = told.iter().find(|line| line.starts_with("0: "));
    assert_eq!(said, expected.as_ref());
    server.succeed("RESTORE DATABASE copy FROM DISK='x'");
}

// Catches: a compressed backup that its user takes for a damaged one.
#[test]
fn a_compressed_backup_is_refused_by_name() {
    let mut server = Fixture::new();
    std::fs::create_dir_all(server.backup_file("")).unwrap();
    let bytes = [b"MSSQLBAK\x01\0\0\0\x02\0\0\0".as_slice(), &[0; 4096]].concat();
    std::fs::write(server.backup_file("c"), bytes).unwrap();
    for batch in [
        "RESTORE DATABASE pubs FROM DISK='c'",
        "RESTORE HEADERONLY FROM DISK='c'",
        "BACKUP DATABASE pubs TO DISK='c'",
    ] {
        let told = server.run(batch);
        assert!(told[0].starts_with("0: 'c': ") && told[0].contains("MSSQLBAK"), "{told:?}");
        assert!(told[1].starts_with("3241: ") && told[2].starts_with("3013: "), "{told:?}");
    }
}

// Catches: a missing folder told of as a missing file.
#[test]
fn a_folder_that_is_not_there_is_told_of() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='x'");
    for (batch, expected) in [
        ("RESTORE DATABASE pubs FROM DISK='none'", "2(The system cannot find the file specified.)"),
        ("RESTORE DATABASE pubs FROM DISK='a/b'", "3(The system cannot find the path specified.)"),
        ("RESTORE DATABASE pubs FROM DISK='x/b'", "3(The system cannot find the path specified.)"),
        ("BACKUP DATABASE pubs TO DISK='/none/b'", "3(The system cannot find the path specified.)"),
    ] {
        let told = server.run(batch);
        assert!(told[0].starts_with("3201: Cannot open backup device '"), "{told:?}");
        assert!(told[0].ends_with(&format!("Operating system error {expected}.")), "{told:?}");
    }
}

// Catches: a device that cannot be opened and of which the error log says nothing, or another step, name
// or error than the client is told of; a 3041 for a RESTORE.
#[test]
fn the_error_log_tells_of_a_device_that_cannot_be_opened() {
    let mut server = Fixture::new();
    std::fs::create_dir_all(server.backup_file("folder")).unwrap();
    let none = "3(The system cannot find the path specified.)";
    let missing = "2(The system cannot find the file specified.)";
    for (batch, step, device, failed, why) in [
        ("BACKUP DATABASE pubs TO DISK='/none/b'", "CreateMedia", "/none/b", "create", Some(none)),
        (
            "BACKUP DATABASE pubs TO DISK='folder' WITH INIT",
            "CreateMedia",
            "folder",
            "create",
            None,
        ),
        ("BACKUP DATABASE pubs TO DISK='folder'", "OpenMedia", "folder", "open", None),
        ("RESTORE DATABASE pubs FROM DISK='none'", "OpenMedia", "none", "open", Some(missing)),
        ("RESTORE HEADERONLY FROM DISK='a/b'", "OpenMedia", "a/b", "open", Some(none)),
    ] {
        let before = server.log.entries().len();
        assert_eq!(server.errors(batch), [3201, 3013], "{batch}");
        let entries = server.log.entries().split_off(before);
        let numbers: Vec<_> = entries.iter().map(|entry| entry.message.number).collect();
        let expected: &[u32] = if batch.starts_with("BACKUP") { &[18204, 3041] } else { &[18204] };
        assert_eq!(numbers, expected, "{batch}");
        let text = &entries[0].message.text;
        let start = format!(
            "BackupDiskFile::{step}: Backup device '{device}' failed to {failed}. Operating system \
             error {}",
            why.unwrap_or_default()
        );
        assert!(text.starts_with(&start), "{text}");
    }
}

// Catches: a system database that is not shown, or that can be backed up or restored.
#[test]
fn tempdb_is_there_and_never_backed_up() {
    let mut server = Fixture::new();
    let query = "SELECT database_id, recovery_model_desc FROM sys.databases WHERE name = 'tempdb'";
    assert_eq!(server.run(query)[1], "2|SIMPLE");
    server.succeed("BACKUP DATABASE pubs TO DISK='x'");
    for (batch, expected) in [
        ("BACKUP DATABASE tempdb TO DISK='y'", [3147, 3013].as_slice()),
        ("RESTORE DATABASE tempdb FROM DISK='x' WITH REPLACE", &[3147, 3013]),
        ("DROP DATABASE tempdb", &[3708]),
    ] {
        assert_eq!(server.errors(batch), expected, "{batch}");
    }
}

// Catches: a procedure that works in the current database whatever its name says, or that stays in
// the other; a file name that is not heeded.
#[test]
fn a_procedure_works_in_the_database_of_its_name() {
    let mut server = Fixture::new();
    let names = |lines: Vec<String>| -> Vec<String> {
        lines[1..].iter().map(|line| line.split('|').next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(server.run("EXEC pubs..sp_helpfile")), ["pubs", "pubs_log"]);
    assert_eq!(names(server.run("EXEC pubs.sys.sp_helpfile 'PUBS_log'")), ["pubs_log"]);
    assert_eq!(names(server.run("EXEC pubs..sp_helpfile @filename = N'pubs'")), ["pubs"]);
    let text = "EXEC pubs.sys.sp_executesql N'SELECT DB_NAME()' SELECT DB_NAME()";
    assert_eq!(server.run(text), ["", "pubs", "", "master"]);
    assert_eq!(
        server.run("EXEC pubs..sp_helpfile 'none'"),
        ["15325: The current database does not contain a file named 'none'."]
    );
    for (batch, number) in [
        ("EXEC none..sp_helpfile", 911),
        ("EXEC pubs..sp_helpfile 'pubs', 'x'", 8144),
        ("EXEC pubs..sp_helpfile @file = 'pubs'", 8145),
    ] {
        assert_eq!(server.errors(batch), [number], "{batch}");
    }
}

// Catches: a database that is offline taken for one that waits for backups, or the other way round.
#[test]
fn an_offline_database_is_told_from_a_restoring_one() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='x'");
    server.succeed("RESTORE DATABASE copy FROM DISK='x' WITH NORECOVERY");
    server.succeed("ALTER DATABASE pubs SET OFFLINE");
    let offline = "942: Database 'pubs' cannot be opened because it is offline.";
    for batch in ["USE pubs", "BACKUP DATABASE pubs TO DISK='y'", "EXEC pubs..sp_helpfile"] {
        assert_eq!(server.run(batch)[0], offline, "{batch}");
    }
    let files = "SELECT name FROM pubs.sys.database_files PRINT 'on'";
    assert_eq!(server.run(files), [offline]);
    assert_eq!(server.errors("EXEC vdisim.change pubs, 1"), [942]);
    for batch in ["USE copy", "SELECT name FROM copy.sys.database_files PRINT 'on'"] {
        assert_eq!(server.errors(batch), [927], "{batch}");
    }
    assert_eq!(server.errors("SELECT name FROM none.sys.database_files"), [208]);
    server.succeed("ALTER DATABASE pubs SET ONLINE");
    server.succeed("USE pubs");
}

/// The rows that ends of statements count.
#[derive(Default)]
struct Counts(Vec<Option<u64>>);

impl Client for Counts {
    fn reply(&mut self, reply: Reply<'_>) -> Result<(), Gone> {
        if let Reply::Done(done) = reply {
            self.0.push(done.rows);
        }
        Ok(())
    }
}

// Catches: "(1 rows affected)" behind a SELECT that shows nothing, an @@ROWCOUNT that forgets it.
#[test]
fn a_select_into_variables_counts_no_rows_for_the_client() {
    let server = Fixture::new();
    let mut session = Session::new(server.instance.clone(), Login::default());
    let mut counts = Counts::default();
    let batch = "DECLARE @c int SELECT @c = database_id FROM sys.databases
                 SELECT @c = @@ROWCOUNT SELECT @c, @@ROWCOUNT";
    session.execute(batch, &[], &mut counts).unwrap();
    assert_eq!(counts.0, [None, None, Some(1)]);
    let mut server = server;
    assert_eq!(server.run(batch)[1], "7|1");
}

// Catches: a batch that goes on in the wrong database, or with what a failed statement was to bring;
// one that ends at a mistake which ends its statement alone.
#[rstest]
#[case("USE nowhere PRINT 'on'", &[911])]
#[case("SELECT * FROM nowhere PRINT 'on'", &[208])]
#[case("SELECT nothing FROM sys.databases PRINT 'on'", &[207])]
#[case("SELECT d.nothing FROM sys.databases d PRINT 'on'", &[4104])]
#[case("SELECT nofunction(1) PRINT 'on'", &[195])]
#[case("DECLARE @i int SET @i = 'x' PRINT 'on'", &[245])]
#[case("IF CAST('soon' AS datetime) > GETDATE() PRINT 'then' PRINT 'on'", &[241])]
#[case("IF 1 = 1 BEGIN USE nowhere PRINT 'in' END PRINT 'on'", &[911])]
#[case("EXEC ('SELECT * FROM nowhere PRINT ''in''') PRINT 'on'", &[208, 0])]
#[case("EXEC ('RETURN PRINT ''in''') PRINT 'on'", &[0])]
#[case("EXEC ('SELECT CAST(''x'' AS int) PRINT ''in''') PRINT 'on'", &[245])]
#[case("EXEC sp_executesql N'EXEC (''SELECT CAST(''''x'''' AS int)'') PRINT 1' PRINT 2", &[245])]
#[case("SELECT 1/0 PRINT 'on'", &[8134, 0])]
#[case("EXEC sp_nothing PRINT 'on'", &[2812, 0])]
#[case("BACKUP DATABASE nowhere TO DISK='x' PRINT 'on'", &[911, 3013, 0])]
#[case("RESTORE DATABASE pubs FROM DISK='missing' PRINT 'on'", &[3201, 3013, 0])]
#[case("DROP DATABASE nowhere PRINT 'on'", &[3701, 0])]
#[case("RAISERROR('x', 16, 1) PRINT 'on'", &[50000, 0])]
fn a_mistake_ends_its_statement_or_its_batch(#[case] batch: &str, #[case] expected: &[u32]) {
    assert_eq!(Fixture::new().errors(batch), expected);
}
