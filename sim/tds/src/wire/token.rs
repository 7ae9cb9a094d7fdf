//! The tokens of a server's answer (MS-TDS 2.2.7). Each function appends one.

use super::{collation, data::ColumnType};

/// The status bits of a DONE token (MS-TDS 2.2.7.6).
pub mod done {
    /// More follows.
    pub const MORE: u16 = 0x01;
    /// The statement ended in an error.
    pub const ERROR: u16 = 0x02;
    /// The count is valid.
    pub const COUNT: u16 = 0x10;
    /// Answers an attention.
    pub const ATTENTION: u16 = 0x20;
}

/// The current command of a DONE that ends no statement of its own.
pub const COMMAND_NONE: u16 = 0xFD;
/// The current command of a procedure's end.
pub const COMMAND_EXECUTE: u16 = 0xE0;

/// The most UTF-16 units of a message's text: the token counts its bytes in 16 bits.
const TEXT_MOST_UNITS: usize = 8000;
const NULLABLE: u16 = 1;

/// Which of the three tokens of the DONE family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DoneToken {
    /// Ends a statement of a batch.
    Done = 0xFD,
    /// Ends a procedure.
    DoneProc = 0xFE,
    /// Ends a statement in a procedure.
    DoneInProc = 0xFF,
}

/// A change that clients keep track of (MS-TDS 2.2.7.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The current database: new, old.
    Database(&'a str, &'a str),
    /// The language.
    Language(&'a str),
    /// The packet size: new, old.
    PacketSize(u16, u16),
    /// The collation.
    Collation,
    /// A transaction with this descriptor began.
    Begin(u64),
    /// The transaction was committed.
    Commit(u64),
    /// The transaction was rolled back.
    Rollback(u64),
    /// RESETCONNECTION is done.
    Reset,
}

/// Appends UTF-16 text behind a byte with its length in units; cut at 255 units.
fn b_varchar(text: &str, out: &mut Vec<u8>) {
    let units = units(text, usize::from(u8::MAX));
    out.push(units.len() as u8);
    out.extend(units.into_iter().flat_map(u16::to_le_bytes));
}

/// The text's UTF-16 units, at most `most`, with no surrogate pair cut apart.
fn units(text: &str, most: usize) -> Vec<u16> {
    let mut units: Vec<u16> = text.encode_utf16().collect();
    if units.len() > most {
        let splits_pair = (0xD800..0xDC00).contains(&units[most - 1]);
        units.truncate(most - usize::from(splits_pair));
    }
    units
}

/// Appends what `body` writes behind `token` and its u16 length.
fn counted(token: u8, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    out.extend([token, 0, 0]);
    let start = out.len();
    body(out);
    let length = (out.len() - start) as u16;
    out[start - 2..start].copy_from_slice(&length.to_le_bytes());
}

/// ENVCHANGE.
pub fn env_change(change: Change<'_>, out: &mut Vec<u8>) {
    let text = |kind: u8, new: &str, old: &str, out: &mut Vec<u8>| {
        out.push(kind);
        b_varchar(new, out);
        b_varchar(old, out);
    };
    let bytes = |kind: u8, new: &[u8], old: &[u8], out: &mut Vec<u8>| {
        for (prefix, side) in [(&[kind, new.len() as u8][..], new), (&[old.len() as u8], old)] {
            out.extend(prefix);
            out.extend(side);
        }
    };
    counted(0xE3, out, |out| match change {
        Change::Database(new, old) => text(1, new, old, out),
        Change::Language(new) => text(2, new, "", out),
        Change::PacketSize(new, old) => text(4, &new.to_string(), &old.to_string(), out),
        Change::Collation => bytes(7, &collation::COLLATION, &[], out),
        Change::Begin(descriptor) => bytes(8, &descriptor.to_le_bytes(), &[], out),
        Change::Commit(descriptor) => bytes(9, &[], &descriptor.to_le_bytes(), out),
        Change::Rollback(descriptor) => bytes(10, &[], &descriptor.to_le_bytes(), out),
        Change::Reset => bytes(18, &[], &[], out),
    });
}

