//! What single statements answer: values, rights, mistakes.

use fake_sqlserver::catalogue::Server;
use fake_sqlserver::session::{Client, Gone, Login, Parameter, Reply, Session};
use fake_sqlserver::value::Value;
use proptest::prelude::*;
use rstest::rstest;
use vdi_protocol::Profile;

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

// Catches: a product or quotient taken from the right; a sign that binds tighter than SQL Server's.
#[rstest]
#[case("100/10/2, 1024*8/1024, 100*3/2, 1000000/1024/1024", "5|8|150|0")]
#[case("100/10*2, 17%10%4, 7-2-1, 2*7%4, 2-3+4", "20|3|4|2|3")]
#[case("-100/-100*10, 2 - -3 * 4, -2 + 3, 2 * (-3) * 4", "0|14|1|-24")]
fn operators_are_taken_from_the_left(#[case] items: &str, #[case] expected: &str) {
    assert_eq!(Fixture::new().run(&format!("SELECT {items}"))[1], expected);
}

// Catches: a place counted in another text than the one that was searched, a count that begins at 0,
// case that matters, a length or quote that is not refused.
#[rstest]
#[case("CHARINDEX(N'é', N'İéx')", "2")]
#[case("CHARINDEX(N'X', N'İéx')", "3")]
#[case("CHARINDEX('a', 'banana', 3)", "4")]
#[case("CHARINDEX('', 'a')", "0")]
#[case("REPLACE(N'İAa', 'a', 'bc')", "İbcbc")]
#[case("LEFT(N'İé', 1) + RIGHT(N'İé', 1)", "İé")]
#[case("SUBSTRING('abcdef', -1, 4)", "ab")]
#[case("SUBSTRING('abcdef', 5, 9999999999)", "ef")]
#[case("STUFF('abcdef', 2, 3, 'x')", "axef")]
#[case("STUFF('abc', 4, 1, 'x')", "NULL")]
#[case("REPLICATE('ab', 3) + REPLICATE('x', -1)", "NULL")]
#[case("LEN(REPLICATE('ab', 9999999999))", "4000")]
#[case("REVERSE('abc')", "cba")]
#[case("CHAR(65) + NCHAR(960)", "Aπ")]
#[case("CHAR(256)", "NULL")]
#[case("QUOTENAME('a]b')", "[a]]b]")]
#[case("QUOTENAME('it''s', '''')", "'it''s'")]
#[case("QUOTENAME('a', '\"')", "\"a\"")]
#[case("QUOTENAME('a', '(') + QUOTENAME('a}', '{')", "(a){a}}}")]
#[case("QUOTENAME('a', 'x')", "NULL")]
#[case("QUOTENAME(REPLICATE('a', 129))", "NULL")]
fn functions_of_texts_count_characters(#[case] expression: &str, #[case] expected: &str) {
    assert_eq!(Fixture::new().run(&format!("SELECT {expression}"))[1], expected);
}

/// The names of functions in the text of the code: its strings in capitals.
fn functions() -> Vec<String> {
    let code = concat!(
        include_str!("../../src/session/functions.rs"),
        include_str!("../../src/session/texts.rs"),
        include_str!("../../src/session/dates.rs")
    );
    let is_name = |text: &&str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    code.split('"').skip(1).step_by(2).filter(is_name).map(str::to_owned).collect()
}

