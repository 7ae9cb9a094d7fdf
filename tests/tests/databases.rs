//! `backup | restore --database`: the streams are those of the engine.

use std::fs;

use rstest::rstest;
use vdisim_tests::{Ended, Scene, golden};

/// Runs a client and a command of the server side, both with these devices.
fn both(scene: &Scene, client: &str, server: &str) -> Ended {
    let client = scene.start(scene.vdisim(client));
    let ended = scene.run(scene.vdisim(server));
    client.wait();
    ended
}

// Catches: a backup whose pages are not the database's, a check that accepts anything, a restore that
// leaves the database as it was.
#[rstest]
#[case::one("", "")]
#[case::stripes("--device s s1 s2 s3", "1 2 3")]
fn a_database_comes_back(#[case] devices: &str, #[case] more: &str) {
    let scene = Scene::new();
    let at = |name: &str| scene.path(name).display().to_string();
    let files = |name: &str| {
        let others = more.split_whitespace().map(|k| format!(" {}", at(&format!("{name}{k}"))));
        at(name) + &others.collect::<String>()
    };
    let store = |name: &str| format!("client backup --set s {devices} --file {}", files(name));
    let send = |name: &str| format!("client restore --set s {devices} --file {}", files(name));

    both(&scene, &store("first"), &format!("backup --set s {devices} --database pubs"))
        .expect(0)
        .says("100 percent processed.")
        .says("BACKUP DATABASE successfully processed");
    both(&scene, &send("first"), &format!("restore --set s {devices}"))
        .expect(0)
        .says("The backup set on file 1 is valid.");
    both(&scene, &send("first"), &format!("restore --set s {devices} --database copy"))
        .expect(0)
        .says("File 'pubs' is placed at ")
        .says("for database 'copy', file 'pubs' on file 1.");
    // The copy is a database like any other.
    both(&scene, &store("second"), &format!("backup --set s {devices} --database copy --json"))
        .expect(0)
        .says("\"succeeded\": true");
    both(&scene, &send("second"), &format!("restore --set s {devices}")).expect(0);
}

// Catches: `*` that names no device in the statement, or a wrong number of them.
#[test]
fn the_next_set_is_restored() {
    let scene = Scene::new();
    let file = scene.path("file").display().to_string();
    both(&scene, &format!("client backup --set s --file {file}"), "backup --set * --database pubs")
        .expect(0);
    both(
        &scene,
        &format!("client restore --set t --file {file}"),
        "restore --set * --database pubs",
    )
    .expect(0);
}

/// A backup of a database: its file, and what is in it.
fn backed_up(scene: &Scene) -> (String, Vec<u8>) {
    let file = scene.path("file").display().to_string();
    both(scene, &format!("client backup --set s --file {file}"), "backup --set s --database pubs")
        .expect(0);
    let bytes = fs::read(&file).unwrap();
    (file, bytes)
}

// Catches: a check that does not look at the stream, an exit code that hides a damaged backup, a cause
// without the device.
#[rstest]
#[case::short(|bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2))]
#[case::header(|bytes: &mut Vec<u8>| bytes[3] ^= 1)]
#[case::family(|bytes: &mut Vec<u8>| bytes[52 + 8] ^= 1)]
fn a_damaged_backup_is_refused(#[case] harm: fn(&mut Vec<u8>)) {
    let scene = Scene::new();
    let (file, mut bytes) = backed_up(&scene);
    harm(&mut bytes);
    fs::write(&file, bytes).unwrap();
    let client = format!("client restore --set s --file {file}");
    both(&scene, &client, "restore --set s").expect(1).says("terminating abnormally");
    both(&scene, &client, "restore --set s --database pubs")
        .expect(1)
        .says("RESTORE DATABASE is terminating abnormally.")
        .says("device 0 's'");
}

// Catches: an extent that is there twice, and another one not at all, with every header right, checked
// or restored.
#[test]
fn a_lost_extent_is_told_of() {
    let scene = Scene::new();
    let (file, mut bytes) = backed_up(&scene);
    let is_first = |at: &usize| bytes[*at..].starts_with(&[1, 15]);
    let first = (0..bytes.len()).step_by(512).find(is_first).unwrap();
    let extent = |number: usize| first + (number << 16);
    bytes.copy_within(extent(10)..extent(11), extent(20));
    fs::write(&file, bytes).unwrap();
    for statement in ["restore --set s", "restore --set s --database pubs"] {
        both(&scene, &format!("client restore --set s --file {file}"), statement)
            .expect(1)
            .says("Damage to the backup set was detected.");
    }
}

// Catches: a check that knows nothing but our own streams.
#[rstest]
#[case::whole(0, 0)]
#[case::cut(100, 1)]
fn a_real_backup_is_checked(#[case] cut: usize, #[case] exit: i32) {
    let Some(real) = golden::golden("full-2019.bak") else { return };
    let scene = Scene::new();
    let mut bytes = fs::read(real).unwrap();
    bytes.truncate(bytes.len() - cut * 512);
    let file = scene.file("real", &bytes).display().to_string();
    let ended = both(&scene, &format!("client restore --set s --file {file}"), "restore --set s");
    ended.expect(exit);
}

