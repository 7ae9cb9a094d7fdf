//! Says of what was seen whether a rule was kept.

mod buffers;
mod calls;

use std::collections::BTreeMap;

use vdi_protocol::{CommandCode, CompletionCode, Features};

use super::case::Check;
use super::observation::{Act, Answer, Ended};
use super::record::{Asked, Entry, Object, What};
use super::script::{Operation, Step};

pub(crate) use buffers::caught;

/// How a rule was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) expected: String,
    pub(crate) seen: String,
}

fn finding<T>(expected: impl Into<String>, seen: impl Into<String>) -> Result<T, Finding> {
    Err(Finding { expected: expected.into(), seen: seen.into() })
}

/// The first check of a case that does not hold.
pub(crate) fn judge(acts: &[Act], checks: &[Check]) -> Result<(), Finding> {
    for act in acts {
        comes_to_a_set(act)?;
    }
    // Of a client that was refused its set no more is asked than to tell so.
    let is_asked =
        |check: Check, act: &Act| check == Check::FailsWhenCutOff || !act.is_refused_create;
    checks.iter().try_for_each(|check| {
        let mut asked = acts.iter().filter(|act| is_asked(*check, act));
        asked.try_for_each(|act| hold(*check, act))
    })
}

/// Without a set nothing can be judged but the refusal of the statement for it.
fn comes_to_a_set(act: &Act) -> Result<(), Finding> {
    let is_refused = act.script.steps.first() == Some(&Step::Refuse);
    let is_excused = act.is_refused_create || (is_refused && act.answered().is_some());
    if act.attached().is_some() || is_excused {
        return Ok(());
    }
    let operation = act.script.operation.name().to_uppercase();
    if act.is_sql && !act.entries.iter().any(|entry| matches!(entry.what, What::Statement { .. })) {
        return finding(
            format!("the client sends {operation} … VIRTUAL_DEVICE to the server it was given"),
            format!("it never did; {}", ended(act)),
        );
    }
    let set = act.devices.first().map_or("", String::as_str);
    match act.stopped() {
        Some(why) if act.is_sql => finding(
            format!("{operation} finds the set '{set}' and all of its devices when it arrives"),
            format!("{why}; {}", ended(act)),
        ),
        _ => finding(
            format!("the client creates the set '{set}'"),
            format!("it never did; {}", ended(act)),
        ),
    }
}

fn hold(check: Check, act: &Act) -> Result<(), Finding> {
    match check {
        Check::Played => played(act),
        Check::Answers(code, good) => {
            let all = answers_to(act, code);
            if all.is_empty() && expects(act, code) {
                return not_reached(act, &format!("an answer to {code}"));
            }
            all.iter().try_for_each(|answer| one_of(answer, good))
        }
        Check::Supports(code) => {
            let refused =
                |answer: &&Answer| answer.completion == CompletionCode::ERROR_NOT_SUPPORTED;
            match answers_to(act, code).iter().find(refused) {
                Some(answer) => finding(
                    format!("{code} (#{}) is supported", answer.n),
                    format!("it was answered with {}", answer.completion),
                ),
                None => Ok(()),
            }
        }
        Check::WithinServerTimeOut => within_server_time_out(act),
        Check::AbortsForSecondary => aborts_for_secondary(act),
        Check::FullTransfers => full_transfers(act),
        Check::NoMoreThanAsked => act.answers().iter().try_for_each(|answer| {
            if is_transfer(answer.code) && answer.bytes > u64::from(answer.size) {
                let most = format!("{} with at most {} bytes", answer.code, answer.size);
                return finding(most, format!("{} bytes were claimed", answer.bytes));
            }
            Ok(())
        }),
        Check::ClaimedIsWritten => untouched(act),
        Check::Returned => returned(act),
        Check::NothingBehindEnd => behind_end(act),
        Check::InBounds => buffers::in_bounds(act),
        Check::HandsOff => buffers::hands_off(act),
        Check::SaidEnd => said_end(act),
        Check::FlushBehindWrites => flush_behind_writes(act),
        Check::Refused => refused(act),
        Check::RefusedByCode => refused_by_code(act),
        Check::PositionsMove => positions_move(act),
        Check::NoPosition => {
            let placed = |it: &&Answer| is_transfer(it.code) && it.position != 0;
            match act.answers().iter().find(placed) {
                Some(answer) => finding(
                    format!("{} (#{}) is answered with position 0", answer.code, answer.n),
                    format!("it was answered with position {}", answer.position),
                ),
                None => Ok(()),
            }
        }
        Check::PositionAnswered => position_answered(act),
        Check::Syncs => match act.synced {
            Some(false) if act.script.operation == Operation::Backup => finding(
                "fsync, fdatasync or the like before VDC_Flush is answered",
                "the client synchronised nothing",
            ),
            _ => Ok(()),
        },
        Check::GroupAccess | Check::NothingLeft | Check::NobodyLeft => surroundings(check, act),
        Check::FailsWhenCutOff | Check::ReportsSuccess => reports(check, act),
        Check::ListedFeatures
        | Check::NoServerBits
        | Check::NoUnknownBits
        | Check::SoftFileMarks
        | Check::OutputsZero => configuration(check, act),
        _ => calls::calls(check, act),
    }
}

