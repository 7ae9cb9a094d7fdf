//! Explanations: what a code means, what usually lies behind it, and what to do.

mod command;
mod completion;
mod entry;
mod feature;
mod message;
mod status;

use core::fmt;

use crate::command::CommandCode;
use crate::completion::CompletionCode;
use crate::features::Features;
use crate::status::HResult;
use entry::Entry;

/// What kind of code an explanation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What a call returns.
    Status,
    /// What CompleteCommand is given, and what SQL Server prints as an operating system error.
    Completion,
    /// What GetCommand delivers.
    Command,
    /// Bits of VDConfig.features.
    Feature,
    /// A message of SQL Server.
    SqlMessage,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status => "status code",
            Self::Completion => "completion code",
            Self::Command => "command",
            Self::Feature => "feature",
            Self::SqlMessage => "message of SQL Server",
        })
    }
}

/// Everything worth knowing about a code. Its Display is the page that `vdisim explain` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What kind of code it is.
    pub kind: Kind,
    /// Its name in the headers; `Msg 3013` for a message of SQL Server.
    pub name: String,
    /// Its value in the ways it is written: `0x80770003`, `-2139684861`.
    pub values: Vec<String>,
    /// The system's own words for it, as SQL Server prints them.
    pub system_text: Option<String>,
    /// What it means.
    pub text: &'static str,
    /// What usually lies behind it, the commonest first.
    pub causes: &'static [&'static str],
    /// What to do, in the order to try.
    pub remedies: &'static [&'static str],
    /// Where the meaning is stated.
    pub source: &'static str,
    /// Other codes that the same input may have meant.
    pub also: Vec<String>,
}

impl Explanation {
    fn new(kind: Kind, name: impl Into<String>, values: Vec<String>, entry: &Entry) -> Self {
        Self {
            kind,
            name: name.into(),
            values,
            system_text: None,
            text: entry.text,
            causes: entry.causes,
            remedies: entry.remedies,
            source: entry.source,
            also: Vec::new(),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}), {}", self.name, self.values.join(", "), self.kind)?;
        writeln!(f, "\n{}", self.text)?;
        if let Some(text) = &self.system_text {
            writeln!(f, "SQL Server prints: {text}")?;
        }
        for (title, lines) in [("Usual causes", self.causes), ("What to do", self.remedies)] {
            writeln!(f, "\n{title}:")?;
            for line in lines {
                writeln!(f, "  - {line}")?;
            }
        }
        write!(f, "\nSource: {}", self.source)?;
        if !self.also.is_empty() {
            write!(f, "\nSee also: {}", self.also.join(", "))?;
        }
        Ok(())
    }
}

/// Nothing is known about what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// A word that is no name.
    #[error(
        "nothing is known about '{input}'{}; give a name or number of a status \
         (VD_E_TIMEOUT, 0x80770003), a completion code (995), a command (VDC_Flush), a feature \
         (VDF_RequestComplete) or a message of SQL Server (18210).",
        .suggestion.as_ref().map(|name| format!("; did you mean {name}?")).unwrap_or_default()
    )]
    UnknownName {
        /// What was asked for.
        input: String,
        /// The name that comes nearest, if one is near.
        suggestion: Option<String>,
    },
    /// A number that nobody gave a meaning here.
    #[error(
        "{input} is no code of VDI. As a completion code any Win32 error is legal and SQL Server \
         prints its number; Windows explains it with `net helpmsg {input}`."
    )]
    UnknownNumber {
        /// What was asked for.
        input: String,
    },
    /// A value of the VDI facility that no header defines.
    #[error(
        "{status} lies in the range of VDI (0x8077....), but no header defines it; check that the \
         value was read from a call of VDI and not changed on the way."
    )]
    UndefinedStatus {
        /// The value.
        status: HResult,
    },
}

/// Explains a code, given by name or number.
///
/// Names are those of the headers, in any case. Numbers: `0x80770003` or `-2139684861` for a
/// status, `0x2000` for feature bits, and plain decimals for completion codes, messages of SQL
/// Server, other Win32 errors and command codes. Where a decimal has several meanings the first of these is
/// explained and the others are named in [`Explanation::also`].
pub fn explain(input: &str) -> Result<Explanation, ExplainError> {
    let input = input.trim();
    let hex = input.strip_prefix("0x").or_else(|| input.strip_prefix("0X"));
    if let Some(value) = hex.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
        return by_bits(value, input);
    }
    match input.parse::<i64>() {
        Ok(number) => by_number(number, input),
        Err(_) => by_name(input),
    }
}

/// Every name that [`explain`] knows, for completion and suggestions.
pub fn names() -> impl Iterator<Item = &'static str> {
    HResult::ALL
        .iter()
        .filter_map(|code| code.name())
        .chain(status::SYSTEM.iter().map(|(_, name, _)| *name))
        .chain(CompletionCode::ALL.iter().filter_map(|code| code.name()))
        .chain(CommandCode::ALL.iter().filter_map(|code| code.name()))
        .chain(feature::FEATURE.iter().map(|(_, name, _)| *name))
}

/// The numbers of SQL Server's messages that [`explain`] knows, ascending.
pub fn message_numbers() -> impl Iterator<Item = u32> {
    message::MESSAGES.iter().map(|message| message.number)
}

fn by_bits(value: u32, input: &str) -> Result<Explanation, ExplainError> {
    let status = HResult(value);
    if let Some(found) = of_status(status) {
        return Ok(found);
    }
    match value >> 16 {
        0x8077 => Err(ExplainError::UndefinedStatus { status }),
        0x8007 => of_win32_status(status)
            .ok_or_else(|| ExplainError::UnknownNumber { input: (value & 0xFFFF).to_string() }),
        _ => of_features(Features::from_bits_retain(value))
            .or_else(|| of_completion(CompletionCode(value)))
            .ok_or_else(|| ExplainError::UnknownNumber { input: input.to_owned() }),
    }
}

