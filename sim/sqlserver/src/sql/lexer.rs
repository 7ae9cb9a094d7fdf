//! The lexer: text to tokens.

use std::iter::Peekable;
use std::str::CharIndices;

use super::token::{Token, TokenKind};
use crate::messages::{Message, SeveralMessages};

/// Symbols of more than one character.
const PAIRS: [&str; 12] = ["<>", "<=", ">=", "!=", "!<", "!>", "+=", "-=", "*=", "/=", "::", "%="];

/// Symbols of one character.
const SINGLES: &str = "(),;=.*+-/%<>!&|^~:{}\\?$";

/// Characters of an identifier that its messages may show; longer ones are refused with 103.
const MAX_IDENTIFIER: usize = 128;

/// Reads a batch into tokens, the last of which is [`TokenKind::End`].
pub(super) fn tokens(text: &str, quoted_identifier: bool) -> Result<Vec<Token>, SeveralMessages> {
    let mut lexer =
        Lexer { text, chars: text.char_indices().peekable(), line: 1, quoted_identifier };
    let mut tokens: Vec<Token> = Vec::new();
    while let Some(token) = lexer.token()? {
        tokens.push(token);
    }
    let last = tokens.last().map_or_else(String::new, |token| token.text.clone());
    let line = tokens.last().map_or(1, |token| token.line);
    tokens.push(Token { kind: TokenKind::End, text: last, line });
    Ok(tokens)
}

struct Lexer<'t> {
    text: &'t str,
    chars: Peekable<CharIndices<'t>>,
    line: u32,
    quoted_identifier: bool,
}

impl<'t> Lexer<'t> {
    fn peek(&mut self) -> Option<char> {
        self.chars.peek().map(|(_, c)| *c)
    }

    fn at(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn next(&mut self) -> Option<char> {
        let (_, c) = self.chars.next()?;
        self.line += u32::from(c == '\n');
        Some(c)
    }

    fn starts_with(&mut self, prefix: &str) -> bool {
        let at = self.at();
        self.text[at..].starts_with(prefix)
    }

    /// Takes characters while they satisfy `wanted`.
    fn run(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let start = self.at();
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
        let end = self.at();
        &self.text[start..end]
    }

    fn token(&mut self) -> Result<Option<Token>, SeveralMessages> {
        self.skip_space()?;
        let line = self.line;
        let Some(first) = self.peek() else { return Ok(None) };
        let token = |kind, text: String| Ok(Some(Token { kind, text, line }));
        if self.starts_with("N'") || self.starts_with("n'") {
            self.next();
        }
        match self.peek() {
            Some('\'') => return token(TokenKind::Text, self.quoted('\'', line)?),
            Some('"') if !self.quoted_identifier => {
                return token(TokenKind::Text, self.quoted('"', line)?);
            }
            Some('"') => return token(TokenKind::QuotedName, self.name('"', line)?),
            Some('[') => return token(TokenKind::QuotedName, self.name(']', line)?),
            _ => {}
        }
        if self.starts_with("0x") || self.starts_with("0X") {
            self.next();
            self.next();
            return token(TokenKind::Binary, self.run(|c| c.is_ascii_hexdigit()).to_owned());
        }
        let fraction = {
            let at = self.at();
            first == '.' && self.text[at + 1..].starts_with(|c: char| c.is_ascii_digit())
        };
        if first.is_ascii_digit() || fraction {
            let (kind, text) = self.number();
            return token(kind, text);
        }
        if first == '@' {
            return token(TokenKind::Variable, self.run(is_identifier_part).to_owned());
        }
        if is_identifier_start(first) {
            let word = self.run(is_identifier_part);
            return token(TokenKind::Word, checked_length(word, line)?);
        }
        token(TokenKind::Symbol, self.symbol(first, line)?)
    }

    fn symbol(&mut self, first: char, line: u32) -> Result<String, SeveralMessages> {
        let length = match PAIRS.into_iter().find(|pair| self.starts_with(pair)) {
            Some(pair) => pair.len(),
            None if SINGLES.contains(first) => 1,
            None => {
                return Err(Message::new(102, &[&first]).at_line(line).into());
            }
        };
        let at = self.at();
        for _ in 0..length {
            self.next();
        }
        Ok(self.text[at..at + length].to_owned())
    }

    fn number(&mut self) -> (TokenKind, String) {
        let mut kind = TokenKind::Integer;
        let start = self.at();
        self.run(|c| c.is_ascii_digit());
        if self.peek() == Some('.') {
            kind = TokenKind::Decimal;
            self.next();
            self.run(|c| c.is_ascii_digit());
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            kind = TokenKind::Decimal;
            self.next();
            if matches!(self.peek(), Some('+' | '-')) {
                self.next();
            }
            self.run(|c| c.is_ascii_digit());
        }
        let end = self.at();
        (kind, self.text[start..end].to_owned())
    }

    fn skip_space(&mut self) -> Result<(), SeveralMessages> {
        loop {
            if self.starts_with("--") {
                self.run(|c| c != '\n');
            } else if self.starts_with("/*") {
                self.comment()?;
            } else if self.peek().is_some_and(|c| c.is_whitespace() || c == '\0' || c == '\u{feff}')
            {
                self.next();
            } else {
                return Ok(());
            }
        }
    }

    /// Comments nest.
    fn comment(&mut self) -> Result<(), SeveralMessages> {
        let line = self.line;
        let mut depth = 0_u32;
        loop {
            if self.starts_with("/*") {
                self.next();
                depth += 1;
            } else if self.starts_with("*/") {
                self.next();
                depth -= 1;
            } else if self.peek().is_none() {
                return Err(Message::new(113, &[]).at_line(line).into());
            }
            self.next();
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// What stands between the quotation mark that comes next and `close`; a doubled `close`
    /// stands for itself.
    fn quoted(&mut self, close: char, line: u32) -> Result<String, SeveralMessages> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some(c) if c == close => {
                    if self.peek() != Some(close) {
                        return Ok(text);
                    }
                    self.next();
                    text.push(close);
                }
                Some(c) => text.push(c),
                None => {
                    let unclosed = Message::new(105, &[&text]).at_line(line);
                    let near = Message::new(102, &[&text]).at_line(line);
                    return Err(SeveralMessages(vec![unclosed, near]));
                }
            }
        }
    }

