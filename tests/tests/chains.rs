//! Chains of backups through VDI: the server's statements in this process, the client in one of its
//! own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fake_sqlserver::catalogue::{Catalogue, Pages, Server};
use fake_sqlserver::messages::MemoryLog;
use fake_sqlserver::session::{Instance, Login, Session, TextClient};
use fake_sqlserver::transfer::{
    Attach, FaultPlan, Session as Transfer, Statement, TransferError, Unobserved,
};
use rstest::rstest;
use vdi_device::{Environment, Namespace};
use vdi_protocol::Profile;
use vdi_region::Backend;
use vdisim_tests::{Scene, golden};

/// Waits for the client's set: both are started at once here.
struct Waits;

impl Attach for Waits {
    fn attach(&self, world: &Environment, statement: Statement) -> Result<Transfer, TransferError> {
        let wait = Some(Duration::from_secs(60));
        let statement = Statement { wait, ..statement };
        Transfer::attach(world, statement, FaultPlan::default(), Arc::new(Unobserved))
    }
}

/// A server, and clients that store its backups in files of the scene.
struct Chain {
    scene: Scene,
    server: Session,
    instance: Arc<Instance>,
    log: Arc<MemoryLog>,
    stripes: usize,
}

impl Chain {
    fn new(stripes: usize) -> Chain {
        let scene = Scene::new();
        let namespace = Namespace::new(scene.namespace()).unwrap();
        let environment = Environment::new(namespace, Backend::platform_default());
        let server = Server::open(&scene.path("data")).unwrap();
        let log = Arc::new(MemoryLog::default());
        let mut instance =
            Instance::new(server, environment, Profile::default(), "HOST", log.clone());
        instance.attach = Arc::new(Waits);
        // The copies' files may lie anywhere.
        instance.relocates = true;
        let instance = Arc::new(instance);
        let server = Session::new(Arc::clone(&instance), Login::default());
        Chain { scene, server, instance, log, stripes }
    }

    /// Executes a batch; the numbers of its messages but those of success.
    fn errors(&mut self, batch: &str) -> Vec<u32> {
        let mut client = TextClient::default();
        self.server.execute(batch, &[], &mut client).unwrap();
        let number = |line: &String| line.split(':').next()?.parse().ok();
        let quiet = [0, 3014, 4035, 3211, 3262];
        client.lines.iter().filter_map(number).filter(|n| !quiet.contains(n)).collect()
    }

    #[track_caller]
    fn succeed(&mut self, batch: &str) {
        assert_eq!(self.errors(batch), [0_u32; 0], "{batch}");
    }

    fn files(&self, name: &str) -> Vec<PathBuf> {
        (0..self.stripes).map(|k| self.scene.path(&format!("{name}.{k}"))).collect()
    }

    /// Executes a statement whose `{}` stands for the set's devices, with a client process on the
    /// other side that stores to or reads from `files`. The errors, and the client's exit code.
    fn with_client(
        &mut self,
        operation: &str,
        files: &[PathBuf],
        batch: &str,
    ) -> (Vec<u32>, Option<i32>) {
        self.with_client_that(operation, "", files, batch)
    }

    /// The same; `asks` are more arguments of the client.
    fn with_client_that(
        &mut self,
        operation: &str,
        asks: &str,
        files: &[PathBuf],
        batch: &str,
    ) -> (Vec<u32>, Option<i32>) {
        let names: Vec<_> = (0..files.len())
            .map(|k| if k == 0 { "set".to_owned() } else { format!("set{k}") })
            .collect();
        let mut command = self.scene.vdisim(&format!("client {operation} --set set"));
        command.args(names.iter().flat_map(|name| ["--device", name]));
        command.args(asks.split_whitespace());
        command.arg("--file").args(files);
        // A trace goes on where the one before ended.
        let _ = std::fs::remove_file(self.trace());
        command.env("VDISIM_TRACE", self.trace());
        let client = self.scene.start(command);
        let devices: Vec<_> = names.iter().map(|name| format!("VIRTUAL_DEVICE='{name}'")).collect();
        let errors = self.errors(&batch.replace("{}", &devices.join(", ")));
        let code = client.wait().code();
        assert_eq!(self.scene.objects(), Vec::<String>::new(), "{batch}");
        (errors, code)
    }

