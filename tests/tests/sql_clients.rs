//! Real SQL clients log in to `vdisim serve` and run BACKUP and RESTORE, which `vdisim client` serves.
//!
//! That progress arrives while a statement runs is shown with a VDI client that stops in the middle:
//! the statement cannot end, so what the SQL client has received by then, it received live. The
//! statement is then cancelled in the SQL client's way.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;
use vdisim::device::{Environment, Namespace, live_sets};
use vdisim::serve::rendezvous::{self, Rendezvous};
use vdisim_tests::{Running, Scene};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

const USER: &str = "sa";
const PASSWORD: &str = "Pässw0rd!";

/// Runs a test and fails it if it hangs.
fn watched(test: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel::<()>();
    let runner = thread::spawn(move || {
        let _done = done;
        test();
    });
    match wait.recv_timeout(PATIENCE * 3) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the test hangs"),
        _ => runner.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// Waits until something is so.
fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A running `vdisim serve`, in a scene of its own.
struct Serving {
    scene: Scene,
    server: Running,
    found: Rendezvous,
}

impl Serving {
    fn start(arguments: &str) -> Serving {
        Serving::start_in(Scene::new(), arguments)
    }

    fn start_in(scene: Scene, arguments: &str) -> Serving {
        let folder = data_folder(&scene);
        let server = scene.start(Serving::command(&scene, arguments));
        let mut found = None;
        await_that("the server is found", || {
            found = rendezvous::find(&folder).unwrap();
            found.is_some()
        });
        Serving { server, found: found.unwrap(), scene }
    }

    fn command(scene: &Scene, arguments: &str) -> Command {
        let mut command = scene.vdisim("serve --listen 127.0.0.1:0");
        command
            .args(["--login", &format!("{USER}:{PASSWORD}"), "--public-login", "guest:guest"])
            .args(arguments.split_whitespace())
            .env("XDG_DATA_HOME", scene.path("home"));
        command
    }

    fn address(&self) -> SocketAddr {
        self.found.address
    }

    /// What the server's error log says so far.
    fn log(&self) -> String {
        self.server.err()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.found.pid.cast_signed()), signal).unwrap();
    }

    /// A VDI client of one device; it has made its set when this returns.
    fn vdi_client(&self, direction: &str, set: &str, file: &Path, more: &str) -> Running {
        let line = format!("client {direction} --set {set} {more} --file");
        let mut command = self.scene.vdisim(&line);
        command.arg(file);
        let client = self.scene.start(command);
        let namespace = Namespace::new(self.scene.namespace()).unwrap();
        let environment = Environment::from_process().unwrap();
        await_that("the set is made", || {
            let sets = live_sets(environment.backend, Some(&namespace)).unwrap();
            sets.iter().any(|found| found.created && found.name == set.as_bytes())
        });
        client
    }

    /// Ends the server as a service manager does.
    fn stop(self) {
        self.signal(Signal::SIGTERM);
        self.ends();
    }

    /// It has been asked to end: it does, and leaves nothing that leads to it.
    fn ends(self) {
        let Serving { scene, server, found } = self;
        let ended = server.wait();
        ended.expect(0);
        assert_eq!(ended.out, format!("listening on {}\n", found.address));
        assert!(!data_folder(&scene).join("serve.json").exists());
    }
}

fn data_folder(scene: &Scene) -> PathBuf {
    let namespace = Namespace::new(scene.namespace()).unwrap();
    scene.path("home").join("vdisim").join(namespace.as_str())
}

/// BACKUP DATABASE pubs in transfers of 64 KiB: over 100 Writes.
fn backup(set: &str) -> String {
    format!("BACKUP DATABASE pubs TO VIRTUAL_DEVICE='{set}' WITH STATS=10, MAXTRANSFERSIZE=65536")
}

