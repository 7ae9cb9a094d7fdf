//! What was seen of a client: the server half's record, the drop-in's trace, how it ended, what it left.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::Value;
use vdi_protocol::{CommandCode, CompletionCode, HResult};

use super::record::{self, Entry, What};
use super::results::{EventKind, Side, TimedEvent, Timeline};
use super::script::Script;

/// One statement that a client served.
#[derive(Debug)]
pub(crate) struct Act {
    pub(crate) script: Script,
    /// Whether a fault of the run's plan refused the client its set.
    pub(crate) is_refused_create: bool,
    pub(crate) devices: Vec<String>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) calls: Vec<Call>,
    pub(crate) events: Vec<ClientEvent>,
    pub(crate) ended: Ended,
    /// Microseconds since 1970 when everybody had ended, or was ended.
    pub(crate) end: u64,
    /// Whether the client sent the statement itself.
    pub(crate) is_sql: bool,
    /// What the client's output says of its success, where patterns were given for it.
    pub(crate) told: Option<bool>,
    /// The objects of the namespace after everybody's end.
    pub(crate) left: Vec<String>,
    /// Whether a process of the client outlived it.
    pub(crate) survivors: bool,
    /// Whether the client synchronised anything; `None` if nobody looked.
    pub(crate) synced: Option<bool>,
    /// The last lines of what the client said.
    pub(crate) said: String,
}

/// How a client's process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Code(i32),
    Signal(i32),
    /// Killed on purpose by the script.
    Killed,
    /// Killed by the watchdog, for this reason.
    Hung(String),
}

/// A call of the drop-in.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Microseconds since 1970 at its return.
    pub(crate) time: u64,
    pub(crate) took: u64,
    pub(crate) pid: u32,
    pub(crate) object: String,
    pub(crate) name: String,
    pub(crate) arguments: Value,
    pub(crate) status: HResult,
    pub(crate) result: Value,
}

impl Call {
    /// Whether `name` was called, by that name or, as COM's interface has it as well, by one with `Ex`.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.strip_suffix("Ex").unwrap_or(&self.name) == name
    }

    /// Whether both asked for the same, of the same object, and nothing had come.
    fn is_same_poll(&self, other: &Call) -> bool {
        self.status == HResult::VD_E_TIMEOUT
            && (self.status, &self.name, &self.arguments)
                == (other.status, &other.name, &other.arguments)
    }
}

/// What the drop-in noticed beside calls.
#[derive(Clone, Debug)]
pub(crate) struct ClientEvent {
    pub(crate) time: u64,
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) details: Value,
}

/// An answered command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) device: u32,
    pub(crate) n: u64,
    pub(crate) code: CommandCode,
    pub(crate) size: u32,
    pub(crate) completion: CompletionCode,
    pub(crate) bytes: u64,
    pub(crate) position: u64,
}

impl Act {
    /// The answers of the client, in the order in which they came; those that an abort or the
    /// IO-ERROR state made are left out.
    pub(crate) fn answers(&self) -> Vec<Answer> {
        let aborted = self.is_aborted();
        let answer = |entry: &Entry| match entry.what {
            What::Completed { device, n, code, size, completion, bytes, position, .. } => {
                let completion = CompletionCode(completion);
                let made = (aborted && completion == CompletionCode::ERROR_OPERATION_ABORTED)
                    || completion == CompletionCode::ERROR_IO_DEVICE;
                let code = CommandCode(code);
                (!made).then_some(Answer { device, n, code, size, completion, bytes, position })
            }
            _ => None,
        };
        self.entries.iter().filter_map(answer).collect()
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.what, What::Aborted { .. }))
    }

    pub(crate) fn attached(&self) -> Option<&What> {
        let attached = |entry: &&Entry| matches!(entry.what, What::Attached { .. });
        self.entries.iter().find(attached).map(|entry| &entry.what)
    }

    /// What the client was told of the statement that it sent.
    pub(crate) fn answered(&self) -> Option<bool> {
        self.entries.iter().find_map(|entry| match entry.what {
            What::Answered { success } => Some(success),
            _ => None,
        })
    }

    /// Whether the client says that it succeeded: by its output if that was asked for, else by its
    /// exit code.
    pub(crate) fn claims_success(&self) -> bool {
        self.told.unwrap_or(self.ended == Ended::Code(0))
    }

    pub(crate) fn calls_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Call> {
        self.calls.iter().filter(move |call| call.is(name))
    }

    /// Why the script went no further, in words.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.entries.iter().find_map(|entry| match &entry.what {
            What::Stopped { why } => Some(why.clone()),
            What::Aborted { cause } => Some(format!("the set was aborted: {cause}")),
            _ => None,
        })
    }

    /// Whether the client ended by itself, and the last that some object said to it was
    /// VD_E_TIMEOUT.
    pub(crate) fn left_on_time_out(&self) -> bool {
        if !matches!(self.ended, Ended::Code(_)) {
            return false;
        }
        let waits = |call: &&Call| matches!(call.name.as_str(), "GetCommand" | "GetConfiguration");
        let mut last = BTreeMap::new();
        for call in self.calls.iter().filter(waits) {
            last.insert((call.pid, &call.object), call);
        }
        let left = |call: &&Call| {
            call.status == HResult::VD_E_TIMEOUT && call.arguments["timeout"].as_i64() != Some(0)
        };
        last.into_values().any(|call| left(&call))
    }

    /// Whether the script ends the set by force, so that it has no normal end.
    pub(crate) fn is_violent(&self) -> bool {
        use super::script::Step;
        let violent = |step: &Step| {
            matches!(step, Step::Abort | Step::Die | Step::KillClient | Step::KillSecondary)
        };
        let fault = |entry: &Entry| matches!(entry.what, What::Fault { is_violent: true, .. });
        self.script.steps.iter().any(violent) || self.entries.iter().any(fault)
    }

    /// Whether a fault of the run's plan ended the script.
    pub(crate) fn is_cut(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.what, What::Fault { cuts: true, .. }))
    }
}

