//! Types and values as the other side sends them: a procedure's parameters, a result set's columns (MS-TDS 2.2.5.4 to
//! 2.2.5.6).

use std::borrow::Cow;

use super::{
    Malformed, collation,
    cursor::{Cursor, utf16},
    data::{ColumnType, DateTime, NULL_U16, PLP_NULL, Value, code},
};

/// The types without a length in their TYPE_INFO, which only parameters of old clients have.
mod fixed {
    pub(super) const NULL: u8 = 0x1F;
    pub(super) const INT1: u8 = 0x30;
    pub(super) const BIT: u8 = 0x32;
    pub(super) const INT2: u8 = 0x34;
    pub(super) const INT4: u8 = 0x38;
    pub(super) const DATETIME4: u8 = 0x3A;
    pub(super) const FLOAT4: u8 = 0x3B;
    pub(super) const MONEY: u8 = 0x3C;
    pub(super) const DATETIME: u8 = 0x3D;
    pub(super) const FLOAT8: u8 = 0x3E;
    pub(super) const MONEY4: u8 = 0x7A;
    pub(super) const INT8: u8 = 0x7F;
}

/// The types that only clients send here.
mod sent {
    pub(super) const IMAGE: u8 = 0x22;
    pub(super) const TEXT: u8 = 0x23;
    pub(super) const DATE_N: u8 = 0x28;
    pub(super) const TIME_N: u8 = 0x29;
    pub(super) const DATETIME2_N: u8 = 0x2A;
    pub(super) const DATETIMEOFFSET_N: u8 = 0x2B;
    pub(super) const NTEXT: u8 = 0x63;
}

/// The total length that says "unknown" in a partially length-prefixed value.
const PLP_UNKNOWN: u64 = u64::MAX - 1;
/// Days from 0001-01-01, where `date` starts, to 1900-01-01, where `datetime` does.
const DAYS_TO_1900: i64 = 693_595;
const TICKS_A_SECOND: u64 = 300;
const TICKS_A_DAY: i64 = 86_400 * 300;

/// A type as far as its values need it.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// `bytes` of a whole number, or of what the code says.
    Fixed { bytes: u8 },
    /// A byte with the length, 0 for NULL, then the value.
    ByteCounted { scale: u8 },
    /// A u16 with the length, 0xFFFF for NULL.
    Counted { collation: [u8; 5] },
    /// Chunks.
    Chunked { collation: [u8; 5] },
    /// A u32 with the length, 0xFFFFFFFF for NULL.
    LongCounted { collation: [u8; 5] },
}

/// A type that the other side has sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TypeInfo {
    code: u8,
    /// The most bytes of a value, or the precision of a number.
    most: u16,
    shape: Shape,
}

/// Takes a parameter's TYPE_INFO and value; the code of a type that is not supported.
pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Result<Value, u8>, Malformed> {
    match TypeInfo::decode(cursor)? {
        Ok(info) => info.value(cursor).map(Ok),
        Err(code) => Ok(Err(code)),
    }
}

impl TypeInfo {
    /// Takes TYPE_INFO; the code of a type that is not supported.
    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Result<Result<Self, u8>, Malformed> {
        let code = cursor.u8("a value's type")?;
        // What comes first behind the code, where it is a length.
        let mut length = cursor.clone();
        let shape = shape(code, cursor)?;
        let most = match (code, shape) {
            (code::DECIMAL_N | code::NUMERIC_N, _) => {
                length.u8("a number's length")?;
                length.u8("a number's precision")?.into()
            }
            (_, Some(Shape::Counted { .. } | Shape::Chunked { .. })) => {
                length.u16("a type's length")?
            }
            (_, Some(Shape::ByteCounted { .. })) if code != sent::DATE_N => {
                length.u8("a type's length")?.into()
            }
            (_, Some(Shape::Fixed { bytes })) => bytes.into(),
            _ => 0,
        };
        Ok(shape.map(|shape| Self { code, most, shape }).ok_or(code))
    }

