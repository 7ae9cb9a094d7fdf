//! Faults as data: where in a transfer something goes wrong on purpose, and what.
//!
//! ```yaml
//! - at: {device: 0, command: write, nth: 37}
//!   do: abort
//! - at: {command: write, nth: {between: [1, 40]}}
//!   do: {complete-as: 112}
//! - at: {stage: transferred}
//!   do: {delay: 2s}
//! - at: {stage: attached}
//!   do: {drop-in: missing-object}
//! - at: {stage: attached}
//!   do: {runs-as: other}
//! - at: {stage: creating}
//!   do: {drop-in: memory}
//! ```

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_saphyr::Spanned;
use vdi_device::{CREATE_FAULT, Sabotage};
use vdi_protocol::{CommandCode, CompletionCode};

use super::preset::{PRESETS, preset_names};

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
    pub nth: Option<Nth>,
    /// The stage, in place of a command.
    pub stage: Option<Stage>,
}

/// Which of several commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "nth is a number from 1, or {between: [FIRST, LAST], seed: N}")]
pub enum Nth {
    /// This one, from 1.
    Exactly(u64),
    /// One of these, the same for the same seed.
    Random(Random),
}

/// A choice that a seed decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Random {
    /// The first and the last that may be chosen.
    pub between: (u64, u64),
    /// What decides; the plan's seed if it is left out.
    pub seed: Option<u64>,
}

impl Nth {
    /// The number meant, for the `k`-th fault of a plan with this seed.
    fn resolve(self, seed: u64, k: u64) -> u64 {
        match self {
            Nth::Exactly(n) => n,
            Nth::Random(Random { between: (first, last), seed: own }) => {
                let choices = last.saturating_sub(first).saturating_add(1);
                first + scramble(own.unwrap_or(seed) ^ scramble(k)) % choices
            }
        }
    }
}

impl From<u64> for Nth {
    fn from(n: u64) -> Nth {
        Nth::Exactly(n)
    }
}

/// The output function of SplitMix64, which spreads neighbours over all numbers.
fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A stage of a transfer, named after what has just been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The client calls Create, which no server has a part in.
    Creating,
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
    /// An extra Flush behind the command, a Write, as SQL Server sends them for FILESTREAM data.
    /// Source: KB3188454.
    Flush,
    /// The server asks for more buffers than there is memory for.
    ExhaustMemory,
    /// The drop-in fails in this way when it maps the buffers, in GetConfiguration; at the stage
    /// `creating`, in every Create while the statement runs.
    DropIn(DropInFault),
    /// The server goes on under this account.
    RunsAs(Account),
    /// The server goes on after a while, written like `2s`, `500ms` or `1m 30s`.
    #[serde(deserialize_with = "duration")]
    Delay(Duration),
}

/// An account that SQL Server runs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Account {
    /// Another than the client's, of the group that the client's objects belong to. Where they keep
    /// the group out, the client's library finds no buffers: error 2.
    /// Source: sql-server-samples, issue 752; readme of the Linux sample.
    Other,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Account::Other => "other",
        })
    }
}

/// What fails in the client's library. The client meets what it meets with SQL Server's own: the
/// lines of the library, a GetConfiguration that succeeds, and VD_E_ABORT from OpenDevice.
/// Source: sql-server-samples, issue 752.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropInFault {
    /// The buffers' shared object is not there: error 2.
    MissingObject,
    /// The buffers' shared object is another user's: error 13.
    Permission,
    /// The buffers were made by another version of the library.
    VersionMismatch,
    /// The buffers cannot be mapped for lack of memory: error 12.
    Memory,
}

impl DropInFault {
    /// What the server orders for it.
    pub fn sabotage(self) -> Sabotage {
        match self {
            DropInFault::MissingObject => Sabotage::MissingObject,
            DropInFault::Permission => Sabotage::Permission,
            DropInFault::VersionMismatch => Sabotage::OtherVersion,
            DropInFault::Memory => Sabotage::Memory,
        }
    }

    /// The setting of the drop-in that has every Create fail so.
    pub fn setting(self) -> (&'static str, &'static str) {
        (CREATE_FAULT, self.sabotage().name())
    }
}

