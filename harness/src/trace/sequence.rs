//! A trace as a sequence of steps, each in the lane of a device or of the set.

use std::collections::HashMap;

use serde_json::Value;
use vdi_protocol::{CompletionCode, Features, HResult};

use super::record::{Record, What};

/// What sort of step it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The client called the interface.
    Call,
    /// The server sent a command.
    Sent,
    /// A command came back to the server.
    Completed,
    /// The set or a device changed its state.
    State,
    /// A fault was carried out.
    Fault,
    /// A process died, or the transfer failed.
    Death,
    /// A process began or ended its recording.
    Process,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Microseconds since the first step; of a call, when it began.
    pub at: u64,
    /// Microseconds that it took, if it took any.
    pub took: Option<u64>,
    /// The process.
    pub pid: u32,
    /// The device, from 0; none for the set.
    pub device: Option<usize>,
    /// What sort of step it is.
    pub kind: Kind,
    /// What happened, without addresses; times and process ids only where a cause names them.
    pub text: String,
    /// Whether it is a failure.
    pub bad: bool,
}

/// A process of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// `server` or `client`.
    pub role: &'static str,
    /// Its program, if the trace says it.
    pub program: Option<String>,
    /// Whether its recording was ended in order.
    pub ended: bool,
}

/// The steps of a trace in the order of time.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    /// The set's name, if it is known.
    pub set: Option<String>,
    /// The names of the devices.
    pub devices: Vec<String>,
    /// The processes, in the order of their first line.
    pub processes: Vec<Process>,
    /// The steps.
    pub steps: Vec<Step>,
    /// The names behind the objects that processes opened.
    opened: HashMap<(u32, String), usize>,
}

impl Sequence {
    /// Puts the lines of a trace in order.
    pub fn new(records: &[Record]) -> Self {
        let mut sequence = Sequence::default();
        // Names first: a client may open its devices before the server's line is written.
        for record in records {
            sequence.learn(record);
        }
        let begin = |record: &Record| match &record.what {
            What::Call { took, .. } => record.time.saturating_sub(*took),
            What::Event { .. } => record.time,
        };
        let start = records.iter().map(begin).min().unwrap_or_default();
        for record in records {
            let step = sequence.step(record, begin(record) - start);
            sequence.steps.push(step);
        }
        sequence.steps.sort_by_key(|step| step.at);
        sequence
    }

    /// The name of a process's side.
    pub fn role(&self, pid: u32) -> &'static str {
        self.processes.iter().find(|process| process.pid == pid).map_or("", |process| process.role)
    }

    fn learn(&mut self, record: &Record) {
        let place = self.processes.iter().position(|process| process.pid == record.pid);
        let place = place.unwrap_or_else(|| {
            let (pid, role) = (record.pid, role_of(record));
            self.processes.push(Process { pid, role, program: None, ended: false });
            self.processes.len() - 1
        });
        match &record.what {
            What::Event { event, details } => match event.as_str() {
                "process" => self.processes[place].program = word(details, "program"),
                "ended" => self.processes[place].ended = true,
                "attached" => {
                    self.set = word(details, "set");
                    for name in details["devices"].as_array().into_iter().flatten() {
                        self.device(name.as_str().unwrap_or_default());
                    }
                }
                _ => {}
            },
            What::Call { call, arguments, result, .. } if call == "OpenDevice" => {
                if let (Some(name), Some(object)) =
                    (word(arguments, "name"), word(result, "device"))
                {
                    let device = self.device(&name);
                    self.opened.insert((record.pid, object), device);
                }
            }
            What::Call { .. } => {}
        }
    }

    fn device(&mut self, name: &str) -> usize {
        self.devices.iter().position(|known| known == name).unwrap_or_else(|| {
            self.devices.push(name.to_owned());
            self.devices.len() - 1
        })
    }

    fn step(&self, record: &Record, at: u64) -> Step {
        let pid = record.pid;
        match &record.what {
            What::Call { call, object, took, arguments, result } => {
                let status = HResult(number(result, "status") as u32);
                let usual = [HResult::NOERROR, HResult::VD_E_CLOSE, HResult::VD_E_TIMEOUT];
                Step {
                    at,
                    took: Some(*took),
                    pid,
                    device: self.opened.get(&(pid, object.clone())).copied(),
                    kind: Kind::Call,
                    text: call_text(call, arguments, result, status),
                    bad: !usual.contains(&status),
                }
            }
            What::Event { event, details } => {
                let (kind, text) = event_text(event, details);
                let code = CompletionCode(number(details, "code") as u32);
                Step {
                    at,
                    took: details["took"].as_u64(),
                    pid,
                    device: details["device"].as_u64().and_then(|device| device.try_into().ok()),
                    kind,
                    text,
                    bad: kind == Kind::Death
                        || kind == Kind::Completed && !code.is_success() && !code.ends_data(),
                }
            }
        }
    }
}

