//! Columns and values: the types this server sends, and their bytes (MS-TDS 2.2.5.4 to 2.2.5.6, "Data Types").

use thiserror::Error;

use super::collation;

/// Type codes (MS-TDS 2.2.5.4).
pub(crate) mod code {
    pub(crate) const GUID: u8 = 0x24;
    pub(crate) const INT_N: u8 = 0x26;
    pub(crate) const BIT_N: u8 = 0x68;
    pub(crate) const DECIMAL_N: u8 = 0x6A;
    pub(crate) const NUMERIC_N: u8 = 0x6C;
    pub(crate) const FLOAT_N: u8 = 0x6D;
    pub(crate) const MONEY_N: u8 = 0x6E;
    pub(crate) const DATETIME_N: u8 = 0x6F;
    pub(crate) const VARBINARY: u8 = 0xA5;
    pub(crate) const VARCHAR: u8 = 0xA7;
    pub(crate) const BINARY: u8 = 0xAD;
    pub(crate) const CHAR: u8 = 0xAF;
    pub(crate) const NVARCHAR: u8 = 0xE7;
    pub(crate) const NCHAR: u8 = 0xEF;
}

/// The length that says NULL where lengths are u16, and "max" in a type.
pub(crate) const NULL_U16: u16 = 0xFFFF;
/// The total length that says NULL in a partially length-prefixed value.
pub(crate) const PLP_NULL: u64 = u64::MAX;
/// The most bytes a decimal takes, its sign included.
const DECIMAL_MOST_BYTES: u8 = 17;

/// The type of a column or of a returned value. All are nullable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// `bit`
    Bit,
    /// `tinyint`, 0 to 255
    TinyInt,
    /// `smallint`
    SmallInt,
    /// `int`
    Int,
    /// `bigint`
    BigInt,
    /// `float(53)`
    Float,
    /// `decimal` or `numeric`
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits behind the point, at most `precision`.
        scale: u8,
    },
    /// `datetime`
    DateTime,
    /// `uniqueidentifier`
    UniqueIdentifier,
    /// `nchar(n)`; values are padded with spaces. 1 to 4,000 UTF-16 units.
    NChar(u16),
    /// `nvarchar(n)`, 1 to 4,000 UTF-16 units
    NVarChar(u16),
    /// `nvarchar(max)`
    NVarCharMax,
    /// `varchar(n)` in code page 1252, 1 to 8,000 bytes
    VarChar(u16),
    /// `varbinary(n)`, 1 to 8,000 bytes
    VarBinary(u16),
    /// `varbinary(max)`
    VarBinaryMax,
}

/// A value of a row or of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL of any type
    Null,
    /// `bit`
    Bit(bool),
    /// `tinyint` to `bigint`
    Int(i64),
    /// `real` and `float`
    Float(f64),
    /// `decimal`, `numeric` and `money`: `unscaled` / 10^`scale`
    Decimal {
        /// The number without its point.
        unscaled: i128,
        /// Digits behind the point.
        scale: u8,
    },
    /// `char` to `nvarchar(max)`
    Text(String),
    /// `binary` to `varbinary(max)`
    Bytes(Vec<u8>),
    /// `datetime`; parameters of the other types of dates and times are rounded to it
    DateTime(DateTime),
    /// `uniqueidentifier`, in the byte order SQL Server stores: the first three fields little-endian
    Guid([u8; 16]),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

/// A `datetime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime {
    /// Days since 1900-01-01, from -53690 (1753-01-01).
    pub days: i32,
    /// Time of the day in 1/300 s, below 25,920,000.
    pub ticks: u32,
}

/// A value that its column's type cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a value does not fit its type {column:?}: {reason}")]
pub struct Misfit {
    /// The column's type.
    pub column: ColumnType,
    /// What does not fit.
    pub reason: &'static str,
}

impl ColumnType {
    /// Appends TYPE_INFO.
    pub fn encode(self, out: &mut Vec<u8>) {
        let mut sized = |code: u8, bytes: u16, text: bool| {
            out.push(code);
            out.extend(bytes.to_le_bytes());
            if text {
                out.extend(collation::COLLATION);
            }
        };
        match self {
            Self::NChar(chars) => sized(code::NCHAR, chars.saturating_mul(2), true),
            Self::NVarChar(chars) => sized(code::NVARCHAR, chars.saturating_mul(2), true),
            Self::NVarCharMax => sized(code::NVARCHAR, NULL_U16, true),
            Self::VarChar(bytes) => sized(code::VARCHAR, bytes, true),
            Self::VarBinary(bytes) => sized(code::VARBINARY, bytes, false),
            Self::VarBinaryMax => sized(code::VARBINARY, NULL_U16, false),
            Self::Bit => out.extend([code::BIT_N, 1]),
            Self::TinyInt => out.extend([code::INT_N, 1]),
            Self::SmallInt => out.extend([code::INT_N, 2]),
            Self::Int => out.extend([code::INT_N, 4]),
            Self::BigInt => out.extend([code::INT_N, 8]),
            Self::Float => out.extend([code::FLOAT_N, 8]),
            Self::Decimal { precision, scale } => {
                out.extend([code::NUMERIC_N, DECIMAL_MOST_BYTES, precision, scale]);
            }
            Self::DateTime => out.extend([code::DATETIME_N, 8]),
            Self::UniqueIdentifier => out.extend([code::GUID, 16]),
        }
    }