fn restore(set: &str) -> String {
    format!(
        "RESTORE DATABASE twin FROM VIRTUAL_DEVICE='{set}' WITH STATS=25, REPLACE, \
         MAXTRANSFERSIZE=65536"
    )
}

/// In the middle of both statements.
const STALL: &str = "--stall-at received:60";

/// What a client has to get from a whole BACKUP, in this order.
const BACKUP_SAYS: [&str; 5] = [
    "10 percent processed.",
    "100 percent processed.",
    "Processed 896 pages for database 'pubs', file 'pubs' on file 1.",
    "Processed 1 pages for database 'pubs', file 'pubs_log' on file 1.",
    "BACKUP DATABASE successfully processed 897 pages in ",
];

const RESTORE_SAYS: [&str; 5] = [
    "25 percent processed.",
    "100 percent processed.",
    "Processed 896 pages for database 'twin', file 'pubs' on file 1.",
    "Processed 1 pages for database 'twin', file 'pubs_log' on file 1.",
    "RESTORE DATABASE successfully processed 897 pages in ",
];

/// A SQL client: a program that was started, or a library in this process.
trait SqlClient {
    /// Executes a batch to its end; what the client handed out: messages, rows and errors as text.
    fn run(&mut self, batch: &str) -> Vec<String>;

    /// Executes a batch that cannot end until the message with `expected` is there, and cancels it then
    /// in the client's way.
    fn cancel(self: Box<Self>, batch: &str, expected: &str);
}

/// `said` contains all of `expected`, in that order.
fn assert_order(said: &[String], expected: &[&str]) {
    let mut lines = said.iter();
    for wanted in expected {
        assert!(lines.any(|line| line.contains(wanted)), "'{wanted}' is missing in {said:#?}");
    }
}

/// The story that every client goes through; `connect` gives a new connection.
fn story(serving: Serving, mut connect: impl FnMut(&Serving) -> Box<dyn SqlClient>) {
    let file = serving.scene.path("pubs.bak");
    let mut client = connect(&serving);

    // Both ways to the end.
    let vdi = serving.vdi_client("backup", "whole", &file, "");
    assert_order(&client.run(&backup("whole")), &BACKUP_SAYS);
    vdi.wait().expect(0);
    let vdi = serving.vdi_client("restore", "back", &file, "");
    assert_order(&client.run(&restore("back")), &RESTORE_SAYS);
    vdi.wait().expect(0);
    assert_order(
        &client.run("SELECT 'twin is ' + state_desc FROM sys.databases WHERE name='twin'"),
        &["twin is ONLINE"],
    );
    // A set that nobody made fails at once.
    assert_order(&client.run(&backup("nobody")), &["Open failure on backup device 'nobody'"]);
    client.run("DROP DATABASE twin");
    drop(client);

    // Neither of these can end by itself.
    let mut vdi = serving.vdi_client("backup", "stalled", &serving.scene.path("half.bak"), STALL);
    connect(&serving).cancel(&backup("stalled"), "10 percent processed.");
    await_that("the BACKUP is aborted", || {
        let log = serving.log();
        log.contains("The statement was cancelled") && log.contains("Error: 3041")
    });
    assert!(serving.log().contains("Operating system error 995("), "{}", serving.log());
    vdi.kill();
    let mut vdi = serving.vdi_client("restore", "halfway", &file, STALL);
    connect(&serving).cancel(&restore("halfway"), "25 percent processed.");
    await_that("the RESTORE is aborted", || {
        serving.log().matches("The statement was cancelled").count() == 2
    });
    vdi.kill();
    // Nothing was restored half.
    let mut client = connect(&serving);
    let names = client.run("SELECT name FROM sys.databases");
    assert_order(&names, &["pubs"]);
    assert!(!names.iter().any(|name| name.contains("twin")), "{names:?}");
    drop(client);
    serving.stop();
}

