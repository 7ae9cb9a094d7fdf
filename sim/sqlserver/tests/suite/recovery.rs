//! What the recovery model and the tail of the log allow.

use std::thread;

use vdi_protocol::CommandCode;

use crate::devices::{self, client_that, errors, held_client, watched};
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

// Catches: changes that come behind the tail of the log while it is taken, and are in no backup; a database
// that cannot be used though the backup has failed; a tail that takes the database back before itself.
#[test]
fn nothing_changes_behind_the_tail_of_the_log() {
    watched(|| {
        let server = Fixture::new();
        let instance = &server.instance;
        let change = "EXEC vdisim.change pubs, 5, 5";
        assert_eq!(errors(instance, "BACKUP DATABASE pubs TO DISK='full'"), [0_u32; 0]);
        assert_eq!(errors(instance, change), [0_u32; 0]);
        let backup = "BACKUP LOG pubs TO VIRTUAL_DEVICE='tail' WITH NORECOVERY, COPY_ONLY";
        let flush = Some(CommandCode::FLUSH);
        let losing = client_that(instance, "tail", vec![Vec::new()], flush);
        assert_eq!(errors(instance, backup).last(), Some(&3013));
        losing.join().unwrap();
        assert_eq!(errors(instance, change), [0_u32; 0], "the backup has failed");

        let (begun, go_on, client) = held_client(instance, "tail", Vec::new(), 0);
        thread::scope(|scope| {
            let statement = scope.spawn(move || errors(instance, backup));
            begun.recv().unwrap();
            assert_eq!(errors(instance, change), [927]);
            assert_eq!(errors(instance, "BACKUP DATABASE pubs TO DISK='x'"), [3023, 3013]);
            go_on.send(()).unwrap();
            assert_eq!(statement.join().unwrap(), [0_u32; 0]);
        });
        let reader = devices::client(instance, "back", vec![client.join().unwrap()]);
        let early = "RESTORE LOG pubs FROM VIRTUAL_DEVICE='back' WITH STOPAT='2001-01-01'";
        assert_eq!(errors(instance, early), [4335, 3013]);
        reader.join().unwrap();
        let recover = "RESTORE DATABASE pubs WITH RECOVERY";
        assert_eq!(errors(instance, recover), [0_u32; 0]);
        for batch in [
            change,
            "BACKUP LOG pubs TO DISK='log'",
            "RESTORE DATABASE copy FROM DISK='full' WITH NORECOVERY",
            "RESTORE LOG copy FROM DISK='log'",
        ] {
            assert_eq!(errors(instance, batch), [0_u32; 0], "{batch}");
        }
        assert_eq!(server.digest("copy"), server.digest("pubs"));
    });
}