/// The fields of an ERROR or INFO token.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// The message's number.
    pub number: i32,
    /// Its state.
    pub state: u8,
    /// Its class; above 10 it is an error.
    pub class: u8,
    /// Its text; cut at 8,000 UTF-16 units.
    pub text: &'a str,
    /// The server's name.
    pub server: &'a str,
    /// The procedure it comes from, or empty.
    pub procedure: &'a str,
    /// The line of the batch or procedure, from 1.
    pub line: u32,
}

/// ERROR for classes above 10, INFO for the others (MS-TDS 2.2.7.10, 2.2.7.13). Class 10 goes out as 0, as SQL Server
/// sends it.
pub fn notice(notice: &Notice<'_>, out: &mut Vec<u8>) {
    let class = if notice.class == 10 { 0 } else { notice.class };
    counted(if class > 10 { 0xAA } else { 0xAB }, out, |out| {
        out.extend(notice.number.to_le_bytes());
        out.extend([notice.state, class]);
        let text = units(notice.text, TEXT_MOST_UNITS);
        out.extend((text.len() as u16).to_le_bytes());
        out.extend(text.into_iter().flat_map(u16::to_le_bytes));
        b_varchar(notice.server, out);
        b_varchar(notice.procedure, out);
        out.extend(notice.line.to_le_bytes());
    });
}

/// LOGINACK: the TDS version agreed on and the server's version (major, minor, build).
pub fn login_ack(tds_version: u32, (major, minor, build): (u8, u8, u16), out: &mut Vec<u8>) {
    counted(0xAD, out, |out| {
        out.push(1);
        out.extend(tds_version.to_be_bytes());
        b_varchar("Microsoft SQL Server", out);
        out.extend([major, minor]);
        out.extend(build.to_be_bytes());
    });
}

/// FEATUREEXTACK: agrees to UTF8_SUPPORT if the client offered it, and to nothing else.
pub fn feature_ack(utf8: bool, out: &mut Vec<u8>) {
    out.push(0xAE);
    if utf8 {
        out.extend([super::login::FEATURE_UTF8, 1, 0, 0, 0, 1]);
    }
    out.push(0xFF);
}

/// COLMETADATA of named columns.
pub fn column_metadata<'a>(
    columns: impl ExactSizeIterator<Item = (&'a str, ColumnType)>,
    out: &mut Vec<u8>,
) {
    out.push(0x81);
    out.extend((columns.len() as u16).to_le_bytes());
    for (name, kind) in columns {
        type_and_flags(kind, out);
        b_varchar(name, out);
    }
}

/// User type 0, "nullable", TYPE_INFO.
fn type_and_flags(kind: ColumnType, out: &mut Vec<u8>) {
    out.extend(0_u32.to_le_bytes());
    out.extend(NULLABLE.to_le_bytes());
    kind.encode(out);
}

/// The byte in front of a row's values.
pub const ROW: u8 = 0xD1;

/// RETURNSTATUS: what a procedure returned.
pub fn return_status(status: i32, out: &mut Vec<u8>) {
    out.push(0x79);
    out.extend(status.to_le_bytes());
}

/// The part of RETURNVALUE in front of the value (MS-TDS 2.2.7.19).
pub fn return_value_header(ordinal: u16, name: &str, kind: ColumnType, out: &mut Vec<u8>) {
    out.push(0xAC);
    out.extend(ordinal.to_le_bytes());
    b_varchar(name, out);
    // An output parameter, not the result of a function.
    out.push(1);
    type_and_flags(kind, out);
}

/// A token of the DONE family: bits of [`done`], the current command, the count of rows.
pub fn done_token(token: DoneToken, status: u16, command: u16, rows: u64, out: &mut Vec<u8>) {
    out.push(token as u8);
    out.extend(status.to_le_bytes());
    out.extend(command.to_le_bytes());
    out.extend(rows.to_le_bytes());
}
