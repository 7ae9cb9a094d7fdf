//! A restore of a chain whose process is killed, or whose disk is full: the database is the old one
//! or the new one, page for page.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use fake_sqlserver::catalogue::{
    Content, Database, Pages, RecoveryModel, Server, SyntheticDatabase,
};
use fake_sqlserver::messages::MemoryLog;
use fake_sqlserver::session::{Instance, Login, Session, TextClient};
use vdi_device::{Environment, Namespace};
use vdi_protocol::Profile;
use vdi_region::Backend;

/// Tells a process of this program its data folder and its batch.
const FOLDER: &str = "VDISIM_TEST_FOLDER";
const BATCH: &str = "VDISIM_TEST_BATCH";

/// Bytes of the database.
const SIZE: u64 = 48 << 20;

/// What a batch says but for its successes.
fn run(folder: &Path, batch: &str) -> Vec<String> {
    let namespace = Namespace::new(&format!("killed-{}", std::process::id())).unwrap();
    let environment = Environment::new(namespace, Backend::platform_default());
    let server = Server::open(folder).unwrap();
    let log = Arc::new(MemoryLog::default());
    let mut instance = Instance::new(server, environment, Profile::default(), "HOST", log);
    instance.relocates = true;
    let mut client = TextClient::default();
    let mut session = Session::new(Arc::new(instance), Login::default());
    session.execute(batch, &[], &mut client).unwrap();
    let quiet = ["3014:", "4035:", "3211:", "0:"];
    client.lines.retain(|line| !quiet.iter().any(|quiet| line.starts_with(quiet)));
    client.lines
}

// A part of the test below, in a process of its own.
#[test]
#[ignore = "a_restore_is_done_whole_or_not_at_all runs it"]
fn a_batch() {
    watch();
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let said = run(&folder, &std::env::var(BATCH).unwrap());
    assert!(said.is_empty(), "{said:?}");
}

fn watch() {
    thread::spawn(|| {
        thread::sleep(Duration::from_secs(300));
        eprintln!("the test hangs");
        std::process::abort();
    });
}

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn run(&self, batch: &str) {
        let said = run(self.folder.path(), batch);
        assert!(said.is_empty(), "{batch}: {said:?}");
    }

    fn database(&self, name: &str) -> Database {
        let catalogue = Server::open(self.folder.path()).unwrap().read().unwrap();
        catalogue.database(name).unwrap().clone()
    }

    fn digest(&self, name: &str) -> u64 {
        Pages::open(&self.database(name)).unwrap().digest().unwrap()
    }

    /// A command that runs a batch in a process of its own, whose files may have `blocks` of 512
    /// bytes.
    fn command(&self, batch: &str, blocks: Option<u64>) -> Command {
        let own = std::env::current_exe().unwrap();
        let mut command = match blocks {
            None => Command::new(own),
            Some(blocks) => {
                let mut command = Command::new("sh");
                // Without the signal a write behind the limit fails, as on a full disk.
                let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
                command.args(["-c", &script]).arg(own);
                command
            }
        };
        command.args(["--exact", "a_batch", "--ignored", "--nocapture"]);
        command.env(FOLDER, self.folder.path()).env(BATCH, batch);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn data(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.folder.path().join("data")).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }

    /// The file with the pages of the copy.
    fn file(&self) -> PathBuf {
        match &self.database("copy").data_files().next().unwrap().content {
            Content::Stored(path) => path.clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn written(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

fn wait_until(child: &mut Child, mut is_so: impl FnMut() -> bool) {
    while !is_so() && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_micros(100));
    }
}

// Catches: pages of a differential or log backup written into the database's files before the
// catalogue says so, or a part of them that is lost when it does; what waits left behind by a
// restore that failed, is complete, or was killed before.
#[test]
fn a_restore_is_done_whole_or_not_at_all() {
    watch();
    let scene = Scene { folder: tempfile::tempdir().unwrap() };
    let recovery_model = RecoveryModel::Full;
    let name = "big".to_owned();
    let big = SyntheticDatabase { name, size: SIZE, seed: 1, recovery_model };
    let put = Server::open(scene.folder.path()).unwrap().update(|catalogue| {
        catalogue.put(big.build(20, Default::default()));
        Ok::<_, ()>(())
    });
    put.unwrap().unwrap();
    scene.run("BACKUP DATABASE big TO DISK='full'");
    scene.run("RESTORE DATABASE copy FROM DISK='full' WITH NORECOVERY");
    scene.run(
        "EXEC vdisim.change big, 3000, 1; BACKUP DATABASE big TO DISK='diff' WITH DIFFERENTIAL",
    );
    let differential = scene.digest("big");
    scene.run("EXEC vdisim.change big, 3000, 2; BACKUP LOG big TO DISK='log'");
    let (before, old) = (scene.digest("copy"), scene.database("copy"));
    let assert_old = |what: &str| {
        assert_eq!(scene.database("copy"), old, "{what}");
        assert!(scene.digest("copy") == before, "{what}: half of the pages are new");
    };
    let full_disk = |batch: &str, files: usize| {
        // Half of the file.
        let output = scene.command(batch, Some(SIZE / 1024)).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("3271: "), "{said}");
        assert_eq!(scene.data().len(), files, "nothing is left behind");
    };
    let from_diff = "RESTORE DATABASE copy FROM DISK='diff' WITH NORECOVERY";
    full_disk(from_diff, 1);
    assert_old("a differential on a full disk");

    let pipe = scene.folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let batch = format!("RESTORE DATABASE copy FROM DISK='{}' WITH NORECOVERY", pipe.display());
    let mut child = scene.command(&batch, None).spawn().unwrap();
    let stream = fs::read(scene.folder.path().join("backup/diff")).unwrap();
    let mut writer = File::options().write(true).open(&pipe).unwrap();
    writer.write_all(&stream[..stream.len() / 2]).unwrap();
    wait_until(&mut child, || {
        scene.data().iter().any(|file| {
            *file != scene.file() && fs::metadata(file).is_ok_and(|file| file.len() > SIZE / 4)
        })
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_old("killed in the middle of a differential");

    let kill_at_first_write = |batch: &str| {
        let (file, time) = (scene.file(), written(&scene.file()));
        let mut child = scene.command(batch, None).spawn().unwrap();
        wait_until(&mut child, || written(&file) != time);
        // It may have been faster.
        let _ = child.kill();
        child.wait().unwrap();
    };
    kill_at_first_write(from_diff);
    assert!(scene.digest("copy") == differential, "killed while the files are written");

    // The same once more completes what is left to do.
    scene.run(from_diff);
    let (old, before, files) = (scene.database("copy"), differential, scene.data().len());
    assert_eq!(old.arrived, None);
    let from_log = "RESTORE LOG copy FROM DISK='log' WITH NORECOVERY";
    full_disk(from_log, files);
    assert_eq!((scene.database("copy"), scene.digest("copy") == before), (old, true));

    kill_at_first_write(from_log);
    assert!(scene.digest("copy") == scene.digest("big"), "killed while log is applied");
    // What is applied already is not applied again.
    scene.run(from_log);
    assert!(scene.digest("copy") == scene.digest("big"));
    scene.run("RESTORE DATABASE copy WITH RECOVERY");
    // Also what the process that was killed before its restore was complete could not remove.
    assert_eq!((scene.database("copy").arrived, scene.data()), (None, vec![scene.file()]));
}
