//! Real clients: each logs in, with and without TLS where it can, runs a batch that reports progress, reads rows,
//! meets an error, and cancels. A client that can't be had is skipped by name.

mod support;

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, atomic::Ordering},
};

use rstest::rstest;
use support::{Canned, CannedHandle, PASSWORD, USER, config, watched};
use tds_server::{CancelReason, Config, Encryption, Server, ServerHandle};

/// Says that a test did not run.
fn skip(name: &str, why: &str) {
    eprintln!("SKIP {name}: {why}");
}

/// The Python that has the clients, where scripts/python-tools puts it.
fn python() -> Option<PathBuf> {
    let cache = || {
        let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
        Some(env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home)?.join("vdisim/clients"))
    };
    let folder = env::var_os("VDISIM_CLIENTS").map(PathBuf::from).or_else(cache)?;
    Some(folder.join("venv/bin/python")).filter(|python| python.exists())
}

/// A server, what its engine saw, and a file with its certificate.
struct Served {
    handle: ServerHandle,
    canned: Arc<Canned>,
    folder: tempfile::TempDir,
}

impl Served {
    fn new(config: Config) -> Self {
        let server = Server::bind(config).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let certificate = server.certificate_pem().unwrap_or_default();
        std::fs::write(folder.path().join("certificate.pem"), certificate).unwrap();
        let canned = Arc::new(Canned::default());
        let handle = server.start(Arc::new(CannedHandle(Arc::clone(&canned)))).unwrap();
        Self { handle, canned, folder }
    }

    fn port(&self) -> String {
        self.handle.local_addr().port().to_string()
    }
}

/// Kills its process when a test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The FreeTDS ODBC driver, where Debian and others put it.
fn freetds_odbc() -> Option<PathBuf> {
    let folders = [
        "/usr/lib/x86_64-linux-gnu/odbc",
        "/usr/lib/aarch64-linux-gnu/odbc",
        "/usr/lib64",
        "/usr/lib",
    ];
    folders.iter().map(|folder| Path::new(folder).join("libtdsodbc.so")).find(|path| path.exists())
}

fn python_client(served: &Served, arguments: &[&str]) -> Option<Killed> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/client.py");
    let child = Command::new(python()?)
        .arg(script)
        .args(arguments)
        .env("HOST", "127.0.0.1")
        .env("PORT", served.port())
        .env("LOGIN", USER)
        .env("PASSWORD", PASSWORD)
        .env("PYTHONUTF8", "1")
        .env("CERTIFICATE", served.folder.path().join("certificate.pem"))
        .env("FREETDS_ODBC", freetds_odbc().unwrap_or_default())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    Some(Killed(child))
}

/// Follows a client's story: lets `progress` go on only when the client has shown what came before, so that a client
/// that gets its messages late would wait for ever. Returns whether the client told its whole story.
fn follow(name: &str, served: &Served, mut client: Killed) -> bool {
    let canned = &served.canned;
    canned.allowed.store(1, Ordering::SeqCst);
    let mut story = Vec::new();
    for line in BufReader::new(client.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "cannot" => {
                skip(name, rest);
                return false;
            }
            "message" => {
                canned.allowed.fetch_add(1, Ordering::SeqCst);
            }
            "kill" => {
                canned.wait_until("the statement runs", |canned| {
                    canned.batches.lock().unwrap().iter().any(|batch| batch.starts_with("hang"))
                });
                client.0.kill().unwrap();
            }
            _ => {}
        }
        story.push(line);
    }
    let expected = ["connected", "progress", "rows", "error"];
    let told: Vec<_> = story.iter().filter(|line| expected.contains(&line.as_str())).collect();
    assert_eq!(told, expected, "{story:?}");
    canned.wait_until("the statement is cancelled", |canned| {
        !canned.cancels.lock().unwrap().is_empty()
    });
    true
}

/// The server's stand and the driver's wish that together give what is tested.
fn stand(tls: &str) -> Encryption {
    if tls == "off" { Encryption::Off } else { Encryption::Auto }
}

