//! The trace: one line of JSON for each call and event, appended to the file that VDISIM_TRACE
//! names in the environment or, for a process that was started before anybody thought of a trace, in
//! what a test left in the namespace when a set was created.
//!
//! A line of a call has `version`, `time` (microseconds since 1970), `took` (microseconds), `pid`,
//! `thread`, `object`, `call`, `arguments` and `result`; one of an event has `event` and `details`
//! instead of `took` and the last four. A process begins with the event `process` and, unless it is
//! killed, ends with `ended`. Lines are written with one write each, so that processes can share the
//! file. Switched off, a call costs one relaxed load.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Once, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use vdi_protocol::HResult;

use super::guard::Line;
use super::messages::say;

/// The version of the lines' form.
const VERSION: u32 = 1;

static ON: AtomicBool = AtomicBool::new(false);
/// The file, and the path that it was opened by.
static FILE: RwLock<Option<(PathBuf, File)>> = RwLock::new(None);
static STARTED: Once = Once::new();

/// Opens the file that the environment names. The first call decides for the process.
pub(super) fn start() {
    STARTED.call_once(|| {
        if let Some(path) = named_by_environment() {
            go_to(Some(&path));
        }
    });
}

/// Goes on in the file that a test left word of, or in none. What the environment names stays.
pub(super) fn follow(path: Option<&Path>) {
    if named_by_environment().is_none() {
        go_to(path);
    }
}

fn named_by_environment() -> Option<PathBuf> {
    std::env::var_os("VDISIM_TRACE").filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn go_to(path: Option<&Path>) {
    let mut file = FILE.write().unwrap_or_else(PoisonError::into_inner);
    if file.as_ref().map(|(path, _)| path.as_path()) == path {
        return;
    }
    *file = path.and_then(|path| Some((path.to_owned(), open(path)?)));
    let is_on = file.is_some();
    drop(file);
    ON.store(is_on, Ordering::Relaxed);
    if is_on {
        let program = std::env::current_exe().unwrap_or_default();
        event("process", json!({"role": "client", "program": program.display().to_string()}));
    }
}

fn open(path: &Path) -> Option<File> {
    let opened = File::options().append(true).create(true).open(path);
    opened
        .inspect_err(|error| {
            let path = path.display();
            say(&format!("vdisim: VDISIM_TRACE: {path} cannot be appended to: {error}"));
        })
        .ok()
}

/// Records the end of the process; one that is killed does not come here.
#[cfg(not(windows))]
pub(super) fn end() {
    event("ended", json!({}));
}

/// A call that began and is to be recorded.
#[derive(Debug)]
pub(super) struct Call {
    name: &'static str,
    begin: Instant,
}

/// The call that begins now, or `None` if nothing is recorded.
#[inline]
pub(super) fn call(name: &'static str) -> Option<Call> {
    ON.load(Ordering::Relaxed).then(|| Call { name, begin: Instant::now() })
}

impl Call {
    /// Records the call with its result: the status, and what it gave beside it.
    #[cold]
    pub(super) fn returned(self, object: &str, arguments: Value, status: i32, results: Value) {
        // Before the time is: the call must not seem to have begun earlier than it did.
        let took = self.begin.elapsed();
        let mut line = header();
        let status = HResult(status.cast_unsigned());
        line["took"] = microseconds(took);
        line["object"] = object.into();
        line["call"] = self.name.into();
        line["arguments"] = arguments;
        line["result"] = json!({"status": status.0, "name": status.name()});
        if let (Some(all), Value::Object(more)) = (line["result"].as_object_mut(), results) {
            all.extend(more);
        }
        write(&line);
    }
}

/// An address as traces have it.
pub(super) fn address(pointer: *const u8) -> String {
    format!("{pointer:p}")
}

/// Records what is no call.
pub(super) fn event(name: &'static str, details: Value) {
    if ON.load(Ordering::Relaxed) {
        let mut line = header();
        line["event"] = name.into();
        line["details"] = details;
        write(&line);
    }
}

/// Records what a signal handler saw; async-signal-safe. `details` writes an object of JSON.
pub(super) fn fault(details: impl FnOnce(&mut Line) -> std::fmt::Result) {
    use std::fmt::Write as _;
    // Merely tried: whoever was interrupted may hold it for writing.
    let Ok(held) = FILE.try_read() else { return };
    let Some((_, mut file)) = held.as_ref().map(|(path, file)| (path, file)) else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let (pid, thread) = (std::process::id(), thread_number());
    let mut line = Line::new();
    let header =
        format_args!(r#"{{"version":{VERSION},"time":{now},"pid":{pid},"thread":{thread},"#);
    let _ = line.write_fmt(header);
    let _ = line.write_str(r#""event":"buffer-fault","details":"#);
    let _ = details(&mut line);
    let _ = line.write_str("}\n");
    let _ = file.write_all(line.as_bytes());
}

fn header() -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "version": VERSION,
        "time": microseconds(now),
        "pid": std::process::id(),
        "thread": thread_number(),
    })
}

/// The system's number of the calling thread.
#[cfg(unix)]
fn thread_number() -> i64 {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) }
}

/// The system's number of the calling thread.
#[cfg(windows)]
fn thread_number() -> u32 {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { windows_sys::Win32::System::Threading::GetCurrentThreadId() }
}

fn microseconds(time: Duration) -> Value {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).into()
}

fn write(line: &Value) {
    let file = FILE.read().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, file)) = file.as_ref() {
        let mut file: &File = file;
        // A full disk must not fail the backup that is traced.
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}