    /// Appends a value of this type.
    ///
    /// # Errors
    /// [`Misfit`] when the value is of another kind, too long, or out of range; then nothing is appended.
    pub fn encode_value(self, value: &Value, out: &mut Vec<u8>) -> Result<(), Misfit> {
        let misfit = |reason| Misfit { column: self, reason };
        match (self, value) {
            (_, Value::Null) => self.encode_null(out),
            (Self::Bit, Value::Bit(bit)) => out.extend([1, u8::from(*bit)]),
            (Self::TinyInt | Self::SmallInt | Self::Int | Self::BigInt, Value::Int(number)) => {
                let (low, high, bytes) = self.int_range();
                if !(low..=high).contains(number) {
                    return Err(misfit("the number is out of range"));
                }
                out.push(bytes);
                out.extend(&number.to_le_bytes()[..usize::from(bytes)]);
            }
            (Self::Float, Value::Float(number)) => {
                out.push(8);
                out.extend(number.to_le_bytes());
            }
            (Self::Decimal { precision, scale }, Value::Decimal { unscaled, scale: given }) => {
                let unscaled = rescale(*unscaled, *given, scale)
                    .filter(|number| number.unsigned_abs() < 10_u128.pow(precision.min(38).into()))
                    .ok_or_else(|| misfit("the number has too many digits"))?;
                let bytes = decimal_bytes(precision);
                out.extend([bytes, u8::from(unscaled >= 0)]);
                out.extend(&unscaled.unsigned_abs().to_le_bytes()[..usize::from(bytes) - 1]);
            }
            (Self::DateTime, Value::DateTime(DateTime { days, ticks })) => {
                out.push(8);
                out.extend(days.to_le_bytes());
                out.extend(ticks.to_le_bytes());
            }
            (Self::UniqueIdentifier, Value::Guid(guid)) => {
                out.push(16);
                out.extend(guid);
            }
            (Self::NChar(most) | Self::NVarChar(most), Value::Text(text)) => {
                let pad = if matches!(self, Self::NChar(_)) { most.into() } else { 0 };
                let mut units: Vec<u16> = text.encode_utf16().collect();
                units.resize(units.len().max(pad), u16::from(b' '));
                let bytes: Vec<u8> = units.into_iter().flat_map(u16::to_le_bytes).collect();
                counted(&bytes, usize::from(most) * 2, out)
                    .ok_or_else(|| misfit("the text is too long"))?;
            }
            (Self::VarChar(most), Value::Text(text)) => {
                counted(&collation::encode(text), most.into(), out)
                    .ok_or_else(|| misfit("the text is too long"))?;
            }
            (Self::VarBinary(most), Value::Bytes(bytes)) => counted(bytes, most.into(), out)
                .ok_or_else(|| misfit("there are too many bytes"))?,
            (Self::NVarCharMax, Value::Text(text)) => {
                chunked(&text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(), out);
            }
            (Self::VarBinaryMax, Value::Bytes(bytes)) => chunked(bytes, out),
            _ => return Err(misfit("the value is of another kind")),
        }
        Ok(())
    }

    fn encode_null(self, out: &mut Vec<u8>) {
        match self {
            Self::NChar(_) | Self::NVarChar(_) | Self::VarChar(_) | Self::VarBinary(_) => {
                out.extend(NULL_U16.to_le_bytes());
            }
            Self::NVarCharMax | Self::VarBinaryMax => out.extend(PLP_NULL.to_le_bytes()),
            _ => out.push(0),
        }
    }

    /// Least, most and bytes of a whole number.
    fn int_range(self) -> (i64, i64, u8) {
        match self {
            Self::TinyInt => (0, 255, 1),
            Self::SmallInt => (i16::MIN.into(), i16::MAX.into(), 2),
            Self::Int => (i32::MIN.into(), i32::MAX.into(), 4),
            _ => (i64::MIN, i64::MAX, 8),
        }
    }
}

/// Bytes of a decimal value, its sign included, by precision (MS-TDS 2.2.5.5.1.6).
fn decimal_bytes(precision: u8) -> u8 {
    match precision {
        0..=9 => 5,
        10..=19 => 9,
        20..=28 => 13,
        _ => DECIMAL_MOST_BYTES,
    }
}

/// The same number with `to` digits behind the point; `None` if digits would be lost.
fn rescale(unscaled: i128, from: u8, to: u8) -> Option<i128> {
    if to >= from {
        unscaled.checked_mul(10_i128.checked_pow((to - from).into())?)
    } else {
        let divisor = 10_i128.checked_pow((from - to).into())?;
        (unscaled % divisor == 0).then(|| unscaled / divisor)
    }
}

/// Appends bytes behind their u16 length, if they are no more than `most`.
fn counted(bytes: &[u8], most: usize, out: &mut Vec<u8>) -> Option<()> {
    let length = u16::try_from(bytes.len()).ok().filter(|_| bytes.len() <= most)?;
    out.extend(length.to_le_bytes());
    out.extend(bytes);
    Some(())
}

/// Appends bytes as a partially length-prefixed value of one chunk (MS-TDS 2.2.5.2.3).
fn chunked(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend((bytes.len() as u64).to_le_bytes());
    for chunk in bytes.chunks(u32::MAX as usize) {
        out.extend((chunk.len() as u32).to_le_bytes());
        out.extend(chunk);
    }
    out.extend(0_u32.to_le_bytes());
}
