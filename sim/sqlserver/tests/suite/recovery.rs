//! What the recovery model and the tail of the log allow.

use crate::server::{Fixture, shown};

// Catches: a chain that only a full backup begins again, one that cannot be restored.
#[test]
fn a_differential_backup_begins_the_chain_again() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='full'; EXEC vdisim.change pubs, 10, 1");
    server
        .succeed("ALTER DATABASE pubs SET RECOVERY SIMPLE; ALTER DATABASE pubs SET RECOVERY FULL");
    assert_eq!(server.errors("BACKUP LOG pubs TO DISK='none'"), [4214, 3013]);
    server.succeed("BACKUP DATABASE pubs TO DISK='diff' WITH DIFFERENTIAL");
    server.succeed("EXEC vdisim.change pubs, 10, 2; BACKUP LOG pubs TO DISK='log'");
    for (what, file, end) in [
        ("DATABASE", "full", "NORECOVERY"),
        ("DATABASE", "diff", "NORECOVERY"),
        ("LOG", "log", "RECOVERY"),
    ] {
        server.succeed(&format!("RESTORE {what} copy FROM DISK='{file}' WITH {end}"));
    }
    assert_eq!(server.digest("copy"), server.digest("pubs"));
}

// Catches: a database in standby that cannot be read, or that is changed.
#[test]
fn a_tail_can_leave_the_database_readable() {
    let mut server = Fixture::new();
    server.succeed("BACKUP DATABASE pubs TO DISK='full'");
    server.succeed("BACKUP LOG pubs TO DISK='tail' WITH STANDBY='undo.dat'");
    server.succeed("USE pubs; USE master");
    let asked = shown(&mut server, "SELECT is_in_standby FROM sys.databases WHERE name='pubs'");
    assert_eq!(asked(0, "is_in_standby"), "1");
    assert_eq!(server.errors("EXEC vdisim.change pubs, 10, 2"), [927]);
    assert_eq!(server.errors("BACKUP LOG pubs TO DISK='more'"), [3036, 3013]);
    server.succeed("RESTORE DATABASE pubs WITH RECOVERY");
}

// Catches: a point in time taken for a database that has no log to get there.
#[test]
fn a_simple_database_is_restored_to_no_time() {
    let mut server = Fixture::new();
    server.succeed("ALTER DATABASE pubs SET RECOVERY SIMPLE; BACKUP DATABASE pubs TO DISK='full'");
    let batch = "RESTORE DATABASE copy FROM DISK='full' WITH STOPAT='2030-01-01'";
    assert_eq!(server.errors(batch), [3145, 3013]);
}