fn values() -> impl Strategy<Value = Value> {
    let texts = prop_oneof![
        any::<String>(),
        "[İéßaA ]{0,4}",
        prop::sample::select(vec!["status", "day", "[", "%", "-1", "pubs"]).prop_map(str::to_owned),
    ];
    let numbers = prop_oneof![
        -3_i64..9,
        any::<i64>(),
        prop::sample::select(vec![i64::MIN, i64::MAX, i32::MIN.into(), i32::MAX.into()]),
    ];
    prop_oneof![
        4 => texts.prop_map(Value::Text),
        4 => numbers.prop_map(|number| Value::from_integer(number.into())),
        1 => Just(Value::Null),
        1 => any::<i128>().prop_map(Value::Numeric),
        1 => any::<f64>().prop_map(Value::Float),
        1 => prop::collection::vec(any::<u8>(), 0..4).prop_map(Value::Binary),
        1 => (1_i16..9999, 1_i8..28).prop_map(|(year, day)| {
            Value::DateTime(jiff::civil::date(year, 2, day).at(23, 59, 59, 0))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // Catches: a function that panics, whatever its arguments are.
    #[test]
    fn functions_take_any_arguments(
        arguments in prop::collection::vec(values(), 0..5),
        part in prop::sample::select(vec!["year", "qq", "month", "dy", "wk", "dw", "hh", "ms"]),
    ) {
        let mut server = Fixture::on(Server::in_memory);
        let names: Vec<_> = (0..arguments.len()).map(|index| format!("@p{index}")).collect();
        let parameter = |(index, value): (usize, Value)| Parameter {
            name: format!("@p{index}"),
            data_type: value.data_type(),
            value,
        };
        let parameters: Vec<_> = arguments.into_iter().enumerate().map(parameter).collect();
        for function in functions() {
            for from in ["", " FROM sys.databases"] {
                // DATEADD and its like take a word first.
                let part = if function.starts_with("DATE") { format!("{part}, ") } else { "".into() };
                let call = format!("SELECT {function}({part}{}){from}", names.join(", "));
                prop_assert!(!server.run_with(&call, &parameters).is_empty(), "{}", call);
            }
        }
    }
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

// Catches: exact numbers that become floating-point ones, in value or in type; a scale that is not kept.
#[test]
fn numbers_with_a_fraction_are_exact() {
    let mut server = Fixture::new();
    for (expression, expected) in [
        ("1.5", "1.5"),
        ("-0.10 + 0.2", "0.10"),
        ("1.50 * 2", "3.00"),
        ("10 / 4.0", "2.500000"),
        ("CAST(3.14159 AS decimal(5, 2))", "3.14"),
        ("CAST('2.345' AS numeric(9, 2))", "2.35"),
        ("CAST(1 AS money)", "1.0000"),
        ("CAST(2.5 AS int)", "2"),
        ("CAST(2.5 AS numeric)", "3"),
        ("CASE WHEN 0.1 + 0.2 = 0.30 THEN 'same' END", "same"),
        ("1.5e0", "1.5"),
        ("12345678901234567890.12345678 - 0.00000001", "12345678901234567890.12345677"),
    ] {
        assert_eq!(server.run(&format!("SELECT {expression}"))[1], expected, "{expression}");
    }
    let cases = "SELECT CASE database_id WHEN 5 THEN 1 ELSE 2.25 END FROM sys.databases
                 WHERE database_id IN (5, 6) ORDER BY database_id";
    assert_eq!(server.run(cases)[1..], ["1", "2.25"]);
    for (batch, number) in [
        ("SELECT CAST(123.4 AS decimal(3, 1))", 8115),
        ("SELECT 1.0 / 0", 8134),
        ("DECLARE @d decimal(3, 4)", 1002),
    ] {
        assert_eq!(server.errors(batch), [number], "{batch}");
    }
}

// Catches: a compressed backup that its user takes for a damaged one.
#[test]
fn a_compressed_backup_is_refused_by_name() {
    let mut server = Fixture::new();
    std::fs::create_dir_all(server.backup_file("")).unwrap();
    let bytes = [b"MSSQLBAK\x01\0\0\0\x02\0\0\0".as_slice(), &[0; 4096]].concat();
    std::fs::write(server.backup_file("c"), bytes).unwrap();
    for batch in ["RESTORE DATABASE pubs FROM DISK='c'", "RESTORE HEADERONLY FROM DISK='c'"] {
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

// Catches: a set that msdb places elsewhere than the message and RESTORE do; a medium of its own for
// each set of one file, or one for two files; devices that are listed once a set.
#[test]
fn msdb_knows_where_on_its_medium_a_set_stands() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='a', DISK='b'");
    server.succeed("BACKUP DATABASE Northwind TO DISK='c'");
    server.succeed("BACKUP DATABASE Northwind TO DISK='a', DISK='b'");
    server.succeed("BACKUP DATABASE pubs TO DISK='c' WITH INIT");
    let sets = "SELECT s.backup_set_id, s.media_set_id, s.position, f.physical_device_name
                FROM msdb.dbo.backupset s JOIN msdb.dbo.backupmediafamily f
                ON f.media_set_id = s.media_set_id ORDER BY s.backup_set_id, 4";
    let expected = ["1|1|1|a", "1|1|1|b", "2|2|1|c", "3|1|2|a", "3|1|2|b", "4|4|1|c"];
    assert_eq!(server.run(sets)[1..], expected);
    assert_eq!(server.run("SELECT COUNT(*) FROM msdb.dbo.backupmediafamily")[1], "4");
    let restore = "DECLARE @file int
         SELECT @file = position FROM msdb.dbo.backupset WHERE backup_set_id = 3
         RESTORE DATABASE copy FROM DISK='a', DISK='b' WITH FILE = @file";
    server.succeed(restore);
    assert_eq!(server.digest("copy"), server.digest("Northwind"));
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
    for batch in ["USE copy", "SELECT name FROM copy.sys.database_files"] {
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

// Catches: a state that a function or view does not show, or that all of them but one show.
#[test]
fn functions_and_views_tell_a_database_s_state() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='x'");
    server.succeed("RESTORE DATABASE waiting FROM DISK='x' WITH NORECOVERY");
    server.succeed("RESTORE DATABASE standing FROM DISK='x' WITH STANDBY='undo'");
    server.succeed("ALTER DATABASE pubs SET OFFLINE");
    let query = "SELECT d.name, HAS_DBACCESS(d.name), d.state_desc, f.state, f.state_desc,
            d.is_read_only, DATABASEPROPERTYEX(d.name, 'Version')
         FROM sys.databases d JOIN sys.master_files f ON f.database_id = d.database_id
         WHERE f.file_id = 1 AND d.name IN ('Northwind', 'pubs', 'standing', 'waiting')
         ORDER BY d.name";
    assert_eq!(
        server.run(query)[1..],
        [
            "Northwind|1|ONLINE|0|ONLINE|0|852",
            "pubs|0|OFFLINE|6|OFFLINE|0|NULL",
            "standing|1|ONLINE|0|ONLINE|1|852",
            "waiting|0|RESTORING|1|RESTORING|0|NULL",
        ]
    );
    assert_eq!(server.run("SELECT HAS_DBACCESS('none')")[1], "NULL");
    assert_eq!(server.run("SELECT state_desc FROM standing.sys.database_files")[1], "ONLINE");
}

// Catches: a version of another server, a service pack that its build does not have.
#[test]
fn a_server_tells_its_own_version() {
    for (profile, expected) in [
        (Profile::SQL2008, "RTM|NULL|661|661"),
        (Profile::SQL2016, "SP2|NULL|852|852"),
        (Profile::SQL2019, "RTM|NULL|904|904"),
        (Profile::SQL2022, "RTM|NULL|957|957"),
    ] {
        let mut server = Fixture::with(Server::in_memory, |instance| instance.profile = profile);
        let query = "SELECT SERVERPROPERTY('ProductLevel'), SERVERPROPERTY('ProductUpdateLevel'),
                DATABASEPROPERTYEX('master', 'Version'), version
             FROM sysdatabases WHERE name = 'master'";
        assert_eq!(server.run(query)[1], expected, "{}", profile.name);
    }
}

// Catches: a part of a date mistaken for another, days counted where boundaries are, a month that
// overflows into the next.
#[rstest]
#[case("CONVERT(nvarchar(19), DATEADD(month, 1, '2020-01-31'), 120)", "2020-02-29 00:00:00")]
#[case("CONVERT(nvarchar(19), DATEADD(hh, -25, '2020-03-01 12:00'), 120)", "2020-02-29 11:00:00")]
#[case(
    "CONVERT(nvarchar(19), DATEADD(qq, 1, DATEADD(wk, 1, '2020-01-01')), 120)",
    "2020-04-08 00:00:00"
)]
#[case(
    "CONVERT(nvarchar(19), DATEADD(day, DATEDIFF(day, 0, '2020-05-06 07:08'), 0), 120)",
    "2020-05-06 00:00:00"
)]
#[case(
    "CONVERT(nvarchar(23), CAST('2020-05-06' AS datetime) - 1.5, 121)",
    "2020-05-04 12:00:00.000"
)]
#[case("CONVERT(nvarchar(19), 1 + CAST('2020-05-06' AS datetime), 120)", "2020-05-07 00:00:00")]
#[case("DATEDIFF(year, '2019-12-31 23:59', '2020-01-01')", "1")]
#[case("DATEDIFF(hour, '2020-01-01 01:59', '2020-01-01 02:01')", "1")]
#[case("DATEDIFF(minute, '2020-01-02', '2020-01-01')", "-1440")]
#[case("DATEDIFF(week, '2020-01-04', '2020-01-05')", "1")]
#[case("DATEDIFF(day, '1899-12-31 12:00', '1900-01-01')", "1")]
#[case("DATEPART(week, '2020-01-05')", "2")]
#[case("DATEPART(dw, '2020-01-05')", "1")]
#[case("DATEPART(dayofyear, '2020-12-31')", "366")]
#[case("YEAR('2020-05-06') + MONTH('2020-05-06') + DAY('2020-05-06')", "2031")]
#[case("DATENAME(month, '2020-05-06')", "May")]
#[case("DATEADD(day, NULL, GETDATE())", "NULL")]
fn dates_are_counted_in_their_parts(#[case] expression: &str, #[case] expected: &str) {
    assert_eq!(Fixture::new().run(&format!("SELECT {expression}"))[1], expected);
}

