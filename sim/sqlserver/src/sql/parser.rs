//! What all parts of the parser share: the place in the tokens, and what is expected next.

use std::collections::HashSet;

use super::ast::Operand;
use super::expression::ObjectName;
use super::keyword::is_reserved;
use super::token::{Token, TokenKind};
use crate::messages::Message;

/// The result of reading a part of a statement.
pub(super) type Parsed<T> = Result<T, Message>;

/// Parts inside one another that are read at most, so that no batch exhausts the stack.
const MAX_DEPTH: u32 = 64;

/// Parts of a name.
const MAX_NAME_PARTS: usize = 4;

/// A recursive-descent parser over the tokens of a batch.
pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
    /// Expressions that are being read, each in the one before.
    pub(super) expressions: u32,
    /// Operators in the outermost of them.
    pub(super) operators: u32,
    /// Variables declared so far, in lower case.
    declared: HashSet<String>,
    /// Mistakes that do not end the reading.
    pub(super) mistakes: Vec<Message>,
}

impl Parser {
    /// A parser over `tokens`, which end with [`TokenKind::End`].
    pub(super) fn new(tokens: Vec<Token>, declared: HashSet<String>) -> Self {
        Parser {
            tokens,
            at: 0,
            depth: 0,
            expressions: 0,
            operators: 0,
            declared,
            mistakes: Vec::new(),
        }
    }

    pub(super) fn peek(&self) -> &Token {
        self.peek_behind(0)
    }

    /// The token `distance` behind the next.
    pub(super) fn peek_behind(&self, distance: usize) -> &Token {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + distance).min(last)]
    }

    pub(super) fn line(&self) -> u32 {
        self.peek().line
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.peek().kind == TokenKind::End
    }

    pub(super) fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += usize::from(token.kind != TokenKind::End);
        token
    }

    /// Runs `read` one level deeper.
    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            return Err(self.too_deep());
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    pub(super) fn too_deep(&self) -> Message {
        Message::new(191, &[]).at_line(self.line())
    }

    /// The mistake of the next token standing where it stands: 156 for a keyword, else 102.
    pub(super) fn unexpected(&self) -> Message {
        let token = self.peek();
        let number = match token.kind {
            TokenKind::Word if is_reserved(&token.text) => 156,
            _ => 102,
        };
        Message::new(number, &[&token.text]).at_line(token.line)
    }

    pub(super) fn accept_word(&mut self, word: &str) -> bool {
        let found = self.peek().is_word(word);
        if found {
            self.next();
        }
        found
    }

    /// Takes the words if all of them come next.
    pub(super) fn accept_words(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(n, word)| self.peek_behind(n).is_word(word));
        if found {
            self.at += words.len();
        }
        found
    }

    /// Takes the first of the words that comes next, and says which.
    pub(super) fn accept_any(&mut self, words: &[&'static str]) -> Option<&'static str> {
        let found = words.iter().copied().find(|word| self.peek().is_word(word))?;
        self.next();
        Some(found)
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.accept_word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub(super) fn accept_symbol(&mut self, symbol: &str) -> bool {
        let found = self.peek().is_symbol(symbol);
        if found {
            self.next();
        }
        found
    }

    pub(super) fn expect_symbol(&mut self, symbol: &str) -> Parsed<()> {
        if self.accept_symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// `read`, a comma, `read` …: at least one.
    pub(super) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut list = vec![read(self)?];
        while self.accept_symbol(",") {
            list.push(read(self)?);
        }
        Ok(list)
    }

    /// Whether a name comes next: an identifier that is no reserved keyword.
    pub(super) fn is_at_name(&self) -> bool {
        let token = self.peek();
        match token.kind {
            TokenKind::QuotedName => true,
            TokenKind::Word => !is_reserved(&token.text),
            _ => false,
        }
    }

    pub(super) fn name(&mut self) -> Parsed<String> {
        if self.is_at_name() { Ok(self.next().text) } else { Err(self.unexpected()) }
    }

    /// A name of several parts, some of which may be left out: `msdb..backupset`.
    pub(super) fn object_name(&mut self) -> Parsed<ObjectName> {
        let mut parts = vec![self.name()?];
        while self.accept_symbol(".") {
            if parts.len() == MAX_NAME_PARTS {
                return Err(self.unexpected());
            }
            if self.peek().is_symbol(".") {
                parts.push(String::new());
            } else {
                parts.push(self.name_of_any_word()?);
            }
        }
        Ok(ObjectName { parts })
    }

    /// Behind a dot keywords are names too.
    fn name_of_any_word(&mut self) -> Parsed<String> {
        match self.peek().kind {
            TokenKind::Word | TokenKind::QuotedName => Ok(self.next().text),
            _ => Err(self.unexpected()),
        }
    }

    /// Whether a variable, but no global value, comes next.
    pub(super) fn is_at_variable(&self) -> bool {
        let token = self.peek();
        token.kind == TokenKind::Variable && !token.text.starts_with("@@")
    }

    /// A variable, which must have been declared.
    pub(super) fn variable(&mut self) -> Parsed<String> {
        if !self.is_at_variable() {
            return Err(self.unexpected());
        }
        let Token { text, line, .. } = self.next();
        if !self.declared.contains(&text.to_lowercase()) {
            self.mistakes.push(Message::new(137, &[&text]).with_state(2).at_line(line));
        }
        Ok(text)
    }

    /// Declares a variable from here on.
    pub(super) fn declare(&mut self, name: &str, line: u32) {
        if !self.declared.insert(name.to_lowercase()) {
            self.mistakes.push(Message::new(134, &[&name]).at_line(line));
        }
    }

    /// A name or a variable.
    pub(super) fn name_or_variable(&mut self) -> Parsed<Operand> {
        if self.is_at_variable() {
            self.variable().map(Operand::Variable)
        } else {
            self.name().map(Operand::Text)
        }
    }

    /// A string or a variable.
    pub(super) fn text_or_variable(&mut self) -> Parsed<Operand> {
        match self.peek().kind {
            TokenKind::Text => Ok(Operand::Text(self.next().text)),
            _ if self.is_at_variable() => self.variable().map(Operand::Variable),
            _ => Err(self.unexpected()),
        }
    }

    /// A number, with or without a sign, or a variable.
    pub(super) fn number_or_variable(&mut self) -> Parsed<Operand> {
        if self.is_at_variable() {
            return self.variable().map(Operand::Variable);
        }
        let negative = self.peek().is_symbol("-")
            && self.peek_behind(1).kind == TokenKind::Integer
            && self.accept_symbol("-");
        if self.peek().kind != TokenKind::Integer {
            return Err(self.unexpected());
        }
        // Numbers that no option can have all mean the same to it: too large.
        let magnitude = self.next().text.parse().unwrap_or(i64::MAX);
        Ok(Operand::Integer(if negative { -magnitude } else { magnitude }))
    }
}
