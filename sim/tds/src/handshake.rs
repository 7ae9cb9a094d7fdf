//! From the connection to the end of the login.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::Instant,
};

use rustls::{Connection, ServerConnection};

use crate::{
    Accounts, Client, Config, Engine, Message, Session,
    answer::Standing,
    error,
    registry::Place,
    tls::{Agreement, Identity},
    transport::{ClientMessage, Pace, PacketReader, PacketWriter, ReadError},
    wire::{
        Malformed,
        login::{FEATURE_UTF8, Login7, TDS_7_2, TDS_7_4},
        packet::{DEFAULT_PACKET_BYTES, PacketType},
        prelogin::{self, PreLogin},
        token::{self, Change, DoneToken, Notice, done},
    },
};

/// The most bytes of a client's part in a TLS handshake.
const TLS_HANDSHAKE_BYTES: usize = 64 * 1024;
/// The database that a new session of SQL Server is in before the login moves it.
const FIRST_DATABASE: &str = "master";

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) identity: Option<Identity>,
    pub(crate) engine: Arc<dyn Engine>,
}

/// A connection after its login.
pub(crate) struct LoggedIn {
    pub(crate) session: Box<dyn Session>,
    pub(crate) standing: Standing,
    pub(crate) reader: PacketReader,
    pub(crate) writer: PacketWriter,
}

/// Why there is no login.
enum Refusal {
    /// Say this, then close.
    Say(Vec<Message>),
    /// The last word is said; close.
    Close,
    /// The connection is broken.
    Broken(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<Message> for Refusal {
    fn from(message: Message) -> Self {
        Self::Say(vec![message])
    }
}

impl Refusal {
    /// A message could not be read; `explain` makes the answer for a malformed one.
    fn from_read(error: ReadError, explain: fn(&Malformed) -> Message) -> Self {
        match error {
            ReadError::Broken(error) => Self::Broken(error),
            ReadError::Malformed(malformed) => explain(&malformed).into(),
        }
    }
}

/// Takes a connection through PRELOGIN, TLS and LOGIN7; `None` when it is over, with the client told where possible.
pub(crate) fn log_in(
    shared: &Shared,
    stream: &Arc<TcpStream>,
    address: SocketAddr,
    place: &mut Place,
) -> Option<LoggedIn> {
    let pace = Pace::Until(Instant::now() + shared.config.limits.login_time);
    let mut entrance = Entrance {
        shared,
        address,
        reader: PacketReader::new(Arc::clone(stream), pace),
        writer: PacketWriter::new(Arc::clone(stream), place.spid()),
    };
    let refusal = match entrance.enter(place) {
        Ok((session, standing)) => {
            let Entrance { reader, writer, .. } = entrance;
            return Some(LoggedIn { session, standing, reader, writer });
        }
        Err(refusal) => refusal,
    };
    let spid = place.spid();
    match refusal {
        Refusal::Broken(error) => {
            tracing::debug!(spid, %address, %error, "the connection ended before its login");
            return None;
        }
        Refusal::Close => {}
        Refusal::Say(messages) => {
            let texts: Vec<_> = messages.iter().map(|message| &message.text).collect();
            tracing::debug!(spid, %address, ?texts, "the login is refused");
            if entrance.say(&messages).is_err() {
                return None;
            }
        }
    }
    // If the client is gone already, there is nothing to wait for.
    if stream.shutdown(Shutdown::Write).is_ok() {
        entrance.reader.drain();
    }
    None
}

struct Entrance<'a> {
    shared: &'a Shared,
    address: SocketAddr,
    reader: PacketReader,
    writer: PacketWriter,
}

impl Entrance<'_> {
    fn enter(&mut self, place: &mut Place) -> Result<(Box<dyn Session>, Standing), Refusal> {
        let mut message = self.message(error::bad_prelogin)?;
        let mut agreement = Agreement::Clear;
        if message.kind == PacketType::PreLogin {
            agreement = self.negotiate(&message.body)?;
            message = self.message(error::bad_login)?;
        } else if self.shared.config.encryption == crate::Encryption::Required {
            return Err(error::encryption_required().into());
        }
        if message.kind != PacketType::Login7 {
            let value = message.kind as u64;
            let malformed =
                Malformed::Unknown { what: "the packet's type before the login", value };
            return Err(error::bad_login(&malformed).into());
        }
        if agreement == Agreement::LoginOnly {
            self.reader.set_tls(None);
            self.writer.set_tls(None);
        }
        let login = Login7::decode(&message.body)
            .and_then(|login| check_version(&login).map(|()| login))
            .map_err(|malformed| error::bad_login(&malformed))?;
        place.become_session().map_err(error::too_many_sessions)?;
        let session = self.authenticate(&login, place.spid(), agreement == Agreement::Full)?;
        let standing = self.welcome(&login, session.database())?;
        Ok((session, standing))
    }

