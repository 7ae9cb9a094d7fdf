//! Expressions.

use std::cmp::Ordering;

use jiff::civil::DateTime;
use uuid::Uuid;

use super::batch::Session;
use super::dates::{from_days, plus_days};
use super::scope::Rows;
use crate::messages::{Message, SeveralMessages};
use crate::sql::{BinaryOperator, Expression};
use crate::value::{DataType, Decimal, Value};

/// The result of an expression, or the messages of the statement that fails over it.
pub(super) type Evaluated<T> = Result<T, SeveralMessages>;

impl Session {
    /// The value of an expression that is no condition.
    pub(super) fn value(&self, expression: &Expression, rows: Rows<'_>) -> Evaluated<Value> {
        match expression {
            Expression::Literal(value) => Ok(value.clone()),
            Expression::Variable(name) => self.variable(name),
            Expression::Column(name) => match rows {
                Rows::One(scope, row) => Ok(row[scope.find(name)?].clone()),
                Rows::All(scope, all) => {
                    let place = scope.find(name)?;
                    Ok(all.first().map_or(Value::Null, |row| row[place].clone()))
                }
                Rows::None if name.parts.len() > 1 => Err(Message::new(4104, &[name]).into()),
                Rows::None => Err(Message::new(207, &[name]).into()),
            },
            Expression::Star => Ok(Value::Int(1)),
            Expression::Call { name, arguments } => self.call(name, arguments, rows),
            Expression::Cast { value, data_type, style } => {
                let value = self.value(value, rows)?;
                let style = match style {
                    Some(style) => self.value(style, rows)?.integer().unwrap_or(0),
                    None => 0,
                };
                Ok(convert(value, *data_type, style)?)
            }
            Expression::Case { branches, otherwise } => {
                for (condition, value) in branches {
                    if self.condition(condition, rows)? == Some(true) {
                        return self.value(value, rows);
                    }
                }
                otherwise.as_ref().map_or(Ok(Value::Null), |value| self.value(value, rows))
            }
            Expression::Negative(value) => match self.value(value, rows)? {
                Value::Decimal(number) => {
                    Ok(Value::Decimal(Decimal { unscaled: -number.unscaled, ..number }))
                }
                value => Ok(arithmetic(BinaryOperator::Subtract, Value::Int(0), value)?),
            },
            Expression::Binary { operator, left, right } if !operator.is_condition() => {
                let (left, right) = (self.value(left, rows)?, self.value(right, rows)?);
                Ok(arithmetic(*operator, left, right)?)
            }
            Expression::Query(query) => self.single_value(query),
            _ => {
                let truth = self.condition(expression, rows)?;
                Ok(truth.map_or(Value::Null, Value::Bit))
            }
        }
    }

    /// Whether a condition holds; `None` is unknown.
    pub(super) fn condition(
        &self,
        expression: &Expression,
        rows: Rows<'_>,
    ) -> Evaluated<Option<bool>> {
        use BinaryOperator::{And, Like, Or};
        match expression {
            Expression::Not(inner) => Ok(self.condition(inner, rows)?.map(|truth| !truth)),
            Expression::IsNull(value) => Ok(Some(self.value(value, rows)?.is_null())),
            Expression::In { value, list } => {
                let value = self.value(value, rows)?;
                let list = list.iter().map(|item| self.value(item, rows));
                contains(&value, &list.collect::<Result<Vec<_>, _>>()?)
            }
            Expression::InQuery { value, query } => {
                let value = self.value(value, rows)?;
                let (_, found) = self.query(query)?;
                let list: Vec<_> =
                    found.into_iter().filter_map(|row| row.into_iter().next()).collect();
                contains(&value, &list)
            }
            Expression::Exists(query) => Ok(Some(!self.query(query)?.1.is_empty())),
            Expression::Binary { operator: Or, left, right } => {
                let (left, right) = (self.condition(left, rows)?, self.condition(right, rows)?);
                Ok(match (left, right) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                })
            }
            Expression::Binary { operator: And, left, right } => {
                let (left, right) = (self.condition(left, rows)?, self.condition(right, rows)?);
                Ok(match (left, right) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                })
            }
            Expression::Binary { operator, left, right } => {
                let (left, right) = (self.value(left, rows)?, self.value(right, rows)?);
                if left.is_null() || right.is_null() {
                    return Ok(None);
                }
                if *operator == Like {
                    return Ok(Some(is_like(&left.to_string(), &right.to_string())));
                }
                let order = compare(&left, &right)?;
                Ok(Some(match operator {
                    BinaryOperator::Equal => order.is_eq(),
                    BinaryOperator::NotEqual => order.is_ne(),
                    BinaryOperator::Less => order.is_lt(),
                    BinaryOperator::LessOrEqual => order.is_le(),
                    BinaryOperator::Greater => order.is_gt(),
                    _ => order.is_ge(),
                }))
            }
            _ => Ok(None),
        }
    }
}

