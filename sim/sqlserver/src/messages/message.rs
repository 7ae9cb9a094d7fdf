//! A message as whoever executed the statement gets it.

use std::fmt::{self, Display};
use std::time::Duration;

use super::table;

/// Highest severity of information; above it are errors.
const INFORMATION: u8 = 10;

/// The message that SQL Server sends with state 0, where others have 1.
const UNREADABLE_MEDIA: u32 = 3241;

/// A message of SQL Server with its parameters in place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Message {
    /// Its number in sys.messages.
    pub number: u32,
    /// Up to 10 for information, 11 to 25 for errors.
    pub severity: u8,
    /// Tells occurrences of one number apart.
    pub state: u8,
    /// Line of the batch, or of the procedure, from 1; 0 if none is concerned.
    pub line: u32,
    /// The procedure that sent it.
    pub procedure: Option<String>,
    /// The text.
    pub text: String,
}

impl Message {
    /// The message of this number, with `arguments` for the conversions of its text; its usual state,
    /// line 1. A number without a text becomes 18054, which says so.
    ///
    /// There is an argument for each conversion; in a release a missing one is `(null)`, as in C.
    pub fn new(number: u32, arguments: &[&dyn Display]) -> Self {
        let Some(row) = table::row(number) else {
            return Self::new(18054, &[&number, &16, &1]);
        };
        debug_assert_eq!(table::conversions(row.text), arguments.len(), "{number}: {}", row.text);
        let text = table::fill(row.text, arguments);
        let state = if number == UNREADABLE_MEDIA { 0 } else { 1 };
        Message { number, severity: row.severity, state, line: 1, procedure: None, text }
    }

    /// A message with a text of its own: PRINT's (number 0) or RAISERROR's (number 50000).
    pub fn user(number: u32, severity: u8, state: u8, text: String) -> Self {
        Message { number, severity, state, line: 1, procedure: None, text }
    }

    /// A message with a text of its own whose conversions take `arguments`.
    pub fn formatted(
        number: u32,
        severity: u8,
        state: u8,
        text: &str,
        arguments: &[&dyn Display],
    ) -> Self {
        Self::user(number, severity, state, table::fill(text, arguments))
    }

    /// The same with this state.
    pub fn with_state(self, state: u8) -> Self {
        Message { state, ..self }
    }

    /// The same about this line.
    pub fn at_line(self, line: u32) -> Self {
        Message { line, ..self }
    }

    /// The same from this procedure.
    pub fn from_procedure(self, procedure: &str) -> Self {
        Message { procedure: Some(procedure.to_owned()), ..self }
    }

    /// As tools print it: an error's numbers in a line of their own before its text.
    pub fn to_transcript(&self) -> String {
        let Message { number, severity, state, line, text, .. } = self;
        if self.is_error() {
            format!("Msg {number}, Level {severity}, State {state}, Line {line}\n{text}")
        } else {
            text.clone()
        }
    }

    /// Whether it reports a failure.
    pub fn is_error(&self) -> bool {
        self.severity > INFORMATION
    }
}

/// 3014: what was done, how long it took, how fast it was.
pub(crate) fn success(verb: &str, pages: u64, elapsed: Duration) -> Message {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let speed = u128::from(pages) * 8192 * 1_000_000 / u128::from(millis) / (1 << 20);
    Message::new(
        3014,
        &[&verb, &pages, &(millis / 1000), &(millis % 1000), &(speed / 1000), &(speed % 1000)],
    )
}

/// Messages that together say why something failed, in the order they are sent; at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SeveralMessages(pub Vec<Message>);

impl Display for SeveralMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, message) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            write!(f, "{gap}{}: {message}", message.number)?;
        }
        Ok(())
    }
}

impl From<Message> for SeveralMessages {
    fn from(message: Message) -> Self {
        SeveralMessages(vec![message])
    }
}

impl SeveralMessages {
    /// The same about this line.
    pub fn at_line(self, line: u32) -> Self {
        SeveralMessages(self.0.into_iter().map(|message| message.at_line(line)).collect())
    }

    /// The same and 3013 behind them: the statement has failed. `verb` is how messages call it,
    /// such as "BACKUP DATABASE".
    pub fn terminating(mut self, verb: &str) -> Self {
        self.0.push(Message::new(3013, &[&verb]));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: an unknown number that panics or has no text.
    #[test]
    fn a_number_without_a_text_says_so() {
        let message = Message::new(4_000_000, &[]);
        assert_eq!((message.number, message.severity), (18054, 16));
        assert!(message.text.starts_with("Error 4000000,"), "{message}");
    }

    // Catches: information counted as an error, 3013 not last.
    #[test]
    fn a_failed_statement_ends_with_3013() {
        let failed = SeveralMessages::from(Message::new(911, &[&"x"]).with_state(11))
            .terminating("BACKUP DATABASE")
            .at_line(3);
        let last = failed.0.last().unwrap();
        assert_eq!(last.text, "BACKUP DATABASE is terminating abnormally.");
        assert!(failed.0.iter().all(|message| message.line == 3 && message.is_error()));
        assert!(!Message::new(3211, &[&10]).is_error());
    }
}
