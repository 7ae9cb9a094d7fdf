//! The server: a listening socket, and a thread for each connection.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    Accounts, Encryption, Engine, Limits, ServerError, connection, handshake::Shared,
    registry::Registry, tls::Identity,
};

/// How long accepting rests after an error, which is usually the limit on open files.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// How a server is set up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may log in.
    pub accounts: Accounts,
    /// The stand on TLS.
    pub encryption: Encryption,
    /// The server's name in messages and in the certificate.
    pub server_name: String,
    /// The version clients are told: major, minor, build.
    pub version: (u8, u8, u16),
    /// Every limit.
    pub limits: Limits,
}

impl Default for Config {
    /// SQL Server's port on the loopback address, nobody may log in, TLS as clients ask.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 1433)),
            accounts: Accounts::none(),
            encryption: Encryption::Auto,
            server_name: "VDISIM".to_owned(),
            version: (16, 0, 1000),
            limits: Limits::default(),
        }
    }
}

/// A server that listens but does not answer yet.
#[derive(Debug)]
pub struct Server {
    config: Config,
    listener: TcpListener,
    address: SocketAddr,
    identity: Option<Identity>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Takes the port, and makes a certificate unless TLS is off.
    ///
    /// # Errors
    /// The port can't be had, or the certificate not be made.
    pub fn bind(config: Config) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let identity = match config.encryption {
            Encryption::Off => None,
            Encryption::Auto | Encryption::Required => {
                Some(Identity::self_signed(&config.server_name)?)
            }
        };
        Ok(Self { config, listener, address, identity })
    }

    /// Where the server listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of this run as PEM, for clients that check it; `None` when TLS is off.
    #[must_use]
    pub fn certificate_pem(&self) -> Option<&str> {
        self.identity.as_ref().map(|identity| identity.certificate_pem.as_str())
    }

    /// Starts answering, on threads of its own, until the handle is stopped or dropped.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(self, engine: Arc<dyn Engine>) -> Result<ServerHandle, ServerError> {
        let Self { config, listener, address, identity } = self;
        let registry = Registry::new(&config.limits);
        let stop_time = config.limits.stop_time;
        let shared = Arc::new(Shared { config, identity, engine });
        let acceptor = {
            let registry = Arc::clone(&registry);
            thread::Builder::new()
                .name("tds-accept".to_owned())
                .spawn(move || accept(&listener, &registry, &shared))
                .map_err(|source| ServerError::Thread { address, source })?
        };
        Ok(ServerHandle { address, registry, stop_time, acceptor: Some(acceptor) })
    }
}

fn accept(listener: &TcpListener, registry: &Arc<Registry>, shared: &Arc<Shared>) {
    loop {
        let accepted = listener.accept();
        if registry.is_closed() {
            return;
        }
        match accepted.and_then(|(stream, address)| admit(stream, address, registry, shared)) {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                thread::sleep(ACCEPT_REST);
            }
        }
    }
}

fn admit(
    stream: TcpStream,
    address: SocketAddr,
    registry: &Arc<Registry>,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    let stream = Arc::new(stream);
    let Some(place) = registry.admit(Arc::clone(&stream)) else {
        tracing::warn!(%address, "too many connections are waiting for their login: one is closed");
        return Ok(());
    };
    let shared = Arc::clone(shared);
    let spid = place.spid();
    thread::Builder::new().name(format!("tds-{spid}")).spawn(move || {
        if let Err(error) = connection::serve(&shared, stream, address, place) {
            tracing::warn!(spid, %address, %error, "the connection failed");
        }
    })?;
    Ok(())
}

/// A running server. Dropping it stops it.
pub struct ServerHandle {
    address: SocketAddr,
    registry: Arc<Registry>,
    stop_time: Duration,
    acceptor: Option<JoinHandle<()>>,
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle").field("address", &self.address).finish_non_exhaustive()
    }
}

impl ServerHandle {
    /// Where the server listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// How many connections are open, logged in or not.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.registry.connections()
    }

    /// Takes no more connections, closes those there are, which cancels what they run, and waits for their ends for
    /// [`Limits::stop_time`].
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        if !self.registry.close(self.stop_time) {
            tracing::warn!(left = self.connections(), "statements still run in a stopped server");
        }
        // A connection wakes the accepting thread. If none gets through, the thread stays until one does.
        let awake = TcpStream::connect_timeout(&reachable(self.address), self.stop_time).is_ok();
        if let Some(acceptor) = self.acceptor.take()
            && awake
        {
            // A panic there has been reported by the panic itself.
            let _ = acceptor.join();
        }
    }
}

/// An address to reach a listener by.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        match address {
            SocketAddr::V4(_) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        }
    }
    address
}
