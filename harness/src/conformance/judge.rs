//! Says of what was seen whether a rule was kept.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use vdi_protocol::{CommandCode, CompletionCode, Features, HResult};

use super::case::Check;
use super::observation::{Act, Answer, Call, Ended};
use super::record::{Asked, What};
use super::script::{Operation, Step};

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
        if act.attached().is_none() {
            let set = act.devices.first().map_or("", String::as_str);
            return finding(
                format!("the client creates the set '{set}'"),
                format!("it never did; {}", ended(act)),
            );
        }
    }
    checks.iter().try_for_each(|check| acts.iter().try_for_each(|act| hold(*check, act)))
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
        Check::InBounds => in_bounds(act),
        Check::SaidEnd => said_end(act),
        Check::FlushBehindWrites => flush_behind_writes(act),
        Check::Refused => refused(act),
        Check::RefusedByCode => refused_by_code(act),
        Check::PositionsMove => positions_move(act),
        Check::PositionAnswered => position_answered(act),
        Check::Syncs => match act.synced {
            Some(false) if act.script.operation == Operation::Backup => finding(
                "fsync, fdatasync or the like before VDC_Flush is answered",
                "the client synchronised nothing",
            ),
            _ => Ok(()),
        },
        Check::GroupAccess | Check::NothingLeft | Check::NobodyLeft | Check::FailsWhenCutOff => {
            surroundings(check, act)
        }
        Check::ListedFeatures
        | Check::NoServerBits
        | Check::NoUnknownBits
        | Check::SoftFileMarks
        | Check::OutputsZero => configuration(check, act),
        _ => calls(check, act),
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
    let why = act.stopped().unwrap_or_else(|| ended(act));
    finding(expected, format!("it did not come so far: {why}"))
}