impl fmt::Display for DropInFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sabotage().name())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Abort => f.write_str("abort"),
            Action::Close => f.write_str("close"),
            Action::Kill => f.write_str("kill"),
            Action::Stall => f.write_str("stall"),
            Action::Flush => f.write_str("flush"),
            Action::ExhaustMemory => f.write_str("exhaust-memory"),
            Action::DropIn(fault) => write!(f, "drop-in {fault}"),
            Action::RunsAs(account) => write!(f, "runs-as {account}"),
            Action::CompleteAs(code) => write!(f, "complete-as {}", CompletionCode(*code)),
            Action::Delay(time) => write!(f, "delay {}", humantime::format_duration(*time)),
        }
    }
}

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
    /// A fault that means nothing where it stands.
    #[error("the fault plan {name}, line {line}, column {column}: {wrong}.")]
    Meaningless {
        /// Where it stands.
        name: String,
        /// The line of the fault, from 1.
        line: u64,
        /// Its column, from 1.
        column: u64,
        /// What is wrong and what to do.
        wrong: String,
    },
}

/// The faults of one transfer.
#[derive(Debug, Default)]
pub struct FaultPlan {
    faults: Vec<Armed>,
    seed: u64,
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
        FaultPlan { faults: faults.into_iter().map(arm).collect(), seed: 1 }
    }

    /// The same plan with a seed of its own for whatever is random in it.
    pub fn seeded(self, seed: u64) -> Self {
        FaultPlan { seed, ..self }
    }

    /// What `--fault` means: the name of a preset, YAML on the spot (it begins with `{` or `[`), or
    /// a file with YAML.
    pub fn load(given: &str) -> Result<Self, FaultError> {
        Self::read(given).and_then(|(name, yaml)| Self::parse(&name, &yaml))
    }

    /// The text that [`load`](Self::load) reads, and where it stands.
    pub fn read(given: &str) -> Result<(String, String), FaultError> {
        if let Some(preset) = PRESETS.iter().find(|preset| preset.name == given) {
            return Ok((preset.name.to_owned(), preset.yaml.to_owned()));
        }
        if given.starts_with(['{', '[']) || given.contains('\n') {
            return Ok(("on the command line".to_owned(), given.to_owned()));
        }
        match std::fs::read_to_string(Path::new(given)) {
            Ok(yaml) => Ok((given.to_owned(), yaml)),
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
            serde_saphyr::from_str::<Vec<Spanned<Fault>>>(yaml)
        } else {
            serde_saphyr::from_str::<Spanned<Fault>>(yaml).map(|fault| vec![fault])
        }
        .map_err(|error| FaultError::Syntax { name: name.to_owned(), error: error.to_string() })?;
        for fault in &faults {
            if let Some(wrong) = fault.value.meaningless() {
                let (line, column) = (fault.referenced.line(), fault.referenced.column());
                return Err(FaultError::Meaningless { name: name.to_owned(), line, column, wrong });
            }
        }
        Ok(Self::new(faults.into_iter().map(|fault| fault.value)))
    }

    /// Whether there is nothing to look for, so that counting can be saved.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// What is to become of the client's Create. It happens in the client's library, as often as that
    /// is called.
    pub fn in_create(&self) -> Option<DropInFault> {
        let creating = |armed: &&Armed| armed.fault.at.stage == Some(Stage::Creating);
        match self.faults.iter().find(creating)?.fault.action {
            Action::DropIn(fault) => Some(fault),
            _ => None,
        }
    }

    /// The fault of a stage, once.
    pub fn at_stage(&self, stage: Stage) -> Option<&Action> {
        self.fire(|at, _| at.stage == Some(stage))
    }

    /// The fault, once, of a command that is the `n`-th of its device and the `n_of_kind`-th of its kind.
    pub fn at_command(
        &self,
        device: u32,
        code: CommandCode,
        n: u64,
        n_of_kind: u64,
    ) -> Option<&Action> {
        self.fire(|at, chosen| {
            let nth = if at.command.is_some() { n_of_kind } else { n };
            at.stage.is_none()
                && at.device.is_none_or(|wanted| wanted == device)
                && at.command.is_none_or(|wanted| wanted == code)
                && chosen == nth
        })
    }

    fn fire(&self, hit: impl Fn(&At, u64) -> bool) -> Option<&Action> {
        let hit = |k: usize, armed: &Armed| {
            let at = &armed.fault.at;
            hit(at, at.nth.unwrap_or(Nth::Exactly(1)).resolve(self.seed, k as u64))
        };
        let mut faults = self.faults.iter().enumerate();
        faults
            .find(|(k, armed)| hit(*k, armed) && !armed.fired.swap(true, Ordering::Relaxed))
            .map(|(_, armed)| &armed.fault.action)
    }
}