    fn trace(&self) -> PathBuf {
        self.scene.path("calls.jsonl")
    }

    /// The commands that the last client got, in order; Reads and Writes in a row count as one.
    fn commands(&self) -> Vec<String> {
        let trace = std::fs::read_to_string(self.trace()).unwrap();
        let lines = trace.lines().map(|line| serde_json::from_str(line).unwrap());
        let calls = lines.filter(|line: &serde_json::Value| line["call"] == "GetCommand");
        let codes = calls.filter_map(|line| line["result"]["code"].as_str().map(str::to_owned));
        let mut codes: Vec<_> = codes.collect();
        codes.dedup_by(|a, b| a == b && ["VDC_Read", "VDC_Write"].contains(&a.as_str()));
        codes
    }

    #[track_caller]
    fn backup(&mut self, name: &str, statement: &str) {
        let files = self.files(name);
        let ended = self.with_client("backup", &files, statement);
        assert_eq!(ended, (Vec::new(), Some(0)), "{statement}");
    }

    fn restore(&mut self, name: &str, statement: &str) -> Vec<u32> {
        let files = self.files(name);
        self.with_client("restore", &files, statement).0
    }

    /// Numbers of the error log's messages.
    fn logged(&self) -> Vec<u32> {
        self.log.entries().iter().map(|entry| entry.message.number).collect()
    }

    fn catalogue(&self) -> Catalogue {
        self.instance.server.read().unwrap()
    }

    /// What the pages of a database are.
    fn digest(&self, database: &str) -> u64 {
        let catalogue = self.catalogue();
        Pages::open(catalogue.database(database).unwrap()).unwrap().digest().unwrap()
    }
}

/// The backups of a database that changes before each of them.
const STEPS: [(&str, &str); 6] = [
    ("full", "BACKUP DATABASE pubs TO {} WITH CHECKSUM"),
    ("log1", "BACKUP LOG pubs TO {}"),
    ("diff", "BACKUP DATABASE pubs TO {} WITH DIFFERENTIAL"),
    ("log2", "BACKUP LOG pubs TO {} WITH CHECKSUM"),
    ("log3", "BACKUP LOG pubs TO {}"),
    ("log4", "BACKUP LOG pubs TO {}"),
];

/// Makes the backups, and returns what the database was at the end of each.
fn make_backups(chain: &mut Chain) -> Vec<u64> {
    let mut states = Vec::new();
    for (seed, (name, statement)) in STEPS.iter().enumerate() {
        chain.succeed(&format!("EXEC vdisim.change pubs, 40, {seed}"));
        chain.backup(name, statement);
        // After the backup, because a full one resets the map of changed extents.
        states.push(chain.digest("pubs"));
    }
    states
}

// Catches: a page, change or record of log that is lost, doubled or in another family's stream; a
// backup that depends on what happened after it; a sequence that is accepted with a gap.
#[rstest]
#[case(1)]
#[case(4)]
fn a_chain_comes_back_step_by_step(#[case] stripes: usize) {
    let mut chain = Chain::new(stripes);
    let states = make_backups(&mut chain);
    let restore = |chain: &mut Chain, name: &str, standby: bool| {
        let what = if name.starts_with("log") { "LOG" } else { "DATABASE" };
        let end = if standby { "STANDBY='undo'" } else { "NORECOVERY" };
        chain.restore(name, &format!("RESTORE {what} copy FROM {{}} WITH {end}"))
    };

    assert_eq!(restore(&mut chain, "diff", false), [3118, 3013]);
    let full = chain.restore("full", "RESTORE DATABASE other FROM {} WITH NORECOVERY");
    assert_eq!(full, [0_u32; 0]);
    for (number, (name, _)) in STEPS.iter().enumerate() {
        assert_eq!(restore(&mut chain, name, true), [0_u32; 0], "{name}");
        // A standby database can be read between the steps.
        assert_eq!(chain.digest("copy"), states[number], "{name}");
    }
    chain.succeed("RESTORE DATABASE copy WITH RECOVERY");
    assert_eq!(chain.digest("copy"), *states.last().unwrap());

    let before = chain.digest("other");
    let skipped = chain.restore("log3", "RESTORE LOG other FROM {} WITH NORECOVERY");
    assert_eq!(skipped, [4305, 3013]);
    assert_eq!(chain.digest("other"), before);
    let differential = chain.restore("diff", "RESTORE DATABASE other FROM {} WITH NORECOVERY");
    assert_eq!(differential, [0_u32; 0]);
    let skipped = chain.restore("log3", "RESTORE LOG other FROM {} WITH NORECOVERY");
    assert_eq!(skipped, [4305, 3013]);
}

