//! A connection and its requests.

use std::{
    io,
    net::{Shutdown, TcpStream, ToSocketAddrs},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustls::Connection as Tls;

use crate::{
    Message,
    transport::{Pace, PacketReader, PacketWriter, ReadError},
    wire::{
        Malformed,
        login::{Login7, TDS_7_4},
        packet::{DEFAULT_PACKET_BYTES, PacketHeader, PacketType, status},
        prelogin::{self, EncryptionWord, PreLogin},
        request::encode_batch,
    },
};

use super::{
    ClientError, Event, Options, Privacy, secure,
    tokens::{Token, Tokens},
};

/// How long the rest of a packet may take behind its first byte.
const PACKET_TIME: Duration = Duration::from_secs(60);
/// How long sending may take.
const WRITE_TIME: Duration = Duration::from_secs(60);
/// The most bytes of a server's PRELOGIN.
const PRELOGIN_MOST_BYTES: usize = 4096;

/// What the thread that waits for an answer and the one that cancels share.
struct Sending {
    writer: PacketWriter,
    /// A request is being answered.
    busy: bool,
    /// An attention was sent and is not answered yet.
    attention: bool,
}

type SharedSending = Arc<Mutex<Sending>>;

fn lock(sending: &SharedSending) -> MutexGuard<'_, Sending> {
    sending.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cancels the request that a connection is waiting for, from any thread.
#[derive(Clone)]
pub struct Attention(SharedSending);

impl std::fmt::Debug for Attention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Attention")
    }
}

impl Attention {
    /// Asks the server to end the running request; nothing if there is none. The request then ends with what the
    /// server says about it. A connection that breaks is noticed by whoever waits for the answer.
    pub fn send(&self) {
        let mut sending = lock(&self.0);
        if sending.busy && !sending.attention {
            sending.attention = true;
            // The reader sees the end of the connection.
            let _ = sending.writer.message(PacketType::Attention, &[]);
        }
    }
}

/// A logged-in connection.
pub struct Connection {
    stream: Arc<TcpStream>,
    reader: PacketReader,
    sending: SharedSending,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("peer", &self.stream.peer_addr().ok()).finish()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// A server that cannot be reached, refuses, or is too slow.
    pub fn log_in(options: &Options) -> Result<Self, ClientError> {
        let end = Instant::now() + options.login_time;
        let login = Login::connect(options, end).and_then(Login::finish);
        login.map_err(|error| match error {
            ClientError::Broken(error)
                if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) =>
            {
                ClientError::LoginTime {
                    host: options.host.clone(),
                    port: options.port,
                    seconds: options.login_time.as_secs(),
                }
            }
            error => error,
        })
    }

    /// What cancels a request of this connection.
    #[must_use]
    pub fn attention(&self) -> Attention {
        Attention(Arc::clone(&self.sending))
    }

    /// Executes a batch; `tell` hears of everything in order and at once. A batch that the server answers with errors
    /// is no error here.
    ///
    /// # Errors
    /// A broken connection, or a server that does not speak TDS. The connection is of no use then.
    pub fn batch(
        &mut self,
        text: &str,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), ClientError> {
        {
            let mut sending = lock(&self.sending);
            sending.busy = true;
            sending.writer.message(PacketType::SqlBatch, &encode_batch(text))?;
        }
        let mut attended = false;
        loop {
            answer(&mut self.reader, &mut |token, tokens| {
                match token {
                    Token::Message { message, server } => {
                        tell(Event::Message { message: &message, server: &server });
                    }
                    // Also one without columns, which ends the one before.
                    Token::Columns if tokens.columns().is_empty() => {}
                    Token::Columns => tell(Event::Columns(tokens.columns())),
                    Token::Row(values) => tell(Event::Row(&values)),
                    Token::Done { attention: true, .. } => attended = true,
                    Token::Done { rows, .. } => tell(Event::Done { rows }),
                    Token::PacketBytes(_) | Token::LoggedIn | Token::Other => {}
                }
            })?;
            let mut sending = lock(&self.sending);
            // The answer to an attention is a message of its own, behind that of the request.
            if !sending.attention || attended {
                sending.attention = false;
                sending.busy = false;
                return Ok(());
            }
        }
    }
}

/// Reads a message's tokens as its packets come.
fn answer(
    reader: &mut PacketReader,
    take: &mut dyn FnMut(Token, &Tokens),
) -> Result<(), ClientError> {
    let mut tokens = Tokens::default();
    loop {
        let header = packet(reader, tokens.buffer())?;
        while let Some(token) = tokens.next()? {
            take(token, &tokens);
        }
        if header.has(status::END_OF_MESSAGE) {
            return if tokens.has_rest() { Err(cut().into()) } else { Ok(()) };
        }
    }
}

fn cut() -> Malformed {
    Malformed::Short { what: "the last token", needed: 1, left: 0 }
}

/// Appends the next packet of an answer.
fn packet(reader: &mut PacketReader, body: &mut Vec<u8>) -> Result<PacketHeader, ClientError> {
    let is_answer = |header: &PacketHeader| match header.kind {
        PacketType::TabularResult => Ok(()),
        kind => Err(Malformed::Unknown { what: "the type of an answer", value: kind as u64 }),
    };
    reader
        .packet(true, is_answer, body)?
        .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof).into())
}

