//! Faults as data: where in a transfer something goes wrong on purpose, and what.
//!
//! ```yaml
//! - at: {device: 0, command: write, nth: 37}
//!   do: abort
//! - at: {stage: written}
//!   do: {delay: 2s}
//! ```

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};
use vdi_protocol::{CommandCode, CompletionCode};

/// One fault: it happens once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Where.
    pub at: At,
    /// What.
    #[serde(rename = "do")]
    pub action: Action,
}

/// A place in a transfer: a stage of the whole, or a command of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct At {
    /// The device, from 0; any if it is left out.
    pub device: Option<u32>,
    /// The kind of command, as in vdi.h without VDC_ and in any case (`write`, `flush`); any if it
    /// is left out.
    #[serde(default, deserialize_with = "command")]
    pub command: Option<CommandCode>,
    /// Which of those commands of the device, from 1; the first if it is left out.
    pub nth: Option<u64>,
    /// The stage, in place of a command.
    pub stage: Option<Stage>,
}

/// A stage of a transfer, named after what has just been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Nothing yet: before the server looks for the set.
    Started,
    /// The set was found.
    Attached,
    /// BeginConfiguration was called.
    Configuring,
    /// EndConfiguration was called.
    Configured,
    /// All devices are open.
    Opened,
    /// All Writes or Reads are done; before Flush.
    Transferred,
    /// Every Flush was answered; before Complete.
    Flushed,
    /// Everything was answered; before CloseDevice.
    Completed,
    /// All devices are closed; before Close.
    Closed,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// SignalAbort in place of the command.
    Abort,
    /// CloseDevice in place of the command, after the outstanding ones.
    Close,
    /// The server's process kills itself.
    Kill,
    /// The server stops there until the client is gone.
    Stall,
    /// The server takes the client's answer to the command for this completion code, as if the
    /// client had failed.
    CompleteAs(u32),
    /// The server goes on after a while, written like `2s`, `500ms` or `1m 30s`.
    #[serde(deserialize_with = "duration")]
    Delay(Duration),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Abort => f.write_str("abort"),
            Action::Close => f.write_str("close"),
            Action::Kill => f.write_str("kill"),
            Action::Stall => f.write_str("stall"),
            Action::CompleteAs(code) => write!(f, "complete-as {}", CompletionCode(*code)),
            Action::Delay(time) => write!(f, "delay {}", humantime::format_duration(*time)),
        }
    }
}

/// A fault plan that has a name of its own.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// The name.
    pub name: &'static str,
    /// What a client sees.
    pub about: &'static str,
    /// The plan.
    pub yaml: &'static str,
}

/// The plans with names.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "late-attach",
        about: "the server comes after 15 s: GetConfiguration with a shorter time-out fails",
        yaml: "{at: {stage: started}, do: {delay: 15s}}",
    },
    Preset {
        name: "abort-mid-stream",
        about: "SignalAbort in place of the third command: every call returns VD_E_ABORT",
        yaml: "{at: {nth: 3}, do: abort}",
    },
    Preset {
        name: "close-mid-stream",
        about: "the device closes in place of the third command: VD_E_CLOSE, but no success",
        yaml: "{at: {nth: 3}, do: close}",
    },
    Preset {
        name: "kill-mid-stream",
        about: "the server is killed in place of the third command",
        yaml: "{at: {nth: 3}, do: kill}",
    },
    Preset {
        name: "stall-mid-stream",
        about: "the server sends nothing more after two commands",
        yaml: "{at: {nth: 3}, do: stall}",
    },
    Preset {
        name: "kill-before-flush",
        about: "the server is killed when all data were written and nothing is durable",
        yaml: "{at: {stage: transferred}, do: kill}",
    },
    Preset {
        name: "disk-full",
        about: "the third Write counts as answered with ERROR_DISK_FULL (112): the BACKUP fails",
        yaml: "{at: {command: write, nth: 3}, do: {complete-as: 112}}",
    },
    Preset {
        name: "error-995",
        about: "the first Flush counts as answered with 995, which hides every true cause",
        yaml: "{at: {command: flush}, do: {complete-as: 995}}",
    },
    Preset {
        name: "slow-server",
        about: "3 s of silence in place of the third command: polling clients time out",
        yaml: "{at: {nth: 3}, do: {delay: 3s}}",
    },
    Preset {
        name: "abort-before-flush",
        about: "SignalAbort when all data were written and nothing is durable",
        yaml: "{at: {stage: transferred}, do: abort}",
    },
    Preset {
        name: "abort-while-configuring",
        about: "SignalAbort before the set is configured: GetConfiguration returns VD_E_ABORT",
        yaml: "{at: {stage: attached}, do: abort}",
    },
    Preset {
        name: "kill-before-complete",
        about: "the server is killed between Flush and Complete: the backup must not count",
        yaml: "{at: {stage: flushed}, do: kill}",
    },
];