// Catches: rows of two groups in one, databases without a backup lost, a group for each row, NULL that
// is nobody's group, an order or condition over single rows.
#[test]
fn backup_tools_ask_for_the_last_backup_of_each_database() {
    let mut server = Fixture::new();
    for batch in [
        "BACKUP DATABASE pubs TO DISK='a' WITH NAME='first'",
        "BACKUP DATABASE pubs TO DISK='b' WITH NAME='second'",
        "BACKUP LOG pubs TO DISK='c'",
        "BACKUP DATABASE Northwind TO DISK='d'",
    ] {
        server.succeed(batch);
    }
    let last = "SELECT d.name, MAX(b.backup_set_id), COUNT(b.backup_set_id) AS sets, COUNT(*)
         FROM sys.databases d LEFT JOIN msdb.dbo.backupset b
         ON b.database_name = d.name AND b.type = 'D'
         WHERE d.database_id > 4 GROUP BY d.name ORDER BY d.name";
    let expected = ["AdventureWorks|NULL|0|1", "Northwind|4|1|1", "pubs|2|2|2"];
    assert_eq!(server.run(last)[1..], expected);
    let late = "SELECT d.name,
            CASE WHEN DATEDIFF(minute, MAX(b.backup_finish_date), GETDATE()) < 9 THEN 'new' END
         FROM sys.databases d LEFT JOIN msdb..backupset b ON b.database_name = d.name
         WHERE d.name <> 'tempdb' GROUP BY d.name
         HAVING MAX(b.backup_finish_date) >= GETDATE() - 1 ORDER BY MAX(b.backup_set_id) DESC";
    assert_eq!(server.run(late)[1..], ["Northwind|new", "pubs|new"]);
    let kinds = "SELECT UPPER(database_name) + ':' + type, MIN(name) FROM msdb.dbo.backupset
         GROUP BY database_name, type ORDER BY COUNT(*) DESC, 1";
    assert_eq!(server.run(kinds)[1..], ["PUBS:D|first", "NORTHWIND:D|NULL", "PUBS:L|NULL"]);
    let names = "SELECT name, COUNT(*) n FROM msdb..backupset GROUP BY name ORDER BY n DESC, name";
    assert_eq!(server.run(names)[1..], ["NULL|2", "first|1", "second|1"]);
    assert_eq!(server.run("SELECT COUNT(*) FROM msdb..backupset WHERE 1 = 0")[1..], ["0"]);
    assert_eq!(
        server.run("SELECT type FROM msdb..backupset WHERE 1 = 0 GROUP BY type")[1..],
        [""; 0]
    );
}

