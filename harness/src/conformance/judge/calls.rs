//! What the drop-in saw a client call.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use vdi_protocol::HResult;

use super::{Finding, ended, finding, played};
use crate::conformance::case::Check;
use crate::conformance::observation::{Act, Call, Ended};

pub(super) fn calls(check: Check, act: &Act) -> Result<(), Finding> {
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
            format!("{device} was left before; {}", super::ended(act)),
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
    // A client may look into the backup through a set of its own.
    let this =
        |call: &&Call| call.arguments["name"].as_str() == act.devices.first().map(String::as_str);
    let count = act.calls_of("Create").filter(this).count();
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
    let crosses = |(handle, pid): &(u64, u32)| {
        given.iter().any(|(other, owner)| other == handle && owner != pid)
    };
    if !mapped.iter().any(crosses) {
        return finding(
            "a buffer's handle is mapped in another process than the one that got it",
            "every handle was mapped where it was got",
        );
    }
    let refused = |call: &&Call| call.status == HResult::VD_E_INVALID;
    match act.calls_of("MapBufferHandle").find(refused) {
        Some(call) => finding("only handles that GetBufferHandle gave are mapped", shown(call)),
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
