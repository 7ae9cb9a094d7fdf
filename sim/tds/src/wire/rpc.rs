//! Calls of procedures (MS-TDS 2.2.6.6).

use super::{Malformed, cursor::Cursor, data::Value, parameter, request::skip_headers};

/// The procedures that clients call by number, from 1 (MS-TDS 2.2.6.6, ProcID).
const BY_NUMBER: [&str; 15] = [
    "sp_cursor",
    "sp_cursoropen",
    "sp_cursorprepare",
    "sp_cursorexecute",
    "sp_cursorprepexec",
    "sp_cursorunprepare",
    "sp_cursorfetch",
    "sp_cursoroption",
    "sp_cursorclose",
    "sp_executesql",
    "sp_prepare",
    "sp_execute",
    "sp_prepexec",
    "sp_prepexecrpc",
    "sp_unprepare",
];

/// Says that the number of a procedure follows, not its name.
const NUMBERED: u16 = 0xFFFF;
/// Stands between two calls of one message.
const NEXT_CALL: u8 = 0xFF;
/// The same, and the call in front is not to be executed.
const NEXT_CALL_SKIP: u8 = 0xFE;
/// fByRefValue in a parameter's status.
const OUTPUT: u8 = 0x01;

/// A parameter of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name with the `@`, empty when passed by position.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// The client wants it back.
    pub output: bool,
}

/// A call of a procedure.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The procedure; numbered ones have their names here.
    pub name: String,
    /// The parameters in the order sent.
    pub parameters: Vec<Parameter>,
}

/// Reads the calls of an RPC message, in order.
///
/// # Errors
/// Broken headers, an unknown number, parameters that are cut off, of an unsupported type, or not UTF-16.
pub fn decode(message: &[u8]) -> Result<Vec<Call>, Malformed> {
    let mut cursor = Cursor::new(skip_headers(message)?);
    let mut calls = Vec::new();
    loop {
        let mut call = call(&mut cursor)?;
        let mut skip = false;
        while let Some(next) = cursor.peek() {
            if matches!(next, NEXT_CALL | NEXT_CALL_SKIP) {
                cursor.u8("the call's end")?;
                skip = next == NEXT_CALL_SKIP;
                break;
            }
            let ordinal = call.parameters.len() + 1;
            call.parameters.push(parameter(&mut cursor, ordinal)?);
        }
        if !skip {
            calls.push(call);
        }
        if cursor.is_empty() {
            return Ok(calls);
        }
    }
}

fn call(cursor: &mut Cursor<'_>) -> Result<Call, Malformed> {
    let name = match cursor.u16("the procedure's name")? {
        NUMBERED => {
            let number = cursor.u16("the procedure's number")?;
            usize::from(number)
                .checked_sub(1)
                .and_then(|index| BY_NUMBER.get(index))
                .map(|name| (*name).to_owned())
                .ok_or(Malformed::Unknown {
                    what: "the procedure's number",
                    value: number.into(),
                })?
        }
        chars => cursor.utf16("the procedure's name", chars.into())?,
    };
    cursor.u16("the call's options")?;
    Ok(Call { name, parameters: Vec::new() })
}

fn parameter(cursor: &mut Cursor<'_>, ordinal: usize) -> Result<Parameter, Malformed> {
    let name = cursor.b_varchar("a parameter's name")?;
    let status = cursor.u8("a parameter's status")?;
    match parameter::decode(cursor)? {
        Ok(value) => Ok(Parameter { name, value, output: status & OUTPUT != 0 }),
        Err(code) => Err(Malformed::ParameterType { ordinal, name, code }),
    }
}
