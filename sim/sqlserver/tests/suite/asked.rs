//! What backup tools ask: views, msdb's tables and procedures that list databases, groups of rows.

use fake_sqlserver::catalogue::Server;
use rstest::rstest;
use vdi_protocol::Profile;

use crate::server::Fixture;

// Catches: a set that msdb places elsewhere than the message and RESTORE do; a medium of its own for
// each set of one file, or one for two files; devices that are listed once a set.
#[test]
fn msdb_knows_where_on_its_medium_a_set_stands() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='a', DISK='b'");
    server.succeed("BACKUP DATABASE Northwind TO DISK='c'");
    server.succeed("BACKUP DATABASE Northwind TO DISK='a', DISK='b'");
    server.succeed("BACKUP DATABASE pubs TO DISK='c' WITH FORMAT");
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
