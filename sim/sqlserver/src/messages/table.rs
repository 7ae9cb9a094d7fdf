//! The texts of sys.messages that this server uses.

use std::collections::HashMap;
use std::fmt::{Display, Write};
use std::sync::LazyLock;

/// Number, severity and text, one message a line. Numbers, severities and texts are SQL Server's.
const FILE: &str = include_str!("messages.tsv");

/// A row of sys.messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) severity: u8,
    pub(super) text: &'static str,
}

static ROWS: LazyLock<HashMap<u32, Row>> = LazyLock::new(|| {
    let row = |line: &'static str| {
        let mut fields = line.splitn(3, '\t');
        let number = fields.next()?.parse().ok()?;
        let severity = fields.next()?.parse().ok()?;
        Some((number, Row { severity, text: fields.next()? }))
    };
    FILE.lines().filter_map(row).collect()
});

/// The message of this number.
pub(super) fn row(number: u32) -> Option<Row> {
    ROWS.get(&number).copied()
}

/// Conversions of the texts, the longer before those they start with.
const CONVERSIONS: [&str; 9] = ["I64d", "I64u", "S_MSG", "S_PGID", "ls", "hs", "d", "u", "s"];

/// Stands for an argument that is missing, so that nobody is shown a conversion.
const MISSING: &str = "(null)";

/// How many conversions a text has.
pub(super) fn conversions(text: &str) -> usize {
    text.match_indices('%').filter(|(at, _)| conversion(&text[*at..]).is_some()).count()
}

/// The text with its conversions replaced by the arguments, in order.
pub(super) fn fill(text: &str, arguments: &[&dyn Display]) -> String {
    let mut filled = String::with_capacity(text.len() + 32);
    let mut arguments = arguments.iter();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some((width, length)) = conversion(rest) else {
            filled.push('%');
            rest = &rest[1..];
            continue;
        };
        match arguments.next() {
            Some(argument) => {
                let argument = argument.to_string();
                let zeros = width.saturating_sub(argument.len());
                filled.extend(std::iter::repeat_n('0', zeros));
                filled.push_str(&argument);
            }
            None => filled.push_str(MISSING),
        }
        rest = &rest[length..];
    }
    // Writing to a string cannot fail.
    let _ = filled.write_str(rest);
    filled
}

/// Width and length of the conversion at the start of `text`, which starts with a percent sign.
fn conversion(text: &str) -> Option<(usize, usize)> {
    let flags = text[1..].find(|c: char| !c.is_ascii_digit() && c != '.' && c != '*')? + 1;
    let kind = CONVERSIONS.into_iter().find(|kind| text[flags..].starts_with(kind))?;
    let width = text[1..flags].strip_prefix('0').and_then(|width| width.parse().ok());
    Some((width.unwrap_or(0), flags + kind.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: taking %I64d for %I, losing the zeros of %03d, or dropping what follows.
    #[test]
    fn conversions_take_their_arguments_in_order() {
        let text = row(3014).unwrap().text;
        assert_eq!(
            fill(text, &[&"BACKUP DATABASE", &418, &0, &100, &32, &5]),
            "BACKUP DATABASE successfully processed 418 pages in 0.100 seconds (32.005 MB/sec)."
        );
        assert_eq!(
            fill(row(3211).unwrap().text, &[&10]),
            "10 percent processed.",
            "a percent sign of the argument is no conversion"
        );
        assert_eq!(fill("100% of %ls%", &[&"%d"]), "100% of %d%");
        assert_eq!(fill("%ls and %ls", &[&1]), "1 and (null)");
        assert_eq!(conversions("100% of %.*ls in %03d%"), 2);
    }

    // Catches: a line of the file that is not read, a number twice.
    #[test]
    fn every_line_is_a_message() {
        assert_eq!(ROWS.len(), FILE.lines().count() - 1);
        assert!(ROWS.values().all(|row| (10..=25).contains(&row.severity)));
    }

    /// The code of this crate.
    fn sources() -> Vec<(std::path::PathBuf, String)> {
        let mut paths = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        let mut sources = Vec::new();
        while let Some(path) = paths.pop() {
            if path.is_dir() {
                paths.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let code = std::fs::read_to_string(&path).unwrap();
                sources.push((path, code));
            }
        }
        sources
    }

    /// How many arguments the list has that stands at the start of `code`, if one does.
    fn arguments(code: &str) -> Option<usize> {
        let list = code.trim_start().strip_prefix(',')?.trim_start().strip_prefix("&[")?;
        let (mut depth, mut text, mut count, mut is_begun) = (0, false, 0, false);
        for (at, c) in list.char_indices() {
            match c {
                '"' => text = !text || list[..at].ends_with('\\'),
                _ if text => {}
                '(' | '[' | '{' => depth += 1,
                ']' if depth == 0 => return Some(count + usize::from(is_begun)),
                ')' | ']' | '}' => depth -= 1,
                ',' if depth == 0 => (count, is_begun) = (count + 1, false),
                _ => {}
            }
            is_begun |= !c.is_whitespace() && (c != ',' || depth > 0);
        }
        None
    }

    // Catches: a message that the server sends and the file does not have; one sent with more or fewer
    // arguments than its text has conversions.
    #[test]
    fn every_message_in_the_code_is_in_the_file_and_has_its_arguments() {
        let (mut seen, mut counted) = (0, 0);
        for (path, code) in sources() {
            for after in code.split("Message::new(").skip(1) {
                let after = after.trim_start();
                let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
                let rest = &after[digits.len()..];
                let Ok(number @ 1..1_000_000) = digits.parse::<u32>() else { continue };
                if rest.starts_with('_') {
                    continue;
                }
                seen += 1;
                let place = format!("{number} in {}", path.display());
                let row = row(number).unwrap_or_else(|| panic!("{place}"));
                if let Some(count) = arguments(rest) {
                    counted += 1;
                    assert_eq!(count, conversions(row.text), "{place}: {}", row.text);
                }
            }
        }
        assert!(seen > 100 && counted * 10 > seen * 9, "{counted} of {seen} numbers");
    }
}
