//! From lines to batches.

use std::fs;
use std::io;
use std::path::Path;

use fake_sqlserver::sql::Inside;

/// The batch being collected.
#[derive(Debug, Default)]
pub(super) struct Batch {
    text: String,
    inside: Inside,
}

impl Batch {
    /// What is collected so far.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Takes what is collected.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(self).text
    }

    /// Number of the next line.
    pub(super) fn next_line(&self) -> usize {
        self.text.lines().count() + 1
    }

    /// Whether the next line starts in a string or a comment, so that it is no separator and no
    /// command.
    pub(super) fn is_inside(&self) -> bool {
        self.inside != Inside::Code
    }

    /// Adds a line.
    pub(super) fn add(&mut self, line: &str) {
        self.inside = self.inside.after(line);
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// The count of a line that ends a batch, such as `GO 3`.
pub(super) fn separator(line: &str, terminator: &str) -> Option<u32> {
    let line = line.split("--").next().unwrap_or_default();
    let mut words = line.split_whitespace();
    let is_end = words.next()?.trim_end_matches(';').eq_ignore_ascii_case(terminator);
    let count = words.next().map_or(Some(1), |count| count.trim_end_matches(';').parse().ok());
    count.filter(|_| is_end && words.next().is_none())
}

/// A script's text: UTF-16 if its byte order mark says so, else UTF-8.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let bytes = fs::read(path)?;
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16_lossy(&units)
    };
    Ok(match bytes.as_slice() {
        [0xFF, 0xFE, text @ ..] => utf16(text, u16::from_le_bytes),
        [0xFE, 0xFF, text @ ..] => utf16(text, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, text @ ..] | text => String::from_utf8_lossy(text).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: GO in a string, GO with a count, words that begin with GO.
    #[test]
    fn go_ends_a_batch() {
        assert_eq!(separator(" go ", "GO"), Some(1));
        assert_eq!(separator("GO 3 -- thrice", "GO"), Some(3));
        assert_eq!(separator("GO;", "GO"), Some(1));
        assert_eq!(separator("GOTO x", "GO"), None);
        assert_eq!(separator("GO x", "GO"), None);
        assert_eq!(separator("GO", ";;"), None);
        let mut batch = Batch::default();
        batch.add("print 'a");
        assert!(batch.is_inside());
        batch.add("' /* x */");
        assert!(!batch.is_inside());
        assert_eq!((batch.next_line(), batch.text()), (3, "print 'a\n' /* x */\n"));
    }

    // Catches: the scripts of SQL Server's own tools, which are UTF-16, and marks left in the text.
    #[test]
    fn scripts_in_three_encodings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sql");
        let utf16 = [0xFF, 0xFE].into_iter().chain("ä€".encode_utf16().flat_map(u16::to_le_bytes));
        for bytes in [utf16.collect(), "\u{FEFF}ä€".into(), Vec::from("ä€")] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(read(&path).unwrap(), "ä€");
        }
    }
}
