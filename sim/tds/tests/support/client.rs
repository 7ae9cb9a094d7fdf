//! A client that speaks bytes: it reads every token, and can also send what no client should.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

pub(crate) const BATCH: u8 = 1;
pub(crate) const RPC: u8 = 3;
pub(crate) const ATTENTION: u8 = 6;
pub(crate) const TRANSACTION: u8 = 0x0E;
pub(crate) const LOGIN: u8 = 0x10;
pub(crate) const PRELOGIN: u8 = 0x12;

/// A token of an answer, as far as tests look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Error { number: i32, class: u8, text: String, line: u32 },
    Info { number: i32, class: u8, text: String },
    Columns(u16),
    Row(Vec<u8>),
    Done { token: u8, status: u16, command: u16, rows: u64 },
    Change { kind: u8, data: Vec<u8> },
    LoginAck(Vec<u8>),
    ReturnStatus(i32),
    ReturnValue(u16, Vec<u8>),
    Features(Vec<u8>),
}

impl Token {
    pub(crate) fn number(&self) -> Option<i32> {
        match self {
            Self::Error { number, .. } | Self::Info { number, .. } => Some(*number),
            _ => None,
        }
    }
}

pub(crate) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A packet with its header.
pub(crate) fn packet(kind: u8, status: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind, status];
    packet.extend((body.len() as u16 + 8).to_be_bytes());
    packet.extend([0, 0, 1, 0]);
    packet.extend(body);
    packet
}

/// ALL_HEADERS with a transaction descriptor of zeros, then `body`.
pub(crate) fn with_headers(body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    message.extend(22_u32.to_le_bytes());
    message.extend(18_u32.to_le_bytes());
    message.extend(2_u16.to_le_bytes());
    message.extend(0_u64.to_le_bytes());
    message.extend(1_u32.to_le_bytes());
    message.extend(body);
    message
}

/// A PRELOGIN with this word on encryption.
pub(crate) fn prelogin(encryption: u8) -> Vec<u8> {
    vec![0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF, 9, 0, 0, 0, 0, 0, encryption]
}

/// A LOGIN7.
pub(crate) struct Login<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    pub(crate) database: &'a str,
    pub(crate) packet_bytes: u32,
    pub(crate) version: u32,
    pub(crate) integrated: bool,
}

impl Default for Login<'_> {
    fn default() -> Self {
        Self {
            user: super::USER,
            password: super::PASSWORD,
            database: "",
            packet_bytes: 4096,
            version: 0x7400_0004,
            integrated: false,
        }
    }
}

impl Login<'_> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fixed = vec![0; 94];
        fixed[4..8].copy_from_slice(&self.version.to_le_bytes());
        fixed[8..12].copy_from_slice(&self.packet_bytes.to_le_bytes());
        fixed[25] = if self.integrated { 0x80 } else { 0 };
        let mut data = Vec::new();
        let scrambled: Vec<u8> =
            utf16(self.password).into_iter().map(|byte| byte.rotate_left(4) ^ 0xA5).collect();
        for (at, bytes) in [
            (36, utf16("host")),
            (40, utf16(self.user)),
            (44, scrambled),
            (48, utf16("app")),
            (52, utf16("server")),
            (68, utf16(self.database)),
        ] {
            let offset = (94 + data.len()) as u16;
            fixed[at..at + 2].copy_from_slice(&offset.to_le_bytes());
            fixed[at + 2..at + 4].copy_from_slice(&(bytes.len() as u16 / 2).to_le_bytes());
            data.extend(bytes);
        }
        let length = (fixed.len() + data.len()) as u32;
        fixed[..4].copy_from_slice(&length.to_le_bytes());
        fixed.extend(data);
        fixed
    }
}

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// What has been received and not read as tokens.
    bytes: Vec<u8>,
    /// The last packet read ended its message.
    ended: bool,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        // Not a bound on the server's speed: the test's watchdog, so that a lost answer fails where it is missed.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream, bytes: Vec::new(), ended: true }
    }

    /// Connects and logs in without TLS.
    pub(crate) fn log_in(address: SocketAddr) -> Self {
        let mut client = Self::connect(address);
        client.handshake(&Login::default());
        client
    }

    /// PRELOGIN without TLS and LOGIN7; the answer's tokens.
    pub(crate) fn handshake(&mut self, login: &Login<'_>) -> Vec<Token> {
        self.send(PRELOGIN, &prelogin(2));
        self.packet().unwrap();
        self.bytes.clear();
        self.send(LOGIN, &login.encode());
        self.answer()
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn send(&mut self, kind: u8, body: &[u8]) {
        self.send_bytes(&packet(kind, 1, body));
    }

    pub(crate) fn batch(&mut self, text: &str) -> Vec<Token> {
        self.send(BATCH, &with_headers(&utf16(text)));
        self.answer()
    }

    /// Reads a packet; returns its header.
    pub(crate) fn packet(&mut self) -> io::Result<[u8; 8]> {
        let mut header = [0; 8];
        self.stream.read_exact(&mut header)?;
        let length = u16::from_be_bytes([header[2], header[3]]);
        let start = self.bytes.len();
        self.bytes.resize(start + usize::from(length) - 8, 0);
        self.stream.read_exact(&mut self.bytes[start..])?;
        self.ended = header[1] & 1 != 0;
        Ok(header)
    }

    /// The bytes of the PRELOGIN answer.
    pub(crate) fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// The tokens up to the end of the message.
    pub(crate) fn answer(&mut self) -> Vec<Token> {
        loop {
            self.packet().expect("the server answers");
            if self.ended {
                return tokens(&std::mem::take(&mut self.bytes));
            }
        }
    }

    /// The tokens of the next packet, which must end with a whole token.
    pub(crate) fn tokens_of_packet(&mut self) -> Vec<Token> {
        self.packet().expect("the server answers");
        tokens(&std::mem::take(&mut self.bytes))
    }

    /// Reads to the end of the connection; the tokens in the answers before it. What belongs to a TLS handshake is
    /// left out.
    pub(crate) fn last_words(&mut self) -> Vec<Token> {
        let mut kept = self.bytes.len();
        while let Ok(header) = self.packet() {
            if header[0] == PRELOGIN {
                self.bytes.truncate(kept);
            }
            kept = self.bytes.len();
        }
        tokens(&std::mem::take(&mut self.bytes)[..kept])
    }
}

