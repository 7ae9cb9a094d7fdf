//! What stands in front of a request, batches, and transaction manager requests (MS-TDS 2.2.5.3, 2.2.6.7, 2.2.6.9).

use super::{
    Malformed,
    cursor::{Cursor, utf16},
};

/// Takes ALL_HEADERS off the front of a request and returns the rest. What they say (the transaction's descriptor,
/// query notifications, an activity) has no effect here, but each must be whole.
///
/// # Errors
/// Headers that are longer than the message, or whose lengths do not add up.
pub fn skip_headers(message: &[u8]) -> Result<&[u8], Malformed> {
    let total = Cursor::new(message).u32("the length of ALL_HEADERS")? as usize;
    let wrong = |value: usize| Malformed::Length {
        what: "the length of ALL_HEADERS",
        value: value as u64,
        least: 4,
        most: message.len() as u64,
    };
    let mut headers = Cursor::new(message.get(4..total).ok_or_else(|| wrong(total))?);
    while !headers.is_empty() {
        let length = headers.u32("a header's length")? as usize;
        // The length counts itself and the two bytes of the header's type.
        let body = length.checked_sub(4).filter(|body| *body >= 2).ok_or_else(|| wrong(length))?;
        headers.take("a header", body)?;
    }
    Ok(&message[total..])
}

/// A SQLBatch message: ALL_HEADERS without a transaction, then the text.
#[must_use]
pub fn encode_batch(text: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(22 + text.len() * 2);
    message.extend(22_u32.to_le_bytes());
    message.extend(18_u32.to_le_bytes());
    message.extend(2_u16.to_le_bytes());
    message.extend(0_u64.to_le_bytes());
    message.extend(1_u32.to_le_bytes());
    message.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    message
}

/// Reads the text of a SQLBatch message.
///
/// # Errors
/// Broken headers, or text that is not UTF-16.
pub fn decode_batch(message: &[u8]) -> Result<String, Malformed> {
    utf16("the batch", skip_headers(message)?)
}

/// What a transaction manager request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionRequest {
    /// TM_BEGIN_XACT.
    Begin,
    /// TM_COMMIT_XACT, and whether the next transaction starts at once.
    Commit {
        /// fBeginXact.
        then_begin: bool,
    },
    /// TM_ROLLBACK_XACT, and whether the next transaction starts at once.
    Rollback {
        /// fBeginXact.
        then_begin: bool,
    },
    /// TM_SAVE_XACT.
    Save,
    /// The requests of a distributed transaction coordinator: its address, propagate, promote.
    Distributed,
}

/// Reads a transaction manager request.
///
/// # Errors
/// Broken headers, an unknown request, a body that ends early.
pub fn decode_transaction(message: &[u8]) -> Result<TransactionRequest, Malformed> {
    let mut body = Cursor::new(skip_headers(message)?);
    let request = body.u16("the transaction request's type")?;
    let end = |body: &mut Cursor<'_>| -> Result<bool, Malformed> {
        body.b_varchar("the transaction's name")?;
        // SQL Server takes a request without the flags as one with none set.
        Ok(!body.is_empty() && body.u8("the transaction's flags")? & 1 != 0)
    };
    match request {
        0 | 1 | 6 => Ok(TransactionRequest::Distributed),
        5 => Ok(TransactionRequest::Begin),
        7 => Ok(TransactionRequest::Commit { then_begin: end(&mut body)? }),
        8 => Ok(TransactionRequest::Rollback { then_begin: end(&mut body)? }),
        9 => Ok(TransactionRequest::Save),
        _ => Err(Malformed::Unknown {
            what: "the transaction request's type",
            value: request.into(),
        }),
    }
}