// Catches: a profile that the restored backup's server is not compared with, a default that refuses
// real backups.
#[rstest]
#[case("--profile sql2016", 1, "Msg 3169")]
#[case("--profile sql2019", 0, "is valid")]
#[case("", 0, "is valid")]
fn a_newer_backup_is_refused(#[case] profile: &str, #[case] exit: i32, #[case] says: &str) {
    let Some(real) = golden::golden("full-2019.bak") else { return };
    let scene = Scene::new();
    let client = format!("client restore --set s --file {}", real.display());
    let ended = both(&scene, &client, &format!("restore --set s {profile}"));
    ended.expect(exit).says(says);
}

// Catches: faults that the engine's statement does not meet, YAML taken for a file's name.
#[rstest]
#[case("{at: {device: 0, command: write, nth: 2}, do: abort}")]
#[case("at:\n  device: 0\n  command: write\n  nth: 2\ndo: abort\n")]
fn a_fault_fails_the_statement(#[case] fault: &str) {
    let scene = Scene::new();
    let file = scene.path("file").display().to_string();
    let client = scene.start(scene.vdisim(&format!("client backup --set s --file {file}")));
    let mut server = scene.vdisim("backup --set s --database pubs");
    server.args(["--fault", fault]);
    scene.run(server).expect(1).says("Msg 3013").says("The fault plan said so: abort");
    client.wait().expect(1);
}

// Catches: a backup of another server's databases than those of the running one.
#[test]
fn the_running_servers_databases_are_meant() {
    let scene = Scene::new();
    let mut serve = scene.vdisim("serve --listen 127.0.0.1:0 --data");
    serve.arg(scene.path("elsewhere"));
    let mut server = scene.start(serve);
    server.await_line("listening");
    let create = ["-b", "-Q", "CREATE DATABASE mine"];
    let mut sql = scene.vdisim("sql");
    sql.args(create);
    scene.run(sql).expect(0);
    assert!(scene.path("elsewhere/catalogue.json").exists(), "the folder of --data is used");
    let file = scene.path("file").display().to_string();
    both(&scene, &format!("client backup --set s --file {file}"), "backup --set s --database mine")
        .expect(0);
    server.kill();
}

// Catches: a server in memory that writes files, forgets while it runs, or is passed over in silence.
#[test]
fn databases_in_memory_go_with_their_server() {
    let scene = Scene::new();
    let mut server = scene.start(scene.vdisim("serve --listen 127.0.0.1:0 --in-memory"));
    server.await_line("listening");
    let sql = |query: &str| {
        let mut sql = scene.vdisim("sql");
        sql.args(["-b", "-Q", query]);
        scene.run(sql)
    };
    sql("CREATE DATABASE mine").expect(0);
    sql("BACKUP DATABASE mine TO DISK='mine.bak'").expect(0);
    sql("RESTORE DATABASE mine FROM DISK='mine.bak' WITH REPLACE").expect(0);
    scene.run(scene.vdisim("backup --set s --database mine")).expect(2).says("in memory");
    server.kill();
    server.wait();
    let folder = scene.path("vdisim").join(scene.namespace());
    assert!(folder.join("backup/mine.bak").is_file());
    assert!(!folder.join("data").exists() && !folder.join("catalogue.json").exists());
    sql("BACKUP DATABASE mine TO DISK='again.bak'").expect(1).says("Msg 911");
}

// Catches: a look into a backup that reads the backup.
#[rstest]
fn a_look_reads_the_head_alone(
    #[values("HEADERONLY", "FILELISTONLY", "LABELONLY")] statement: &str,
) {
    let scene = Scene::new();
    let file = scene.path("file").display().to_string();
    both(&scene, &format!("client backup --set s --file {file}"), "backup --set s --database pubs")
        .expect(0);
    let trace = scene.path("trace.jsonl");
    let mut client = scene.vdisim(&format!("client restore --set s --file {file}"));
    client.env("VDISIM_TRACE", &trace);
    let client = scene.start(client);
    scene.await_object("Host_s_");
    let calls = || fs::read_to_string(&trace).unwrap_or_default();
    while !calls().contains("\"Create\"") {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let mut sql = scene.vdisim("sql");
    sql.args(["-b", "-Q", &format!("RESTORE {statement} FROM VIRTUAL_DEVICE='s'")]);
    scene.run(sql).expect(0);
    client.wait();
    let last = calls().lines().rfind(|line| line.contains("GetCommand")).unwrap().to_owned();
    assert!(last.contains("VD_E_CLOSE"), "a look ends with the device's close: {last}");
    let bytes = |line: &str| -> u64 {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let is_answer = line["call"] == "CompleteCommand";
        line["arguments"]["bytes"].as_u64().filter(|_| is_answer).unwrap_or(0)
    };
    let read: u64 = calls().lines().map(bytes).sum();
    assert!((1..=65536).contains(&read), "{read} bytes");
}