fn played(act: &Act) -> Result<(), Finding> {
    let finished = act.entries.iter().any(|entry| entry.what == What::Finished);
    if finished || act.is_violent() {
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

fn in_bounds(act: &Act) -> Result<(), Finding> {
    for entry in &act.entries {
        if let What::Trampled { device, n, offset } = entry.what {
            return finding(
                "only the bytes of the command are written",
                format!("byte {offset} of the buffer was written (device {device}, #{n})"),
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
            match objects.iter().find(|object| object.mode & 0o060 != 0o060) {
                Some(object) => finding(
                    "the group may read and write the shared objects (mode 0660)",
                    format!("{} has mode {:04o}", object.name, object.mode),
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
        Check::FailsWhenCutOff if has_failed(act) && act.ended == Ended::Code(0) => {
            finding("an exit code that tells of the failure", ended(act))
        }
        _ => Ok(()),
    }
}

/// Whether the statement failed in the client's sight.
fn has_failed(act: &Act) -> bool {
    act.is_violent() || act.answers().iter().any(|it| !it.completion.is_success())
}

fn configuration(check: Check, act: &Act) -> Result<(), Finding> {
    let Some(What::Attached { asked, .. }) = act.attached() else { return Ok(()) };
    let Asked { features: bits, soft_file_mark_block_size, .. } = *asked;
    let features = Features::from_bits_retain(bits);
    match check {
        Check::ListedFeatures if !features.is_listed_combination() => finding(
            "features are one of the combinations that the specification describes",
            format!("{bits:#x} ({features}) was asked for"),
        ),
        Check::NoServerBits if features.intersects(Features::SERVER_BITS) => {
            finding("the server's bits are left alone", format!("{features} was asked for"))
        }
        Check::NoUnknownBits if bits & !Features::all().bits() != 0 => finding(
            "only bits with a name are asked for",
            format!("{:#x} was", bits & !Features::all().bits()),
        ),
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

fn calls(check: Check, act: &Act) -> Result<(), Finding> {
    match check {
        Check::SawClose => saw_close(act),
        Check::CallsClose => calls_close(act),
        Check::NoEarlyClose => act.calls_of("Close").try_for_each(|call| {
            if call.status == HResult::VD_E_OPEN {
                return finding("Close comes after every device's VD_E_CLOSE", shown(call));
            }
            Ok(())
        }),
        Check::NoCallAfterClose => {
            after(act, is_closing, |call, closing| is_device_call(call) && call.pid == closing.pid)
        }
        Check::NoCallAfterEnd => after(act, says_end, |call, end| {
            call.name == "GetCommand" && call.object == end.object && call.pid == end.pid
        }),
        Check::HeedsAbort => heeds_abort(act),
        Check::ClosesAfterAbort => closes_after_abort(act),
        Check::EveryCommandCompleted => every_command_completed(act),
        Check::CompletedOnce => act.calls_of("CompleteCommand").try_for_each(|call| {
            if matches!(call.status, HResult::VD_E_INVALID) {
                return finding("each command is completed once, by its address", shown(call));
            }
            Ok(())
        }),
        Check::CommandsUnchanged => {
            match act.events.iter().find(|event| event.name == "command-changed") {
                Some(event) => finding("no VDC_Command is written to", event.details.to_string()),
                None => Ok(()),
            }
        }
        Check::CreatesOnce => creates_once(act),
        Check::ConfiguresFirst => configures_first(act),
        Check::OpensEachOnce => opens_each_once(act),
        Check::OneProcessADevice => one_process_a_device(act),
        Check::SecondariesClose => secondaries_close(act),
        Check::JoinsInOrder => joins_in_order(act),
        Check::HandlesCross => handles_cross(act),
        Check::AskerCompletes => asker_completes(act),
        // The others are judged elsewhere.
        _ => Ok(()),
    }
}

fn shown(call: &Call) -> String {
    let status = call.status.name().map_or_else(|| call.status.to_string(), str::to_owned);
    format!("{} of {} returned {status}", call.name, call.object)
}

fn is_device_call(call: &Call) -> bool {
    matches!(call.name.as_str(), "GetCommand" | "CompleteCommand")
}

fn is_closing(call: &Call) -> bool {
    call.name == "Close" && matches!(call.status, HResult::NOERROR | HResult::VD_E_OPEN)
}

fn says_end(call: &Call) -> bool {
    call.name == "GetCommand" && call.status == HResult::VD_E_CLOSE
}

/// No call may follow that belongs to the first one of its kind.
fn after(
    act: &Act,
    first: fn(&Call) -> bool,
    belongs: impl Fn(&Call, &Call) -> bool,
) -> Result<(), Finding> {
    for (i, found) in act.calls.iter().enumerate().filter(|(_, call)| first(call)) {
        // A call may have begun before and return after it.
        let begun = |call: &&Call| call.time.saturating_sub(call.took) >= found.time;
        if let Some(late) = act.calls[i..].iter().filter(begun).find(|call| belongs(call, found)) {
            return finding(format!("nothing more after: {}", shown(found)), shown(late));
        }
    }
    Ok(())
}

fn opened(act: &Act) -> BTreeSet<(u32, String)> {
    let object = |call: &Call| {
        let device = call.result["device"].as_str()?.to_owned();
        (call.status == HResult::NOERROR).then_some((call.pid, device))
    };
    act.calls_of("OpenDevice").filter_map(object).collect()
}

fn saw_close(act: &Act) -> Result<(), Finding> {
    if act.is_aborted() || act.is_violent() {
        return played(act);
    }
    let ended: BTreeSet<_> = act
        .calls
        .iter()
        .filter(|call| says_end(call))
        .map(|call| (call.pid, call.object.clone()))
        .collect();
    match opened(act).difference(&ended).next() {
        Some((_, device)) => finding(
            "GetCommand is called until it returns VD_E_CLOSE",
            format!("{device} was left before; {}", self::ended(act)),
        ),
        None => Ok(()),
    }
}

fn calls_close(act: &Act) -> Result<(), Finding> {
    if act.calls.iter().any(is_closing) {
        return Ok(());
    }
    finding("the client calls Close on its set", format!("it never did; {}", ended(act)))
}

fn heeds_abort(act: &Act) -> Result<(), Finding> {
    let mut told: BTreeMap<(u32, String), u32> = BTreeMap::new();
    for call in act.calls.iter().filter(|call| is_device_call(call)) {
        if call.status == HResult::VD_E_ABORT {
            let count = told.entry((call.pid, call.object.clone())).or_default();
            *count += 1;
            // One for the command under way, one for the next: more is a loop.
            if *count > 3 {
                return finding(
                    "after VD_E_ABORT the client stops asking for commands",
                    format!("{} returned VD_E_ABORT to it {count} times", call.object),
                );
            }
        }
    }
    Ok(())
}

fn closes_after_abort(act: &Act) -> Result<(), Finding> {
    if matches!(act.ended, Ended::Killed) || act.calls.iter().any(|call| call.name == "Close") {
        return Ok(());
    }
    finding("the client calls Close after the abort", ended(act))
}

fn every_command_completed(act: &Act) -> Result<(), Finding> {
    if act.is_violent() {
        return Ok(());
    }
    let mut open: BTreeMap<(u32, String, String), ()> = BTreeMap::new();
    for call in &act.calls {
        let key = |id: &Value| (call.pid, call.object.clone(), id.to_string());
        if call.name == "GetCommand" && call.status == HResult::NOERROR {
            open.insert(key(&call.result["command"]), ());
        }
        if call.name == "CompleteCommand" && call.status == HResult::NOERROR {
            open.remove(&key(&call.arguments["command"]));
        }
    }
    match open.keys().next() {
        Some((_, device, id)) => finding(
            "every command is completed",
            format!("command {id} of {device} never was; {}", ended(act)),
        ),
        None => Ok(()),
    }
}

fn creates_once(act: &Act) -> Result<(), Finding> {
    let count = act.calls_of("Create").count();
    if count == 1 {
        return Ok(());
    }
    finding("Create is called once for a statement", format!("it was called {count} times"))
}

fn configures_first(act: &Act) -> Result<(), Finding> {
    let Some(open) = act.calls_of("OpenDevice").next() else { return played(act) };
    let configured = act
        .calls_of("GetConfiguration")
        .any(|call| call.status == HResult::NOERROR && call.time <= open.time);
    if configured {
        return Ok(());
    }
    finding("GetConfiguration succeeds before OpenDevice is called", shown(open))
}

fn opens_each_once(act: &Act) -> Result<(), Finding> {
    let mut names = BTreeSet::new();
    for call in act.calls_of("OpenDevice") {
        let name = call.arguments["name"].as_str().unwrap_or_default().to_owned();
        let bad = matches!(call.status, HResult::VD_E_PROTOCOL | HResult::VD_E_INVALID);
        if bad || (call.status == HResult::NOERROR && !names.insert(name.clone())) {
            return finding(
                "each device is opened once, by the name in its VIRTUAL_DEVICE clause",
                format!("OpenDevice('{name}'): {}", shown(call)),
            );
        }
    }
    let missing = act.devices.iter().find(|device| !names.contains(*device));
    match missing {
        Some(device) => finding(
            format!("the device '{device}' is opened"),
            format!("it never was; {}", ended(act)),
        ),
        None => Ok(()),
    }
}

fn creator(act: &Act) -> Option<u32> {
    act.calls_of("Create").find(|call| call.status == HResult::NOERROR).map(|call| call.pid)
}

fn one_process_a_device(act: &Act) -> Result<(), Finding> {
    let creator = creator(act);
    let processes: BTreeSet<_> = opened(act).into_iter().map(|(pid, _)| pid).collect();
    let secondaries = processes.iter().filter(|pid| Some(**pid) != creator).count();
    if secondaries >= act.devices.len() {
        return Ok(());
    }
    finding(
        format!("{} secondary processes open a device each", act.devices.len()),
        format!("{secondaries} did"),
    )
}

fn secondaries_close(act: &Act) -> Result<(), Finding> {
    let joined = act.calls_of("OpenInSecondary").filter(|call| call.status == HResult::NOERROR);
    for call in joined {
        let closes = |other: &Call| is_closing(other) && other.pid == call.pid;
        if !act.calls.iter().any(closes) {
            return finding(
                "every process that joined the set closes it",
                format!("process {} did not", call.pid),
            );
        }
    }
    Ok(())
}

fn joins_in_order(act: &Act) -> Result<(), Finding> {
    for call in act.calls_of("OpenInSecondary") {
        if call.status != HResult::NOERROR {
            return finding("OpenInSecondary comes when the set is configured", shown(call));
        }
    }
    played(act)
}

fn handles_cross(act: &Act) -> Result<(), Finding> {
    let handles = |name: &'static str, place: fn(&Call) -> Option<u64>| {
        act.calls_of(name)
            .filter(|call| call.status == HResult::NOERROR)
            .filter_map(move |call| Some((place(call)?, call.pid)))
            .collect::<Vec<_>>()
    };
    let given = handles("GetBufferHandle", |call| call.result["handle"].as_u64());
    let mapped = handles("MapBufferHandle", |call| call.arguments["handle"].as_u64());
    if given.is_empty() || mapped.is_empty() {
        return finding(
            "a buffer's handle is got in one process and mapped in another",
            format!("{} were got and {} mapped", given.len(), mapped.len()),
        );
    }
    let stray = mapped
        .iter()
        .find(|(handle, pid)| !given.iter().any(|(other, owner)| other == handle && owner != pid));
    match stray {
        Some((handle, pid)) => finding(
            "only handles that another process of the set got are mapped",
            format!("process {pid} mapped {handle:#x}, which nobody else had"),
        ),
        None => Ok(()),
    }
}

fn asker_completes(act: &Act) -> Result<(), Finding> {
    let askers: BTreeSet<_> = act.calls_of("GetBufferHandle").map(|call| call.pid).collect();
    let strange = act.calls_of("CompleteCommand").find(|call| !askers.contains(&call.pid));
    match strange {
        Some(call) if !askers.is_empty() => finding(
            "the process that got the handle completes the command",
            format!("process {} completed one", call.pid),
        ),
        _ => Ok(()),
    }
}
