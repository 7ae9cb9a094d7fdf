//! The fake server's answers in the words of TDS.

use fake_sqlserver::messages::Message as ServerMessage;
use fake_sqlserver::session::Column as ServerColumn;
use fake_sqlserver::value::{DataType, Value as ServerValue};
use jiff::civil::{DateTime as CivilTime, date};
use tds_server::{Column, ColumnType, DateTime, Message, Value};

/// A message.
pub(super) fn message(message: &ServerMessage) -> Message {
    Message {
        number: message.number.try_into().unwrap_or(i32::MAX),
        state: message.state,
        // As SQL Server sends it.
        class: if message.severity == 10 { 0 } else { message.severity },
        text: message.text.clone(),
        procedure: message.procedure.clone().unwrap_or_default(),
        line: message.line,
    }
}

/// A column.
pub(super) fn column(column: &ServerColumn) -> Column {
    let kind = match column.data_type {
        DataType::Bit => ColumnType::Bit,
        DataType::TinyInt => ColumnType::TinyInt,
        DataType::SmallInt => ColumnType::SmallInt,
        DataType::Int => ColumnType::Int,
        DataType::BigInt => ColumnType::BigInt,
        DataType::Numeric => ColumnType::Decimal { precision: 25, scale: 0 },
        DataType::Float => ColumnType::Float,
        DataType::NVarChar(Some(length)) => ColumnType::NVarChar(length),
        DataType::NVarChar(None) => ColumnType::NVarCharMax,
        DataType::NChar(length) => ColumnType::NChar(length),
        DataType::DateTime => ColumnType::DateTime,
        DataType::UniqueIdentifier => ColumnType::UniqueIdentifier,
        DataType::VarBinary(Some(length)) => ColumnType::VarBinary(length),
        DataType::VarBinary(None) => ColumnType::VarBinaryMax,
    };
    Column::new(column.name.as_str(), kind)
}

/// A value.
pub(super) fn value(value: &ServerValue) -> Value {
    match value {
        ServerValue::Null => Value::Null,
        ServerValue::Bit(bit) => Value::Bit(*bit),
        ServerValue::TinyInt(number) => Value::Int((*number).into()),
        ServerValue::SmallInt(number) => Value::Int((*number).into()),
        ServerValue::Int(number) => Value::Int((*number).into()),
        ServerValue::BigInt(number) => Value::Int(*number),
        ServerValue::Numeric(number) => Value::Decimal { unscaled: *number, scale: 0 },
        ServerValue::Float(number) => Value::Float(*number),
        ServerValue::Text(text) => Value::Text(text.clone()),
        ServerValue::DateTime(time) => Value::DateTime(date_time(*time)),
        ServerValue::Guid(guid) => Value::Guid(guid.to_bytes_le()),
        ServerValue::Binary(bytes) => Value::Bytes(bytes.clone()),
    }
}

/// Days and 1/300 s.
fn date_time(time: CivilTime) -> DateTime {
    let days = time.date().since(date(1900, 1, 1)).map_or(0, |span| span.get_days());
    let clock = time.time();
    let seconds =
        (i64::from(clock.hour()) * 60 + i64::from(clock.minute())) * 60 + i64::from(clock.second());
    let nanoseconds = i64::from(clock.subsec_nanosecond());
    let ticks = seconds * 300 + (nanoseconds * 300 + 500_000_000) / 1_000_000_000;
    // The last 1/600 s of a day has no tick of its own.
    DateTime { days, ticks: ticks.min(86_400 * 300 - 1) as u32 }
}