/// Reads a trace of the drop-in. Of calls that timed out in the same way, one behind the other, the first
/// stands for all: a client that polls makes millions.
pub(crate) fn read_trace(path: &Path) -> io::Result<(Vec<Call>, Vec<ClientEvent>)> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
        file => BufReader::new(file?),
    };
    let (mut calls, mut events) = (Vec::<Call>::new(), Vec::new());
    let mut last: HashMap<(u32, String), usize> = HashMap::new();
    for line in file.split(b'\n') {
        // A process that was killed may have left half a line.
        let Ok(line) = serde_json::from_slice::<Value>(&line?) else { continue };
        let time = line["time"].as_u64().unwrap_or(0);
        let pid = line["pid"].as_u64().unwrap_or(0) as u32;
        if let Some(name) = line["call"].as_str() {
            let call = Call {
                time,
                took: line["took"].as_u64().unwrap_or(0),
                pid,
                object: line["object"].as_str().unwrap_or_default().to_owned(),
                name: name.to_owned(),
                arguments: line["arguments"].clone(),
                status: HResult(line["result"]["status"].as_u64().unwrap_or(0) as u32),
                result: line["result"].clone(),
            };
            let before = last.insert((pid, call.object.clone()), calls.len());
            match before.filter(|before| calls[*before].is_same_poll(&call)) {
                Some(before) => _ = last.insert((pid, call.object), before),
                None => calls.push(call),
            }
        } else if let Some(name) = line["event"].as_str() {
            let (name, details) = (name.to_owned(), line["details"].clone());
            events.push(ClientEvent { time, pid, name, details });
        }
    }
    Ok((calls, events))
}

/// The timelines of all statements of a case that began at `start`.
pub(crate) fn timelines(acts: &[Act], start: u64) -> Vec<Timeline> {
    let name = acts.first().and_then(|act| act.devices.first()).cloned().unwrap_or_default();
    let mut set = Timeline { device: None, name, events: Vec::new() };
    let mut devices: Vec<Timeline> = Vec::new();
    if let Some(act) = acts.first() {
        let line = |(k, name): (usize, &String)| {
            let (device, name) = (Some(k as u32), name.clone());
            Timeline { device, name, events: Vec::new() }
        };
        devices.extend(act.devices.iter().enumerate().map(line));
    }
    for act in acts {
        for entry in &act.entries {
            let (device, event) = server_event(entry, start);
            let line = device.and_then(|k| devices.get_mut(k as usize)).unwrap_or(&mut set);
            line.events.extend(event);
        }
        let objects = device_objects(act);
        for call in &act.calls {
            let k = objects.iter().find(|(object, _)| *object == call.object).map(|(_, k)| *k);
            let line = k.and_then(|k| devices.get_mut(k)).unwrap_or(&mut set);
            line.events.push(call_event(call, start));
        }
        set.events.push(end_event(act, start));
        set.events.extend(act.events.iter().map(|event| TimedEvent {
            at: event.time.saturating_sub(start),
            took: None,
            side: Side::Client,
            process: Some(event.pid),
            kind: EventKind::State,
            name: event.name.clone(),
            text: plain(&event.details),
            guilty: false,
        }));
    }
    let mut all: Vec<_> = std::iter::once(set).chain(devices).collect();
    for line in &mut all {
        line.events.sort_by_key(|event| event.at);
    }
    all
}