// Catches: a value of some row of a group for one of all of them.
#[rstest]
#[case(
    "SELECT d.name, COUNT(*) FROM sys.databases d",
    "8120: Column 'd.name' is invalid in the select"
)]
#[case(
    "SELECT name, UPPER(state_desc) FROM sys.databases GROUP BY name",
    "8120: Column 'databases.state_desc' is"
)]
#[case(
    "SELECT name FROM sys.databases GROUP BY name HAVING state = 0",
    "8121: Column 'databases.state' is"
)]
#[case(
    "SELECT name FROM sys.databases GROUP BY name ORDER BY state",
    "8127: Column \"databases.state\" is"
)]
fn a_column_of_a_group_has_one_value(#[case] query: &str, #[case] expected: &str) {
    let told = Fixture::new().run(query);
    assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
}

// Catches: a base that no set has, or every set; files of another set, pages that did not go.
#[test]
fn msdb_tells_what_is_in_a_set() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='a', DISK='b'");
    server.succeed("EXEC vdisim.change pubs, 3, 1");
    let wait = "SELECT log_reuse_wait, log_reuse_wait_desc FROM sys.databases WHERE name = 'pubs'";
    assert_eq!(server.run(wait)[1], "2|LOG_BACKUP");
    server.succeed("BACKUP DATABASE pubs TO DISK='c' WITH DIFFERENTIAL, COPY_ONLY, CHECKSUM");
    server.succeed("BACKUP LOG pubs TO DISK='d'");
    assert_eq!(server.run(wait)[1], "0|NOTHING");
    let bases = "SELECT s.type, f.type, s.server_name, s.machine_name, s.is_damaged,
            s.has_backup_checksums
         FROM msdb..backupset s LEFT JOIN msdb..backupset f
         ON s.differential_base_guid = f.backup_set_uuid
            AND s.differential_base_lsn = f.checkpoint_lsn ORDER BY s.backup_set_id";
    let expected = ["D|NULL|HOST|HOST|0|0", "I|D|HOST|HOST|0|1", "L|NULL|HOST|HOST|0|0"];
    assert_eq!(server.run(bases)[1..], expected);
    let media = "SELECT m.media_set_id, m.media_family_count, COUNT(f.media_set_id)
         FROM msdb.dbo.backupmediaset m JOIN msdb.dbo.backupmediafamily f
         ON f.media_set_id = m.media_set_id GROUP BY m.media_set_id, m.media_family_count";
    assert_eq!(server.run(media)[1..], ["1|2|2", "2|1|1", "3|1|1"]);
    let files = "SELECT backup_set_id, logical_name, file_type, filegroup_name, file_number,
            backed_up_page_count, is_present FROM msdb.dbo.backupfile WHERE backup_set_id <> 2";
    assert_eq!(
        server.run(files)[1..],
        [
            "1|pubs|D|PRIMARY|1|896|1",
            "1|pubs_log|L|NULL|2|1|1",
            "3|pubs|D|PRIMARY|1|0|0",
            "3|pubs_log|L|NULL|2|1|1",
        ]
    );
}

