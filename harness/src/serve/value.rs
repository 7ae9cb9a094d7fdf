//! Types and values between T-SQL and the wire.

use fake_sqlserver::value::{DataType, Decimal, Value};
use jiff::civil::{Date, DateTime, Time, date};
use jiff::{SignedDuration, Span};
use tds_server::{self as tds, ColumnType};
use uuid::Uuid;

/// Digits of `numeric` columns: log sequence numbers. Source: SQL Server's RESTORE HEADERONLY.
const NUMERIC: ColumnType = ColumnType::Decimal { precision: 25, scale: 0 };

/// Digits of the longest `numeric`.
const MOST_DIGITS: u8 = 38;

/// The most characters of an `nvarchar` that is not `max`.
const MOST_CHARACTERS: u16 = 4000;

/// The most bytes of a `varbinary` that is not `max`.
const MOST_BYTES: u16 = 8000;

/// The day that `datetime` counts from.
const DAY_ZERO: Date = date(1900, 1, 1);

/// Units of a `datetime`'s time in a second.
const TICKS: i128 = 300;

const NANOSECONDS: i128 = 1_000_000_000;

/// How a column of this type is declared.
pub(crate) fn column_type(data_type: DataType) -> ColumnType {
    match data_type {
        DataType::Bit => ColumnType::Bit,
        DataType::TinyInt => ColumnType::TinyInt,
        DataType::SmallInt => ColumnType::SmallInt,
        DataType::Int => ColumnType::Int,
        DataType::BigInt => ColumnType::BigInt,
        DataType::Numeric => NUMERIC,
        DataType::Decimal { precision, scale } => ColumnType::Decimal { precision, scale },
        DataType::Float => ColumnType::Float,
        DataType::NVarChar(Some(length)) if length <= MOST_CHARACTERS => {
            ColumnType::NVarChar(length.max(1))
        }
        DataType::NVarChar(_) => ColumnType::NVarCharMax,
        DataType::NChar(length) => ColumnType::NChar(length.clamp(1, MOST_CHARACTERS)),
        DataType::DateTime => ColumnType::DateTime,
        DataType::UniqueIdentifier => ColumnType::UniqueIdentifier,
        DataType::VarBinary(Some(length)) if length <= MOST_BYTES => {
            ColumnType::VarBinary(length.max(1))
        }
        DataType::VarBinary(_) => ColumnType::VarBinaryMax,
    }
}

/// A value of a column of this type.
pub(crate) fn sent(value: &Value, column: ColumnType) -> tds::Value {
    let is_decimal = matches!(column, ColumnType::Decimal { .. });
    if let (true, Some(unscaled)) = (is_decimal, value.integer()) {
        return tds::Value::Decimal { unscaled, scale: 0 };
    }
    match value {
        Value::Null => tds::Value::Null,
        Value::Bit(bit) => tds::Value::Bit(*bit),
        Value::TinyInt(number) => tds::Value::Int((*number).into()),
        Value::SmallInt(number) => tds::Value::Int((*number).into()),
        Value::Int(number) => tds::Value::Int((*number).into()),
        Value::BigInt(number) => tds::Value::Int(*number),
        Value::Numeric(number) => tds::Value::Decimal { unscaled: *number, scale: 0 },
        Value::Decimal(Decimal { unscaled, scale, .. }) => {
            tds::Value::Decimal { unscaled: *unscaled, scale: *scale }
        }
        Value::Float(number) => tds::Value::Float(*number),
        Value::Text(text) => tds::Value::Text(text.clone()),
        Value::DateTime(time) => tds::Value::DateTime(date_time(*time)),
        Value::Guid(guid) => tds::Value::Guid(guid.to_bytes_le()),
        Value::Binary(bytes) => tds::Value::Bytes(bytes.clone()),
    }
}