fn ended(act: &Act) -> String {
    let how = match &act.ended {
        Ended::Code(code) => format!("the client ended with exit code {code}"),
        Ended::Signal(signal) => format!("signal {signal} ended the client"),
        Ended::Killed => "the client was killed on purpose".to_owned(),
        Ended::Hung(why) => why.clone(),
    };
    match act.said.lines().last() {
        Some(last) => format!("{how}, having said: {last}"),
        None => how,
    }
}

fn not_reached(act: &Act, expected: &str) -> Result<(), Finding> {
    if act.is_cut() {
        return Ok(());
    }
    let why = act.stopped().unwrap_or_else(|| ended(act));
    finding(expected, format!("it did not come so far: {why}"))
}

fn played(act: &Act) -> Result<(), Finding> {
    let finished = act.entries.iter().any(|entry| entry.what == What::Finished);
    if finished || act.is_violent() || act.is_cut() {
        Ok(())
    } else {
        not_reached(act, &format!("the {} goes through to its end", act.script.operation.name()))
    }
}

fn answers_to(act: &Act, code: CommandCode) -> Vec<Answer> {
    act.answers().into_iter().filter(|answer| answer.code == code).collect()
}

/// Whether the script sends this command at all.
fn expects(act: &Act, wanted: CommandCode) -> bool {
    act.script.steps.iter().any(|step| match step {
        Step::Write { .. } | Step::WriteAt { .. } => wanted == CommandCode::WRITE,
        Step::Read { .. } | Step::ReadToEnd { .. } | Step::ReadAt { .. } => {
            wanted == CommandCode::READ
        }
        Step::Flush => wanted == CommandCode::FLUSH,
        Step::Command { code, .. } => wanted.0 == *code,
        Step::SetToLastPosition => wanted == CommandCode::SET_POSITION,
        Step::ClearError => wanted == CommandCode::CLEAR_ERROR,
        Step::Complete => wanted == CommandCode::COMPLETE,
        _ => false,
    })
}

fn one_of(answer: &Answer, good: &[CompletionCode]) -> Result<(), Finding> {
    if good.contains(&answer.completion) {
        return Ok(());
    }
    let good: Vec<_> = good.iter().map(ToString::to_string).collect();
    finding(
        format!("{} (#{}) is answered with {}", answer.code, answer.n, good.join(" or ")),
        format!("it was answered with {}", answer.completion),
    )
}

fn is_transfer(code: CommandCode) -> bool {
    matches!(code, CommandCode::READ | CommandCode::WRITE)
}

fn full_transfers(act: &Act) -> Result<(), Finding> {
    for answer in act.answers().iter().filter(|answer| is_transfer(answer.code)) {
        if !answer.completion.is_success() || answer.bytes != u64::from(answer.size) {
            return finding(
                format!(
                    "{} (#{}) is answered with 0 ERROR_SUCCESS and {} bytes",
                    answer.code, answer.n, answer.size
                ),
                format!("it was answered with {} and {} bytes", answer.completion, answer.bytes),
            );
        }
    }
    played(act)
}

fn untouched(act: &Act) -> Result<(), Finding> {
    for entry in &act.entries {
        if let What::Mismatch { n, at, untouched: true, .. } = entry.what {
            return finding(
                "what a Read claims stands in its buffer",
                format!("byte {at} of the stream (#{n}) was claimed, and the buffer not touched"),
            );
        }
        if let What::BehindEnd { n, bytes, untouched: true, .. } = entry.what {
            return finding(
                "what a Read claims stands in its buffer",
                format!("{bytes} bytes (#{n}) were claimed, and the buffer not touched"),
            );
        }
    }
    Ok(())
}

/// Bytes that the steps of a restore want to see, if they say so.
fn wanted(act: &Act) -> u64 {
    let read: u64 = act
        .script
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Read { bytes, .. } => Some(*bytes),
            _ => None,
        })
        .sum();
    let to_end = act.script.steps.iter().any(|step| matches!(step, Step::ReadToEnd { .. }));
    if to_end { act.script.length } else { read.min(act.script.length) }
}

