//! What the server owes to all clients: rights, limits, its end, its data.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use fake_sqlserver::catalogue::{Pages, Server as Catalogues};
use nix::sys::signal::Signal;
use tiberius::EncryptionLevel;
use vdisim::serve::rendezvous::{self};
use vdisim_tests::Scene;

use crate::serving::*;
use crate::story::*;
use crate::with_tiberius::{log_in, rows, runtime};

// Catches: a login that anybody may have, a login without rights that may back up to virtual devices,
// and refusals with other numbers than SQL Server's.
#[test]
fn logins_have_their_rights_and_no_others() {
    watched(|| {
        let serving = Serving::start("");
        let level = EncryptionLevel::NotSupported;
        runtime().block_on(async {
            let refused = log_in(serving.address(), USER, "wrong", level).await.err().unwrap();
            assert_eq!(refused.code(), Some(18456));
            let mut guest = log_in(serving.address(), "guest", "guest", level).await.unwrap();
            let refused = rows(&mut guest, &backup("set")).await.unwrap_err();
            assert!(refused.to_string().contains("insufficient authority"), "{refused}");
            assert_eq!(rows(&mut guest, "SELECT 'works'").await.unwrap(), ["works"]);
        });
        assert!(serving.log().contains("Login failed for user 'sa'"), "{}", serving.log());
        serving.stop();
    });
}

// Catches: values or output parameters of a call that get lost or change their type.
#[test]
fn calls_carry_parameters() {
    watched(|| {
        let serving = Serving::start("");
        runtime().block_on(async {
            let level = EncryptionLevel::NotSupported;
            let mut client = log_in(serving.address(), USER, PASSWORD, level).await.unwrap();
            let query = "SELECT @P1 AS text, @P2 + 1 AS number";
            let found = client.query(query, &[&"Ünïcode", &41_i32]).await.unwrap();
            let row = found.into_row().await.unwrap().unwrap();
            assert_eq!(row.get::<&str, _>("text"), Some("Ünïcode"));
            assert_eq!(row.get::<i32, _>("number"), Some(42));
        });
        serving.stop();
    });
}

// Catches: a limit on connections that lies below 200, or sessions that stand in each other's way.
#[test]
fn two_hundred_connections_are_held_at_once() {
    watched(|| {
        let serving = Serving::start("");
        runtime().block_on(async {
            let level = EncryptionLevel::NotSupported;
            let mut clients = Vec::new();
            for _ in 0..200 {
                clients.push(log_in(serving.address(), USER, PASSWORD, level).await.unwrap());
            }
            let mut ids = std::collections::HashSet::new();
            for client in &mut clients {
                let row = client.simple_query("SELECT @@SPID AS id").await.unwrap();
                let row = row.into_row().await.unwrap().unwrap();
                ids.insert(row.get::<i16, _>("id").unwrap());
            }
            assert_eq!(ids.len(), 200);
        });
        serving.stop();
    });
}

