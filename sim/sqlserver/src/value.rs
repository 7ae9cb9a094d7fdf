//! Values and their types, as they stand in variables and result sets.

use std::fmt;

use jiff::civil::DateTime;
use uuid::Uuid;

pub use crate::decimal::Decimal;

/// A type of T-SQL. Lengths are in characters, or in bytes for binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    /// `bit`.
    Bit,
    /// `tinyint`, 0 to 255.
    TinyInt,
    /// `smallint`.
    SmallInt,
    /// `int`.
    Int,
    /// `bigint`.
    BigInt,
    /// `numeric(25,0)`, the type of log sequence numbers.
    Numeric,
    /// `numeric` and `decimal` with a fraction, and `money`.
    Decimal {
        /// Digits, 1 to 38.
        precision: u8,
        /// Those of them behind the point.
        scale: u8,
    },
    /// `float`.
    Float,
    /// `nvarchar`, and `varchar`, which is not told apart; `None` is `max`.
    NVarChar(Option<u16>),
    /// `nchar`, and `char`.
    NChar(u16),
    /// `datetime`.
    DateTime,
    /// `uniqueidentifier`.
    UniqueIdentifier,
    /// `varbinary`; `None` is `max`.
    VarBinary(Option<u16>),
}

/// As messages name it.
impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DataType::Bit => "bit",
            DataType::TinyInt => "tinyint",
            DataType::SmallInt => "smallint",
            DataType::Int => "int",
            DataType::BigInt => "bigint",
            DataType::Numeric | DataType::Decimal { .. } => "numeric",
            DataType::Float => "float",
            DataType::NVarChar(_) => "nvarchar",
            DataType::NChar(_) => "nchar",
            DataType::DateTime => "datetime",
            DataType::UniqueIdentifier => "uniqueidentifier",
            DataType::VarBinary(_) => "varbinary",
        })
    }
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL of any type.
    Null,
    /// `bit`.
    Bit(bool),
    /// `tinyint`.
    TinyInt(u8),
    /// `smallint`.
    SmallInt(i16),
    /// `int`.
    Int(i32),
    /// `bigint`.
    BigInt(i64),
    /// `numeric(25,0)`.
    Numeric(i128),
    /// `numeric` with a fraction.
    Decimal(Decimal),
    /// `float`.
    Float(f64),
    /// Text of any kind.
    Text(String),
    /// `datetime`, local time.
    DateTime(DateTime),
    /// `uniqueidentifier`.
    Guid(Uuid),
    /// `varbinary`.
    Binary(Vec<u8>),
}

impl Value {
    /// The type that a value has by itself; NULL counts as `int`, as in SQL Server.
    pub fn data_type(&self) -> DataType {
        match self {
            Value::Null | Value::Int(_) => DataType::Int,
            Value::Bit(_) => DataType::Bit,
            Value::TinyInt(_) => DataType::TinyInt,
            Value::SmallInt(_) => DataType::SmallInt,
            Value::BigInt(_) => DataType::BigInt,
            Value::Numeric(_) => DataType::Numeric,
            Value::Decimal(Decimal { precision, scale, .. }) => {
                DataType::Decimal { precision: *precision, scale: *scale }
            }
            Value::Float(_) => DataType::Float,
            Value::Text(text) => DataType::NVarChar(short(text.encode_utf16().count(), 4000)),
            Value::DateTime(_) => DataType::DateTime,
            Value::Guid(_) => DataType::UniqueIdentifier,
            Value::Binary(bytes) => DataType::VarBinary(short(bytes.len(), 8000)),
        }
    }

    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        *self == Value::Null
    }

    /// The whole number that it is.
    pub fn integer(&self) -> Option<i128> {
        match *self {
            Value::Bit(bit) => Some(bit.into()),
            Value::TinyInt(number) => Some(number.into()),
            Value::SmallInt(number) => Some(number.into()),
            Value::Int(number) => Some(number.into()),
            Value::BigInt(number) => Some(number.into()),
            Value::Numeric(number) => Some(number),
            _ => None,
        }
    }

    /// A whole number in the smallest of `int`, `bigint` and `numeric` that holds it.
    pub fn from_integer(number: i128) -> Value {
        if let Ok(number) = i32::try_from(number) {
            Value::Int(number)
        } else if let Ok(number) = i64::try_from(number) {
            Value::BigInt(number)
        } else {
            Value::Numeric(number)
        }
    }
}

/// A length that a type of limited size can have: at least 1, `None` over the limit.
fn short(length: usize, limit: u16) -> Option<u16> {
    u16::try_from(length.max(1)).ok().filter(|length| *length <= limit)
}

/// As CAST to text shows it; NULL is empty.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => Ok(()),
            Value::Bit(bit) => write!(f, "{}", u8::from(*bit)),
            Value::TinyInt(number) => write!(f, "{number}"),
            Value::SmallInt(number) => write!(f, "{number}"),
            Value::Int(number) => write!(f, "{number}"),
            Value::BigInt(number) => write!(f, "{number}"),
            Value::Numeric(number) => write!(f, "{number}"),
            Value::Decimal(number) => write!(f, "{number}"),
            Value::Float(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
            Value::DateTime(time) => write!(f, "{}", time.strftime("%b %e %Y %l:%M%p")),
            Value::Guid(guid) => write!(f, "{:X}", guid.hyphenated()),
            Value::Binary(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Value {
        text.map_or(Value::Null, Value::Text)
    }
}