fn contains(value: &Value, list: &[Value]) -> Evaluated<Option<bool>> {
    let mut unknown = value.is_null();
    for item in list {
        if item.is_null() {
            unknown = true;
        } else if !value.is_null() && compare(value, item)?.is_eq() {
            return Ok(Some(true));
        }
    }
    Ok((!unknown).then_some(false))
}

/// The order of two values, none of which is NULL. Texts are compared without regard to case; a
/// text beside another type is converted to it.
pub(super) fn compare(left: &Value, right: &Value) -> Result<Ordering, Message> {
    Ok(match (left, right) {
        (Value::Text(left), Value::Text(right)) => {
            left.trim_end().to_lowercase().cmp(&right.trim_end().to_lowercase())
        }
        (Value::Text(_), other) => {
            let left = convert(left.clone(), other.data_type(), 0)?;
            compare(&left, other)?
        }
        (other, Value::Text(_)) => {
            let right = convert(right.clone(), other.data_type(), 0)?;
            compare(other, &right)?
        }
        (Value::DateTime(left), Value::DateTime(right)) => left.cmp(right),
        (Value::Guid(left), Value::Guid(right)) => left.cmp(right),
        (Value::Binary(left), Value::Binary(right)) => left.cmp(right),
        _ => match (left.integer(), right.integer()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ if let Some((left, right)) =
                decimals(left, right).and_then(|(left, right)| left.aligned(right)) =>
            {
                left.cmp(&right)
            }
            _ => {
                let (left, right) = (float(left)?, float(right)?);
                left.partial_cmp(&right).unwrap_or(Ordering::Equal)
            }
        },
    })
}

fn float(value: &Value) -> Result<f64, Message> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Decimal(number) => Ok(number.to_f64()),
        other => match other.integer() {
            Some(number) => Ok(number as f64),
            None => Err(Message::new(8114, &[&other.data_type(), &DataType::Float])),
        },
    }
}

/// Two exact numbers of which one at least has a fraction.
fn decimals(left: &Value, right: &Value) -> Option<(Decimal, Decimal)> {
    let exact = |value: &Value| match value {
        Value::Decimal(number) => Some(*number),
        other => {
            let precision = match other {
                Value::Bit(_) => 1,
                Value::TinyInt(_) => 3,
                Value::SmallInt(_) => 5,
                Value::Int(_) => 10,
                Value::BigInt(_) => 19,
                _ => 38,
            };
            other.integer().map(|number| Decimal::from_integer(number, precision))
        }
    };
    let is_decimal = |value: &Value| matches!(value, Value::Decimal(_));
    if is_decimal(left) || is_decimal(right) { exact(left).zip(exact(right)) } else { None }
}

fn arithmetic(operator: BinaryOperator, left: Value, right: Value) -> Result<Value, Message> {
    use BinaryOperator::*;
    if left.is_null() || right.is_null() {
        return Ok(Value::Null);
    }
    let (left, right) = match (left, right) {
        (Value::Text(left), Value::Text(right)) if operator == Add => {
            return Ok(Value::Text(left + &right));
        }
        (Value::Text(left), right) => (convert(Value::Text(left), right.data_type(), 0)?, right),
        (left, Value::Text(right)) => {
            let right = convert(Value::Text(right), left.data_type(), 0)?;
            (left, right)
        }
        both => both,
    };
    let overflow = || Message::new(8115, &[&"expression", &"numeric"]);
    if let (Some(a), Some(b)) = (left.integer(), right.integer()) {
        if matches!(operator, Divide | Modulo) && b == 0 {
            return Err(Message::new(8134, &[]));
        }
        let result = match operator {
            Add => a.checked_add(b),
            Subtract => a.checked_sub(b),
            Multiply => a.checked_mul(b),
            Divide => a.checked_div(b),
            Modulo => a.checked_rem(b),
            BitAnd => Some(a & b),
            BitOr => Some(a | b),
            _ => Some(a ^ b),
        };
        return result.map(Value::from_integer).ok_or_else(overflow);
    }
    if let Some((a, b)) = decimals(&left, &right) {
        let result = match operator {
            Divide | Modulo if b.unscaled == 0 => return Err(Message::new(8134, &[])),
            Add => a.plus(b),
            Subtract => a.minus(b),
            Multiply => a.times(b),
            Divide => a.divided_by(b),
            Modulo => a.remainder(b),
            _ => {
                return Err(Message::new(
                    402,
                    &[&left.data_type(), &right.data_type(), &"bitwise"],
                ));
            }
        };
        return result.map(Value::Decimal).ok_or_else(overflow);
    }
    match (&left, operator, &right) {
        (Value::DateTime(time), Add, days) | (days, Add, Value::DateTime(time)) => {
            if let Ok(days) = float(days) {
                return Ok(Value::DateTime(plus_days(*time, days)?));
            }
        }
        (Value::DateTime(time), Subtract, days) => {
            if let Ok(days) = float(days) {
                return Ok(Value::DateTime(plus_days(*time, -days)?));
            }
        }
        _ => {}
    }
    let numbers = |value: &Value| {
        matches!(value, Value::Float(_) | Value::Decimal(_)) || value.integer().is_some()
    };
    if !numbers(&left) || !numbers(&right) {
        let sign = match operator {
            Add => "add",
            Subtract => "subtract",
            Multiply => "multiply",
            Divide => "divide",
            Modulo => "modulo",
            _ => "bitwise",
        };
        let types = (left.data_type(), right.data_type());
        return Err(Message::new(402, &[&types.0, &types.1, &sign]));
    }
    let (a, b) = (float(&left)?, float(&right)?);
    match operator {
        Divide | Modulo if b == 0.0 => Err(Message::new(8134, &[])),
        Add => Ok(Value::Float(a + b)),
        Subtract => Ok(Value::Float(a - b)),
        Multiply => Ok(Value::Float(a * b)),
        Divide => Ok(Value::Float(a / b)),
        _ => Ok(Value::Float(a % b)),
    }
}