/// How the client ended, which is the runner's to see.
fn end_event(act: &Act, start: u64) -> TimedEvent {
    let (kind, name, text, guilty) = match &act.ended {
        Ended::Code(code) => (EventKind::State, "client ended", format!("exit code {code}"), false),
        Ended::Killed => (EventKind::Death, "client killed", "by the script".to_owned(), false),
        Ended::Signal(signal) => {
            (EventKind::Death, "client crashed", format!("signal {signal}"), true)
        }
        Ended::Hung(why) => (EventKind::Death, "client killed", why.clone(), true),
    };
    TimedEvent {
        at: act.end.saturating_sub(start),
        took: None,
        side: Side::Runner,
        process: None,
        kind,
        name: name.to_owned(),
        text,
        guilty,
    }
}

/// Marks what a finding speaks of: the commands that it names by number, and what the server saw
/// wrong in their bytes.
pub(crate) fn mark_guilty(timelines: &mut [Timeline], finding: &str) {
    let numbers: Vec<u64> = finding
        .split('#')
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
        .collect();
    let named = |event: &TimedEvent| {
        let rest = event.text.strip_prefix('#')?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    for event in timelines.iter_mut().flat_map(|timeline| &mut timeline.events) {
        event.guilty |= named(event).is_some_and(|n| numbers.contains(&n));
    }
}

/// Events at the beginning and at the end of a timeline of which nobody needs all.
const TELLING: usize = 100;

/// Leaves the middle of a long timeline out.
pub(crate) fn shorten(timeline: &mut Timeline) {
    let events = &mut timeline.events;
    let Some(middle) = events.len().checked_sub(2 * TELLING).filter(|middle| *middle > 1) else {
        return;
    };
    let gap = TimedEvent {
        at: events[TELLING].at,
        took: None,
        side: Side::Runner,
        process: None,
        kind: EventKind::State,
        name: "…".to_owned(),
        text: format!("{middle} events like these"),
        guilty: false,
    };
    events.splice(TELLING..TELLING + middle, [gap]);
}

/// Which object of the trace is which device.
fn device_objects(act: &Act) -> Vec<(String, usize)> {
    let opened = act.calls_of("OpenDevice").filter_map(|call| {
        let object = call.result["device"].as_str()?;
        let name = call.arguments["name"].as_str()?;
        let k = act.devices.iter().position(|device| device == name)?;
        Some((object.to_owned(), k))
    });
    opened.collect()
}

fn call_event(call: &Call, start: u64) -> TimedEvent {
    let status = call.status.name().map_or_else(|| call.status.to_string(), str::to_owned);
    let mut text = status;
    if let Some(code) = call.result["code"].as_str() {
        text = format!("{text}: {code}");
    }
    if call.name == "CompleteCommand" {
        let argument = |name: &str| call.arguments[name].to_string();
        text = format!("code {}, {} bytes: {text}", argument("code"), argument("bytes"));
    }
    TimedEvent {
        at: call.time.saturating_sub(call.took).saturating_sub(start),
        took: Some(call.took),
        side: Side::Client,
        process: Some(call.pid),
        kind: EventKind::Call,
        name: call.name.clone(),
        text,
        guilty: false,
    }
}

fn server_event(entry: &Entry, start: u64) -> (Option<u32>, Option<TimedEvent>) {
    let at = entry.time.saturating_sub(start);
    let event = |kind, name: &str, text: String| {
        Some(TimedEvent {
            at,
            took: None,
            side: Side::Server,
            process: Some(entry.pid),
            kind,
            name: name.to_owned(),
            text,
            guilty: false,
        })
    };
    use EventKind::{Command, Death, Fault, State};
    match &entry.what {
        What::Statement { devices } => {
            (None, event(State, "Statement", format!("over {}", devices.join(", "))))
        }
        What::Answered { success } => {
            let text = if *success { "success" } else { "failure" };
            (None, event(State, "Answered", text.to_owned()))
        }
        What::Attached { asked, .. } => {
            let text = format!("{} devices, features {:#x}", asked.device_count, asked.features);
            (None, event(State, "Attached", text))
        }
        What::Configured { features, block_size, max_transfer_size } => {
            let text = format!(
                "features {features:#x}, blocks of {block_size}, transfers of {max_transfer_size}"
            );
            (None, event(State, "Configured", text))
        }
        What::Opened => (None, event(State, "Opened", String::new())),
        // It is told with its answer, where it has one.
        What::Sent { .. } => (None, None),
        What::Completed { device, n, code, size, completion, bytes, position, took } => {
            let name = CommandCode(*code).to_string();
            let text = format!(
                "#{n}, {size} bytes: {}, {bytes} bytes, position {position}",
                CompletionCode(*completion)
            );
            let command = event(Command, &name, text).map(|event| TimedEvent {
                at: at.saturating_sub(*took),
                took: Some(*took),
                ..event
            });
            (Some(*device), command)
        }
        What::Mismatch { device, n, at, expected, seen, .. } => {
            let text = format!("#{n}, byte {at}: {seen:#04x} in place of {expected:#04x}");
            (Some(*device), event(State, "Mismatch", text))
        }
        What::BehindEnd { device, n, bytes, .. } => {
            (Some(*device), event(State, "Behind the end", format!("#{n}, {bytes} bytes")))
        }
        What::Trampled { device, n, offset } => {
            (Some(*device), event(State, "Trampled", format!("#{n}, offset {offset}")))
        }
        What::TouchedLate { last } => {
            let device = last.map(|(device, _)| device);
            let n = last.map_or_else(String::new, |(_, n)| format!("the buffer of #{n}"));
            (device, event(State, "Touched late", n))
        }
        What::BufferFault { text, .. } => (None, event(Death, "Buffer fault", text.clone())),
        What::Fault { text, .. } => (None, event(Fault, "Fault", text.clone())),
        What::Stream { device, bytes } => {
            (Some(*device), event(State, "Stream", format!("{bytes} bytes")))
        }
        What::Action { name } => (None, event(Fault, name, String::new())),
        What::Aborted { cause } => (None, event(State, "Aborted", cause.clone())),
        What::Closed { device } => (Some(*device), event(State, "Closed", String::new())),
        What::Stopped { why } => (None, event(State, "Stopped", why.clone())),
        What::Finished => (None, event(State, "Finished", String::new())),
        What::Failed { why } => (None, event(Death, "Failed", why.clone())),
    }
}

fn plain(value: &Value) -> String {
    let Some(fields) = value.as_object() else { return value.to_string() };
    let field = |(name, value): (&String, &Value)| match value.as_str() {
        Some(text) => format!("{name} {text}"),
        None => format!("{name} {value}"),
    };
    fields.iter().map(field).collect::<Vec<_>>().join(", ")
}

/// Reads a server's record.
pub(crate) fn read_record(path: &Path) -> io::Result<Vec<Entry>> {
    record::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(object: &str, status: HResult, timeout: i64, time: u64) -> String {
        let arguments = serde_json::json!({"timeout": timeout});
        let result = serde_json::json!({"status": status.0});
        serde_json::json!({
            "time": time, "pid": 1, "took": 1, "object": object, "call": "GetCommand",
            "arguments": arguments, "result": result,
        })
        .to_string()
    }

    // Catches: memory that a polling client fills, a poll that stands for another device's or another
    // time-out's, a call that is lost behind polls, half a line that loses the others.
    #[test]
    fn polls_are_read_once() {
        const NOTHING: HResult = HResult::VD_E_TIMEOUT;
        let lines = [
            line("a", NOTHING, 0, 1),
            line("a", NOTHING, 0, 2),
            line("b", NOTHING, 0, 3),
            line("a", NOTHING, 0, 4),
            line("a", NOTHING, 9, 5),
            line("a", HResult::NOERROR, 9, 6),
            line("a", NOTHING, 9, 7),
            "{\"time\": 8, \"pid\": \u{fffd}".to_owned(),
            line("a", HResult::VD_E_ABORT, 9, 9),
            line("a", HResult::VD_E_ABORT, 9, 10),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace");
        std::fs::write(&path, lines.join("\n")).unwrap();
        let (calls, events) = read_trace(&path).unwrap();
        let times: Vec<_> = calls.iter().map(|call| call.time).collect();
        assert_eq!(times, [1, 3, 5, 6, 7, 9, 10]);
        assert!(events.is_empty());
    }
}