// Catches: a differential backup restored on another base than its own.
#[rstest]
#[case(1)]
#[case(4)]
fn a_differential_backup_wants_its_own_base(#[case] stripes: usize) {
    let mut chain = Chain::new(stripes);
    chain.backup("old", "BACKUP DATABASE pubs TO {}");
    chain.succeed("EXEC vdisim.change pubs, 10, 1");
    chain.backup("base", "BACKUP DATABASE pubs TO {}");
    chain.succeed("EXEC vdisim.change pubs, 10, 2");
    chain.backup("diff", "BACKUP DATABASE pubs TO {} WITH DIFFERENTIAL");
    let mut restore =
        |name: &str| chain.restore(name, "RESTORE DATABASE copy FROM {} WITH NORECOVERY, REPLACE");
    assert_eq!(restore("old"), [0_u32; 0]);
    assert_eq!(restore("diff"), [3136, 3013]);
    assert_eq!(restore("base"), [0_u32; 0]);
    assert_eq!(restore("diff"), [0_u32; 0]);
    chain.succeed("RESTORE DATABASE copy WITH RECOVERY");
    assert_eq!(chain.digest("copy"), chain.digest("pubs"));
}

// Catches: pages of a real database lost or changed on the way through VDI, in either direction.
#[rstest]
#[case::one(&["chain-2016/full.bak"])]
#[case::newer(&["full-2019.bak"])]
#[case::striped(&["stripe-2008r2/family1.bak", "stripe-2008r2/family2.bak"])]
#[case::checksums(&["checksum-2008r2/full.bak"])]
#[case::before_a_differential(&["diff-2008r2/full.bak"])]
fn a_real_database_goes_through_vdi_and_back(#[case] names: &[&str]) {
    let Some(files) = golden::goldens(names) else { return };
    let mut chain = Chain::new(3);
    let (errors, _) = chain.with_client("restore", &files, "RESTORE DATABASE real FROM {}");
    assert_eq!(errors, [0_u32; 0]);
    chain.backup("again", "BACKUP DATABASE real TO {} WITH COPY_ONLY, CHECKSUM");
    let errors = chain.restore("again", "RESTORE DATABASE twin FROM {} WITH CHECKSUM");
    assert_eq!(errors, [0_u32; 0]);
    assert_eq!(chain.digest("twin"), chain.digest("real"));
    assert_eq!(restored_pages(&files), restored_pages(&chain.files("again")));
}

/// The pages of a backup by file and number, without filler and without the maps of changed
/// extents, which are the server's own.
fn restored_pages(files: &[PathBuf]) -> std::collections::BTreeMap<mtf::PageId, Vec<u8>> {
    #[derive(Default)]
    struct Collect(std::collections::BTreeMap<mtf::PageId, Vec<u8>>);
    impl mtf::Events for Collect {
        type Error = mtf::MtfError;
        fn pages(&mut self, pages: &[u8]) -> Result<(), mtf::MtfError> {
            const CHANGED_EXTENTS: u8 = 16;
            for page in pages.as_chunks().0 {
                let kind = mtf::PageHeader::TYPE.read(page);
                if !mtf::is_filler(page) && kind != CHANGED_EXTENTS && page[0] == 1 {
                    self.0.insert(mtf::page_id(page), page.to_vec());
                }
            }
            Ok(())
        }
    }
    let mut collect = Collect::default();
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        mtf::Reader::new().feed(&bytes, &mut collect).unwrap();
    }
    assert!(!collect.0.is_empty());
    collect.0
}

