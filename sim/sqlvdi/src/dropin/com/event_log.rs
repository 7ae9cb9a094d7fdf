//! What SQL Server's own DLL reports: a line for a failure, to a log file and to Windows' event log.
//!
//! The file is the one that the registry names, as for SQL Server's DLL: the value `Log File` of
//! `HKLM\Software\Microsoft\SQL Virtual Device Interface`; an empty one turns both logs off. Without it
//! the file is `%LOCALAPPDATA%\vdisim\VDI.LOG`. Source: VDI, Error Codes and Logs; the form of a line is
//! that of events in Microsoft's support articles.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

use windows_registry::LOCAL_MACHINE;
use windows_sys::Win32::System::EventLog::{
    DeregisterEventSource, EVENTLOG_ERROR_TYPE, RegisterEventSourceW, ReportEventW,
};
use windows_sys::Win32::System::Threading::GetCurrentThreadId;

const KEY: &str = r"Software\Microsoft\SQL Virtual Device Interface";
const VALUE: &str = "Log File";
const SOURCE: &str = "SQLVDI";
const EVENT_ID: u32 = 1;

/// The half of the interface that something happened in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Something to report.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) side: Side,
    /// `None` for the default instance.
    pub(crate) instance: Option<&'a [u8]>,
    pub(crate) set_name: &'a [u8],
    /// Where.
    pub(crate) location: &'a str,
    /// What.
    pub(crate) description: &'a str,
    /// The error number of the operating system behind it, 0 if there is none.
    pub(crate) error: i32,
}

impl Report<'_> {
    fn line(&self) -> String {
        // The library's text, without the number that it puts behind it.
        let text = match self.error {
            0 => String::new(),
            number => io::Error::from_raw_os_error(number).to_string(),
        };
        let text = text.split(" (os error").next().unwrap_or_default().trim_end_matches('.');
        format!(
            "SQLVDI: Loc={}. Desc={}. ErrorCode=({}){text}. Process={}. Thread={}. {:?}. \
             Instance={}. VD=Global\\{}_SQLVDIMemoryName_0.",
            self.location,
            self.description,
            self.error,
            std::process::id(),
            thread(),
            self.side,
            self.instance.map_or("MSSQLSERVER".into(), String::from_utf8_lossy),
            String::from_utf8_lossy(self.set_name),
        )
    }

    /// Writes the line. A log that cannot be written must not fail what it tells of.
    pub(crate) fn write(&self) {
        let Some(path) = place() else { return };
        let line = self.line();
        let _ = append(&path, &line);
        report_event(&line);
    }
}

fn thread() -> u32 {
    // SAFETY: the call has no preconditions.
    unsafe { GetCurrentThreadId() }
}

/// Where the file is; `None` if the logs are turned off, or no folder for it is known.
fn place() -> Option<PathBuf> {
    match LOCAL_MACHINE.open(KEY).and_then(|key| key.get_string(VALUE)) {
        Ok(path) if path.is_empty() => None,
        Ok(path) => Some(path.into()),
        Err(_) => {
            let folder = PathBuf::from(std::env::var_os("LOCALAPPDATA")?);
            Some(folder.join("vdisim").join("VDI.LOG"))
        }
    }
}

/// In one write, so that lines of several processes do not mix.
fn append(path: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::options().append(true).create(true).open(path)?;
    file.write_all(format!("{line}\r\n").as_bytes())
}

fn report_event(line: &str) {
    let wide = |text: &str| text.encode_utf16().chain([0]).collect::<Vec<u16>>();
    let (source, line) = (wide(SOURCE), wide(line));
    // SAFETY: the name ends with a zero and lives through the call.
    let log = unsafe { RegisterEventSourceW(null(), source.as_ptr()) };
    if log.is_null() {
        return;
    }
    let strings = [line.as_ptr()];
    // SAFETY: the handle is open, and the one string ends with a zero and lives through the call.
    unsafe {
        ReportEventW(
            log,
            EVENTLOG_ERROR_TYPE,
            0,
            EVENT_ID,
            null_mut(),
            1,
            0,
            strings.as_ptr(),
            null(),
        );
        DeregisterEventSource(log);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a part of the line missing, misspelt or in another place.
    #[test]
    fn a_line_has_the_form_of_sql_servers() {
        let report = Report {
            side: Side::Server,
            instance: None,
            set_name: b"set",
            location: "SVDS::Open",
            description: "Open(Control)",
            error: 2,
        };
        let line = report.line();
        let (before, after) = line.split_once(" Process=").unwrap();
        let known = "SQLVDI: Loc=SVDS::Open. Desc=Open(Control). ErrorCode=(2)";
        assert!(before.starts_with(known) && before.len() > known.len() + 1, "{line}");
        let own = std::process::id();
        assert!(after.starts_with(&format!("{own}. Thread=")), "{line}");
        let end = r". Server. Instance=MSSQLSERVER. VD=Global\set_SQLVDIMemoryName_0.";
        assert!(after.ends_with(end), "{line}");
        let named = Report { side: Side::Client, instance: Some(b"PAYROLL"), error: 0, ..report };
        assert!(named.line().contains("ErrorCode=(0). Process="));
        assert!(named.line().contains(". Client. Instance=PAYROLL. "));
    }
}