    /// Takes a value of the type.
    pub(crate) fn value(self, cursor: &mut Cursor<'_>) -> Result<Value, Malformed> {
        let what = "a value";
        let bytes: Option<Cow<'_, [u8]>> = match self.shape {
            Shape::Fixed { bytes } => Some(cursor.take(what, bytes.into())?.into()),
            Shape::ByteCounted { .. } => match cursor.u8("a value's length")? {
                0 => None,
                length => Some(cursor.take(what, length.into())?.into()),
            },
            Shape::Counted { .. } => match cursor.u16("a value's length")? {
                NULL_U16 => None,
                length => Some(cursor.take(what, length.into())?.into()),
            },
            Shape::LongCounted { .. } => match cursor.u32("a value's length")? {
                u32::MAX => None,
                length => Some(cursor.take(what, length as usize)?.into()),
            },
            Shape::Chunked { .. } => chunks(cursor)?,
        };
        bytes.map_or(Ok(Value::Null), |bytes| value(self.code, self.shape, &bytes))
    }

    /// The nearest type of those that this crate sends; none where rows have another layout than parameters.
    pub(crate) fn column_type(self) -> Option<ColumnType> {
        let scale = if let Shape::ByteCounted { scale } = self.shape { scale } else { 0 };
        Some(match (self.code, self.most) {
            (sent::TEXT | sent::NTEXT | sent::IMAGE, _) => return None,
            (fixed::NULL, _) => ColumnType::NVarChar(1),
            (fixed::BIT | code::BIT_N, _) => ColumnType::Bit,
            (fixed::INT1 | code::INT_N, 1) => ColumnType::TinyInt,
            (fixed::INT2 | code::INT_N, 2) => ColumnType::SmallInt,
            (fixed::INT4 | code::INT_N, 4) => ColumnType::Int,
            (fixed::INT8 | code::INT_N, _) => ColumnType::BigInt,
            (fixed::FLOAT4 | fixed::FLOAT8 | code::FLOAT_N, _) => ColumnType::Float,
            (fixed::MONEY4, _) | (code::MONEY_N, 4) => {
                ColumnType::Decimal { precision: 10, scale: 4 }
            }
            (fixed::MONEY | code::MONEY_N, _) => ColumnType::Decimal { precision: 19, scale: 4 },
            (code::DECIMAL_N | code::NUMERIC_N, precision) => {
                ColumnType::Decimal { precision: precision.min(38) as u8, scale }
            }
            (code::GUID, _) => ColumnType::UniqueIdentifier,
            (code::NVARCHAR | code::NCHAR, NULL_U16) => ColumnType::NVarCharMax,
            (code::NVARCHAR, bytes) => ColumnType::NVarChar(bytes / 2),
            (code::NCHAR, bytes) => ColumnType::NChar(bytes / 2),
            (code::VARCHAR | code::CHAR, NULL_U16) => ColumnType::NVarCharMax,
            (code::VARCHAR | code::CHAR, bytes) => ColumnType::VarChar(bytes),
            (code::VARBINARY | code::BINARY, NULL_U16) => ColumnType::VarBinaryMax,
            (code::VARBINARY | code::BINARY, bytes) => ColumnType::VarBinary(bytes),
            _ => ColumnType::DateTime,
        })
    }
}

