//! The error log: what the server notes down beside what it answers.

use std::fmt;
use std::sync::Mutex;

use jiff::civil::DateTime;

use super::message::Message;

/// An entry of the error log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Local time.
    pub time: DateTime,
    /// Which part of the server wrote it: `Backup`, `spid52`, `Logon`.
    pub source: String,
    /// What it says.
    pub message: Message,
}

/// As the file ERRORLOG has it: an error's numbers in a line of their own before its text.
impl fmt::Display for LogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time.strftime("%Y-%m-%d %H:%M:%S");
        let hundredths = self.time.subsec_nanosecond() / 10_000_000;
        let head = format!("{time}.{hundredths:02} {:<11} ", self.source);
        let Message { number, severity, state, text, .. } = &self.message;
        if self.message.is_error() {
            writeln!(f, "{head}Error: {number}, Severity: {severity}, State: {state}.")?;
        }
        write!(f, "{head}{text}")
    }
}

/// Where log entries go. It is called from any thread and must not block.
pub trait ErrorLog: Send + Sync {
    /// Takes an entry.
    fn write(&self, entry: LogEntry);
}

/// Keeps the entries in memory.
#[derive(Debug, Default)]
pub struct MemoryLog(Mutex<Vec<LogEntry>>);

impl MemoryLog {
    /// The entries so far, oldest first.
    pub fn entries(&self) -> Vec<LogEntry> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl ErrorLog for MemoryLog {
    fn write(&self, entry: LogEntry) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(entry);
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    // Catches: an error without its numbers, information with them, a lost column.
    #[test]
    fn entries_read_as_in_the_file() {
        let time = date(2009, 2, 26).at(15, 20, 3, 120_000_000);
        let entry = |message| LogEntry { time, source: "Backup".to_owned(), message }.to_string();
        assert_eq!(
            entry(Message::new(3041, &[&"BACKUP DATABASE pubs"])),
            "2009-02-26 15:20:03.12 Backup      Error: 3041, Severity: 16, State: 1.\n\
             2009-02-26 15:20:03.12 Backup      BACKUP failed to complete the command BACKUP \
             DATABASE pubs. Check the backup application log for detailed messages."
        );
        assert_eq!(
            entry(Message::new(3198, &[&"pubs"])),
            "2009-02-26 15:20:03.12 Backup      I/O was resumed on database pubs. No user action \
             is required."
        );
    }
}
