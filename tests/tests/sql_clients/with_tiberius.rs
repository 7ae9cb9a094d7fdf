//! tiberius, the Rust client. It gives messages to `tracing` and to nobody else.

use std::cell::RefCell;
use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Once;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rstest::rstest;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};
use tracing_subscriber::filter::LevelFilter;

use crate::serving::*;
use crate::story::*;

pub(crate) type Connection = Client<Compat<TcpStream>>;

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub(crate) async fn log_in(
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
pub(crate) async fn rows(client: &mut Connection, batch: &str) -> tiberius::Result<Vec<String>> {
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