/// A connection on its way to be logged in.
struct Login<'o> {
    options: &'o Options,
    stream: Arc<TcpStream>,
    reader: PacketReader,
    writer: PacketWriter,
}

impl<'o> Login<'o> {
    fn connect(options: &'o Options, end: Instant) -> Result<Self, ClientError> {
        let Options { host, port, .. } = options;
        let unreachable =
            |source| ClientError::Unreachable { host: host.clone(), port: *port, source };
        let addresses = (host.as_str(), *port).to_socket_addrs().map_err(unreachable)?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_write_timeout(Some(WRITE_TIME))?;
                    let stream = Arc::new(stream);
                    let reader = PacketReader::new(Arc::clone(&stream), Pace::Until(end));
                    let writer = PacketWriter::new(Arc::clone(&stream), 0);
                    return Ok(Login { options, stream, reader, writer });
                }
                Err(error) => last = error,
            }
        }
        Err(unreachable(last))
    }

    fn finish(mut self) -> Result<Connection, ClientError> {
        let login_only = self.negotiate()?;
        let login = Login7 {
            tds_version: TDS_7_4,
            packet_bytes: self.options.packet_bytes.into(),
            integrated: false,
            host: self.options.workstation.clone(),
            user: self.options.user.clone(),
            password: self.options.password.clone(),
            application: self.options.application.clone(),
            server: self.options.host.clone(),
            database: self.options.database.clone(),
            features: Vec::new(),
        };
        self.writer.message(PacketType::Login7, &login.encode())?;
        if login_only {
            self.reader.set_tls(None);
            self.writer.set_tls(None);
        }
        let mut errors: Vec<Message> = Vec::new();
        let mut logged_in = false;
        let mut packet_bytes = DEFAULT_PACKET_BYTES;
        answer(&mut self.reader, &mut |token, _| match token {
            Token::Message { message, .. } if message.class > 10 => errors.push(message),
            Token::LoggedIn => logged_in = true,
            Token::PacketBytes(bytes) => packet_bytes = bytes,
            _ => {}
        })?;
        if !logged_in {
            if errors.is_empty() {
                return Err(
                    Malformed::Short { what: "the login's answer", needed: 1, left: 0 }.into()
                );
            }
            return Err(ClientError::Refused(errors));
        }
        let packet_bytes = packet_bytes.max(crate::wire::packet::MIN_PACKET_BYTES);
        self.writer.set_packet_bytes(packet_bytes);
        // Some servers go on with the default.
        let most = packet_bytes.max(DEFAULT_PACKET_BYTES);
        self.reader.settle(most, Pace::EachMessage(PACKET_TIME));
        let sending = Sending { writer: self.writer, busy: false, attention: false };
        Ok(Connection {
            stream: self.stream,
            reader: self.reader,
            sending: Arc::new(Mutex::new(sending)),
        })
    }

    /// PRELOGIN and TLS; whether TLS ends with the login.
    fn negotiate(&mut self) -> Result<bool, ClientError> {
        use EncryptionWord as Word;
        let wish = match self.options.privacy {
            Privacy::AsServer => Word::Off,
            Privacy::Everything => Word::On,
        };
        let request = prelogin::encode_request(wish, &self.options.instance);
        self.writer.message(PacketType::PreLogin, &request)?;
        let mut reply = Vec::new();
        while !packet(&mut self.reader, &mut reply)?.has(status::END_OF_MESSAGE) {
            if reply.len() > PRELOGIN_MOST_BYTES {
                let (value, most) = (reply.len() as u64, PRELOGIN_MOST_BYTES as u64);
                let what = "the PRELOGIN's length";
                return Err(Malformed::Length { what, value, least: 0, most }.into());
            }
        }
        match (wish, PreLogin::decode(&reply)?.encryption) {
            (Word::Off, Word::NotSupported) => Ok(false),
            (_, Word::NotSupported) => Err(ClientError::NoEncryption),
            (_, word) => {
                self.start_tls()?;
                Ok((wish, word) == (Word::Off, Word::Off))
            }
        }
    }

    /// The handshake, its flights in PRELOGIN packets (MS-TDS 3.2.5.1).
    fn start_tls(&mut self) -> Result<(), ClientError> {
        let mut tls: Tls = secure::connection(&self.options.host).map_err(ClientError::Tls)?;
        tls.set_buffer_limit(None);
        loop {
            let mut flight = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut flight)?;
            }
            if !flight.is_empty() {
                self.writer.handshake(&flight)?;
            }
            if !tls.is_handshaking() {
                break;
            }
            let packet = self.reader.handshake_packet().map_err(|error| match error {
                // A server that sends no alert just goes away.
                ReadError::Broken(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    ClientError::Tls(rustls::Error::HandshakeNotComplete)
                }
                error => error.into(),
            })?;
            let mut left = packet.as_slice();
            while !left.is_empty() {
                tls.read_tls(&mut left)?;
                tls.process_new_packets().map_err(ClientError::Tls)?;
            }
        }
        let tls = Arc::new(Mutex::new(tls));
        self.reader.set_tls(Some(Arc::clone(&tls)));
        self.writer.set_tls(Some(tls));
        Ok(())
    }
}
