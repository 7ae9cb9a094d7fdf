//! What a client's output says of its success, for clients whose exit code says nothing.

use std::path::Path;

use regex::bytes::Regex;

/// Regular expressions over everything that a client prints, on both streams.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    /// Who succeeds prints a match.
    pub success: Option<Regex>,
    /// Who fails prints a match.
    pub failure: Option<Regex>,
}

impl Patterns {
    /// Whether the client says that it succeeded; `None` if nobody asked for its words, and its exit
    /// code is to be taken.
    pub(crate) fn told(&self, output: &[impl AsRef<Path>]) -> Option<bool> {
        if self.success.is_none() && self.failure.is_none() {
            return None;
        }
        // What cannot be read was not said.
        let said: Vec<_> =
            output.iter().map(|path| std::fs::read(path).unwrap_or_default()).collect();
        Some(self.judge(&said))
    }

    fn judge(&self, said: &[Vec<u8>]) -> bool {
        let matches = |pattern: &Regex| said.iter().any(|text| pattern.is_match(text));
        let fails = self.failure.as_ref().is_some_and(matches);
        !fails && self.success.as_ref().is_none_or(matches)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // Catches: a success that outweighs a failure, silence taken for success where success has words,
    // output that is no UTF-8.
    #[rstest]
    #[case(Some("done"), None, "all done", true)]
    #[case(Some("done"), None, "", false)]
    #[case(None, Some("(?i)error"), "Error 5", false)]
    #[case(None, Some("(?i)error"), "", true)]
    #[case(Some("done"), Some("failed"), "done, 1 failed", false)]
    fn words_count(
        #[case] success: Option<&str>,
        #[case] failure: Option<&str>,
        #[case] said: &str,
        #[case] succeeds: bool,
    ) {
        let pattern = |text: Option<&str>| text.map(|text| Regex::new(text).unwrap());
        let patterns = Patterns { success: pattern(success), failure: pattern(failure) };
        let said = [b"\xff\n".to_vec(), said.as_bytes().to_vec()];
        assert_eq!(patterns.judge(&said), succeeds);
    }
}