// Catches: databases that are left out or cannot be opened, a size in other units, a name not heeded.
#[test]
fn procedures_list_the_databases() {
    let mut server = Fixture::new();
    server.succeed("ALTER DATABASE Northwind SET OFFLINE");
    let all = server.run("EXEC sp_helpdb");
    assert_eq!(all[0], "name|db_size|owner|dbid|created|status|compatibility_level");
    assert_eq!(all.len(), 8);
    assert!(
        all.iter().any(|row| row.starts_with("Northwind|") && row.contains("|Status=OFFLINE|"))
    );
    let size = "SELECT SUM(size) * 8 FROM pubs.sys.database_files";
    let size: u32 = server.run(size)[1].parse().unwrap();
    let one = server.run("EXEC sp_helpdb @dbname = 'PUBS'");
    let start = format!("pubs|{:>10.2} MB|sa|5|", f64::from(size) / 1024.0);
    let status = "|Status=ONLINE, Updateability=READ_WRITE, UserAccess=MULTI_USER, Recovery=FULL, \
                  Version=852, ";
    assert!(one[1].starts_with(&start) && one[1].contains(status), "{one:?}");
    assert!(one[2].starts_with("name|fileid|") && one[3].starts_with("pubs|1|"), "{one:?}");
    assert_eq!(server.run("EXEC sp_helpdb 'Northwind'").len(), 2);
    assert_eq!(server.errors("EXEC sp_helpdb 'none'"), [15010]);
    let listed = server.run("EXEC sp_databases");
    assert_eq!(listed[0], "DATABASE_NAME|DATABASE_SIZE|REMARKS");
    assert_eq!(listed.len(), 7);
    assert!(listed.contains(&format!("pubs|{size}|NULL")), "{listed:?}");
}