    fn name(&mut self, close: char, line: u32) -> Result<String, SeveralMessages> {
        let name = self.quoted(close, line)?;
        checked_length(&name, line)
    }
}

fn checked_length(name: &str, line: u32) -> Result<String, SeveralMessages> {
    if name.chars().count() <= MAX_IDENTIFIER {
        return Ok(name.to_owned());
    }
    let start: String = name.chars().take(MAX_IDENTIFIER).collect();
    let message = Message::new(103, &[&"identifier", &start, &MAX_IDENTIFIER]);
    Err(message.with_state(4).at_line(line).into())
}

fn is_identifier_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '#'
}

fn is_identifier_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '#' | '@' | '$')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(TokenKind, String)> {
        let mut tokens = tokens(text, true).unwrap();
        tokens.pop();
        tokens.into_iter().map(|token| (token.kind, token.text)).collect()
    }

    // Catches: quotes left in, doubled quotes kept or taken for an end, N taken for a word.
    #[test]
    fn quotes_are_undone() {
        use TokenKind::{QuotedName, Text, Word};
        assert_eq!(
            shown("N'it''s' [a]]b] \"c\"\"d\" N ''"),
            [
                (Text, "it's".to_owned()),
                (QuotedName, "a]b".to_owned()),
                (QuotedName, "c\"d".to_owned()),
                (Word, "N".to_owned()),
                (Text, String::new()),
            ]
        );
    }

    // Catches: comments that do not nest, a comment's end at the end of the file, lost lines.
    #[test]
    fn comments_nest_and_lines_are_counted() {
        let tokens = tokens("-- a\n/* /* \n */ */ x\r\ny'\n'z", true).unwrap();
        let lines: Vec<_> = tokens.iter().map(|token| (token.text.as_str(), token.line)).collect();
        assert_eq!(lines, [("x", 3), ("y", 4), ("\n", 4), ("z", 5), ("z", 5)]);
    }

    // Catches: a batch that is not closed being accepted; 105 without 102.
    #[test]
    fn what_is_not_closed_is_told() {
        let numbers = |text: &str| -> Vec<u32> {
            tokens(text, true).unwrap_err().0.iter().map(|message| message.number).collect()
        };
        assert_eq!(numbers("select 'abc"), [105, 102]);
        assert_eq!(numbers("use [abc"), [105, 102]);
        assert_eq!(numbers("x /* /* */"), [113]);
        assert_eq!(numbers(&"x".repeat(129)), [103]);
        assert_eq!(numbers("`"), [102]);
    }

    // Catches: 1.5 as two numbers, .. as a fraction, 0x without digits as an error.
    #[test]
    fn numbers_and_names_with_dots() {
        use TokenKind::{Binary, Decimal, Integer, Symbol, Word};
        assert_eq!(
            shown("1.5 .5 2e-3 a..b 0xAf 0x 7"),
            [
                (Decimal, "1.5".to_owned()),
                (Decimal, ".5".to_owned()),
                (Decimal, "2e-3".to_owned()),
                (Word, "a".to_owned()),
                (Symbol, ".".to_owned()),
                (Symbol, ".".to_owned()),
                (Word, "b".to_owned()),
                (Binary, "Af".to_owned()),
                (Binary, String::new()),
                (Integer, "7".to_owned()),
            ]
        );
    }
}