/// The log of a backup: the number of each virtual log file with its bytes.
fn log_of(file: &Path) -> Vec<(u32, Vec<u8>)> {
    #[derive(Default)]
    struct Collect {
        log: Vec<(u32, Vec<u8>)>,
        left: usize,
    }
    impl mtf::Events for Collect {
        type Error = mtf::MtfError;
        fn block(&mut self, block: &mtf::Block, _: u64) -> Result<(), mtf::MtfError> {
            if let mtf::Block::Mstl(log) = block {
                self.left = log.log_size() as usize;
                self.log.push((log.get(mtf::Mstl::VLF_SEQUENCE), Vec::new()));
            }
            Ok(())
        }
        fn log(&mut self, bytes: &[u8]) -> Result<(), mtf::MtfError> {
            let bytes = &bytes[..bytes.len().min(self.left)];
            self.left -= bytes.len();
            self.log.last_mut().unwrap().1.extend_from_slice(bytes);
            Ok(())
        }
    }
    let mut collect = Collect::default();
    mtf::Reader::new().feed(&std::fs::read(file).unwrap(), &mut collect).unwrap();
    collect.log.retain(|(_, bytes)| !bytes.is_empty());
    collect.log
}

// Catches: a real server's log lost or changed on its way through VDI into a database and out of it
// again, or on another stripe than the first; a backup that holds it refused behind its own chain.
#[rstest]
#[case(1)]
#[case(4)]
fn a_real_log_goes_through_vdi_and_on(#[case] stripes: usize) {
    let names = [
        "chain-2016/full.bak",
        "chain-2016/diff.bak",
        "chain-2016/log1.trn",
        "chain-2016/log2.trn",
        "chain-2016/log3.trn",
    ];
    let Some(files) = golden::goldens(&names) else { return };
    let mut chain = Chain::new(stripes);
    for (number, file) in files.iter().enumerate() {
        let what = if number < 2 { "DATABASE" } else { "LOG" };
        let batch = format!("RESTORE {what} real FROM {{}} WITH NORECOVERY");
        let (errors, code) = chain.with_client("restore", std::slice::from_ref(file), &batch);
        assert_eq!((errors, code), (Vec::new(), Some(0)), "{batch}");
    }
    chain.succeed("RESTORE DATABASE real WITH RECOVERY; EXEC vdisim.change real, 40, 1");
    chain.backup("log4", "BACKUP LOG real TO {} WITH CHECKSUM");
    let came: Vec<u8> =
        files[2..].iter().flat_map(|file| log_of(file)).flat_map(|log| log.1).collect();
    let stored = chain.files("log4");
    let log = log_of(&stored[0]);
    assert!(log[0] == (39, came), "not the bytes that came");
    assert_eq!(log.len(), 2, "and this server's own behind them");
    assert!(stored[1..].iter().all(|file| log_of(file).is_empty()));

    for (number, file) in files[..2].iter().enumerate() {
        let batch = "RESTORE DATABASE twin FROM {} WITH NORECOVERY";
        let ended = chain.with_client("restore", std::slice::from_ref(file), batch);
        assert_eq!(ended, (Vec::new(), Some(0)), "{number}");
    }
    assert_eq!(chain.restore("log4", "RESTORE LOG twin FROM {} WITH CHECKSUM"), [0_u32; 0]);
    assert_eq!(chain.digest("twin"), chain.digest("real"));
}

