//! A connection's two directions: bytes with deadlines, TLS around them if agreed, packets on top.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustls::Connection;

use crate::{
    Limits,
    wire::{
        Malformed,
        packet::{
            DEFAULT_PACKET_BYTES, HEADER_BYTES, MAX_PACKET_BYTES, PacketHeader, PacketType, status,
        },
    },
};

/// How much a refused client may still send, and for how long, while the refusal is on its way to it.
const DRAIN_BYTES: u64 = 1 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// TLS's state, used by both directions. The lock is never held while waiting for the network.
pub(crate) type SharedTls = Arc<Mutex<Connection>>;

/// After a panic of the other direction the connection is being closed; its TLS state may then fail, not mislead.
fn lock(tls: &SharedTls) -> MutexGuard<'_, Connection> {
    tls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a socket until a deadline.
struct Socket {
    stream: Arc<TcpStream>,
    deadline: Option<Instant>,
    timeout_set: bool,
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.deadline {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                self.stream.set_read_timeout(Some(left))?;
                self.timeout_set = true;
            }
            None if self.timeout_set => {
                self.stream.set_read_timeout(None)?;
                self.timeout_set = false;
            }
            None => {}
        }
        (&*self.stream).read(buffer)
    }
}

/// The bytes from the other side, decrypted.
struct Incoming {
    raw: BufReader<Socket>,
    tls: Option<SharedTls>,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else { return self.raw.read(buffer) };
        loop {
            match lock(tls).reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            let mut available = self.raw.fill_buf()?;
            if available.is_empty() {
                return Ok(0);
            }
            let before = available.len();
            let mut tls = lock(tls);
            tls.read_tls(&mut available)?;
            let used = before - available.len();
            tls.process_new_packets().map_err(io::Error::other)?;
            drop(tls);
            self.raw.consume(used);
        }
    }
}

/// Why there is no message.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The connection ended inside a message, broke, or was too slow.
    Broken(io::Error),
    /// The client sent what it must not.
    Malformed(Malformed),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<Malformed> for ReadError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// A message from the client.
#[derive(Debug)]
pub(crate) struct ClientMessage {
    pub(crate) kind: PacketType,
    /// The status of the message's first packet.
    pub(crate) status: u8,
    pub(crate) body: Vec<u8>,
}

/// How long reading may take.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// Everything until then.
    Until(Instant),
    /// Any time until a message starts, and this long for the rest of it.
    EachMessage(Duration),
}

/// Reads packets and puts messages together.
pub(crate) struct PacketReader {
    incoming: Incoming,
    pace: Pace,
    most_packet_bytes: u16,
}

impl PacketReader {
    pub(crate) fn new(stream: Arc<TcpStream>, pace: Pace) -> Self {
        let socket = Socket { stream, deadline: None, timeout_set: false };
        let incoming = Incoming { raw: BufReader::new(socket), tls: None };
        // Before the login's end some clients use the size that they are about to ask for.
        Self { incoming, pace, most_packet_bytes: MAX_PACKET_BYTES }
    }

    pub(crate) fn set_tls(&mut self, tls: Option<SharedTls>) {
        self.incoming.tls = tls;
    }

    /// From the end of the login on.
    pub(crate) fn settle(&mut self, packet_bytes: u16, pace: Pace) {
        self.most_packet_bytes = packet_bytes;
        self.pace = pace;
    }

    fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.incoming.raw.get_mut().deadline = deadline;
    }

    /// The next packet; `None` at the end of the connection. `starts` says that it begins a message.
    pub(crate) fn packet(
        &mut self,
        starts: bool,
        room: impl FnOnce(&PacketHeader) -> Result<(), Malformed>,
        body: &mut Vec<u8>,
    ) -> Result<Option<PacketHeader>, ReadError> {
        let mut header = [0; HEADER_BYTES];
        if starts {
            self.set_deadline(match self.pace {
                Pace::Until(end) => Some(end),
                Pace::EachMessage(_) => None,
            });
            if self.incoming.read(&mut header[..1])? == 0 {
                return Ok(None);
            }
            if let Pace::EachMessage(time) = self.pace {
                self.set_deadline(Some(Instant::now() + time));
            }
        } else {
            self.incoming.read_exact(&mut header[..1])?;
        }
        self.incoming.read_exact(&mut header[1..])?;
        let header = PacketHeader::decode(header, self.most_packet_bytes)?;
        room(&header)?;
        let start = body.len();
        body.resize(start + usize::from(header.length) - HEADER_BYTES, 0);
        self.incoming.read_exact(&mut body[start..])?;
        Ok(Some(header))
    }

    /// The next message; `None` at the end of the connection. An attention breaks into any message, which is then
    /// dropped, and so is one that the client takes back.
    pub(crate) fn message(&mut self, limits: &Limits) -> Result<Option<ClientMessage>, ReadError> {
        let mut body = Vec::new();
        let mut first: Option<PacketHeader> = None;
        loop {
            let so_far = body.len();
            let room = |header: &PacketHeader| {
                let most = limits.message_bytes(header.kind) as u64;
                let value = (so_far + usize::from(header.length) - HEADER_BYTES) as u64;
                let what = "the message's length";
                if value > most {
                    return Err(Malformed::Length { what, value, least: 0, most });
                }
                match first {
                    Some(first)
                        if header.kind != first.kind && header.kind != PacketType::Attention =>
                    {
                        let value = header.kind as u64;
                        Err(Malformed::Unknown { what: "the type inside a message", value })
                    }
                    _ => Ok(()),
                }
            };
            let Some(header) = self.packet(first.is_none(), room, &mut body)? else {
                return Ok(None);
            };
            let (kind, status) = (header.kind, first.unwrap_or(header).status);
            if kind == PacketType::Attention {
                return Ok(Some(ClientMessage { kind, status, body: Vec::new() }));
            }
            if !header.has(status::END_OF_MESSAGE) {
                first = first.or(Some(header));
            } else if header.has(status::IGNORE) {
                body.clear();
                first = None;
            } else {
                return Ok(Some(ClientMessage { kind, status, body }));
            }
        }
    }

    /// The payload of the next packet, which must be a piece of a TLS handshake.
    pub(crate) fn handshake_packet(&mut self) -> Result<Vec<u8>, ReadError> {
        let mut body = Vec::new();
        let is_prelogin = |header: &PacketHeader| match header.kind {
            PacketType::PreLogin => Ok(()),
            kind => {
                let value = kind as u64;
                Err(Malformed::Unknown { what: "the packet's type in a TLS handshake", value })
            }
        };
        match self.packet(true, is_prelogin, &mut body)? {
            Some(_) => Ok(body),
            None => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }

    /// Swallows what the client is still sending, for a moment, so that the system does not throw away our last words
    /// together with the unread bytes.
    pub(crate) fn drain(&mut self) {
        self.set_deadline(Some(Instant::now() + DRAIN_TIME));
        // Whatever ends it, the connection is over.
        let _ = io::copy(&mut (&mut self.incoming.raw).take(DRAIN_BYTES), &mut io::sink());
    }
}

/// Writes messages as packets.
pub(crate) struct PacketWriter {
    stream: Arc<TcpStream>,
    tls: Option<SharedTls>,
    /// The packet being filled, with room for its header in front.
    packet: Vec<u8>,
    encrypted: Vec<u8>,
    packet_bytes: usize,
    kind: PacketType,
    spid: u16,
    next_id: u8,
    /// A packet did not go out whole; nothing after it would make sense.
    broken: bool,
}

impl PacketWriter {
    /// A server's writer for a session.
    pub(crate) fn new(stream: Arc<TcpStream>, spid: u16) -> Self {
        Self {
            stream,
            tls: None,
            packet: vec![0; HEADER_BYTES],
            encrypted: Vec::new(),
            packet_bytes: DEFAULT_PACKET_BYTES.into(),
            kind: PacketType::TabularResult,
            spid,
            next_id: 1,
            broken: false,
        }
    }

    pub(crate) fn set_tls(&mut self, tls: Option<SharedTls>) {
        self.tls = tls;
    }

    /// From the next message on.
    pub(crate) fn set_packet_bytes(&mut self, packet_bytes: u16) {
        self.packet_bytes = packet_bytes.into();
    }

    /// Adds to the message; full packets leave.
    pub(crate) fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.packet_bytes - self.packet.len();
            if room == 0 {
                self.send(0)?;
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.packet.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Sends what there is of the message.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.packet.len() == HEADER_BYTES { Ok(()) } else { self.send(0) }
    }

    /// Ends the message and sends the rest of it.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.send(status::END_OF_MESSAGE)?;
        self.next_id = 1;
        Ok(())
    }

    /// Sends a piece of a TLS handshake.
    pub(crate) fn handshake(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.message(PacketType::PreLogin, bytes)
    }

    /// Sends a whole message of a kind.
    pub(crate) fn message(&mut self, kind: PacketType, bytes: &[u8]) -> io::Result<()> {
        let before = std::mem::replace(&mut self.kind, kind);
        let sent = self.put(bytes).and_then(|()| self.end());
        self.kind = before;
        sent
    }

    fn send(&mut self, status: u8) -> io::Result<()> {
        if self.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let header = PacketHeader {
            kind: self.kind,
            status,
            length: self.packet.len() as u16,
            spid: self.spid,
            id: self.next_id,
        };
        self.next_id = self.next_id.wrapping_add(1);
        self.packet[..HEADER_BYTES].copy_from_slice(&header.encode());
        let sent = self.send_packet();
        self.packet.truncate(HEADER_BYTES);
        self.broken = sent.is_err();
        sent
    }

    fn send_packet(&mut self) -> io::Result<()> {
        let Some(tls) = &self.tls else { return (&*self.stream).write_all(&self.packet) };
        self.encrypted.clear();
        {
            let mut tls = lock(tls);
            tls.writer().write_all(&self.packet)?;
            while tls.wants_write() {
                tls.write_tls(&mut self.encrypted)?;
            }
        }
        (&*self.stream).write_all(&self.encrypted)
    }
}