/// Catches: anything in the answers that these drivers do not accept; progress that comes late; a cancel that does
/// not arrive.
#[rstest]
#[case::pytds_off("pytds", "off")]
#[case::pytds_login("pytds", "login")]
#[case::pytds_full("pytds", "full")]
#[case::pymssql_off("pymssql", "off")]
#[case::pymssql_login("pymssql", "login")]
#[case::pymssql_full("pymssql", "full")]
#[case::pyodbc_off("pyodbc", "off")]
#[case::pyodbc_login("pyodbc", "login")]
#[case::pyodbc_full("pyodbc", "full")]
#[case::mssql_off("mssql", "off")]
#[case::mssql_login("mssql", "login")]
#[case::mssql_full("mssql", "full")]
fn python_drivers(#[case] driver: &'static str, #[case] tls: &'static str) {
    watched(move || {
        let name = format!("{driver} with TLS {tls}");
        let served = Served::new(config(stand(tls)));
        let Some(client) = python_client(&served, &[driver, tls]) else {
            return skip(&name, "no Python with its clients: run scripts/setup");
        };
        if follow(&name, &served, client) {
            let client = served.canned.clients.lock().unwrap()[0].clone();
            assert_eq!(client.database, "pubs");
            assert_eq!(client.encrypted, tls == "full");
            // SQLCancel sends an attention; the other drivers are ended or drop the connection.
            let attention = driver == "pyodbc";
            let reason = served.canned.cancels.lock().unwrap()[0];
            assert_eq!(reason == CancelReason::Attention, attention, "{reason:?}");
        }
    });
}

/// Catches: a refusal that a driver shows as something else.
#[rstest]
fn python_drivers_with_a_wrong_password(
    #[values("pytds", "pymssql", "pyodbc", "mssql")] driver: &'static str,
    #[values("off", "full")] tls: &'static str,
) {
    watched(move || {
        let served = Served::new(config(stand(tls)));
        let Some(mut client) = python_client(&served, &[driver, tls, "wrong-password"]) else {
            return skip(driver, "no Python with its clients: run scripts/setup");
        };
        let mut lines = BufReader::new(client.0.stdout.take().unwrap()).lines();
        let line = lines.next().expect("the client says how it went").unwrap();
        match line.strip_prefix("cannot ") {
            Some(why) => skip(driver, why),
            None => assert_eq!(line, "refused"),
        }
        assert!(served.canned.clients.lock().unwrap().is_empty());
    });
}

/// Catches: what FreeTDS's own client does not accept, and a statement that outlives a killed client.
#[rstest]
#[case("off")]
#[case("request")]
#[case("require")]
fn freetds_tsql(#[case] encryption: &'static str) {
    watched(move || {
        let served = Served::new(config(if encryption == "off" {
            Encryption::Off
        } else {
            Encryption::Auto
        }));
        let settings = served.folder.path().join("freetds.conf");
        let text = format!(
            "[here]\nhost = 127.0.0.1\nport = {}\ntds version = 7.4\nencryption = {encryption}\nclient charset = UTF-8\n",
            served.port()
        );
        std::fs::write(&settings, text).unwrap();
        let tsql = |batches: &str| {
            let input = served.folder.path().join("input");
            std::fs::write(&input, batches).unwrap();
            let mut command = Command::new("tsql");
            command
                .args(["-S", "here", "-U", USER, "-P", PASSWORD])
                .env("FREETDSCONF", &settings)
                .env("LC_ALL", "C.UTF-8")
                .stdin(File::open(input).unwrap())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            command
        };
        let Ok(output) = tsql("rows 3\ngo\nfail\ngo\nuse pubs\ngo\nrows 2\ngo\n").output() else {
            return skip("FreeTDS tsql", "no tsql on PATH: run scripts/setup");
        };
        let (rows, messages) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(rows.contains("n\n0\n1\n2\n(3 rows affected)"), "{rows}{messages}");
        assert!(rows.contains("n\n0\n1\n(2 rows affected)"), "{rows}{messages}");
        assert!(
            messages.contains("Msg 102 (severity 15, state 1) from VDISIM Line 3:"),
            "{messages}"
        );

        let mut client = Killed(tsql("progress paced\ngo\nhang\ngo\n").spawn().unwrap());
        let mut lines = BufReader::new(client.0.stderr.take().unwrap()).lines();
        let mut until = |what: &str| {
            let found = lines.by_ref().map(Result::unwrap).find(|line| line.contains(what));
            assert!(found.is_some(), "tsql never printed {what}");
        };
        for step in 1..=5 {
            served.canned.allowed.store(step, Ordering::SeqCst);
            until(&format!("{} percent processed.", step * 20));
        }
        until("\"10 percent processed.");
        assert_eq!(served.canned.clients.lock().unwrap()[0].encrypted, encryption == "require");
        drop(client);
        served.canned.wait_until("the statement is cancelled", |canned| {
            *canned.cancels.lock().unwrap() == [CancelReason::Disconnected]
        });
    });
}

