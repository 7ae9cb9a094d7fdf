//! The collation on the wire, and text in its code page.

use encoding_rs::{EncoderResult, WINDOWS_1252};

/// SQL_Latin1_General_CP1_CI_AS as five bytes: LCID 1033, comparison flags, sort order 52 (MS-TDS 2.2.5.1.2).
pub const COLLATION: [u8; 5] = [0x09, 0x04, 0xD0, 0x00, 0x34];

/// The fUTF8 bit of a collation's first four bytes.
const UTF8: u32 = 1 << 26;

/// Text in code page 1252; what it lacks becomes a question mark, as in SQL Server.
#[must_use]
pub fn encode(text: &str) -> Vec<u8> {
    let mut encoder = WINDOWS_1252.new_encoder();
    let mut bytes = Vec::with_capacity(text.len() + 1);
    let mut left = text;
    loop {
        bytes.reserve(left.len() + 1);
        let (result, read) =
            encoder.encode_from_utf8_to_vec_without_replacement(left, &mut bytes, true);
        left = &left[read..];
        match result {
            EncoderResult::InputEmpty => return bytes,
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(_) => bytes.push(b'?'),
        }
    }
}

/// Text of a parameter with the given collation: UTF-8 if it says so, else taken as code page 1252.
#[must_use]
pub fn decode(collation: [u8; 5], bytes: &[u8]) -> String {
    let [a, b, c, d, _sort] = collation;
    if u32::from_le_bytes([a, b, c, d]) & UTF8 != 0 {
        String::from_utf8_lossy(bytes).into_owned()
    } else {
        WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned()
    }
}
