//! What the library says on stderr.
//!
//! The lines that start with the name of the set's control object are those of SQL Server's own
//! library, on the failures that they belong to; people search for them. Source: sql-server-samples
//! issue 752. Lines of this library's own start with `vdisim:`. On Windows SQL Server's own lines go to
//! the logs instead, see `com::event_log`.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;
use vdi_device::{AbortKind, Error, Event, Observer};
use vdi_protocol::HResult;

use super::trace;

/// Writes one line. A client that closed its stderr does not hear us; that is no failure.
pub(super) fn say(line: &str) {
    say_bytes(line.as_bytes());
}

fn say_bytes(line: &[u8]) {
    // In one write, so that lines of several processes do not mix.
    let _ = std::io::stderr().write_all(&[line, b"\n"].concat());
}

/// Says why a call failed where the status alone would leave the user without a clue.
pub(super) fn explain(call: &str, error: &Error) -> HResult {
    let status = error.status();
    let needs_words =
        matches!(status, HResult::VD_E_MEMORY | HResult::VD_E_SECURITY | HResult::VD_E_UNEXPECTED);
    if needs_words {
        say(&format!("vdisim: {call}: {error}"));
    }
    status
}

/// Hears of what happens to one set, and says and traces it.
#[derive(Debug, Default)]
pub(super) struct Messages {
    known: Mutex<Known>,
}

/// What later lines need to know.
#[derive(Debug, Default)]
struct Known {
    #[cfg_attr(
        not(windows),
        allow(dead_code, reason = "SQL Server has instances on Windows alone")
    )]
    instance: Option<Vec<u8>>,
    set_name: Vec<u8>,
    /// Of the buffer object that could not be opened: the error number, and why in words.
    buffer_failure: (i32, String),
}

impl Messages {
    /// The set that the following events belong to.
    pub(super) fn name_set(&self, instance: Option<&[u8]>, name: &[u8]) {
        let instance = instance.map(<[u8]>::to_owned);
        *self.known() = Known { instance, set_name: name.to_owned(), ..Known::default() };
    }

    #[cfg(not(windows))]
    fn say_as_sql_server(&self, location: &str, description: &str, error: i32) {
        let known = self.known();
        let name = known.set_name.as_slice();
        let text = format!("{location}: {description}: error {error}");
        say_bytes(&[b"Host_", name, b"_SQLVDIMemoryName_0: ", text.as_bytes()].concat());
    }

    #[cfg(windows)]
    fn say_as_sql_server(&self, location: &str, description: &str, error: i32) {
        use super::com::event_log::{Report, Side};
        let known = self.known();
        let (instance, set_name) = (known.instance.as_deref(), known.set_name.as_slice());
        Report { side: Side::Client, instance, set_name, location, description, error }.write();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error number of the operating system behind a failure, 0 if there is none.
fn error_number(error: &Error) -> i32 {
    error.os_error().unwrap_or(0)
}

impl Observer for Messages {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::SegmentUnmappable { segment, error, .. } => {
                let number = error_number(error);
                self.known().buffer_failure = (number, error.to_string());
                let location = "ClientBufferAreaManager::SyncWithGlobalTable";
                self.say_as_sql_server(location, "Open(hBufferMemory)", number);
                trace::event(
                    "segment-unmappable",
                    json!({"segment": segment, "error": error.to_string()}),
                );
            }
            Event::Aborted(cause) => {
                // Leaving a set that is no longer wanted is no failure; Close has its own code.
                if cause.kind != AbortKind::ClientClosed {
                    self.say_as_sql_server("TriggerAbort", "invoked", 0);
                }
                if cause.kind == AbortKind::ClientUnmapped {
                    let (number, why) = self.known().buffer_failure.clone();
                    self.say_as_sql_server("TriggerAbort", "ChannelSem", number);
                    say(&format!("vdisim: {why}."));
                }
                trace::event("aborted", json!({"cause": cause.to_string()}));
            }
            Event::Guarded => {
                super::guard::watch();
                trace::event("guarded", json!({}));
            }
            Event::ServerDied { pid } => trace::event("server-died", json!({"pid": pid})),
            Event::CompletedForClient { device, command } => trace::event(
                "completed-for-client",
                json!({"device": device, "command": command.to_string()}),
            ),
            other => trace::event("other", json!({"text": format!("{other:?}")})),
        }
    }
}
