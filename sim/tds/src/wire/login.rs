//! LOGIN7 (MS-TDS 2.2.6.4).

use std::fmt;

use super::{Malformed, cursor::Cursor};

/// TDS 7.2, the oldest version with the layouts this crate writes.
pub const TDS_7_2: u32 = 0x7209_0002;
/// TDS 7.4, the newest.
pub const TDS_7_4: u32 = 0x7400_0004;

/// The feature that offers UTF-8 in varchar (MS-TDS 2.2.6.4, FEATUREEXT).
pub const FEATURE_UTF8: u8 = 0x0A;

/// Where the fixed part of the message ends.
const FIXED_BYTES: usize = 94;
/// OptionFlags2: integrated security.
const INTEGRATED: u8 = 0x80;
/// OptionFlags1 of a client: tell of changes of the database, refuse the login if the first one can't be had, tell of
/// changes of the language.
const FLAGS1: u8 = 0xE0;
/// OptionFlags2 of a client: refuse the login if the language can't be had; the settings of ODBC, which are those of the
/// ANSI standard.
const FLAGS2_LANGUAGE_AND_ODBC: u8 = 0x03;
/// The most UTF-16 units of a field (MS-TDS 2.2.6.4).
const FIELD_MOST_UNITS: usize = 128;
/// OptionFlags3: a feature list follows.
const EXTENSION: u8 = 0x10;

/// A client's login. `Debug` hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login7 {
    /// The TDS version the client speaks, e.g. 0x74000004.
    pub tds_version: u32,
    /// The packet size it asks for, in bytes; 0 leaves it to the server.
    pub packet_bytes: u32,
    /// It wants to log in with Windows credentials.
    pub integrated: bool,
    /// The client's host.
    pub host: String,
    /// The login's name.
    pub user: String,
    /// The password, unscrambled.
    pub password: String,
    /// The application.
    pub application: String,
    /// The server's name as the client knows it.
    pub server: String,
    /// The database to start in; empty for the login's default.
    pub database: String,
    /// The features the client lists, by number.
    pub features: Vec<u8>,
}

impl fmt::Debug for Login7 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login7")
            .field("tds_version", &format_args!("{:#x}", self.tds_version))
            .field("packet_bytes", &self.packet_bytes)
            .field("integrated", &self.integrated)
            .field("host", &self.host)
            .field("user", &self.user)
            .field("application", &self.application)
            .field("server", &self.server)
            .field("database", &self.database)
            .field("features", &self.features)
            .finish_non_exhaustive()
    }
}

impl Login7 {
    /// Reads a LOGIN7 message.
    ///
    /// # Errors
    /// A length field that is not the message's, fields outside of it, text that is not UTF-16.
    pub fn decode(message: &[u8]) -> Result<Self, Malformed> {
        let mut fixed = Cursor::new(message);
        let length = fixed.u32("the LOGIN7 length")?;
        if length as usize != message.len() || message.len() < FIXED_BYTES {
            return Err(Malformed::Length {
                what: "the LOGIN7 length",
                value: length.into(),
                least: FIXED_BYTES as u64,
                most: message.len() as u64,
            });
        }
        let tds_version = fixed.u32("the TDS version")?;
        let packet_bytes = fixed.u32("the packet size")?;
        fixed.take("program version, process and connection", 12)?;
        let [_flags1, flags2, _type_flags, flags3] = fixed.array("the option flags")?;
        let text = |what, at| {
            let (offset, chars) = reference(message, at)?;
            field(message, what, offset, chars * 2)
                .and_then(|bytes| super::cursor::utf16(what, bytes))
        };
        let (offset, chars) = reference(message, 44)?;
        let password = unscramble(field(message, "the password", offset, chars * 2)?);
        let features = if flags3 & EXTENSION != 0 { features(message)? } else { Vec::new() };
        Ok(Self {
            tds_version,
            packet_bytes,
            integrated: flags2 & INTEGRATED != 0,
            host: text("the host name", 36)?,
            user: text("the user name", 40)?,
            password: super::cursor::utf16("the password", &password)?,
            application: text("the application's name", 48)?,
            server: text("the server's name", 52)?,
            database: text("the database's name", 68)?,
            features,
        })
    }
}

/// The {offset, characters} pair at `at`.
fn reference(message: &[u8], at: usize) -> Result<(usize, usize), Malformed> {
    let mut cursor = Cursor::new(message.get(at..).unwrap_or_default());
    let offset = cursor.u16("a LOGIN7 offset")?;
    let chars = cursor.u16("a LOGIN7 length")?;
    Ok((offset.into(), chars.into()))
}

/// The bytes a reference points at; an empty one may point anywhere.
fn field<'a>(
    message: &'a [u8],
    what: &'static str,
    offset: usize,
    length: usize,
) -> Result<&'a [u8], Malformed> {
    if length == 0 {
        return Ok(&[]);
    }
    let needed = offset.saturating_add(length);
    message.get(offset..needed).ok_or(Malformed::Short { what, needed, left: message.len() })
}

/// The feature numbers behind the extension's pointer.
fn features(message: &[u8]) -> Result<Vec<u8>, Malformed> {
    let (offset, _) = reference(message, 56)?;
    let mut pointer = Cursor::new(field(message, "the extension", offset, 4)?);
    let start = pointer.u32("the extension")? as usize;
    let mut list = Cursor::new(message.get(start..).unwrap_or_default());
    let mut features = Vec::new();
    loop {
        match list.u8("the feature list")? {
            0xFF => return Ok(features),
            feature => features.push(feature),
        }
        let length = list.u32("a feature's length")?;
        list.take("a feature's data", length as usize)?;
    }
}

impl Login7 {
    /// The message of a login by password. `features` are not sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut fixed = vec![0; FIXED_BYTES];
        fixed[4..8].copy_from_slice(&self.tds_version.to_le_bytes());
        fixed[8..12].copy_from_slice(&self.packet_bytes.to_le_bytes());
        fixed[16..20].copy_from_slice(&std::process::id().to_le_bytes());
        fixed[24] = FLAGS1;
        fixed[25] = FLAGS2_LANGUAGE_AND_ODBC | if self.integrated { INTEGRATED } else { 0 };
        let mut data = Vec::new();
        for (at, text) in [
            (36, &self.host),
            (40, &self.user),
            (44, &self.password),
            (48, &self.application),
            (52, &self.server),
            (68, &self.database),
        ] {
            let mut units: Vec<u16> = text.encode_utf16().collect();
            units.truncate(FIELD_MOST_UNITS);
            let mut bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            if at == 44 {
                bytes = scramble(&bytes);
            }
            let offset = (FIXED_BYTES + data.len()) as u16;
            fixed[at..at + 2].copy_from_slice(&offset.to_le_bytes());
            fixed[at + 2..at + 4].copy_from_slice(&(units.len() as u16).to_le_bytes());
            data.extend(bytes);
        }
        let length = (FIXED_BYTES + data.len()) as u32;
        fixed[..4].copy_from_slice(&length.to_le_bytes());
        fixed.extend(data);
        fixed
    }
}

/// Scrambles a password: each byte has its nibbles swapped, then is XORed with 0xA5.
#[must_use]
pub fn scramble(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte.rotate_left(4) ^ 0xA5).collect()
}

/// Undoes the scrambling of passwords: each byte has its nibbles swapped, then is XORed with 0xA5.
#[must_use]
pub fn unscramble(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| (byte ^ 0xA5).rotate_left(4)).collect()
}