impl Fault {
    /// What is wrong with it, if it means nothing.
    fn meaningless(&self) -> Option<String> {
        let Fault { at, action } = self;
        let wrong = match (at.stage, action) {
            (Some(_), _) if at.device.is_some() || at.command.is_some() || at.nth.is_some() => {
                "the place has `stage` and a device or command; give the one or the other"
            }
            (Some(_), Action::CompleteAs(_) | Action::Flush) => {
                return Some(format!("{action} at a stage, which has no command; name a command"));
            }
            (Some(Stage::Started), Action::Abort | Action::Close) => {
                return Some(format!(
                    "{action} at the stage `started`, when there is no set yet; use kill, stall or \
                     delay there"
                ));
            }
            (
                Some(Stage::Creating),
                Action::DropIn(DropInFault::Memory | DropInFault::Permission),
            ) => return None,
            (Some(Stage::Creating), _) => {
                "no server has a part in Create; use {drop-in: memory} or {drop-in: permission} at the \
                 stage `creating`"
            }
            (Some(Stage::Attached | Stage::Configuring), Action::DropIn(_) | Action::RunsAs(_)) => {
                return None;
            }
            (_, Action::DropIn(_)) => {
                "the drop-in maps the buffers at configuration; use the stage `attached` or \
                 `configuring`, or `creating` for Create"
            }
            (_, Action::RunsAs(_)) => {
                "the account counts when the buffers are made; use the stage `attached` or \
                 `configuring`"
            }
            (Some(Stage::Configuring), Action::ExhaustMemory) => return None,
            (_, Action::ExhaustMemory) => {
                "buffers are asked for at configuration; use the stage `configuring`"
            }
            _ => match at.nth {
                Some(Nth::Exactly(0)) => "commands count from 1",
                Some(Nth::Random(Random { between: (first, last), .. }))
                    if first == 0 || first > last =>
                {
                    "`between` wants two numbers from 1, the smaller one first"
                }
                _ => return None,
            },
        };
        Some(wrong.to_owned())
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
            ("{at: {stage: attached}, do: {runs-as: sa}}", "line 1 column 39"),
            ("{at: {stage: attached}, do: {runs-as: sa}}", "other"),
        ] {
            let error = FaultPlan::parse("plan.yaml", yaml).unwrap_err().to_string();
            assert!(error.contains("plan.yaml") && error.contains(wanted), "{error}");
        }
        let error = FaultPlan::load("no-such-preset").unwrap_err().to_string();
        assert!(error.contains("late-attach"), "{error}");
    }

    // Catches: a choice that changes from run to run, leaves its bounds, or is always the same.
    #[test]
    fn the_seed_chooses() {
        let nth = |seed: u64| {
            let yaml = "{at: {command: write, nth: {between: [3, 9]}}, do: abort}";
            let fires = |n: &u64| {
                let plan = plan(yaml).seeded(seed);
                plan.at_command(0, CommandCode::WRITE, *n, *n).is_some()
            };
            let all: Vec<_> = (0..20).filter(fires).collect();
            assert_eq!(all.len(), 1, "{all:?}");
            all[0]
        };
        let chosen: std::collections::BTreeSet<_> = (0..100).map(nth).collect();
        assert_eq!(chosen, (3..=9).collect());
        assert_eq!(nth(7), nth(7));
    }

    // Catches: a fault that means nothing and whose place is not told, or told for another one.
    #[test]
    fn a_meaningless_fault_is_told_with_line_and_column() {
        let good = "- at: {nth: 1}\n  do: abort\n";
        for wrong in [
            "{stage: opened}\n  do: {drop-in: permission}",
            "{nth: 2}\n  do: {drop-in: permission}",
            "{nth: 2}\n  do: exhaust-memory",
            "{nth: 0}\n  do: abort",
            "{nth: {between: [4, 2]}}\n  do: abort",
            "{stage: flushed}\n  do: flush",
            "{stage: opened}\n  do: {runs-as: other}",
            "{nth: 2}\n  do: {runs-as: other}",
            "{stage: creating}\n  do: abort",
            "{stage: creating}\n  do: {drop-in: missing-object}",
            "{stage: creating}\n  do: {runs-as: other}",
        ] {
            let yaml = format!("{good}- at: {wrong}\n");
            let error = FaultPlan::parse("plan.yaml", &yaml).unwrap_err().to_string();
            assert!(error.contains("plan.yaml, line 3, column 3"), "{error}");
        }
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
}