// Catches: a server that one bad client ends, blocks or leaves without threads for good ones.
#[test]
fn the_server_outlives_what_no_client_sends() {
    watched(|| {
        let serving = Serving::start("");
        let connect = || TcpStream::connect(serving.address()).unwrap();
        // What is refused half way is refused: the write may fail.
        let send = |bytes: &[u8]| {
            let mut stream = connect();
            let _ = stream.write_all(bytes);
            stream
        };
        let noise: Vec<u8> =
            (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let prelogin =
            [0x12, 1, 0, 26, 0, 0, 1, 0, 0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 255, 9, 0, 0, 0, 0, 0, 2];
        let mut login = vec![0x10, 1, 0x7f, 0xff, 0, 0, 1, 0];
        login.extend(0xffff_fff0_u32.to_le_bytes());
        login.extend([0xff; 5000]);
        let held: Vec<_> = (0..60)
            .map(|n| match n % 6 {
                0 => send(&noise),
                1 => send(b"GET / HTTP/1.1\r\n\r\n"),
                // Slow: a byte of a packet, then nothing.
                2 => send(&prelogin[..1 + n / 6]),
                // A packet that promises more than it has, and one shorter than its header.
                3 => send(&[0x12, 1, 0xff, 0xff, 0, 0, 1, 0, 1, 2, 3]),
                4 => send(&[0x12, 1, 0, 3, 0, 0, 1, 0]),
                _ => send(&[&prelogin[..], &login].concat()),
            })
            .collect();
        runtime().block_on(async {
            let level = EncryptionLevel::Off;
            let mut client = log_in(serving.address(), USER, PASSWORD, level).await.unwrap();
            assert_eq!(rows(&mut client, "SELECT 'alive'").await.unwrap(), ["alive"]);
            // Also while the others hang on, and after they went.
            drop(held);
            assert_eq!(rows(&mut client, "SELECT 'well'").await.unwrap(), ["well"]);
        });
        serving.stop();
    });
}

// Catches: a SIGTERM that waits for a VDI client, a client that is not told, a file that leads to a
// server which has ended.
#[test]
fn a_server_ends_with_a_statement_running() {
    watched(|| {
        let serving = Serving::start("");
        let file = serving.scene.path("half.bak");
        let vdi = serving.vdi_client("backup", "set", &file, "--stall-at received:60");
        let address = serving.address();
        let client = thread::spawn(move || {
            runtime().block_on(async {
                let level = EncryptionLevel::NotSupported;
                let mut client = log_in(address, USER, PASSWORD, level).await.unwrap();
                rows(&mut client, &backup("set")).await.unwrap_err();
            });
        });
        await_that("the BACKUP runs", || {
            fs::metadata(&file).is_ok_and(|file| file.len() > 1 << 20)
        });
        serving.signal(Signal::SIGTERM);
        client.join().unwrap();
        serving.await_log("the statement is aborted", |log| log.contains("was cancelled"));
        drop(vdi);
        serving.ends();
    });
}

// Catches: two servers of a namespace that overwrite each other's file, and a killed one whose file
// keeps the next from starting or leads clients astray.
#[test]
fn a_namespace_has_one_server_and_a_killed_one_is_forgotten() {
    watched(|| {
        let Serving { scene, mut server, found } = Serving::start("");
        let second = scene.run(Serving::command(&scene, ""));
        second.expect(3).says("is running already").says(&found.address.to_string());
        server.kill();
        let folder = data_folder(&scene);
        await_that("the server is gone", || rendezvous::find(&folder).unwrap().is_none());
        assert!(folder.join("serve.json").exists(), "the killed server's file is the point");
        let again = Serving::start_in(scene, "");
        assert_ne!(again.found.pid, found.pid);
        again.stop();
    });
}

// Catches: `--activity` that changes nothing, or changes what no differential or log backup holds, or
// what its replay does not bring.
#[test]
fn activity_changes_pages() {
    watched(|| {
        let serving = Serving::start("--activity 40");
        runtime().block_on(async {
            let level = EncryptionLevel::NotSupported;
            let mut client = log_in(serving.address(), USER, PASSWORD, level).await.unwrap();
            rows(&mut client, "BACKUP DATABASE pubs TO DISK='full'").await.unwrap();
            let end = Instant::now() + PATIENCE;
            loop {
                let batch = "BACKUP DATABASE pubs TO DISK='diff' WITH DIFFERENTIAL, INIT";
                rows(&mut client, batch).await.unwrap();
                let sizes = "SELECT type + ' ' + CAST(backup_size AS nvarchar(20)) FROM msdb.dbo.backupset \
                             ORDER BY backup_set_id DESC";
                let last = rows(&mut client, sizes).await.unwrap().remove(0);
                let bytes: u64 = last.strip_prefix("I ").unwrap().parse().unwrap();
                // The first extent alone is less than two.
                if bytes > 400_000 {
                    break;
                }
                assert!(Instant::now() < end, "{last}");
                thread::sleep(Duration::from_millis(100));
            }
            // The tail leaves the database as it is for good: nothing changes it any more.
            for batch in [
                "BACKUP LOG pubs TO DISK='log' WITH NORECOVERY",
                "RESTORE DATABASE before FROM DISK='full' WITH NORECOVERY, MOVE 'pubs' TO 'before.mdf', \
                 MOVE 'pubs_log' TO 'before.ldf'",
                "RESTORE DATABASE after FROM DISK='full' WITH NORECOVERY, MOVE 'pubs' TO 'after.mdf', \
                 MOVE 'pubs_log' TO 'after.ldf'",
                "RESTORE LOG after FROM DISK='log' WITH NORECOVERY",
            ] {
                rows(&mut client, batch).await.unwrap();
            }
        });
        let data = Catalogues::open(&data_folder(&serving.scene)).unwrap();
        let catalogue = data.read().unwrap();
        let digest = |name: &str| {
            let database = catalogue.database(name).unwrap();
            Pages::open(database).unwrap().digest().unwrap()
        };
        assert_ne!(digest("before"), digest("pubs"));
        assert_eq!(digest("after"), digest("pubs"));
        serving.stop();
    });
}

// Catches: a server that listens to the network though nobody asked for it.
#[test]
fn the_loopback_address_is_the_default() {
    let scene = Scene::new();
    // Taken by us or by whoever has it: the server says where it would have listened.
    let _taken = TcpListener::bind("127.0.0.1:1433");
    let ended = scene.run(scene.vdisim("serve --login sa:x"));
    assert_ne!(ended.code(), Some(0));
    ended.says("127.0.0.1:1433");
}

// Catches: `--database` that does not take the pages in, or a stripe set's second file that is taken
// for a database of its own.
#[test]
fn real_backups_become_databases() {
    watched(|| {
        let names = ["full-2019.bak", "stripe-2008r2/family1.bak", "stripe-2008r2/family2.bak"];
        let Some(files) = vdisim_tests::golden::goldens(&names) else { return };
        let shown = |path: &PathBuf| fs::canonicalize(path).unwrap().display().to_string();
        let serving = Serving::start(&format!(
            "--database real={} --database striped={} --database striped={}",
            shown(&files[0]),
            shown(&files[1]),
            shown(&files[2]),
        ));
        let vdi = serving.vdi_client("backup", "set", &serving.scene.path("again.bak"), "");
        runtime().block_on(async {
            let level = EncryptionLevel::NotSupported;
            let mut client = log_in(serving.address(), USER, PASSWORD, level).await.unwrap();
            let names = "SELECT name FROM sys.databases WHERE database_id > 7";
            assert_eq!(rows(&mut client, names).await.unwrap(), ["real", "striped"]);
            rows(&mut client, "BACKUP DATABASE real TO VIRTUAL_DEVICE='set'").await.unwrap();
        });
        vdi.wait().expect(0);
        // 52 extents, and what is around them.
        assert!(fs::metadata(serving.scene.path("again.bak")).unwrap().len() > 52 * 65_536);
        serving.stop();
    });
}
