//! What the tests of the server share: a canned engine, a client that speaks bytes, a watchdog.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod canned;
pub(crate) mod client;

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tds_server::{Accounts, Config, Encryption, Server, ServerHandle};

pub(crate) use canned::{Canned, CannedHandle};

/// The login that every test server knows.
pub(crate) const USER: &str = "sa";
/// Its password: with characters beyond ASCII, so that unscrambling is more than bytes.
pub(crate) const PASSWORD: &str = "Pässw0rd!";

/// Long enough that a loaded machine never meets it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a test and fails it if it hangs.
pub(crate) fn watched<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let runner = thread::spawn(move || {
        let result = test();
        // The receiver is gone only after the watchdog has spoken.
        let _ = sender.send(());
        result
    });
    match receiver.recv_timeout(PATIENCE) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the test hangs"),
        _ => runner.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// A configuration on a free loopback port.
pub(crate) fn config(encryption: Encryption) -> Config {
    let mut config = Config::default();
    config.listen.set_port(0);
    config.encryption = encryption;
    config.accounts = Accounts::none().with(USER, PASSWORD, true).with("guest", "guest", false);
    config
}

/// A running server with the canned engine.
pub(crate) fn start(config: Config) -> (ServerHandle, Arc<Canned>) {
    let canned = Arc::new(Canned::default());
    let handle =
        Server::bind(config).unwrap().start(Arc::new(CannedHandle(Arc::clone(&canned)))).unwrap();
    (handle, canned)
}