fn shape(code: u8, cursor: &mut Cursor<'_>) -> Result<Option<Shape>, Malformed> {
    let what = "a value's type";
    let shape = match code {
        fixed::NULL => Shape::Fixed { bytes: 0 },
        fixed::INT1 | fixed::BIT => Shape::Fixed { bytes: 1 },
        fixed::INT2 => Shape::Fixed { bytes: 2 },
        fixed::INT4 | fixed::DATETIME4 | fixed::FLOAT4 | fixed::MONEY4 => Shape::Fixed { bytes: 4 },
        fixed::MONEY | fixed::DATETIME | fixed::FLOAT8 | fixed::INT8 => Shape::Fixed { bytes: 8 },
        sent::DATE_N => Shape::ByteCounted { scale: 0 },
        sent::TIME_N | sent::DATETIME2_N | sent::DATETIMEOFFSET_N => {
            Shape::ByteCounted { scale: scale(cursor.u8(what)?, 7)? }
        }
        code::GUID
        | code::INT_N
        | code::BIT_N
        | code::FLOAT_N
        | code::MONEY_N
        | code::DATETIME_N => {
            cursor.u8(what)?;
            Shape::ByteCounted { scale: 0 }
        }
        code::DECIMAL_N | code::NUMERIC_N => {
            let [_length, _precision, digits] = cursor.array(what)?;
            Shape::ByteCounted { scale: scale(digits, 38)? }
        }
        code::VARBINARY | code::BINARY => match cursor.u16(what)? {
            NULL_U16 => Shape::Chunked { collation: [0; 5] },
            _ => Shape::Counted { collation: [0; 5] },
        },
        code::VARCHAR | code::CHAR | code::NVARCHAR | code::NCHAR => {
            let most = cursor.u16(what)?;
            let collation = cursor.array(what)?;
            if most == NULL_U16 {
                Shape::Chunked { collation }
            } else {
                Shape::Counted { collation }
            }
        }
        sent::TEXT | sent::NTEXT => {
            cursor.u32(what)?;
            Shape::LongCounted { collation: cursor.array(what)? }
        }
        sent::IMAGE => {
            cursor.u32(what)?;
            Shape::LongCounted { collation: [0; 5] }
        }
        _ => return Ok(None),
    };
    Ok(Some(shape))
}

fn scale(scale: u8, most: u8) -> Result<u8, Malformed> {
    if scale <= most {
        return Ok(scale);
    }
    Err(Malformed::Length {
        what: "a number's scale",
        value: scale.into(),
        least: 0,
        most: most.into(),
    })
}

/// Takes a partially length-prefixed value; `None` for NULL.
fn chunks<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
    let total = cursor.u64("a value's total length")?;
    if total == PLP_NULL {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    loop {
        match cursor.u32("a chunk's length")? {
            0 => break,
            length => bytes.extend_from_slice(cursor.take("a chunk", length as usize)?),
        }
    }
    if total != PLP_UNKNOWN && total != bytes.len() as u64 {
        let sum = bytes.len() as u64;
        return Err(Malformed::Length {
            what: "a value's total length",
            value: total,
            least: sum,
            most: sum,
        });
    }
    Ok(Some(bytes.into()))
}

fn value(code: u8, shape: Shape, bytes: &[u8]) -> Result<Value, Malformed> {
    let scale = if let Shape::ByteCounted { scale } = shape { scale } else { 0 };
    let collation = match shape {
        Shape::Counted { collation }
        | Shape::Chunked { collation }
        | Shape::LongCounted { collation } => collation,
        _ => [0; 5],
    };
    let wrong_length = || Malformed::Length {
        what: "the length of a value",
        value: bytes.len() as u64,
        least: 0,
        most: 17,
    };
    Ok(match code {
        fixed::NULL => Value::Null,
        fixed::BIT | code::BIT_N => Value::Bit(bytes.iter().any(|byte| *byte != 0)),
        fixed::INT1 | fixed::INT2 | fixed::INT4 | fixed::INT8 | code::INT_N => {
            Value::Int(whole(bytes).ok_or_else(wrong_length)?)
        }
        fixed::FLOAT4 | fixed::FLOAT8 | code::FLOAT_N => match bytes.len() {
            4 => Value::Float(f32::from_le_bytes(array(bytes)).into()),
            8 => Value::Float(f64::from_le_bytes(array(bytes))),
            _ => return Err(wrong_length()),
        },
        fixed::MONEY | fixed::MONEY4 | code::MONEY_N => {
            Value::Decimal { unscaled: money(bytes).ok_or_else(wrong_length)?, scale: 4 }
        }
        code::DECIMAL_N | code::NUMERIC_N => {
            Value::Decimal { unscaled: decimal(bytes).ok_or_else(wrong_length)?, scale }
        }
        fixed::DATETIME4
        | fixed::DATETIME
        | code::DATETIME_N
        | sent::DATE_N
        | sent::TIME_N
        | sent::DATETIME2_N
        | sent::DATETIMEOFFSET_N => {
            Value::DateTime(moment(code, scale, bytes).ok_or_else(wrong_length)?)
        }
        code::GUID if bytes.len() == 16 => Value::Guid(array(bytes)),
        code::GUID => return Err(wrong_length()),
        code::NVARCHAR | code::NCHAR | sent::NTEXT => Value::Text(utf16("a text", bytes)?),
        code::VARCHAR | code::CHAR | sent::TEXT => Value::Text(collation::decode(collation, bytes)),
        _ => Value::Bytes(bytes.to_vec()),
    })
}