/// The Python that has the clients, where scripts/python-tools puts it.
fn python() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let folder = variable("VDISIM_CLIENTS").or_else(|| {
        let cache = variable("XDG_CACHE_HOME").or(variable("HOME").map(|home| home.join(".cache")));
        Some(cache?.join("vdisim/clients"))
    })?;
    Some(folder.join("venv/bin/python")).filter(|python| python.exists())
}

/// The FreeTDS ODBC driver, where Debian and others put it.
fn freetds_odbc() -> Option<PathBuf> {
    let folders = ["x86_64-linux-gnu/odbc", "aarch64-linux-gnu/odbc", "odbc", ""];
    let paths = folders.iter().map(|folder| Path::new("/usr/lib").join(folder));
    paths.map(|folder| folder.join("libtdsodbc.so")).find(|path| path.exists())
}

/// tests/clients/sql_client.py with one driver.
struct Python {
    child: Child,
    commands: ChildStdin,
    said: Receiver<String>,
    /// Whether it can cancel; else it is killed.
    cancels: bool,
}

impl Python {
    /// `Err` says why there is no such client.
    fn connect(serving: &Serving, driver: &str, tls: &str) -> Result<Python, String> {
        let python = python().ok_or("no Python with its clients: run scripts/setup")?;
        let certificate = serving.scene.path("certificate.pem");
        fs::write(&certificate, serving.found.certificate.clone().unwrap_or_default()).unwrap();
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/sql_client.py"))
            .args([driver, tls])
            .env("PORT", serving.address().port().to_string())
            .env("LOGIN", USER)
            .env("PASSWORD", PASSWORD)
            .env("PYTHONUTF8", "1")
            .env("CERTIFICATE", certificate)
            .env("FREETDS_ODBC", freetds_odbc().unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let said = lines_of(child.stdout.take().unwrap());
        let mut client = Python { child, commands, said, cancels: driver == "pyodbc" };
        let first = client.next();
        match first.strip_prefix("cannot ") {
            Some(why) => Err(why.to_owned()),
            None => {
                assert_eq!(first, "connected");
                Ok(client)
            }
        }
    }

    fn next(&mut self) -> String {
        self.said.recv_timeout(PATIENCE).expect("the client says something")
    }

    fn command(&mut self, verb: &str, batch: &str) {
        writeln!(self.commands, "{verb} {batch}").unwrap();
    }

    fn until_done(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            match self.next() {
                line if line == "done" => return said,
                line => said.push(line),
            }
        }
    }
}

impl SqlClient for Python {
    fn run(&mut self, batch: &str) -> Vec<String> {
        self.command("run", batch);
        self.until_done()
    }