/// A value that a client sent.
pub(super) fn received(value: &tds::Value) -> Value {
    match value {
        tds::Value::Null => Value::Null,
        tds::Value::Bit(bit) => Value::Bit(*bit),
        tds::Value::Int(number) => Value::from_integer((*number).into()),
        tds::Value::Float(number) => Value::Float(*number),
        tds::Value::Decimal { unscaled, scale: 0 } => Value::Numeric(*unscaled),
        tds::Value::Decimal { unscaled, scale } => {
            Value::Decimal(Decimal { unscaled: *unscaled, precision: MOST_DIGITS, scale: *scale })
        }
        tds::Value::Text(text) => Value::Text(text.clone()),
        tds::Value::Bytes(bytes) => Value::Binary(bytes.clone()),
        tds::Value::DateTime(time) => civil(*time).map_or(Value::Null, Value::DateTime),
        tds::Value::Guid(guid) => Value::Guid(Uuid::from_bytes_le(*guid)),
    }
}

/// The nearest time that `datetime` has.
fn date_time(time: DateTime) -> tds::DateTime {
    let since = time.duration_since(DAY_ZERO.to_datetime(Time::midnight())).as_nanos();
    let ticks = (since * TICKS + NANOSECONDS / 2).div_euclid(NANOSECONDS);
    let day = 86_400 * TICKS;
    tds::DateTime {
        days: i32::try_from(ticks.div_euclid(day)).unwrap_or(i32::MAX),
        ticks: u32::try_from(ticks.rem_euclid(day)).unwrap_or(0),
    }
}

/// `None` outside of the calendar's years.
fn civil(time: tds::DateTime) -> Option<DateTime> {
    let midnight = DAY_ZERO.to_datetime(Time::midnight());
    let nanoseconds = i128::from(time.ticks) * NANOSECONDS / TICKS;
    let since = SignedDuration::from_nanos(i64::try_from(nanoseconds).ok()?);
    let days = Span::new().try_days(time.days).ok()?;
    midnight.checked_add(days).ok()?.checked_add(since).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: a wrong day zero, ticks rounded down, a carry into the next day that is lost.
    #[test]
    fn times_go_to_the_nearest_tick() {
        let sent = |time| (date_time(time).days, date_time(time).ticks);
        assert_eq!(sent(date(1900, 1, 1).at(0, 0, 0, 0)), (0, 0));
        assert_eq!(sent(date(1899, 12, 31).at(12, 0, 0, 0)), (-1, 12_960_000));
        assert_eq!(sent(date(2023, 3, 17).at(0, 0, 1, 2_000_000)), (45_000, 301));
        assert_eq!(sent(date(2023, 3, 17).at(23, 59, 59, 999_000_000)), (45_001, 0));
        let noon = date(2024, 2, 29).at(12, 30, 0, 0);
        assert_eq!(civil(date_time(noon)), Some(noon));
        assert_eq!(civil(tds::DateTime { days: i32::MAX, ticks: 0 }), None);
    }

    // Catches: a type without a wire form, a value that its own column refuses.
    #[test]
    fn every_value_fits_the_column_of_its_type() {
        let values = [
            Value::Bit(true),
            Value::TinyInt(255),
            Value::SmallInt(-2),
            Value::Int(-70_000),
            Value::BigInt(1 << 40),
            Value::Numeric(37_000_000_012_800_001),
            Value::Decimal(Decimal { unscaled: -150, precision: 3, scale: 2 }),
            Value::Float(0.5),
            Value::Text("x".repeat(4001)),
            Value::Text(String::new()),
            Value::DateTime(date(2016, 4, 30).at(1, 2, 3, 0)),
            Value::Guid(Uuid::from_u128(7)),
            Value::Binary(vec![0; 8001]),
        ];
        for value in values {
            for value in [&value, &Value::Null] {
                let column = column_type(value.data_type());
                column.encode_value(&sent(value, column), &mut Vec::new()).unwrap();
            }
            let back = received(&sent(&value, column_type(value.data_type())));
            assert_eq!(back.to_string(), value.to_string());
        }
        let column = column_type(DataType::Numeric);
        column.encode_value(&sent(&Value::Int(5), column), &mut Vec::new()).unwrap();
    }
}
