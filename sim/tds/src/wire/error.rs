//! What can be wrong with a client's bytes.

use thiserror::Error;

/// A message that is not TDS as MS-TDS defines it. Each variant carries the numbers of its case.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The message ends inside a field.
    #[error(
        "{what} needs {needed} bytes and the message has {left} left: the client sent it incomplete"
    )]
    Short {
        /// The field.
        what: &'static str,
        /// Bytes the field needs.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// A length that contradicts the protocol, the message around it, or a limit of this server.
    #[error("{what} is {value} and may be {least} to {most}: correct it in the client")]
    Length {
        /// The length's field.
        what: &'static str,
        /// What the client sent.
        value: u64,
        /// The smallest legal value.
        least: u64,
        /// The largest legal value.
        most: u64,
    },
    /// Text with an odd number of bytes, or a surrogate without its other half.
    #[error("{what} is not UTF-16: send text as UTF-16LE with paired surrogates")]
    Utf16 {
        /// The text's field.
        what: &'static str,
    },
    /// A value that has no meaning where it stands.
    #[error("{what} is {value:#x}, which means nothing here: use a value that MS-TDS lists")]
    Unknown {
        /// The field.
        what: &'static str,
        /// What the client sent.
        value: u64,
    },
    /// A parameter of a type this server does not take.
    #[error(
        "parameter {ordinal} (\"{name}\") has the data type {code:#04x}, which is not supported: pass it as nvarchar"
    )]
    ParameterType {
        /// Which parameter, from 1.
        ordinal: usize,
        /// Its name, empty when passed by position.
        name: String,
        /// The TDS type code.
        code: u8,
    },
}
