//! Tokens of T-SQL.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// An unquoted identifier or keyword.
    Word,
    /// An identifier in brackets, or in double quotes with QUOTED_IDENTIFIER ON.
    QuotedName,
    /// A string.
    Text,
    /// Digits.
    Integer,
    /// A number with a fraction or an exponent.
    Decimal,
    /// `0x` and hexadecimal digits.
    Binary,
    /// `@name` or `@@name`.
    Variable,
    /// Punctuation.
    Symbol,
    /// The end of the batch; its text is that of the last token.
    End,
}

/// A piece of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// What it says: without quotes, with doubled quotes undone.
    pub(super) text: String,
    /// Its line in the batch, from 1.
    pub(super) line: u32,
}

impl Token {
    /// Whether it is the unquoted word `word`, which is upper case.
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }
}
