//! SQL Server's messages.

use std::fmt;

/// A message as SQL Server sends it to whoever executed the statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number in sys.messages.
    pub number: u32,
    /// 10 for information, 11 to 25 for errors.
    pub severity: u8,
    /// Tells occurrences of one number apart.
    pub state: u8,
    /// The text with its parameters in place.
    pub text: String,
}

impl Message {
    /// An error of severity 16.
    pub(crate) fn error(number: u32, text: String) -> Self {
        Message { number, severity: 16, state: 1, text }
    }

    /// Information.
    pub(crate) fn info(number: u32, text: String) -> Self {
        Message { number, severity: 10, state: 1, text }
    }

    /// 3013: the statement has failed.
    pub(crate) fn terminating(verb: &str) -> Self {
        Message::error(3013, format!("{verb} is terminating abnormally."))
    }

    /// 18210: a step of the server's backup code failed on a device.
    pub(crate) fn device_failure(step: &str, what: &str, device: &str, os_error: &str) -> Self {
        let gap = if what.is_empty() { "" } else { " " };
        Message::error(
            18210,
            format!(
                "{step}: {what}{gap}failure on backup device '{device}'. Operating system error \
                 {os_error}."
            ),
        )
    }
}

/// As sqlcmd prints it: errors with number, level, state and line, information as bare text.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.severity > 10 {
            writeln!(
                f,
                "Msg {}, Level {}, State {}, Line 1",
                self.number, self.severity, self.state
            )?;
        }
        f.write_str(&self.text)
    }
}
