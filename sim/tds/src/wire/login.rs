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

/// Undoes the scrambling of passwords: each byte has its nibbles swapped, then is XORed with 0xA5.
#[must_use]
pub fn unscramble(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| (byte ^ 0xA5).rotate_left(4)).collect()
}