fn returned(act: &Act) -> Result<(), Finding> {
    if act.script.operation == Operation::Backup {
        return Ok(());
    }
    for entry in &act.entries {
        if let What::Mismatch { device, n, at, expected, seen, .. } = entry.what {
            return finding(
                "every byte comes back as it was sent",
                format!(
                    "byte {at} of device {device} (#{n}) is {seen:#04x} in place of {expected:#04x}"
                ),
            );
        }
    }
    let wanted = wanted(act);
    let mut ends = BTreeMap::new();
    for entry in &act.entries {
        if let What::Stream { device, bytes } = entry.what {
            ends.insert(device, bytes);
        }
    }
    let places = act.script.steps.iter().any(|step| matches!(step, Step::ReadAt { .. }));
    if ends.len() < act.devices.len() && wanted > 0 && !places {
        return not_reached(act, "every stream is read");
    }
    for (device, bytes) in ends {
        if bytes < wanted {
            return finding(
                format!("{wanted} bytes come back from device {device}"),
                format!("{bytes} came"),
            );
        }
    }
    Ok(())
}

fn behind_end(act: &Act) -> Result<(), Finding> {
    for entry in &act.entries {
        if let What::BehindEnd { device, n, bytes, .. } = entry.what {
            return finding(
                format!("nothing comes behind the {} bytes of the stream", act.script.length),
                format!("device {device} returned {bytes} bytes more (#{n})"),
            );
        }
    }
    Ok(())
}

fn said_end(act: &Act) -> Result<(), Finding> {
    if act.script.operation == Operation::Backup {
        return Ok(());
    }
    match answers_to(act, CommandCode::READ).last() {
        Some(last) if last.completion.ends_data() => Ok(()),
        Some(last) => finding(
            "the Read that meets the end is answered with 38 ERROR_HANDLE_EOF",
            format!("it was answered with {} and {} bytes", last.completion, last.bytes),
        ),
        None => not_reached(act, "the end of the stream is read"),
    }
}

fn flush_behind_writes(act: &Act) -> Result<(), Finding> {
    let answers = act.answers();
    for (i, flush) in answers.iter().enumerate() {
        let before = |other: &&Answer| {
            other.device == flush.device && other.code == CommandCode::WRITE && other.n < flush.n
        };
        if flush.code == CommandCode::FLUSH
            && flush.completion.is_success()
            && let Some(late) = answers[i..].iter().find(before)
        {
            return finding(
                "Flush is answered after every Write that came before it",
                format!("Flush #{} was answered before Write #{}", flush.n, late.n),
            );
        }
    }
    played(act)
}

fn refused(act: &Act) -> Result<(), Finding> {
    if act.script.operation == Operation::Restore {
        return Ok(());
    }
    let refusal = act.answers().iter().any(|answer| !answer.completion.is_success());
    if refusal || act.is_aborted() {
        return Ok(());
    }
    finding(
        "a Write or Flush is refused, or the set aborted, when the medium takes no more",
        format!("every command was acknowledged; {}", ended(act)),
    )
}

fn refused_by_code(act: &Act) -> Result<(), Finding> {
    const FULL: &[CompletionCode] = &[
        CompletionCode::ERROR_DISK_FULL,
        CompletionCode::ERROR_HANDLE_DISK_FULL,
        CompletionCode::ERROR_EOM_OVERFLOW,
        CompletionCode::ERROR_WRITE_FAULT,
    ];
    let answers = act.answers();
    match answers.iter().find(|answer| !answer.completion.is_success()) {
        Some(answer) => one_of(answer, FULL),
        None => finding("a Write or Flush is refused with a code", ended(act)),
    }
}

fn positions_move(act: &Act) -> Result<(), Finding> {
    let positions: Vec<_> =
        answers_to(act, CommandCode::GET_POSITION).iter().map(|answer| answer.position).collect();
    match positions.as_slice() {
        [first, .., last] if first == last => finding(
            "GetPosition tells another place after Writes",
            format!("it was {first} before and after"),
        ),
        [_, .., _] => Ok(()),
        _ if expects(act, CommandCode::GET_POSITION) => {
            not_reached(act, "GetPosition is answered twice")
        }
        _ => Ok(()),
    }
}

fn position_answered(act: &Act) -> Result<(), Finding> {
    let asked: BTreeMap<u64, u64> = act
        .entries
        .iter()
        .filter_map(|entry| match entry.what {
            What::Sent { n, code, position, .. } if code == CommandCode::SET_POSITION.0 => {
                Some((n, position))
            }
            _ => None,
        })
        .collect();
    for answer in answers_to(act, CommandCode::SET_POSITION) {
        let wanted = asked.get(&answer.n).copied().unwrap_or(0);
        if answer.position != wanted {
            return finding(
                format!("SetPosition to {wanted} is answered with position {wanted}"),
                format!("it was answered with position {}", answer.position),
            );
        }
    }
    Ok(())
}

