//! Functions of texts. Places and lengths count characters; case does not matter where texts are
//! compared, as in the server's collation.

use super::evaluate::convert;
use crate::messages::Message;
use crate::value::{DataType, Value};

/// The functions, with the fewest and the most arguments that each takes. Of NULL they make NULL.
const FUNCTIONS: [(&str, usize, usize); 17] = [
    ("CHAR", 1, 1),
    ("CHARINDEX", 2, 3),
    ("DATALENGTH", 1, 1),
    ("LEFT", 2, 2),
    ("LEN", 1, 1),
    ("LOWER", 1, 1),
    ("LTRIM", 1, 1),
    ("NCHAR", 1, 1),
    ("QUOTENAME", 1, 2),
    ("REPLACE", 3, 3),
    ("REPLICATE", 2, 2),
    ("REVERSE", 1, 1),
    ("RIGHT", 2, 2),
    ("RTRIM", 1, 1),
    ("STUFF", 4, 4),
    ("SUBSTRING", 3, 3),
    ("UPPER", 1, 1),
];

/// Characters that REPLICATE makes at most.
const MOST_REPLICATED: usize = 4000;

/// The longest name that QUOTENAME takes.
const LONGEST_NAME: usize = 128;

/// The value of a function of texts; none if this is none.
pub(super) fn text_function(function: &str, values: &[Value]) -> Result<Option<Value>, Message> {
    let known = FUNCTIONS.iter().find(|(name, _, _)| *name == function);
    let Some((_, least, most)) = known else { return Ok(None) };
    if !(*least..=*most).contains(&values.len()) {
        let name = function.to_lowercase();
        return Err(match least == most {
            true => Message::new(174, &[&name, least]),
            false => Message::new(189, &[&name, least, most]),
        });
    }
    if values.iter().any(Value::is_null) {
        return Ok(Some(Value::Null));
    }
    let texts: Vec<_> = values.iter().map(Value::to_string).collect();
    let text = texts[0].as_str();
    Ok(Some(match function {
        "LEN" => count(text.trim_end_matches(' ').chars().count()),
        "DATALENGTH" => match &values[0] {
            Value::Binary(bytes) => count(bytes.len()),
            _ => count(2 * text.encode_utf16().count()),
        },
        "UPPER" => Value::Text(text.to_uppercase()),
        "LOWER" => Value::Text(text.to_lowercase()),
        "LTRIM" => text.trim_start_matches(' ').into(),
        "RTRIM" => text.trim_end_matches(' ').into(),
        "REVERSE" => Value::Text(text.chars().rev().collect()),
        "CHAR" | "NCHAR" => {
            let code = u32::try_from(number(&values[0])?).ok();
            let code = code.filter(|code| function == "NCHAR" || *code <= u8::MAX.into());
            code.and_then(char::from_u32).map(String::from).into()
        }
        "QUOTENAME" => quoted(text, texts.get(1).map_or("[", String::as_str)).into(),
        "REPLACE" => Value::Text(replaced(text, &texts[1], &texts[2])),
        "REPLICATE" => {
            let times = usize::try_from(number(&values[1])?).ok();
            let all = |times| text.chars().cycle().take(text.chars().count().saturating_mul(times));
            times.map(|times| all(times).take(MOST_REPLICATED).collect::<String>()).into()
        }
        "CHARINDEX" => {
            let from = values.get(2).map_or(Ok(1), number)?;
            let (wanted, text) = (characters(text), characters(&texts[1]));
            let found = find(&wanted, &text, place(from)).filter(|_| !wanted.is_empty());
            count(found.map_or(0, |before| before + 1))
        }
        "STUFF" => {
            let (start, length) = (number(&values[1])?, number(&values[2])?);
            let text = characters(text);
            let is_inside = start > 0 && place(start) < text.len() && length >= 0;
            let stuffed = is_inside.then(|| {
                let (before, rest) = text.split_at(place(start));
                let after = rest.iter().skip(usize::try_from(length).unwrap_or(usize::MAX));
                before.iter().copied().chain(texts[3].chars()).chain(after.copied()).collect()
            });
            Value::from(stuffed)
        }
        _ => part(function, text, &values[1..])?,
    }))
}

fn count(number: usize) -> Value {
    Value::from_integer(number as i128)
}

fn characters(text: &str) -> Vec<char> {
    text.chars().collect()
}

/// An argument that counts characters: what is no number is refused, and what no `bigint` holds.
fn number(value: &Value) -> Result<i64, Message> {
    let number = convert(value.clone(), DataType::BigInt, 0)?.integer();
    Ok(number.and_then(|number| i64::try_from(number).ok()).unwrap_or(0))
}

/// The characters before the place `number`, which counts from 1.
fn place(number: i64) -> usize {
    usize::try_from(number.saturating_sub(1)).unwrap_or(0)
}

/// The first place at or behind `from` where `wanted` stands in `text`. Characters are compared one
/// by one, because a whole text in lower case may have more of them.
fn find(wanted: &[char], text: &[char], from: usize) -> Option<usize> {
    let same = |left: &char, right: &char| left.to_lowercase().eq(right.to_lowercase());
    let stands = |at: &usize| text[*at..].iter().zip(wanted).all(|(left, right)| same(left, right));
    (from..=text.len().checked_sub(wanted.len())?).find(stands)
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    let (text, from) = (characters(text), characters(from));
    let (mut result, mut at) = (String::new(), 0);
    while !from.is_empty()
        && let Some(found) = find(&from, &text, at)
    {
        result.extend(&text[at..found]);
        result.push_str(to);
        at = found + from.len();
    }
    result.extend(&text[at..]);
    result
}

/// QUOTENAME; none for a name that is too long, and for what is no quote.
fn quoted(text: &str, quote: &str) -> Option<String> {
    let (open, close) = match quote.chars().next()? {
        '[' | ']' => ('[', ']'),
        '(' | ')' => ('(', ')'),
        '<' | '>' => ('<', '>'),
        '{' | '}' => ('{', '}'),
        quote @ ('\'' | '"' | '`') => (quote, quote),
        _ => return None,
    };
    let is_short = text.chars().count() <= LONGEST_NAME;
    let doubled = || text.replace(close, &format!("{close}{close}"));
    is_short.then(|| format!("{open}{}{close}", doubled()))
}

/// LEFT, RIGHT and SUBSTRING.
fn part(function: &str, text: &str, numbers: &[Value]) -> Result<Value, Message> {
    let numbers = numbers.iter().map(number).collect::<Result<Vec<_>, _>>()?;
    let text = characters(text);
    let (start, length) = match (function, numbers.as_slice()) {
        ("RIGHT", [length]) => {
            let length = (*length).max(-1);
            ((text.len() as i64).saturating_sub(length).max(0), length)
        }
        (_, [start, length]) => (start.saturating_sub(1), *length),
        _ => (0, numbers[0]),
    };
    if length < 0 {
        return Err(match function {
            "RIGHT" => Message::new(536, &[&"right"]),
            _ => Message::new(537, &[]),
        });
    }
    // What lies before the text counts, too.
    let inside = |place: i64| usize::try_from(place).unwrap_or(0).min(text.len());
    let (start, end) = (inside(start), inside(start.saturating_add(length)));
    Ok(Value::Text(text[start..end].iter().collect()))
}