/// The value as another type; NULL stays NULL. `style` is CONVERT's.
pub(super) fn convert(value: Value, to: DataType, style: i128) -> Result<Value, Message> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let failed = |value: &Value| match value {
        Value::Text(text) => Message::new(245, &[&"nvarchar", text, &to]),
        other => Message::new(8114, &[&other.data_type(), &to]),
    };
    let integer = |value: &Value| match value {
        Value::Text(text) if text.trim().is_empty() => Some(0),
        Value::Text(text) => text.trim().parse().ok(),
        Value::Float(number) => Some(number.trunc() as i128),
        Value::Decimal(number) => Some(number.truncated()),
        other => other.integer(),
    };
    let out_of_range = |_| Message::new(8115, &[&"expression", &to]);
    let number = || integer(&value).ok_or_else(|| failed(&value));
    Ok(match to {
        DataType::Bit => match &value {
            Value::Text(text) if text.eq_ignore_ascii_case("true") => Value::Bit(true),
            Value::Text(text) if text.eq_ignore_ascii_case("false") => Value::Bit(false),
            _ => Value::Bit(number()? != 0),
        },
        DataType::TinyInt => Value::TinyInt(number()?.try_into().map_err(out_of_range)?),
        DataType::SmallInt => Value::SmallInt(number()?.try_into().map_err(out_of_range)?),
        DataType::Int => Value::Int(number()?.try_into().map_err(out_of_range)?),
        DataType::BigInt => Value::BigInt(number()?.try_into().map_err(out_of_range)?),
        DataType::Numeric => match &value {
            // Rounded, not cut off as for an int.
            Value::Decimal(decimal) => {
                let whole = decimal.fit(38, 0).ok_or_else(|| failed(&value))?;
                Value::Numeric(whole.unscaled)
            }
            _ => Value::Numeric(number()?),
        },
        DataType::Decimal { precision, scale } => {
            let exact = match &value {
                Value::Decimal(number) => Some(*number),
                Value::Text(text) => Decimal::parse(text),
                Value::Float(float) => {
                    Decimal::parse(&format!("{float:.places$}", places = usize::from(scale)))
                }
                other => other.integer().map(|number| Decimal::from_integer(number, 38)),
            };
            let exact = exact.ok_or_else(|| failed(&value))?;
            let fitted = exact.fit(precision, scale);
            let overflow = || Message::new(8115, &[&value.data_type(), &to]);
            Value::Decimal(fitted.ok_or_else(overflow)?)
        }
        DataType::Float => match &value {
            Value::Text(text) => Value::Float(text.trim().parse().map_err(|_| failed(&value))?),
            other => Value::Float(float(other)?),
        },
        DataType::NVarChar(length) => Value::Text(cut(text(&value, style), length)),
        DataType::NChar(length) => {
            let text = cut(text(&value, style), Some(length));
            Value::Text(format!("{text:<width$}", width = usize::from(length)))
        }
        DataType::DateTime => match &value {
            Value::DateTime(_) => value,
            Value::Text(text) => {
                Value::DateTime(date_time(text).ok_or_else(|| Message::new(241, &[]))?)
            }
            other => Value::DateTime(from_days(float(other).map_err(|_| failed(other))?)?),
        },
        DataType::UniqueIdentifier => match &value {
            Value::Guid(_) => value,
            Value::Text(text) => {
                Value::Guid(Uuid::try_parse(text.trim()).map_err(|_| failed(&value))?)
            }
            other => return Err(failed(other)),
        },
        DataType::VarBinary(_) => match value {
            Value::Binary(_) => value,
            Value::Text(text) => {
                Value::Binary(text.encode_utf16().flat_map(u16::to_le_bytes).collect())
            }
            other => return Err(failed(&other)),
        },
    })
}