/// A fault plan that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// It is neither a file nor a preset.
    #[error("there is no fault file and no preset '{name}'; the presets are {}.", preset_names())]
    Unknown {
        /// What was given.
        name: String,
    },
    /// The file cannot be read.
    #[error("the fault file {path} cannot be read: {error}.")]
    File {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// It is not written as it must be.
    #[error("the fault plan {name} cannot be understood:\n{error}")]
    Syntax {
        /// Where it stands.
        name: String,
        /// What is wrong, with line and column.
        error: String,
    },
    /// A fault of a set at a time when there is none.
    #[error(
        "the fault plan {name} says {action} at the stage `started`, when there is no set yet; use \
         kill, stall or delay there."
    )]
    TooEarly {
        /// Where it stands.
        name: String,
        /// The fault.
        action: Action,
    },
    /// An answer of a stage, which has none.
    #[error(
        "the fault plan {name} says complete-as at a stage; stages have no answer, so name a \
         command."
    )]
    NoCommand {
        /// Where it stands.
        name: String,
    },
    /// A place that is both or neither.
    #[error(
        "the fault plan {name} has a place with `stage` and a device or command; give the one or \
         the other."
    )]
    Place {
        /// Where it stands.
        name: String,
    },
}

fn preset_names() -> String {
    PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ")
}

/// The faults of one transfer.
#[derive(Debug, Default)]
pub struct FaultPlan {
    faults: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    fired: AtomicBool,
}

impl FaultPlan {
    /// A plan of these faults.
    pub fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        let arm = |fault| Armed { fault, fired: AtomicBool::new(false) };
        FaultPlan { faults: faults.into_iter().map(arm).collect() }
    }

    /// What `--fault` means: the name of a preset, YAML on the spot (it begins with `{` or `[`), or
    /// a file with YAML.
    pub fn load(given: &str) -> Result<Self, FaultError> {
        if let Some(preset) = PRESETS.iter().find(|preset| preset.name == given) {
            return Self::parse(preset.name, preset.yaml);
        }
        if given.starts_with(['{', '[']) || given.contains('\n') {
            return Self::parse("on the command line", given);
        }
        match std::fs::read_to_string(Path::new(given)) {
            Ok(yaml) => Self::parse(given, &yaml),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(FaultError::Unknown { name: given.to_owned() })
            }
            Err(error) => Err(FaultError::File { path: given.to_owned(), error }),
        }
    }

    /// Reads a fault or a list of faults; `name` says where the text stands.
    pub fn parse(name: &str, yaml: &str) -> Result<Self, FaultError> {
        let first = yaml
            .lines()
            .map(str::trim_start)
            .find(|line| !line.is_empty() && !line.starts_with('#'));
        let is_list = first.is_some_and(|line| line.starts_with(['-', '[']));
        let faults = if is_list {
            serde_saphyr::from_str::<Vec<Fault>>(yaml)
        } else {
            serde_saphyr::from_str::<Fault>(yaml).map(|fault| vec![fault])
        }
        .map_err(|error| FaultError::Syntax { name: name.to_owned(), error: error.to_string() })?;
        let confused = |at: &At| {
            at.stage.is_some() && (at.device.is_some() || at.command.is_some() || at.nth.is_some())
        };
        if faults.iter().any(|fault| confused(&fault.at)) {
            return Err(FaultError::Place { name: name.to_owned() });
        }
        let answerless = |fault: &&Fault| {
            fault.at.stage.is_some() && matches!(fault.action, Action::CompleteAs(_))
        };
        if faults.iter().any(|fault| answerless(&fault)) {
            return Err(FaultError::NoCommand { name: name.to_owned() });
        }
        let too_early = |fault: &&Fault| {
            fault.at.stage == Some(Stage::Started)
                && matches!(fault.action, Action::Abort | Action::Close)
        };
        if let Some(fault) = faults.iter().find(too_early) {
            let (name, action) = (name.to_owned(), fault.action.clone());
            return Err(FaultError::TooEarly { name, action });
        }
        Ok(Self::new(faults))
    }

    /// Whether there is nothing to look for, so that counting can be saved.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// The fault of a stage.
    pub(crate) fn at_stage(&self, stage: Stage) -> Option<&Action> {
        self.fire(|at| at.stage == Some(stage))
    }

    /// The fault of a command that is the `n`-th of its device and the `n_of_kind`-th of its kind.
    pub(crate) fn at_command(
        &self,
        device: u32,
        code: CommandCode,
        n: u64,
        n_of_kind: u64,
    ) -> Option<&Action> {
        self.fire(|at| {
            let nth = if at.command.is_some() { n_of_kind } else { n };
            at.stage.is_none()
                && at.device.is_none_or(|wanted| wanted == device)
                && at.command.is_none_or(|wanted| wanted == code)
                && at.nth.unwrap_or(1) == nth
        })
    }

    fn fire(&self, hit: impl Fn(&At) -> bool) -> Option<&Action> {
        self.faults
            .iter()
            .find(|armed| hit(&armed.fault.at) && !armed.fired.swap(true, Ordering::Relaxed))
            .map(|armed| &armed.fault.action)
    }
}