fn by_number(number: i64, input: &str) -> Result<Explanation, ExplainError> {
    let unknown = || ExplainError::UnknownNumber { input: input.to_owned() };
    let bits = match i32::try_from(number) {
        Ok(signed) => signed.cast_unsigned(),
        Err(_) => u32::try_from(number).map_err(|_| unknown())?,
    };
    if HResult(bits).is_success() {
        let mut found = [
            of_completion(CompletionCode(bits)),
            of_message(bits),
            of_status(HResult::from_win32(bits)),
            of_command(CommandCode(bits)),
        ]
        .into_iter()
        .flatten();
        let mut first = found.next().ok_or_else(unknown)?;
        first.also = found.map(|other| format!("{} ({})", other.name, other.kind)).collect();
        Ok(first)
    } else {
        by_bits(bits, input)
    }
}

fn by_name(input: &str) -> Result<Explanation, ExplainError> {
    let Some(name) = names().find(|name| name.eq_ignore_ascii_case(input)) else {
        return Err(ExplainError::UnknownName {
            input: input.to_owned(),
            suggestion: nearest(input).map(str::to_owned),
        });
    };
    let feature = || feature::FEATURE.iter().find(|(_, known, _)| *known == name);
    let system = || status::SYSTEM.iter().find(|(_, known, _)| *known == name);
    let found = HResult::from_name(name)
        .and_then(of_status)
        .or_else(|| system().and_then(|(code, _, _)| of_status(*code)))
        .or_else(|| CompletionCode::from_name(name).and_then(of_completion))
        .or_else(|| CommandCode::from_name(name).and_then(of_command))
        .or_else(|| {
            feature().map(|(bits, name, entry)| {
                Explanation::new(Kind::Feature, *name, vec![hex(bits.bits())], entry)
            })
        });
    found.ok_or_else(|| ExplainError::UnknownName { input: input.to_owned(), suggestion: None })
}

fn of_status(status: HResult) -> Option<Explanation> {
    let own = status::STATUS.iter().find(|(code, _)| *code == status);
    let system = status::SYSTEM.iter().find(|(code, _, _)| *code == status);
    let (name, entry) = match (own, system) {
        (Some((code, entry)), _) => (code.name()?, entry),
        (None, Some((_, name, entry))) => (*name, entry),
        (None, None) => return None,
    };
    let values = vec![format!("0x{:08X}", status.0), status.as_i32().to_string()];
    Some(Explanation::new(Kind::Status, name, values, entry))
}

/// A completion code inside `HRESULT_FROM_WIN32`.
fn of_win32_status(status: HResult) -> Option<Explanation> {
    let found = of_completion(CompletionCode(status.0 & 0xFFFF))?;
    let mut values = vec![format!("0x{:08X}", status.0), status.as_i32().to_string()];
    values.extend(found.values);
    let name = format!("HRESULT_FROM_WIN32({})", found.name);
    Some(Explanation { kind: Kind::Status, name, values, ..found })
}

fn of_completion(code: CompletionCode) -> Option<Explanation> {
    let (code, entry) = completion::COMPLETION.iter().find(|(known, _)| *known == code)?;
    let values = vec![code.0.to_string()];
    let mut found = Explanation::new(Kind::Completion, code.name()?, values, entry);
    found.system_text = Some(code.os_error().to_string());
    Some(found)
}

fn of_command(code: CommandCode) -> Option<Explanation> {
    let (code, entry) = command::COMMAND.iter().find(|(known, _)| *known == code)?;
    Some(Explanation::new(Kind::Command, code.name()?, vec![code.0.to_string()], entry))
}

fn of_message(number: u32) -> Option<Explanation> {
    let message = message::MESSAGES.iter().find(|message| message.number == number)?;
    let values = vec![number.to_string(), format!("severity {}", message.severity)];
    let name = format!("Msg {number}");
    let mut found = Explanation::new(Kind::SqlMessage, name, values, &message.entry);
    found.system_text = Some(message.template.to_owned());
    Some(found)
}

/// A bit or alias that has words of its own, or a mask of such bits.
fn of_features(bits: Features) -> Option<Explanation> {
    let known = feature::FEATURE.iter().find(|(known, _, _)| *known == bits);
    if let Some((_, name, entry)) = known {
        return Some(Explanation::new(Kind::Feature, *name, vec![hex(bits.bits())], entry));
    }
    let single: Vec<_> = Features::NAMES.iter().filter(|(bit, _)| bits.contains(*bit)).collect();
    let named = single.iter().fold(Features::empty(), |all, (bit, _)| all | *bit);
    if bits.is_empty() || named != bits {
        return None;
    }
    const MASK: Entry = Entry {
        text: "A mask of several feature bits.",
        causes: &["The value of VDConfig.features: asked at Create, answered by GetConfiguration."],
        remedies: &["Look each bit up by its name."],
        source: "VDI, \"Feature Bits\"",
    };
    let values = vec![hex(bits.bits()), bits.mode().to_string()];
    let mut found = Explanation::new(Kind::Feature, bits.to_string(), values, &MASK);
    found.also = single.iter().map(|(_, name)| (*name).to_owned()).collect();
    Some(found)
}

fn hex(bits: u32) -> String {
    format!("{bits:#x}")
}

/// The known name most like the input, if one is like it at all.
fn nearest(input: &str) -> Option<&'static str> {
    let upper = input.to_ascii_uppercase();
    names()
        .map(|name| (strsim::jaro_winkler(&upper, &name.to_ascii_uppercase()), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}