fn surroundings(check: Check, act: &Act) -> Result<(), Finding> {
    match check {
        Check::GroupAccess => {
            let Some(What::Attached { objects, .. }) = act.attached() else { return Ok(()) };
            match objects.iter().find(|object| !object.is_open_to_group()) {
                Some(Object { name, user, group, mode }) => finding(
                    "the group may read and write the shared objects (mode 0660)",
                    format!(
                        "{name} belongs to user {user} and group {group}, and has mode {mode:04o}"
                    ),
                ),
                None => Ok(()),
            }
        }
        Check::NothingLeft if !act.left.is_empty() => {
            finding("no shared object is left behind", act.left.join(", "))
        }
        Check::NobodyLeft if act.survivors => {
            finding("no process of the client outlives it", "one did, and was killed")
        }
        _ => Ok(()),
    }
}

/// What the client says of the outcome, where it knows it.
fn reports(check: Check, act: &Act) -> Result<(), Finding> {
    let what = if act.told.is_some() { "output" } else { "an exit code" };
    match check {
        Check::FailsWhenCutOff if has_failed(act) && act.claims_success() => {
            finding(format!("{what} that tells of the failure"), ended(act))
        }
        Check::ReportsSuccess if act.answered() == Some(true) && !act.claims_success() => {
            finding(format!("{what} that tells of the success"), ended(act))
        }
        Check::ReportsSuccess => played(act),
        _ => Ok(()),
    }
}

/// Whether the statement failed in the client's sight.
fn has_failed(act: &Act) -> bool {
    if let Some(success) = act.answered() {
        return !success;
    }
    act.is_violent() || act.answers().iter().any(|it| !it.completion.is_success())
}

fn within_server_time_out(act: &Act) -> Result<(), Finding> {
    let Some(What::Attached { asked, .. }) = act.attached() else { return Ok(()) };
    let limit = u64::from(asked.server_time_out);
    let too_long = |entry: &&Entry| match entry.what {
        What::Completed { took, .. } => limit > 0 && took / 1000 > limit,
        _ => false,
    };
    match act.entries.iter().find(too_long).map(|entry| &entry.what) {
        Some(What::Completed { n, code, took, .. }) => finding(
            format!("commands are answered within the client's own serverTimeOut of {limit} ms"),
            format!("{} (#{n}) took {} ms", CommandCode(*code), took / 1000),
        ),
        _ => Ok(()),
    }
}

/// Only an abort tells the server that a device has nobody left behind it.
fn aborts_for_secondary(act: &Act) -> Result<(), Finding> {
    if act.script.steps.contains(&Step::KillSecondary) && !act.is_aborted() {
        return finding(
            "the client aborts the set when a secondary process has died",
            format!("it did not; {}", ended(act)),
        );
    }
    Ok(())
}

fn configuration(check: Check, act: &Act) -> Result<(), Finding> {
    let Some(What::Attached { asked, .. }) = act.attached() else { return Ok(()) };
    let Asked { features: bits, soft_file_mark_block_size, .. } = *asked;
    let features = Features::from_bits_retain(bits);
    let nameless = Features::NAMES.iter().fold(bits, |rest, (bit, _)| rest & !bit.bits());
    match check {
        Check::ListedFeatures if !features.is_listed_combination() => finding(
            "features are one of the combinations that the specification describes",
            format!("{bits:#x} ({features}) was asked for"),
        ),
        Check::NoServerBits if features.intersects(Features::SERVER_BITS) => {
            finding("the server's bits are left alone", format!("{features} was asked for"))
        }
        Check::NoUnknownBits if nameless != 0 => {
            finding("only bits with a name are asked for", format!("{nameless:#x} was"))
        }
        Check::SoftFileMarks
            if soft_file_mark_block_size != 0 && !features.contains(Features::FILE_MARKS) =>
        {
            finding(
                "softFileMarkBlockSize is 0 without VDF_FileMarks",
                format!("it is {soft_file_mark_block_size}"),
            )
        }
        Check::OutputsZero => outputs_zero(act),
        _ => Ok(()),
    }
}

fn outputs_zero(act: &Act) -> Result<(), Finding> {
    let outputs = ["blockSize", "maxIODepth", "maxTransferSize", "bufferAreaSize"];
    for call in act.calls_of("Create") {
        for name in outputs {
            if let Some(value) = call.arguments["config"][name].as_u64().filter(|value| *value != 0)
            {
                return finding(
                    format!("VDConfig.{name} is 0 at Create"),
                    format!("it is {value}"),
                );
            }
        }
    }
    Ok(())
}
