//! What a run of the conformance suite has found, as data: what every report is made from.
//!
//! The JSON form is stable within a [`VERSION`]: fields are added, never renamed.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the form below.
pub const VERSION: u32 = 1;

/// One run: one client against a choice of cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunResults {
    /// [`VERSION`].
    pub version: u32,
    /// Whether a client was judged or vdisim tested itself.
    pub kind: RunKind,
    /// What the client is called in reports.
    pub client: String,
    /// The client's command line as given; absent for a self-test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The version of vdisim.
    pub vdisim: String,
    /// The version of the catalogue.
    pub catalogue: u32,
    /// What the bytes and every other choice were made from.
    pub seed: u64,
    /// Whether a failed `should` fails the run.
    pub strict: bool,
    /// Which part of the cases this run was to execute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
    /// Whether the run was ended before every case was executed.
    #[serde(default)]
    pub interrupted: bool,
    /// Microseconds since 1970 at the beginning.
    pub started: u64,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Facts on the machine, by name: os, kernel, architecture, cpus, backend, drop-in …
    pub environment: BTreeMap<String, String>,
    /// The cases, in the catalogue's order.
    pub cases: Vec<CaseResult>,
}

/// What a run says something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    /// A client: its conformance.
    Conformance,
    /// vdisim's own client and drop-in; says nothing about any other client.
    SelfTest,
}

/// Part K of N of the catalogue, K from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Partition {
    /// K.
    pub index: u32,
    /// N.
    pub of: u32,
}

/// One case of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaseResult {
    /// The case's stable id, such as `client/CompleteCommand/unknown-command`.
    pub id: String,
    /// How much the rule binds.
    pub level: Level,
    /// The rule in one sentence.
    pub rule: String,
    /// Where the rule is stated.
    pub source: String,
    /// What a client has to support for the rule to mean anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// How it ended.
    pub verdict: Verdict,
    /// The signal that ended the client; with [`Verdict::Crash`] only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Why it was skipped or not applicable, why a failure was expected, or what went wrong with
    /// vdisim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What should have been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was seen instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// More that supports the verdict: what the client said, what it left behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What usually lies behind such a failure and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// One command line that runs this case alone, in the same way.
    pub reproduce: String,
    /// Microseconds since 1970 at the beginning.
    pub started: u64,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Which repetition of the case it is, from 1.
    #[serde(default = "one")]
    pub repetition: u32,
    /// What happened, for the set and for each device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timelines: Vec<Timeline>,
}

fn one() -> u32 {
    1
}

impl CaseResult {
    /// The part of the id that groups cases: all but its last word.
    pub fn area(&self) -> &str {
        self.id.rsplit_once('/').map_or(self.id.as_str(), |(area, _)| area)
    }
}

/// How much a rule binds.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Stated by the specification and not in doubt.
    Must,
    /// Good practice, or inferred.
    Should,
    /// Told, never judged.
    Info,
    /// The sources conflict.
    Disputed,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Must => "must",
            Level::Should => "should",
            Level::Info => "info",
            Level::Disputed => "disputed",
        })
    }
}

/// How a case ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Verdict {
    /// The rule was kept.
    #[serde(rename = "PASS")]
    Pass,
    /// The rule was broken.
    #[serde(rename = "FAIL")]
    Fail,
    /// vdisim failed, not the client.
    #[serde(rename = "ERROR")]
    Error,
    /// It could not be judged here, for the reason given.
    #[serde(rename = "SKIP")]
    Skip,
    /// The client does not claim to support what it needs.
    #[serde(rename = "N/A")]
    NotApplicable,
    /// It failed as the list of expected failures says.
    #[serde(rename = "XFAIL")]
    ExpectedFailure,
    /// It passed though the list of expected failures says otherwise.
    #[serde(rename = "XPASS")]
    UnexpectedPass,
    /// A signal ended the client.
    #[serde(rename = "CRASH")]
    Crash,
    /// Neither a call by the client nor progress for too long.
    #[serde(rename = "HANG")]
    Hang,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Verdict; 9] = [
        Verdict::Pass,
        Verdict::Fail,
        Verdict::Error,
        Verdict::Skip,
        Verdict::NotApplicable,
        Verdict::ExpectedFailure,
        Verdict::UnexpectedPass,
        Verdict::Crash,
        Verdict::Hang,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::Error => "ERROR",
            Verdict::Skip => "SKIP",
            Verdict::NotApplicable => "N/A",
            Verdict::ExpectedFailure => "XFAIL",
            Verdict::UnexpectedPass => "XPASS",
            Verdict::Crash => "CRASH",
            Verdict::Hang => "HANG",
        }
    }

    /// Whether the client broke the rule, expected or not.
    pub fn is_broken(self) -> bool {
        matches!(self, Verdict::Fail | Verdict::Crash | Verdict::Hang)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What happened to one device, or to the set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// The device, from 0; absent for what concerns the set as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u32>,
    /// The device's name, or the set's.
    pub name: String,
    /// In the order of time.
    pub events: Vec<TimedEvent>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimedEvent {
    /// Microseconds since the case began; of a call or command, when it began.
    pub at: u64,
    /// Microseconds that it took, for what has a duration: a call, a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<u64>,
    /// Who did it.
    pub side: Side,
    /// The process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<u32>,
    /// What it was: `call`, `command`, `state`, `fault`, `death`.
    pub kind: EventKind,
    /// Its name: `GetCommand`, `VDC_Write`, `Configured`.
    pub name: String,
    /// The rest in words: sizes, codes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Whether it is what made the case fail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guilty: bool,
}

/// Which side did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The fake server.
    Server,
    /// The client, or the drop-in in its process.
    Client,
    /// The runner.
    Runner,
}

/// What sort of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// The client called the interface.
    Call,
    /// The server sent a command; its duration ends with its completion.
    Command,
    /// The set or a device entered a state.
    State,
    /// A fault was carried out.
    Fault,
    /// A process ended.
    Death,
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: a verdict whose name in JSON is not the one that people read.
    #[test]
    fn verdicts_are_named_alike_everywhere() {
        for verdict in Verdict::ALL {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.name());
        }
    }
}
