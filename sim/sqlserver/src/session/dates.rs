//! Functions of dates: DATEADD, DATEDIFF, DATEPART and DATENAME, with the parts that scripts name, and
//! YEAR, MONTH and DAY. A week begins on Sunday, as `@@DATEFIRST` says.

use jiff::Span;
use jiff::civil::{Date, DateTime, date};

use super::evaluate::convert;
use crate::messages::Message;
use crate::value::{DataType, Value};

/// The first year that a `datetime` has; the last is 9999, as for `jiff`.
const FIRST_YEAR: i16 = 1753;

/// The day that the number 0 means as a `datetime`, a Monday.
const DAY_ZERO: Date = date(1900, 1, 1);

const NANOSECONDS_A_SECOND: i128 = 1_000_000_000;

/// A part of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DatePart {
    Year,
    Quarter,
    Month,
    DayOfYear,
    Day,
    Week,
    Weekday,
    Hour,
    Minute,
    Second,
    Millisecond,
}

impl DatePart {
    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "year" | "yyyy" | "yy" => DatePart::Year,
            "quarter" | "qq" | "q" => DatePart::Quarter,
            "month" | "mm" | "m" => DatePart::Month,
            "dayofyear" | "dy" | "y" => DatePart::DayOfYear,
            "day" | "dd" | "d" => DatePart::Day,
            "week" | "wk" | "ww" => DatePart::Week,
            "weekday" | "dw" | "w" => DatePart::Weekday,
            "hour" | "hh" => DatePart::Hour,
            "minute" | "mi" | "n" => DatePart::Minute,
            "second" | "ss" | "s" => DatePart::Second,
            "millisecond" | "ms" => DatePart::Millisecond,
            _ => return None,
        })
    }

    /// Its number in a date.
    fn of(self, time: DateTime) -> i32 {
        match self {
            DatePart::Year => time.year().into(),
            DatePart::Quarter => i32::from(time.month() - 1) / 3 + 1,
            DatePart::Month => time.month().into(),
            DatePart::DayOfYear => time.day_of_year().into(),
            DatePart::Day => time.day().into(),
            DatePart::Week => {
                let first = time.date().first_of_year().weekday().to_sunday_zero_offset();
                (i32::from(time.day_of_year()) - 1 + i32::from(first)) / 7 + 1
            }
            DatePart::Weekday => time.weekday().to_sunday_one_offset().into(),
            DatePart::Hour => time.hour().into(),
            DatePart::Minute => time.minute().into(),
            DatePart::Second => time.second().into(),
            DatePart::Millisecond => time.subsec_nanosecond() / 1_000_000,
        }
    }

    /// How many of it have begun before a time, from some time on: the difference of two is what
    /// DATEDIFF counts.
    fn begun(self, time: DateTime) -> i128 {
        let since = time.duration_since(DAY_ZERO.into()).as_nanos();
        let seconds = since.div_euclid(NANOSECONDS_A_SECOND);
        let days = seconds.div_euclid(24 * 3600);
        match self {
            DatePart::Year => time.year().into(),
            DatePart::Quarter => i128::from(time.year()) * 4 + i128::from(time.month() - 1) / 3,
            DatePart::Month => i128::from(time.year()) * 12 + i128::from(time.month()),
            DatePart::DayOfYear | DatePart::Day | DatePart::Weekday => days,
            DatePart::Week => (days + 1).div_euclid(7),
            DatePart::Hour => seconds.div_euclid(3600),
            DatePart::Minute => seconds.div_euclid(60),
            DatePart::Second => seconds,
            DatePart::Millisecond => since.div_euclid(NANOSECONDS_A_SECOND / 1000),
        }
    }

    fn span(self, count: i64) -> Result<Span, jiff::Error> {
        let span = Span::new();
        match self {
            DatePart::Year => span.try_years(count),
            DatePart::Quarter => span.try_months(count.saturating_mul(3)),
            DatePart::Month => span.try_months(count),
            DatePart::DayOfYear | DatePart::Day | DatePart::Weekday => span.try_days(count),
            DatePart::Week => span.try_weeks(count),
            DatePart::Hour => span.try_hours(count),
            DatePart::Minute => span.try_minutes(count),
            DatePart::Second => span.try_seconds(count),
            DatePart::Millisecond => span.try_milliseconds(count),
        }
    }
}

/// The value of a function of dates; none if this is none. The part comes as a text.
pub(super) fn date_function(function: &str, values: &[Value]) -> Result<Option<Value>, Message> {
    let expected = match function {
        "YEAR" | "MONTH" | "DAY" => 1,
        "DATEPART" | "DATENAME" => 2,
        "DATEADD" | "DATEDIFF" => 3,
        _ => return Ok(None),
    };
    let name = function.to_lowercase();
    if values.len() != expected {
        return Err(Message::new(174, &[&name, &expected]));
    }
    let named = if expected == 1 { name.clone() } else { values[0].to_string() };
    let unknown = || Message::new(155, &[&named, &name]);
    let part = DatePart::named(&named).ok_or_else(unknown)?;
    let time = |value: &Value| match convert(value.clone(), DataType::DateTime, 0)? {
        Value::DateTime(time) => Ok(Some(time)),
        _ => Ok::<_, Message>(None),
    };
    let Some(last) = time(&values[expected - 1])? else { return Ok(Some(Value::Null)) };
    Ok(Some(match function {
        "DATEADD" => match convert(values[1].clone(), DataType::Int, 0)?.integer() {
            Some(count) => {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                Value::DateTime(shifted(last, part.span(count))?)
            }
            None => Value::Null,
        },
        "DATEDIFF" => match time(&values[1])? {
            Some(first) => {
                let count = i32::try_from(part.begun(last) - part.begun(first));
                Value::Int(count.map_err(|_| Message::new(535, &[&name, &name]))?)
            }
            None => Value::Null,
        },
        "DATENAME" => match part {
            DatePart::Month => Value::Text(last.strftime("%B").to_string()),
            DatePart::Weekday => Value::Text(last.strftime("%A").to_string()),
            part => Value::Text(part.of(last).to_string()),
        },
        _ => Value::Int(part.of(last)),
    }))
}

/// A time and days, which may be a fraction: `GETDATE() - 1`.
pub(super) fn plus_days(time: DateTime, days: f64) -> Result<DateTime, Message> {
    const MILLISECONDS_A_DAY: f64 = 24.0 * 3600.0 * 1000.0;
    // A number too large for a date is too large for the span, too.
    shifted(time, Span::new().try_milliseconds((days * MILLISECONDS_A_DAY).round() as i64))
}

/// The time that a number means, in days since 1900.
pub(super) fn from_days(days: f64) -> Result<DateTime, Message> {
    plus_days(DAY_ZERO.into(), days)
}

fn shifted(time: DateTime, by: Result<Span, jiff::Error>) -> Result<DateTime, Message> {
    let shifted = by.and_then(|span| time.checked_add(span)).ok();
    let kept = shifted.filter(|time| time.year() >= FIRST_YEAR);
    kept.ok_or_else(|| Message::new(517, &[&DataType::DateTime]))
}