mod with_tiberius {
    //! tiberius, the Rust client.

    use std::time::Duration;

    use tiberius::{AuthMethod, Client, Config, EncryptionLevel};
    use tokio::net::TcpStream;
    use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

    use super::*;

    async fn connect(
        served: &Served,
        level: EncryptionLevel,
        password: &str,
    ) -> tiberius::Result<Client<Compat<TcpStream>>> {
        let mut config = Config::new();
        config.host("127.0.0.1");
        config.port(served.handle.local_addr().port());
        config.authentication(AuthMethod::sql_server(USER, password));
        config.encryption(level);
        config.trust_cert();
        let stream = TcpStream::connect(config.get_addr()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client::connect(config, stream.compat_write()).await
    }

    async fn story(served: &Served, level: EncryptionLevel) {
        let mut client = connect(served, level, PASSWORD).await.unwrap();
        let rows =
            client.simple_query("rows 1000").await.unwrap().into_first_result().await.unwrap();
        let numbers: Vec<i32> = rows.iter().map(|row| row.get(0).unwrap()).collect();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        let table = client.simple_query("table").await.unwrap().into_first_result().await.unwrap();
        assert_eq!(table[0].get::<&str, _>("wide"), Some("Ünïcode 😀"));
        assert_eq!(table[0].get::<&str, _>("narrow"), Some("latin é"));
        assert_eq!(table[0].get::<i64, _>("big"), Some(1 << 40));
        assert_eq!(table[0].get::<bool, _>("truth"), Some(true));
        assert_eq!(table[1].get::<&str, _>("wide"), None);
        let exact: tiberius::numeric::Numeric = table[0].get("exact").unwrap();
        assert_eq!(exact.value(), 37_000_000_012_800_001);
        let guid: uuid::Uuid = table[0].get("guid").unwrap();
        assert_eq!(guid.to_string(), "01020304-0506-0708-090a-0b0c0d0e0f10");
        let called =
            client.query("rows 2", &[&"text", &5_i32 as &dyn tiberius::ToSql]).await.unwrap();
        assert_eq!(called.into_first_result().await.unwrap().len(), 2);
        let error = client.simple_query("fail").await.err().unwrap();
        assert_eq!(error.code(), Some(102));
        let done = client.simple_query("progress").await.unwrap().into_results().await;
        assert_eq!(done.unwrap().len(), 0);
        // It has no cancel: whoever tires of waiting drops the connection.
        let hang = async { client.simple_query("hang").await.unwrap().into_results().await };
        assert!(tokio::time::timeout(Duration::from_millis(300), hang).await.is_err());
    }

    fn block_on(future: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(future);
    }

    /// Catches: what tiberius does not accept, in each of its ways to encrypt.
    #[rstest]
    #[case(Encryption::Off, EncryptionLevel::NotSupported)]
    #[case(Encryption::Auto, EncryptionLevel::Off)]
    #[case(Encryption::Auto, EncryptionLevel::On)]
    #[case(Encryption::Required, EncryptionLevel::Required)]
    fn logs_in_and_works(#[case] stand: Encryption, #[case] level: EncryptionLevel) {
        watched(move || {
            let served = Served::new(config(stand));
            block_on(story(&served, level));
            served.canned.wait_until("the statement is cancelled", |canned| {
                *canned.cancels.lock().unwrap() == [CancelReason::Disconnected]
            });
            let calls = served.canned.calls.lock().unwrap();
            assert_eq!(calls[0].name, "sp_executesql");
            assert_eq!(calls[0].parameters.len(), 4);
        });
    }

    /// Catches: a refusal that arrives as something else.
    #[test]
    fn with_a_wrong_password() {
        watched(|| {
            let served = Served::new(config(Encryption::Auto));
            block_on(async {
                let error = connect(&served, EncryptionLevel::On, "wrong").await.err().unwrap();
                assert_eq!(error.code(), Some(18456));
            });
        });
    }
}