// Catches: files copied that are not the database's, pages that change after the freeze, a restore
// that takes other files than were brought back, a chain that a snapshot does not begin; a client that
// is not asked before the freeze, is asked though it cannot answer, or gets all of the metadata first.
// Source of the order: VDI, "Creation of a Snapshot", "Media Recovery Using the Snapshot"; behind
// VDC_Snapshot comes the end. A Flush before it is allowed, not documented.
#[rstest]
#[case::at_once("", &["VDC_Write", "VDC_Flush", "VDC_Snapshot"])]
#[case::prepared(
    "--features SnapshotPrepare",
    &["VDC_Write", "VDC_PrepareToFreeze", "VDC_Write", "VDC_Flush", "VDC_Snapshot"]
)]
#[case::completed(
    "--features SnapshotPrepare,RequestComplete",
    &["VDC_Write", "VDC_PrepareToFreeze", "VDC_Write", "VDC_Flush", "VDC_Complete", "VDC_Snapshot"]
)]
#[case::by_handle("--by-handle", &["VDC_Write", "VDC_Flush", "VDC_Snapshot"])]
fn a_snapshot_is_taken_and_mounted(#[case] asks: &str, #[case] order: &[&str]) {
    let mut chain = Chain::new(1);
    let success = (Vec::new(), Some(0));
    chain.succeed("EXEC vdisim.change pubs, 40, 1");
    let files = chain.files("snapshot");
    let statement = "BACKUP DATABASE pubs TO {} WITH SNAPSHOT";
    assert_eq!(chain.with_client_that("backup", asks, &files, statement), success);
    assert_eq!(chain.commands(), order);
    let stored = std::fs::metadata(&files[0]).unwrap().len();
    assert!(stored < 20_000, "only metadata goes through the device, not {stored} bytes");
    let taken = chain.digest("pubs");
    assert_eq!(chain.logged(), [3197, 3198, 18264]);

    chain.succeed("EXEC vdisim.change pubs, 40, 2");
    chain.backup("log", "BACKUP LOG pubs TO {}");
    let later = chain.digest("pubs");
    assert_ne!(later, taken);
    let restore = "RESTORE DATABASE copy FROM {} WITH SNAPSHOT";
    let refused = chain.with_client("restore", &files, restore).0;
    let in_use = [1834, 3156, 1834, 3156, 3119, 3013];
    assert_eq!(refused, in_use, "the files are another database's");
    assert_eq!(chain.digest("pubs"), later);

    let restore = "RESTORE DATABASE pubs FROM {} WITH SNAPSHOT, REPLACE, NORECOVERY";
    assert_eq!(chain.with_client_that("restore", asks, &files, restore), success);
    let commands = chain.commands();
    assert_eq!(commands[0], "VDC_Read");
    assert_eq!(
        commands.iter().position(|code| code == "VDC_MountSnapshot"),
        Some(commands.len() - 1)
    );
    assert_eq!(chain.digest("pubs"), taken);
    assert_eq!(chain.restore("log", "RESTORE LOG pubs FROM {}"), [0_u32; 0]);
    assert_eq!(chain.digest("pubs"), later);
}

// Catches: a set of the other kind taken; a damaged file mounted; a freeze that never ends.
#[test]
fn what_is_no_snapshot_is_not_mounted() {
    let mut chain = Chain::new(1);
    chain.backup("full", "BACKUP DATABASE pubs TO {}");
    let with_snapshot = "RESTORE DATABASE pubs FROM {} WITH SNAPSHOT, REPLACE";
    assert_eq!(chain.restore("full", with_snapshot), [3276, 3013]);
    chain.backup("snapshot", "BACKUP DATABASE pubs TO {} WITH SNAPSHOT");
    let before = chain.digest("pubs");
    let plain = "RESTORE DATABASE pubs FROM {} WITH REPLACE";
    assert_eq!(chain.restore("snapshot", plain), [3119, 3013]);
    assert_eq!(chain.digest("pubs"), before);
    let copied = chain.scene.path("snapshot.0.snapshot").join("1");
    let mut bytes = std::fs::read(&copied).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle + 200] ^= 1;
    std::fs::write(&copied, &bytes).unwrap();
    assert_eq!(chain.restore("snapshot", with_snapshot), [3183, 3013]);
    // A client that cannot take the snapshot refuses it, and the database goes on.
    std::fs::remove_dir_all(chain.scene.path("snapshot.0.snapshot")).unwrap();
    std::fs::write(chain.scene.path("snapshot.0.snapshot"), "").unwrap();
    let files = chain.files("snapshot");
    let statement = "BACKUP DATABASE Northwind TO {} WITH SNAPSHOT";
    let (errors, code) = chain.with_client("backup", &files, statement);
    assert!(errors.ends_with(&[3013]) && code == Some(1), "{errors:?} {code:?}");
    assert_eq!(chain.logged().iter().filter(|number| **number == 3197).count(), 2);
    assert_eq!(chain.logged().iter().filter(|number| **number == 3198).count(), 2);
    chain.succeed("EXEC vdisim.change Northwind, 1, 1");
}
