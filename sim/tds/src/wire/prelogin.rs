//! PRELOGIN: the negotiation before the login (MS-TDS 2.2.6.5).

use super::{Malformed, cursor::Cursor};

/// How a side feels about encryption (MS-TDS 2.2.6.5, ENCRYPTION).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EncryptionWord {
    /// Can, and will for the login only.
    Off = 0,
    /// For the whole connection.
    On = 1,
    /// Can't.
    NotSupported = 2,
    /// Insists.
    Required = 3,
}

impl EncryptionWord {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Off, Self::On, Self::NotSupported, Self::Required]
            .into_iter()
            .find(|word| *word as u8 == byte)
    }
}

mod option {
    pub(super) const VERSION: u8 = 0;
    pub(super) const ENCRYPTION: u8 = 1;
    pub(super) const INSTANCE: u8 = 2;
    pub(super) const THREAD_ID: u8 = 3;
    pub(super) const MARS: u8 = 4;
    pub(super) const FED_AUTH_REQUIRED: u8 = 6;
    pub(super) const TERMINATOR: u8 = 0xFF;
}

/// What a side's PRELOGIN says, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreLogin {
    /// Its word on encryption; [`EncryptionWord::NotSupported`] when it leaves the option out.
    pub encryption: EncryptionWord,
    /// It asks whether federated authentication is required and wants an answer; a server's: it answers.
    pub asks_fed_auth: bool,
}

impl PreLogin {
    /// Reads a PRELOGIN message. Options that this server has no use for are skipped, known or not.
    ///
    /// # Errors
    /// An option table without end, data outside the message, an unknown word on encryption.
    pub fn decode(message: &[u8]) -> Result<Self, Malformed> {
        let mut table = Cursor::new(message);
        let mut prelogin = Self { encryption: EncryptionWord::NotSupported, asks_fed_auth: false };
        loop {
            let token = table.u8("the PRELOGIN option table")?;
            if token == option::TERMINATOR {
                return Ok(prelogin);
            }
            let offset = usize::from(table.u16_be("a PRELOGIN option's offset")?);
            let length = usize::from(table.u16_be("a PRELOGIN option's length")?);
            let data = message.get(offset..offset + length).ok_or(Malformed::Short {
                what: "a PRELOGIN option",
                needed: offset + length,
                left: message.len(),
            })?;
            match token {
                option::ENCRYPTION => {
                    let byte = Cursor::new(data).u8("the PRELOGIN option ENCRYPTION")?;
                    prelogin.encryption =
                        EncryptionWord::from_byte(byte).ok_or(Malformed::Unknown {
                            what: "the PRELOGIN option ENCRYPTION",
                            value: byte.into(),
                        })?;
                }
                option::FED_AUTH_REQUIRED => prelogin.asks_fed_auth = true,
                _ => {}
            }
        }
    }
}

/// The server's PRELOGIN: its version (major, minor, build), its word on encryption, MARS refused.
#[must_use]
pub fn encode_reply(
    (major, minor, build): (u8, u8, u16),
    encryption: EncryptionWord,
    asked_fed_auth: bool,
) -> Vec<u8> {
    let [build_high, build_low] = build.to_be_bytes();
    let mut options = vec![
        (option::VERSION, vec![major, minor, build_high, build_low, 0, 0]),
        (option::ENCRYPTION, vec![encryption as u8]),
        (option::INSTANCE, vec![0]),
        (option::THREAD_ID, vec![]),
        (option::MARS, vec![0]),
    ];
    if asked_fed_auth {
        options.push((option::FED_AUTH_REQUIRED, vec![1]));
    }
    encode(options)
}

/// A client's PRELOGIN: its word on encryption and the instance it wants, empty for the default one; MARS not wanted.
#[must_use]
pub fn encode_request(encryption: EncryptionWord, instance: &str) -> Vec<u8> {
    let mut name = instance.as_bytes().to_vec();
    name.push(0);
    encode(vec![
        (option::VERSION, vec![0; 6]),
        (option::ENCRYPTION, vec![encryption as u8]),
        (option::INSTANCE, name),
        (option::THREAD_ID, std::process::id().to_be_bytes().to_vec()),
        (option::MARS, vec![0]),
    ])
}

/// The table of the options, then their data.
fn encode(options: Vec<(u8, Vec<u8>)>) -> Vec<u8> {
    let mut offset = options.len() as u16 * 5 + 1;
    let mut message = Vec::with_capacity(64);
    for (token, data) in &options {
        let length = data.len() as u16;
        message.push(*token);
        message.extend(offset.to_be_bytes());
        message.extend(length.to_be_bytes());
        offset += length;
    }
    message.push(option::TERMINATOR);
    message.extend(options.into_iter().flat_map(|(_, data)| data));
    message
}
