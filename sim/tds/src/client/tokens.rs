//! The tokens of a server's answer, read as they arrive (MS-TDS 2.2.7).

use crate::{
    Column, Message,
    wire::{
        Malformed,
        cursor::Cursor,
        data::Value,
        parameter::TypeInfo,
        token::{DoneToken, ROW, done},
    },
};

use super::ClientError;

/// The most bytes of one token.
const TOKEN_MOST_BYTES: usize = 64 << 20;

mod id {
    pub(super) const RETURN_STATUS: u8 = 0x79;
    pub(super) const COLUMNS: u8 = 0x81;
    pub(super) const TABLE_NAMES: u8 = 0xA4;
    pub(super) const COLUMN_INFO: u8 = 0xA5;
    pub(super) const ORDER: u8 = 0xA9;
    pub(super) const ERROR: u8 = 0xAA;
    pub(super) const INFO: u8 = 0xAB;
    pub(super) const RETURN_VALUE: u8 = 0xAC;
    pub(super) const LOGIN_ACK: u8 = 0xAD;
    pub(super) const FEATURE_ACK: u8 = 0xAE;
    pub(super) const ROW_WITH_NULLS: u8 = 0xD2;
    pub(super) const CHANGE: u8 = 0xE3;
    pub(super) const SESSION_STATE: u8 = 0xE4;
    pub(super) const SSPI: u8 = 0xED;
    pub(super) const FED_AUTH: u8 = 0xEE;
}

/// ENVCHANGE: the packet size.
const CHANGE_PACKET_SIZE: u8 = 4;
/// COLMETADATA without columns.
const NO_COLUMNS: u16 = 0xFFFF;

/// What the server tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// A message of any class, and the name of the server that sends it.
    Message {
        /// The message.
        message: &'a Message,
        /// The server's name.
        server: &'a str,
    },
    /// A result set begins. Types that this crate does not send appear as the nearest that it does.
    Columns(&'a [Column]),
    /// A row of it.
    Row(&'a [Value]),
    /// A statement has ended, with its number of rows if it counts.
    Done {
        /// The rows.
        rows: Option<u64>,
    },
}

/// A token as far as a client acts on it.
#[derive(Debug)]
pub(super) enum Token {
    Message { message: Message, server: String },
    Columns,
    Row(Vec<Value>),
    Done { rows: Option<u64>, attention: bool },
    PacketBytes(u16),
    LoggedIn,
    Other,
}

/// Takes an answer apart, in whatever pieces it comes.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    bytes: Vec<u8>,
    /// What of `bytes` is read.
    read: usize,
    types: Vec<TypeInfo>,
    columns: Vec<Column>,
}