/// The first `N` bytes, with zeros where there are fewer.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    let length = bytes.len().min(N);
    array[..length].copy_from_slice(&bytes[..length]);
    array
}

fn little_endian(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(array(bytes))
}

fn whole(bytes: &[u8]) -> Option<i64> {
    match bytes.len() {
        1 => Some(bytes[0].into()),
        2 => Some(i16::from_le_bytes(array(bytes)).into()),
        4 => Some(i32::from_le_bytes(array(bytes)).into()),
        8 => Some(i64::from_le_bytes(array(bytes))),
        _ => None,
    }
}

/// `money` has its high half in front.
fn money(bytes: &[u8]) -> Option<i128> {
    match bytes.len() {
        4 => Some(i32::from_le_bytes(array(bytes)).into()),
        8 => {
            let high = i32::from_le_bytes(array(bytes));
            let low = u32::from_le_bytes(array(&bytes[4..]));
            Some(i128::from((i64::from(high) << 32) | i64::from(low)))
        }
        _ => None,
    }
}

/// A byte with the sign, 0 for negative, then the magnitude.
fn decimal(bytes: &[u8]) -> Option<i128> {
    let (sign, magnitude) = bytes.split_first()?;
    if magnitude.len() > 16 {
        return None;
    }
    let magnitude = i128::try_from(u128::from_le_bytes(array(magnitude))).ok()?;
    Some(if *sign == 0 { -magnitude } else { magnitude })
}

fn moment(code: u8, scale: u8, bytes: &[u8]) -> Option<DateTime> {
    let since_year_1 = |date: &[u8]| little_endian(date) as i64 - DAYS_TO_1900;
    let (days, ticks) = match (code, bytes.len()) {
        (fixed::DATETIME4 | code::DATETIME_N, 4) => {
            let minutes = i64::from(u16::from_le_bytes(array(&bytes[2..])));
            (i64::from(u16::from_le_bytes(array(bytes))), minutes * 60 * TICKS_A_SECOND as i64)
        }
        (fixed::DATETIME | code::DATETIME_N, 8) => {
            let ticks = u32::from_le_bytes(array(&bytes[4..]));
            (i32::from_le_bytes(array(bytes)).into(), ticks.into())
        }
        (sent::DATE_N, 3) => (since_year_1(bytes), 0),
        (sent::TIME_N, 3..=5) => (0, ticks(bytes, scale)),
        (sent::DATETIME2_N, length @ 6..=8) => {
            let (time, date) = bytes.split_at(length - 3);
            (since_year_1(date), ticks(time, scale))
        }
        // The time is UTC, the offset in minutes; SQL Server shows the local time.
        (sent::DATETIMEOFFSET_N, length @ 8..=10) => {
            let (time, rest) = bytes.split_at(length - 5);
            let (date, offset) = rest.split_at(3);
            let offset = i64::from(i16::from_le_bytes(array(offset)));
            let local = ticks(time, scale) + offset * 60 * TICKS_A_SECOND as i64;
            (since_year_1(date), local)
        }
        _ => return None,
    };
    let days = days.checked_add(ticks.div_euclid(TICKS_A_DAY))?;
    let ticks = u32::try_from(ticks.rem_euclid(TICKS_A_DAY)).ok()?;
    Some(DateTime { days: i32::try_from(days).ok()?, ticks })
}

/// A time of the day, counted in 10^-scale s, in 1/300 s.
fn ticks(bytes: &[u8], scale: u8) -> i64 {
    let unit = 10_u64.pow(scale.into());
    // Five bytes at most: the product fits.
    ((little_endian(bytes) * TICKS_A_SECOND + unit / 2) / unit) as i64
}