/// Reads an answer. Rows are kept as bytes and are understood only for a single int column.
pub(crate) fn tokens(mut bytes: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    while let Some((&token, rest)) = bytes.split_first() {
        bytes = rest;
        tokens.push(match token {
            0xAA | 0xAB => notice(token, take_counted(&mut bytes)),
            0xAD => Token::LoginAck(take_counted(&mut bytes).to_vec()),
            0xE3 => {
                let data = take_counted(&mut bytes);
                Token::Change { kind: data[0], data: data[1..].to_vec() }
            }
            0xAE => {
                let end = bytes.iter().position(|byte| *byte == 0xFF).unwrap();
                Token::Features(take(&mut bytes, end + 1).to_vec())
            }
            0x79 => Token::ReturnStatus(i32::from_le_bytes(array(take(&mut bytes, 4)))),
            0xAC => {
                let ordinal = u16::from_le_bytes(array(take(&mut bytes, 2)));
                let name = take(&mut bytes, 1)[0];
                take(&mut bytes, usize::from(name) * 2 + 9);
                let length = take(&mut bytes, 1)[0];
                Token::ReturnValue(ordinal, take(&mut bytes, length.into()).to_vec())
            }
            0x81 => {
                let count = u16::from_le_bytes(array(take(&mut bytes, 2)));
                assert_eq!(count, 1, "this client reads one int column");
                take(&mut bytes, 8);
                let name = take(&mut bytes, 1)[0];
                take(&mut bytes, usize::from(name) * 2);
                Token::Columns(count)
            }
            0xD1 => {
                let length = take(&mut bytes, 1)[0];
                Token::Row(take(&mut bytes, length.into()).to_vec())
            }
            0xFD..=0xFF => {
                let fields = take(&mut bytes, 12);
                Token::Done {
                    token,
                    status: u16::from_le_bytes(array(&fields[..2])),
                    command: u16::from_le_bytes(array(&fields[2..4])),
                    rows: u64::from_le_bytes(array(&fields[4..])),
                }
            }
            _ => panic!("no token starts with {token:#x}"),
        });
    }
    tokens
}

fn notice(token: u8, mut fields: &[u8]) -> Token {
    let number = i32::from_le_bytes(array(take(&mut fields, 4)));
    let class = take(&mut fields, 2)[1];
    let units = u16::from_le_bytes(array(take(&mut fields, 2)));
    let text: Vec<u16> = take(&mut fields, usize::from(units) * 2)
        .chunks(2)
        .map(|pair| u16::from_le_bytes(array(pair)))
        .collect();
    let text = String::from_utf16(&text).unwrap();
    let line = u32::from_le_bytes(array(&fields[fields.len() - 4..]));
    if token == 0xAA {
        Token::Error { number, class, text, line }
    } else {
        Token::Info { number, class, text }
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (front, rest) = bytes.split_at(count);
    *bytes = rest;
    front
}

fn take_counted<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let length = u16::from_le_bytes(array(take(bytes, 2)));
    take(bytes, length.into())
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap()
}
