//! What became of the server's memory.

use super::{Finding, finding};
use crate::conformance::observation::Act;
use crate::conformance::record::What;

/// What a client was caught at behind pages, whatever was judged: it did not live to see the end.
pub(crate) fn caught(act: &Act) -> Option<Finding> {
    let text = act.entries.iter().find_map(|entry| match &entry.what {
        What::BufferFault { text, .. } => Some(text.clone()),
        _ => None,
    });
    let event = act.events.iter().find(|event| event.name == "buffer-fault");
    let detail = |name| event.and_then(|event| event.details[name].as_str()).map(str::to_owned);
    let text = text.or_else(|| detail("text"))?;
    let place = match (detail("address"), detail("place")) {
        (Some(address), Some(place)) => format!(" (address {address}, {place})"),
        _ => String::new(),
    };
    let expected =
        "a client touches its buffers only, from GetCommand to CompleteCommand".to_owned();
    Some(Finding { expected, seen: format!("it {text}{place}") })
}

pub(super) fn in_bounds(act: &Act) -> Result<(), Finding> {
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

pub(super) fn hands_off(act: &Act) -> Result<(), Finding> {
    for entry in &act.entries {
        if let What::TouchedLate { last } = entry.what {
            let whose = match last {
                Some((device, n)) => format!("the buffer of #{n} of device {device} was written"),
                None => "a buffer that no command had was written".to_owned(),
            };
            return finding(
                "a buffer is left alone once its command is completed",
                format!("{whose} while it was the server's"),
            );
        }
    }
    Ok(())
}