    fn cancel(mut self: Box<Self>, batch: &str, expected: &str) {
        self.command(if self.cancels { "cancel" } else { "run" }, batch);
        while !self.next().contains(expected) {}
        if self.cancels {
            let said = self.until_done().join("\n");
            assert!(said.contains("The backup or restore was aborted."), "{said}");
            // The connection is as good as new.
            assert_order(&self.run("SELECT 'still here'"), &["still here"]);
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a stream, as they come.
fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// The server's stand that together with the driver's wish gives what is tested.
fn stand(tls: &str) -> &'static str {
    match tls {
        "off" => "--tls off",
        "full" => "--tls required",
        _ => "--tls auto",
    }
}

// Catches: an answer that these drivers do not accept, progress that waits for the statement's end, a
// cancel or a lost connection that leaves a statement waiting for its VDI client.
#[rstest]
#[case::pytds("pytds", "off")]
#[case::pytds_tls("pytds", "full")]
#[case::pymssql("pymssql", "off")]
#[case::pymssql_login("pymssql", "login")]
#[case::pymssql_tls("pymssql", "full")]
#[case::pyodbc("pyodbc", "off")]
#[case::pyodbc_login("pyodbc", "login")]
#[case::pyodbc_tls("pyodbc", "full")]
#[case::mssql("mssql", "off")]
#[case::mssql_tls("mssql", "full")]
fn python_drivers(#[case] driver: &'static str, #[case] tls: &'static str) {
    watched(move || {
        let serving = Serving::start(stand(tls));
        if let Err(why) = Python::connect(&serving, driver, tls) {
            println!("SKIPPED: {driver} with TLS {tls}: {why}");
            return;
        }
        story(serving, |serving| Box::new(Python::connect(serving, driver, tls).unwrap()));
    });
}

/// FreeTDS's own client: a process a batch.
struct Tsql {
    folder: PathBuf,
    batches: usize,
}

impl Tsql {
    fn connect(serving: &Serving, encryption: &str) -> Tsql {
        let folder = serving.scene.path("tsql");
        fs::create_dir_all(&folder).unwrap();
        let settings = format!(
            "[here]\nhost = 127.0.0.1\nport = {}\ntds version = 7.4\nencryption = {encryption}\n\
             client charset = UTF-8\n",
            serving.address().port()
        );
        fs::write(folder.join("freetds.conf"), settings).unwrap();
        Tsql { folder, batches: 0 }
    }

    /// Starts it; its rows and messages come as lines.
    fn start(&mut self, batch: &str) -> (Child, Receiver<String>) {
        self.batches += 1;
        let input = self.folder.join(format!("input-{}", self.batches));
        fs::write(&input, format!("{batch}\ngo\n")).unwrap();
        let script = "exec tsql -S here -U \"$0\" -P \"$1\" 2>&1";
        let mut child = Command::new("sh")
            .args(["-c", script, USER, PASSWORD])
            .env("FREETDSCONF", self.folder.join("freetds.conf"))
            .env("LC_ALL", "C.UTF-8")
            .stdin(File::open(input).unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        (child, lines)
    }
}

impl SqlClient for Tsql {
    fn run(&mut self, batch: &str) -> Vec<String> {
        let (mut child, lines) = self.start(batch);
        let said = lines.iter().collect();
        child.wait().unwrap();
        said
    }

    fn cancel(mut self: Box<Self>, batch: &str, expected: &str) {
        let (mut child, lines) = self.start(batch);
        while !lines.recv_timeout(PATIENCE).expect("tsql says something").contains(expected) {}
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

// Catches: what FreeTDS's own client does not accept, and a statement that outlives a killed client.
#[rstest]
#[case("off", "off")]
#[case("require", "full")]
fn freetds_tsql(#[case] encryption: &'static str, #[case] tls: &'static str) {
    watched(move || {
        if Command::new("tsql").arg("-C").output().is_err() {
            println!("SKIPPED: FreeTDS tsql: it is not on PATH: run scripts/setup");
            return;
        }
        let serving = Serving::start(stand(tls));
        story(serving, |serving| Box::new(Tsql::connect(serving, encryption)));
    });
}

mod with_tiberius {
    //! tiberius, the Rust client. It gives messages to `tracing` and to nobody else.

    use std::cell::RefCell;
    use std::io;
    use std::pin::pin;
    use std::sync::Once;

    use tiberius::{AuthMethod, Client, Config, EncryptionLevel};
    use tokio::net::TcpStream;
    use tokio::runtime::{Builder, Runtime};
    use tokio::time::timeout;
    use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};
    use tracing_subscriber::filter::LevelFilter;

    use super::*;

    pub(super) type Connection = Client<Compat<TcpStream>>;

    pub(super) fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    pub(super) async fn log_in(
        address: SocketAddr,
        user: &str,
        password: &str,
        level: EncryptionLevel,
    ) -> tiberius::Result<Connection> {
        let mut config = Config::new();
        config.host(address.ip());
        config.port(address.port());
        config.authentication(AuthMethod::sql_server(user, password));
        config.encryption(level);
        config.trust_cert();
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client::connect(config, stream.compat_write()).await
    }

    /// Executes a batch; its rows as text, columns with `|` between.
    pub(super) async fn rows(
        client: &mut Connection,
        batch: &str,
    ) -> tiberius::Result<Vec<String>> {
        let results = client.simple_query(batch).await?.into_results().await?;
        let text = |row: tiberius::Row| {
            let cell = |data: tiberius::ColumnData<'static>| match data {
                tiberius::ColumnData::String(text) => text.unwrap_or_default().into_owned(),
                other => format!("{other:?}"),
            };
            row.into_iter().map(cell).collect::<Vec<_>>().join("|")
        };
        Ok(results.into_iter().flatten().map(text).collect())
    }

    thread_local! {
        /// Who hears what tiberius traces on this thread.
        static LISTENER: RefCell<Option<mpsc::Sender<String>>> = const { RefCell::new(None) };
    }

    /// Gives what is traced to the listener of the thread.
    struct Traced;

    impl Write for Traced {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            LISTENER.with_borrow(|listener| {
                if let Some(listener) = listener {
                    // The test may be over.
                    let _ = listener.send(String::from_utf8_lossy(bytes).trim().to_owned());
                }
            });
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Tiberius {
        runtime: Runtime,
        client: Connection,
    }

    impl Tiberius {
        fn connect(serving: &Serving, level: EncryptionLevel) -> Tiberius {
            let runtime = runtime();
            let client = runtime.block_on(log_in(serving.address(), USER, PASSWORD, level));
            Tiberius { client: client.unwrap(), runtime }
        }
    }

    /// What is traced on this thread while `work` runs, as it comes.
    fn traced<T>(work: impl FnOnce(&Receiver<String>) -> T) -> T {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            tracing_subscriber::fmt()
                .with_max_level(LevelFilter::DEBUG)
                .with_ansi(false)
                .with_writer(|| Traced)
                .init();
        });
        let (sender, said) = mpsc::channel();
        LISTENER.set(Some(sender));
        work(&said)
    }

    impl SqlClient for Tiberius {
        fn run(&mut self, batch: &str) -> Vec<String> {
            traced(|said| {
                let rows = self.runtime.block_on(rows(&mut self.client, batch));
                let mut all: Vec<String> = said.try_iter().collect();
                match rows {
                    Ok(rows) => all.extend(rows),
                    Err(error) => all.push(error.to_string()),
                }
                all
            })
        }

        fn cancel(self: Box<Self>, batch: &str, expected: &str) {
            let Tiberius { runtime, mut client } = *self;
            traced(|said| {
                runtime.block_on(async {
                    let mut query = pin!(rows(&mut client, batch));
                    loop {
                        let slice = timeout(Duration::from_millis(20), &mut query).await;
                        assert!(slice.is_err(), "the statement ended: {slice:?}");
                        if said.try_iter().any(|line| line.contains(expected)) {
                            return;
                        }
                    }
                });
            });
            // It has no cancel: whoever tires of waiting drops the connection.
        }
    }

    // Catches: what tiberius does not accept, in each of its ways to encrypt.
    #[rstest]
    #[case("off", EncryptionLevel::NotSupported)]
    #[case("login", EncryptionLevel::Off)]
    #[case("full", EncryptionLevel::Required)]
    fn each_way_to_encrypt(#[case] tls: &'static str, #[case] level: EncryptionLevel) {
        watched(move || {
            let serving = Serving::start(stand(tls));
            story(serving, |serving| Box::new(Tiberius::connect(serving, level)));
        });
    }
}

use tiberius::EncryptionLevel;
use with_tiberius::{log_in, rows, runtime};

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
        await_that("the statement is aborted", || serving.log().contains("was cancelled"));
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

// Catches: `--activity` that changes nothing, or changes what no differential backup holds.
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
                    return;
                }
                assert!(Instant::now() < end, "{last}");
                thread::sleep(Duration::from_millis(100));
            }
        });
        serving.stop();
    });
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
