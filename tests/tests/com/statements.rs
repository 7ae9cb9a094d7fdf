//! Clients of COM whose statements go to our SQL Server: to `serve` by `vdisim sql`, and by a `sqlcmd.exe` that the
//! client finds on PATH.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use fake_sqlserver::catalogue::{Pages, Server};
use rstest::rstest;
use vdisim_tests::golden::golden;
use vdisim_tests::{Ended, Running, Scene};

use crate::{Registration, client};

const BACKUP: &str = "BACKUP DATABASE pubs TO VIRTUAL_DEVICE = 'set' WITH STATS = 50";
const RESTORE: &str = "RESTORE DATABASE twin FROM VIRTUAL_DEVICE = 'set' WITH REPLACE, \
                       MOVE 'pubs' TO 'twin.mdf', MOVE 'pubs_log' TO 'twin.ldf'";

/// The data folder of the scene's namespace.
fn data(scene: &Scene) -> PathBuf {
    scene.path("vdisim").join(scene.namespace())
}

/// What the pages of a database are. Nobody else may have it.
fn digest(scene: &Scene, database: &str) -> u64 {
    let catalogue = Server::open(&data(scene)).unwrap().read().unwrap();
    Pages::open(catalogue.database(database).unwrap()).unwrap().digest().unwrap()
}

/// A running `vdisim serve` and the words with which `sql` finds it over the network.
fn serve(scene: &Scene, more: &[&str]) -> (Running, Vec<String>) {
    let mut command = scene.vdisim("serve --listen 127.0.0.1:0 --login tester:Secret.1");
    command.args(more);
    let server = scene.start(command);
    let port = server.await_line("listening on ").trim_end().rsplit(':').next().unwrap().to_owned();
    let words = ["-S", &format!("tcp:127.0.0.1,{port}"), "-U", "tester", "-P", "Secret.1", "-C"];
    (server, words.map(str::to_owned).to_vec())
}

/// Starts the client; its set exists when this returns.
fn holder(scene: &Scene, operation: &str, stored: &Path) -> Option<Running> {
    let mut command = client(scene, "com_client")?;
    command.args(["pipe", operation, "set"]).arg(stored);
    let client = scene.start(command);
    client.await_line("created");
    Some(client)
}

/// A running server, not the one that a process of `sql` is for itself, has backed up and restored.
fn was_asked(server: &Running) {
    let log = server.err();
    assert!(log.contains("Database backed up. Database: pubs"), "{log}");
    assert!(log.contains("Database was restored: Database: twin"), "{log}");
}

/// `vdisim sql` with these words and the statement.
fn sql(scene: &Scene, words: &[String], statement: &str) -> Ended {
    let mut command = scene.vdisim("sql -b");
    command.args(words).args(["-Q", statement]);
    scene.run(command)
}

/// Catches: a server that a Windows program does not reach or find, a statement that does not come to a set of COM,
/// pages that change on the way through both.
#[rstest]
#[case::to_a_server(true)]
#[case::without_a_server(false)]
fn a_statement_goes_to_a_client_of_com(#[case] is_served: bool) {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let server = is_served.then(|| serve(&scene, &[]));
    let words = server.as_ref().map_or(&[][..], |(_, words)| words);
    let stored = scene.path("stored");
    for (operation, statement) in [("backup", BACKUP), ("restore", RESTORE)] {
        let Some(client) = holder(&scene, operation, &stored) else { return };
        let ended = sql(&scene, words, statement);
        client.wait().expect(0);
        let success = format!("{} DATABASE successfully processed", operation.to_uppercase());
        ended.expect(0).says(&success);
    }
    // Without a client it fails at once.
    sql(&scene, words, BACKUP).expect(1).says("0x80070002").says("Msg 3013");
    server.iter().for_each(|(server, _)| was_asked(server));
    drop(server);
    assert_eq!(digest(&scene, "twin"), digest(&scene, "pubs"));
}

