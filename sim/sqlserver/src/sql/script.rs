//! Scripts: batches separated by lines with GO, as sqlcmd and other clients read them.

/// A batch of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptBatch {
    /// Its text, without the line with GO.
    pub text: String,
    /// Line of the script that it starts at, from 1.
    pub line: usize,
    /// How often it is executed: `GO n`.
    pub count: u32,
}

/// Cuts a script into its batches; batches without anything but space are left out. A line with GO
/// inside a string or a comment does not count.
pub fn split_script(text: &str) -> Vec<ScriptBatch> {
    let mut batches = Vec::new();
    let mut batch = ScriptBatch { text: String::new(), line: 1, count: 1 };
    let mut inside = Inside::Code;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let separator = (inside == Inside::Code).then(|| separator(line)).flatten();
        if let Some(count) = separator {
            batch.count = count;
            let next = ScriptBatch { text: String::new(), line: number + 2, count: 1 };
            batches.push(std::mem::replace(&mut batch, next));
        } else {
            inside = inside.after(line);
            batch.text.push_str(line);
        }
    }
    batches.push(batch);
    batches.retain(|batch| !batch.text.trim().is_empty() && batch.count > 0);
    batches
}

/// The count of a line with GO.
fn separator(line: &str) -> Option<u32> {
    let line = line.split("--").next().unwrap_or_default();
    let mut words = line.split_whitespace();
    let is_go = words.next()?.trim_end_matches(';').eq_ignore_ascii_case("GO");
    let count = match words.next() {
        None => Some(1),
        Some(count) => count.trim_end_matches(';').parse().ok(),
    };
    count.filter(|_| is_go && words.next().is_none())
}

/// What the end of a line is inside of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inside {
    /// Neither a comment nor quotation marks.
    #[default]
    Code,
    /// A comment `/* … */`.
    Comment {
        /// Comments inside one another.
        depth: u32,
    },
    /// A string or a quoted name.
    Quotes {
        /// What closes it.
        close: char,
    },
}

impl Inside {
    /// What the end of the line is inside of whose start is inside of `self`.
    pub fn after(mut self, line: &str) -> Inside {
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            self = match (self, c, next) {
                (Inside::Code, '-', Some('-')) => return Inside::Code,
                (Inside::Code, '/', Some('*')) => {
                    chars.next();
                    Inside::Comment { depth: 1 }
                }
                (Inside::Code, '\'' | '"', _) => Inside::Quotes { close: c },
                (Inside::Code, '[', _) => Inside::Quotes { close: ']' },
                (Inside::Comment { depth }, '/', Some('*')) => {
                    chars.next();
                    Inside::Comment { depth: depth + 1 }
                }
                (Inside::Comment { depth }, '*', Some('/')) => {
                    chars.next();
                    if depth == 1 { Inside::Code } else { Inside::Comment { depth: depth - 1 } }
                }
                // A doubled quotation mark closes and opens again, which comes to the same.
                (Inside::Quotes { close }, c, _) if c == close => Inside::Code,
                (inside, _, _) => inside,
            };
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Vec<(String, usize, u32)> {
        split_script(script)
            .into_iter()
            .map(|batch| (batch.text, batch.line, batch.count))
            .collect()
    }

    // Catches: GO inside strings or comments taken for a separator, lost counts and lines.
    #[test]
    fn lines_with_go_separate_batches() {
        assert_eq!(
            texts("use a\r\ngo\r\n\r\nGO 3 -- again\nprint 'x\nGO\n'\n  Go;\n/* /*\nGO\n*/ */ b"),
            [
                ("use a\r\n".to_owned(), 1, 1),
                ("print 'x\nGO\n'\n".to_owned(), 5, 1),
                ("/* /*\nGO\n*/ */ b".to_owned(), 9, 1),
            ]
        );
        assert_eq!(texts("a\nGO 0\nb\nGO x\n"), [("b\nGO x\n".to_owned(), 3, 1)]);
        assert_eq!(texts("a\nGOTO x"), [("a\nGOTO x".to_owned(), 1, 1)]);
        assert_eq!(texts("a -- it's\nGO 2"), [("a -- it's\n".to_owned(), 1, 2)]);
    }
}