impl Tokens {
    /// The buffer that packets are appended to.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..std::mem::take(&mut self.read));
        &mut self.bytes
    }

    /// Whether a part of a token is left.
    pub(super) fn has_rest(&self) -> bool {
        self.read < self.bytes.len()
    }

    /// The columns of the result set last begun.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The next whole token, if it is there.
    pub(super) fn next(&mut self) -> Result<Option<Token>, ClientError> {
        let unread = &self.bytes[self.read..];
        if unread.is_empty() {
            return Ok(None);
        }
        let mut cursor = Cursor::new(unread);
        match token(&mut cursor, &mut self.types, &mut self.columns) {
            Ok(token) => {
                self.read = self.bytes.len() - cursor.rest().len();
                Ok(Some(token))
            }
            Err(ClientError::Protocol(Malformed::Short { .. }))
                if unread.len() < TOKEN_MOST_BYTES =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Takes an answer apart without a connection, in pieces of `piece` bytes (0 counts as 1), and counts its
/// tokens: for captures, and for trying what a hostile server may send.
///
/// # Errors
///
/// What a connection would end with.
pub fn count_tokens(answer: &[u8], piece: usize) -> Result<usize, ClientError> {
    let mut tokens = Tokens::default();
    let mut count = 0;
    for bytes in answer.chunks(piece.max(1)) {
        tokens.buffer().extend_from_slice(bytes);
        while tokens.next()?.is_some() {
            count += 1;
        }
    }
    Ok(count)
}

fn token(
    cursor: &mut Cursor<'_>,
    types: &mut Vec<TypeInfo>,
    columns: &mut Vec<Column>,
) -> Result<Token, ClientError> {
    let kind = cursor.u8("a token")?;
    Ok(match kind {
        id::ERROR | id::INFO => notice(cursor)?,
        id::COLUMNS => {
            (*types, *columns) = metadata(cursor)?;
            Token::Columns
        }
        ROW => {
            let values = types.iter().map(|info| info.value(cursor));
            Token::Row(values.collect::<Result<_, _>>()?)
        }
        id::ROW_WITH_NULLS => row_with_nulls(cursor, types)?,
        id::CHANGE => change(cursor)?,
        id::LOGIN_ACK => {
            counted(cursor)?;
            Token::LoggedIn
        }
        id::FEATURE_ACK => {
            while cursor.u8("a feature")? != 0xFF {
                let length = cursor.u32("a feature's length")?;
                cursor.take("a feature", length as usize)?;
            }
            Token::Other
        }
        id::RETURN_STATUS => {
            cursor.u32("a return status")?;
            Token::Other
        }
        id::RETURN_VALUE => {
            cursor.u16("an output's ordinal")?;
            let name = cursor.b_varchar("an output's name")?;
            cursor.take("an output's status and flags", 7)?;
            let info = TypeInfo::decode(cursor)?;
            info.map_err(|code| ClientError::ColumnType { ordinal: 1, name, code })?
                .value(cursor)?;
            Token::Other
        }
        id::ORDER | id::TABLE_NAMES | id::COLUMN_INFO | id::SSPI => {
            counted(cursor)?;
            Token::Other
        }
        id::SESSION_STATE | id::FED_AUTH => {
            let length = cursor.u32("a token's length")?;
            cursor.take("a token", length as usize)?;
            Token::Other
        }
        kind if [DoneToken::Done, DoneToken::DoneProc, DoneToken::DoneInProc]
            .iter()
            .any(|done| *done as u8 == kind) =>
        {
            let status = cursor.u16("DONE's status")?;
            cursor.u16("DONE's command")?;
            let rows = cursor.u64("DONE's count")?;
            Token::Done {
                rows: (status & done::COUNT != 0).then_some(rows),
                attention: status & done::ATTENTION != 0,
            }
        }
        kind => return Err(Malformed::Unknown { what: "a token", value: kind.into() }.into()),
    })
}

/// Takes what a u16 in front of it counts.
fn counted<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Malformed> {
    let length = cursor.u16("a token's length")?;
    cursor.take("a token", length.into())
}

/// Reads a body whose length is known: what is missing in it does not come later.
fn whole<T>(
    body: &[u8],
    read: impl FnOnce(&mut Cursor<'_>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    read(&mut Cursor::new(body)).map_err(|malformed| match malformed {
        Malformed::Short { what, needed, left } => {
            Malformed::Length { what, value: needed as u64, least: 0, most: left as u64 }
        }
        other => other,
    })
}

fn notice(cursor: &mut Cursor<'_>) -> Result<Token, Malformed> {
    whole(counted(cursor)?, |body| {
        let number = body.u32("a message's number")?.cast_signed();
        let [state, class] = body.array("a message's state and class")?;
        let units = body.u16("a message's length")?;
        let text = body.utf16("a message", units.into())?;
        let server = body.b_varchar("a message's server")?;
        let procedure = body.b_varchar("a message's procedure")?;
        let line = body.u32("a message's line")?;
        let message = Message { number, state, class, text, procedure, line };
        Ok(Token::Message { message, server })
    })
}

fn change(cursor: &mut Cursor<'_>) -> Result<Token, Malformed> {
    whole(counted(cursor)?, |body| {
        if body.u8("a change")? != CHANGE_PACKET_SIZE {
            return Ok(Token::Other);
        }
        let size = body.b_varchar("the packet size")?;
        Ok(size.parse().map_or(Token::Other, Token::PacketBytes))
    })
}

fn metadata(cursor: &mut Cursor<'_>) -> Result<(Vec<TypeInfo>, Vec<Column>), ClientError> {
    let count = cursor.u16("the number of columns")?;
    let mut types = Vec::new();
    let mut columns = Vec::new();
    if count == NO_COLUMNS {
        return Ok((types, columns));
    }
    for ordinal in 1..=usize::from(count) {
        cursor.take("a column's user type and flags", 6)?;
        let unreadable = |name: String, code: u8| ClientError::ColumnType { ordinal, name, code };
        let code = cursor.peek().unwrap_or_default();
        let info = TypeInfo::decode(cursor)?.map_err(|code| unreadable(String::new(), code))?;
        let name = cursor.b_varchar("a column's name")?;
        let Some(kind) = info.column_type() else { return Err(unreadable(name, code)) };
        types.push(info);
        columns.push(Column { name, kind });
    }
    Ok((types, columns))
}

fn row_with_nulls(cursor: &mut Cursor<'_>, types: &[TypeInfo]) -> Result<Token, Malformed> {
    let nulls = cursor.take("a row's NULLs", types.len().div_ceil(8))?;
    let value = |(index, info): (usize, &TypeInfo)| {
        if nulls[index / 8] & 1 << (index % 8) != 0 {
            return Ok(Value::Null);
        }
        info.value(cursor)
    };
    Ok(Token::Row(types.iter().enumerate().map(value).collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        ColumnType,
        wire::token::{column_metadata, done_token},
    };

    /// Everything in these bytes, given piece by piece.
    fn read(bytes: &[u8], piece: usize) -> Result<Vec<String>, ClientError> {
        let mut tokens = Tokens::default();
        let mut all = Vec::new();
        for bytes in bytes.chunks(piece) {
            tokens.buffer().extend_from_slice(bytes);
            while let Some(token) = tokens.next()? {
                all.push(format!("{token:?}"));
            }
        }
        Ok(all)
    }

    /// Two columns, a row in which the second is left out, and the end.
    fn answer() -> Vec<u8> {
        let mut bytes = Vec::new();
        let columns = [("a", ColumnType::Int), ("b", ColumnType::NVarChar(5))];
        column_metadata(columns.into_iter(), &mut bytes);
        bytes.extend([id::ROW_WITH_NULLS, 0b10, 4, 7, 0, 0, 0]);
        done_token(DoneToken::Done, done::COUNT, 193, 1, &mut bytes);
        bytes
    }

    // Catches: a row's bitmap read from the wrong end, or with values for its NULLs.
    #[test]
    fn a_row_may_leave_its_nulls_out() {
        let tokens = read(&answer(), 1000).unwrap();
        assert_eq!(
            tokens[1..],
            ["Row([Int(7), Null])", "Done { rows: Some(1), attention: false }"]
        );
    }

    proptest! {
        // Catches: a token that is read before it is whole.
        #[test]
        fn pieces_make_no_difference(piece in 1_usize..20) {
            prop_assert_eq!(read(&answer(), piece).unwrap(), read(&answer(), 1000).unwrap());
        }

        // Catches: a hostile server that makes the client panic or read without end.
        #[test]
        fn any_bytes_are_read_or_refused(
            kind in prop::sample::select(vec![0x79, 0x81, 0xA9, 0xAA, 0xAC, 0xAE, 0xD1, 0xE3, 0xFD]),
            body in prop::collection::vec(any::<u8>(), 0..200),
            piece in 1_usize..50,
        ) {
            let mut bytes = answer();
            bytes.push(kind);
            bytes.extend(body);
            let _ = read(&bytes, piece);
        }
    }
}