    fn message(&mut self, explain: fn(&Malformed) -> Message) -> Result<ClientMessage, Refusal> {
        self.reader
            .message(&self.shared.config.limits)
            .map_err(|error| Refusal::from_read(error, explain))?
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof).into())
    }

    /// Answers the PRELOGIN and goes through the TLS handshake, if it comes to one.
    fn negotiate(&mut self, body: &[u8]) -> Result<Agreement, Refusal> {
        let config = &self.shared.config;
        let prelogin = PreLogin::decode(body).map_err(|error| error::bad_prelogin(&error))?;
        let (word, agreement) = config.encryption.agree(prelogin.encryption);
        let reply = prelogin::encode_reply(config.version, word, prelogin.asks_fed_auth);
        self.writer.put(&reply)?;
        self.writer.end()?;
        match agreement {
            Agreement::Clear => {}
            Agreement::Refused => return Err(Refusal::Close),
            Agreement::LoginOnly | Agreement::Full => self.start_tls()?,
        }
        Ok(agreement)
    }

    /// The TLS handshake: each flight in PRELOGIN packets until it is complete (MS-TDS 3.3.5.1.1).
    fn start_tls(&mut self) -> Result<(), Refusal> {
        let identity = self.shared.identity.as_ref().ok_or(Refusal::Close)?;
        let mut tls = ServerConnection::new(Arc::clone(&identity.config))
            .map(Connection::from)
            .map_err(|error| Refusal::Broken(io::Error::other(error)))?;
        // Packets bound what is buffered.
        tls.set_buffer_limit(None);
        let mut received = 0;
        while tls.is_handshaking() {
            let packet = (self.reader.handshake_packet())
                .map_err(|error| Refusal::from_read(error, error::bad_prelogin))?;
            received += packet.len();
            if received > TLS_HANDSHAKE_BYTES {
                return Err(Refusal::Close);
            }
            let mut left = packet.as_slice();
            let mut result = Ok(());
            while !left.is_empty() && result.is_ok() {
                tls.read_tls(&mut left)?;
                result = tls.process_new_packets().map(drop);
            }
            // Also after an error, which has an alert to send.
            let mut flight = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut flight)?;
            }
            if !flight.is_empty() {
                self.writer.handshake(&flight)?;
            }
            if let Err(error) = result {
                tracing::debug!(address = %self.address, %error, "the TLS handshake failed");
                return Err(Refusal::Close);
            }
        }
        let tls = Arc::new(Mutex::new(tls));
        self.reader.set_tls(Some(Arc::clone(&tls)));
        self.writer.set_tls(Some(tls));
        Ok(())
    }

    fn authenticate(
        &self,
        login: &Login7,
        spid: u16,
        encrypted: bool,
    ) -> Result<Box<dyn Session>, Refusal> {
        if login.integrated {
            return Err(error::untrusted_domain().into());
        }
        let failed = || error::login_failed(&login.user);
        let accounts: &Accounts = &self.shared.config.accounts;
        let Some(sysadmin) = accounts.check(&login.user, &login.password) else {
            self.shared.engine.login_refused(&login.user, self.address);
            return Err(failed().into());
        };
        let client = Client {
            user: login.user.clone(),
            sysadmin,
            database: login.database.clone(),
            host: login.host.clone(),
            application: login.application.clone(),
            address: self.address,
            spid,
            encrypted,
        };
        self.shared.engine.log_in(&client).map_err(|mut messages| {
            messages.push(failed());
            Refusal::Say(messages)
        })
    }

    /// Tells the client that it is in, and settles what the login settles.
    fn welcome(&mut self, login: &Login7, database: &str) -> Result<Standing, Refusal> {
        let Config { limits, server_name, version, .. } = &self.shared.config;
        let packet_bytes = limits.packet_size(login.packet_bytes);
        let mut out = Vec::with_capacity(512);
        let context = |number, state, text: &str, out: &mut Vec<u8>| {
            let (server, procedure) = (server_name.as_str(), "");
            token::notice(
                &Notice { number, state, class: 0, text, server, procedure, line: 1 },
                out,
            );
        };
        token::env_change(Change::Database(database, FIRST_DATABASE), &mut out);
        context(5701, 2, &format!("Changed database context to '{database}'."), &mut out);
        token::env_change(Change::Collation, &mut out);
        token::env_change(Change::Language("us_english"), &mut out);
        context(5703, 1, "Changed language setting to us_english.", &mut out);
        token::login_ack(login.tds_version.min(TDS_7_4), *version, &mut out);
        token::env_change(Change::PacketSize(packet_bytes, DEFAULT_PACKET_BYTES), &mut out);
        if !login.features.is_empty() {
            token::feature_ack(login.features.contains(&FEATURE_UTF8), &mut out);
        }
        token::done_token(DoneToken::Done, 0, 0, 0, &mut out);
        self.writer.put(&out)?;
        self.writer.end()?;
        self.writer.set_packet_bytes(packet_bytes);
        // A client may overlook the change and keep to the default.
        let most = packet_bytes.max(DEFAULT_PACKET_BYTES);
        self.reader.settle(most, Pace::EachMessage(limits.request_time));
        Ok(Standing::new(server_name, database))
    }

    /// Sends errors as the whole answer.
    fn say(&mut self, messages: &[Message]) -> io::Result<()> {
        let mut out = Vec::new();
        for message in messages {
            token::notice(&message.notice(&self.shared.config.server_name), &mut out);
        }
        token::done_token(DoneToken::Done, done::ERROR, 0, 0, &mut out);
        self.writer.put(&out)?;
        self.writer.end()
    }
}

/// Older clients have other layouts of headers and tokens.
fn check_version(login: &Login7) -> Result<(), Malformed> {
    // The version's bytes grow from 7.0 on; 7.1's lie between.
    if login.tds_version >= TDS_7_2 && login.tds_version >> 28 == 7 {
        return Ok(());
    }
    Err(Malformed::Length {
        what: "the TDS version",
        value: login.tds_version.into(),
        least: TDS_7_2.into(),
        most: TDS_7_4.into(),
    })
}