fn command<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<CommandCode>, D::Error> {
    let given = String::deserialize(deserializer)?;
    let plain = |name: &str| name.replace(['-', '_'], "").to_lowercase();
    let wanted = plain(given.strip_prefix("VDC_").unwrap_or(&given));
    let named = |code: &CommandCode| {
        code.name().is_some_and(|name| plain(name.trim_start_matches("VDC_")) == wanted)
    };
    match CommandCode::ALL.iter().copied().find(named) {
        Some(code) => Ok(Some(code)),
        None => Err(de::Error::custom(format!("there is no command '{given}' in vdi.h"))),
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let given = String::deserialize(deserializer)?;
    humantime::parse_duration(&given)
        .map_err(|error| de::Error::custom(format!("'{given}' is no time such as 2s: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(yaml: &str) -> FaultPlan {
        FaultPlan::parse("test", yaml).unwrap()
    }

    // Catches: counting commands of other kinds for `nth`, ignoring the device, firing twice.
    #[test]
    fn a_fault_fires_once_at_its_command() {
        let plan = plan("at: {device: 1, command: write, nth: 2}\ndo: abort\n");
        let write = CommandCode::WRITE;
        assert_eq!(plan.at_command(0, write, 2, 2), None);
        assert_eq!(plan.at_command(1, CommandCode::FLUSH, 2, 2), None);
        assert_eq!(plan.at_command(1, write, 2, 1), None);
        assert_eq!(plan.at_command(1, write, 9, 2), Some(&Action::Abort));
        assert_eq!(plan.at_command(1, write, 9, 2), None);
    }

    // Catches: using the count of a kind where no kind is named, and stages matching commands.
    #[test]
    fn without_a_kind_all_commands_of_the_device_count() {
        let plan =
            plan("- at: {nth: 3}\n  do: {delay: 1500ms}\n- {at: {stage: flushed}, do: kill}\n");
        assert_eq!(plan.at_command(0, CommandCode::FLUSH, 1, 3), None);
        let delay = Action::Delay(Duration::from_millis(1500));
        assert_eq!(plan.at_command(5, CommandCode::FLUSH, 3, 1), Some(&delay));
        assert_eq!(plan.at_stage(Stage::Opened), None);
        assert_eq!(plan.at_stage(Stage::Flushed), Some(&Action::Kill));
    }

    // Catches: accepting what means nothing, and errors that do not name the fault's place.
    #[test]
    fn nonsense_is_refused_by_name() {
        for (yaml, wanted) in [
            ("{at: {device: 0, comand: write}, do: abort}", "comand"),
            ("{at: {command: wriet}, do: abort}", "wriet"),
            ("{at: {nth: 1}, do: explode}", "explode"),
            ("{at: {nth: 1}, do: {delay: soon}}", "soon"),
            ("{at: {stage: opened, nth: 1}, do: abort}", "stage"),
            ("{at: {stage: started}, do: close}", "started"),
            ("{at: {stage: opened}, do: {complete-as: 112}}", "complete-as"),
        ] {
            let error = FaultPlan::parse("plan.yaml", yaml).unwrap_err().to_string();
            assert!(error.contains("plan.yaml") && error.contains(wanted), "{error}");
        }
        let error = FaultPlan::load("no-such-preset").unwrap_err().to_string();
        assert!(error.contains("late-attach"), "{error}");
    }

    // Catches: a mistake in a file whose line and column stay in the dark.
    #[test]
    fn a_mistake_is_told_with_line_and_column() {
        let yaml = "- at: {nth: 1}\n  do: abort\n- at: {nth: 2}\n  do: [abort\n";
        let error = FaultPlan::parse("plan.yaml", yaml).unwrap_err().to_string();
        assert!(error.contains("line") && error.contains("column"), "{error}");
        let error =
            FaultPlan::parse("p", "- at: {nth: 1}\n  do: explode\n").unwrap_err().to_string();
        assert!(error.contains("line 2") || error.contains(":2"), "{error}");
    }

    // Catches: a preset whose text is no plan.
    #[test]
    fn every_preset_is_a_plan() {
        for preset in PRESETS {
            assert!(!FaultPlan::load(preset.name).unwrap().is_empty(), "{}", preset.name);
        }
    }
}