/// Who writes such lines: the drop-in records calls and speaks for the client.
fn role_of(record: &Record) -> &'static str {
    const DROP_IN: [&str; 5] =
        ["aborted", "server-died", "segment-unmappable", "completed-for-client", "command-changed"];
    match &record.what {
        What::Call { .. } => "client",
        What::Event { event, .. } if DROP_IN.contains(&event.as_str()) => "client",
        What::Event { details, .. } if details["role"] == "client" => "client",
        What::Event { .. } => "server",
    }
}

fn call_text(call: &str, arguments: &Value, result: &Value, status: HResult) -> String {
    let status_name = word(result, "name").unwrap_or_else(|| status.to_string());
    match call {
        "GetCommand" if status == HResult::NOERROR => {
            let code = word(result, "code").unwrap_or_default();
            format!("GetCommand → {code}{}", size_and_position(result))
        }
        "CompleteCommand" => {
            let code = CompletionCode(number(arguments, "code") as u32);
            let bytes = number(arguments, "bytes");
            format!("CompleteCommand {code}, {bytes} bytes → {status_name}")
        }
        "GetBufferHandle" | "MapBufferHandle" => format!("{call} → {status_name}"),
        _ => {
            let passed = listed(arguments);
            let given = listed(&result["config"]);
            let given = if given.is_empty() { given } else { format!(": {given}") };
            let space = if passed.is_empty() { "" } else { " " };
            format!("{call}{space}{passed} → {status_name}{given}")
        }
    }
}

fn event_text(event: &str, details: &Value) -> (Kind, String) {
    let command = || word(details, "command").unwrap_or_default();
    let n = || number(details, "n");
    match event {
        "sent" => (Kind::Sent, format!("#{} {}{}", n(), command(), size_and_position(details))),
        "completed" => {
            let code = CompletionCode(number(details, "code") as u32);
            let bytes = number(details, "bytes");
            (Kind::Completed, format!("#{} {} {code}, {bytes} bytes", n(), command()))
        }
        "fault" => {
            let action = word(details, "action").unwrap_or_default();
            let place = details["n"].as_u64().map(|n| format!(" at #{n}")).unwrap_or_default();
            (Kind::Fault, format!("fault: {action}{place}"))
        }
        "failed" => {
            (Kind::Death, format!("failed: {}", word(details, "cause").unwrap_or_default()))
        }
        "aborted" => {
            (Kind::Death, format!("aborted: {}", word(details, "cause").unwrap_or_default()))
        }
        "server-died" => (Kind::Death, "the server's process died".to_owned()),
        "process" => (Kind::Process, "recording begins".to_owned()),
        "ended" => (Kind::Process, "recording ends".to_owned()),
        "attached" => {
            let devices = details["devices"].as_array().map_or(0, Vec::len);
            (Kind::State, format!("attached: {devices} devices, {}", listed(&details["asked"])))
        }
        "closed" => (Kind::State, "closed".to_owned()),
        other => {
            let rest = listed(details);
            let colon = if rest.is_empty() { "" } else { ": " };
            (Kind::State, format!("{other}{colon}{rest}"))
        }
    }
}

fn size_and_position(value: &Value) -> String {
    let part = |name: &str, before: &str| match number(value, name) {
        0 => String::new(),
        number => format!("{before}{number}"),
    };
    part("size", " ") + &part("position", " at ")
}

/// Fields as `name=value`, without those that are 0, empty or differ from run to run.
fn listed(value: &Value) -> String {
    let Some(fields) = value.as_object() else { return String::new() };
    let field = |(name, value): (&String, &Value)| match value {
        Value::Object(_) => Some(listed(value)).filter(|inner| !inner.is_empty()),
        Value::String(text) if text.is_empty() || name == "device" => None,
        Value::String(text) => Some(format!("{name}={text}")),
        Value::Number(number) if number.as_u64() == Some(0) || name == "pid" => None,
        // The server's lines have the names.
        Value::Number(bits) if name == "features" => {
            let bits = bits.as_u64().unwrap_or_default() as u32;
            Some(format!("{name}={}", Features::from_bits_retain(bits)))
        }
        Value::Null => None,
        other => Some(format!("{name}={other}")),
    };
    fields.iter().filter_map(field).collect::<Vec<_>>().join(" ")
}

fn word(value: &Value, name: &str) -> Option<String> {
    value[name].as_str().map(str::to_owned)
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_default()
}