/// Catches: a real database that a server does not take, or changes.
#[test]
fn a_real_database_goes_through_and_back() {
    let Some(golden) = golden("full-2019.bak") else { return };
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let (server, words) = serve(&scene, &["--database", &format!("real={}", golden.display())]);
    let stored = scene.path("stored");
    let Some(client) = holder(&scene, "backup", &stored) else { return };
    let backup = "BACKUP DATABASE real TO VIRTUAL_DEVICE = 'set' WITH CHECKSUM";
    sql(&scene, &words, backup).expect(0);
    client.wait().expect(0);
    let list = format!("RESTORE FILELISTONLY FROM DISK = '{}'", stored.display());
    let wide = ["-W", "-h-1", "-s|", "-w", "65535"].map(str::to_owned);
    let listed = sql(&scene, &[&words[..], &wide].concat(), &list);
    let files: Vec<_> =
        listed.expect(0).out.lines().filter_map(|line| line.split_once('|')).collect();
    let moves: String =
        files.iter().map(|(name, _)| format!(", MOVE '{name}' TO 'twin.{name}'")).collect();
    let client = holder(&scene, "restore", &stored).unwrap();
    let restore = format!("RESTORE DATABASE twin FROM VIRTUAL_DEVICE = 'set' WITH REPLACE{moves}");
    sql(&scene, &words, &restore).expect(0);
    client.wait().expect(0);
    drop(server);
    assert_eq!(digest(&scene, "twin"), digest(&scene, "real"));
}

/// The commands in a folder of the scene, and a search path that begins there.
fn install_commands(scene: &Scene) -> (PathBuf, OsString) {
    let folder = scene.path("bin");
    let mut command = scene.vdisim("shim install");
    command.arg(&folder);
    scene.run(command).expect(0).says(r"bin\sqlcmd.exe").says(r"bin\osql.exe");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [folder.clone()].into_iter().chain(std::env::split_paths(&path));
    (folder, std::env::join_paths(folders).unwrap())
}

/// Catches: commands that a client does not find under their names, that work in another namespace than its own, or
/// whose exit code does not arrive.
#[rstest]
fn a_client_sends_its_statement_by_sqlcmd(#[values(true, false)] is_served: bool) {
    let scene = Scene::new();
    let _registration = Registration::new(&scene);
    let (_, path) = install_commands(&scene);
    let server = is_served.then(|| serve(&scene, &[]));
    let stored = scene.path("stored");
    let send = |operation: &str, statement: &str| {
        let mut command = client(&scene, "com_client")?;
        command.args(["pipe", operation, "set"]).arg(&stored);
        command.env("PATH", &path).env("COM_CLIENT_STATEMENT", statement);
        Some(scene.run(command))
    };
    let Some(ended) = send("backup", BACKUP) else { return };
    ended.expect(0).says("BACKUP DATABASE successfully processed").says("sqlcmd ended with 0");
    let ended = send("restore", RESTORE).unwrap();
    ended.expect(0).says("RESTORE DATABASE successfully processed").says("sqlcmd ended with 0");
    let ended = send("backup", &BACKUP.replace("pubs", "nowhere")).unwrap();
    ended.expect(1).says("Msg 911").says("sqlcmd ended with 1");
    server.iter().for_each(|(server, _)| was_asked(server));
    drop(server);
    assert_eq!(digest(&scene, "twin"), digest(&scene, "pubs"));
}

/// Catches: a command of somebody else replaced or taken away; ours not taken away.
#[test]
fn commands_of_others_stay() {
    let scene = Scene::new();
    let (folder, _) = install_commands(&scene);
    let install = |more: &str| {
        let mut command = scene.vdisim("shim install");
        command.arg(&folder).args(more.split_whitespace());
        scene.run(command)
    };
    install("").expect(0);
    install("--undo").expect(0);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    let theirs = folder.join("osql.exe");
    fs::write(&theirs, "theirs").unwrap();
    install("").expect(1).says("osql.exe");
    install("--undo").expect(1);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
}