/// A value as text. Styles of dates: 120 and 121 (ODBC), 126 (ISO), 112 (digits only), 101 and 103.
fn text(value: &Value, style: i128) -> String {
    let Value::DateTime(time) = value else { return value.to_string() };
    match style {
        20 | 120 => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        21 | 25 | 121 => time.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
        126 | 127 => time.strftime("%Y-%m-%dT%H:%M:%S.%3f").to_string(),
        112 => time.strftime("%Y%m%d").to_string(),
        108 | 8 => time.strftime("%H:%M:%S").to_string(),
        101 => time.strftime("%m/%d/%Y").to_string(),
        103 => time.strftime("%d/%m/%Y").to_string(),
        _ => value.to_string(),
    }
}

fn cut(text: String, length: Option<u16>) -> String {
    match length {
        Some(length) => text.chars().take(usize::from(length)).collect(),
        None => text,
    }
}

/// A date as T-SQL takes it: ISO with or without time, only digits, or a date in words.
pub(crate) fn date_time(text: &str) -> Option<DateTime> {
    const FORMATS: [&str; 4] = ["%b %d, %Y %I:%M %p", "%b %d, %Y", "%b %d %Y %I:%M%p", "%m/%d/%Y"];
    let text = text.trim();
    let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits {
        return DateTime::strptime("%Y%m%d %H", format!("{text} 0")).ok();
    }
    let iso = text.replacen(' ', "T", 1);
    iso.parse().ok().or_else(|| {
        FORMATS.iter().find_map(|format| {
            jiff::fmt::strtime::parse(format, text).ok().and_then(|parsed| {
                let time = parsed.to_time().unwrap_or_default();
                Some(parsed.to_date().ok()?.to_datetime(time))
            })
        })
    })
}

/// LIKE with `%`, `_` and `[…]`, without regard to case.
pub(super) fn is_like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let (mut at, mut place) = (0, 0);
    // Where to go on after the last `%`, if what follows it does not match.
    let mut retry = None;
    loop {
        let matched = match pattern.get(place) {
            None => at == text.len(),
            Some('%') => {
                retry = Some((at, place + 1));
                place += 1;
                continue;
            }
            Some(_) => match text.get(at).and_then(|c| one_like(*c, &pattern[place..])) {
                Some(length) => {
                    (at, place) = (at + 1, place + length);
                    continue;
                }
                None => false,
            },
        };
        match retry {
            _ if matched => return true,
            Some((start, after)) if start < text.len() => {
                retry = Some((start + 1, after));
                (at, place) = (start + 1, after);
            }
            _ => return false,
        }
    }
}

/// The length of the pattern's part that matches the character, if it does.
fn one_like(c: char, pattern: &[char]) -> Option<usize> {
    match pattern[0] {
        '_' => Some(1),
        '[' => {
            let end = pattern.iter().position(|c| *c == ']')?;
            let mut set = &pattern[1..end];
            let negated = set.first() == Some(&'^');
            if negated {
                set = &set[1..];
            }
            let mut found = false;
            while let [first, rest @ ..] = set {
                (found, set) = match rest {
                    ['-', last, rest @ ..] => (found || (*first..=*last).contains(&c), rest),
                    rest => (found || *first == c, rest),
                };
            }
            (found != negated).then_some(end + 1)
        }
        other => (other == c).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: a wildcard that takes too little or too much, sets without ranges or negation.
    #[test]
    fn like_has_its_wildcards() {
        for (text, pattern, expected) in [
            ("Northwind", "north%", true),
            ("abcabd", "%ab_", true),
            ("abcabd", "%ab", false),
            ("x5", "x[0-9]", true),
            ("x5", "x[^0-9a]", false),
            ("50%", "50[%]", true),
            ("505", "50[%]", false),
            ("", "%", true),
            ("a", "", false),
            ("aaa", "%a%a%a%a", false),
        ] {
            assert_eq!(is_like(text, pattern), expected, "{text} {pattern}");
        }
    }

    #[test]
    fn dates_are_read_in_the_forms_of_scripts() {
        let noon = jiff::civil::date(2020, 4, 15).at(12, 0, 0, 0);
        for text in ["2020-04-15 12:00:00", "2020-04-15T12:00", "Apr 15, 2020 12:00 PM"] {
            assert_eq!(date_time(text), Some(noon), "{text}");
        }
        assert_eq!(date_time("20200415").map(|time| time.date()), Some(noon.date()));
        assert_eq!(date_time("soon"), None);
    }
}
