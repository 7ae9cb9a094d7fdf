//! Whose memory a buffer is: around it, in front of it, and when.

use super::scripts::{LENGTH, TRANSFER, backup, fetch, must, should, store, write};
use crate::conformance::case::{Case, Check};
use crate::conformance::script::Step;
use crate::conformance::source::Source::{Inferred, Page};

/// Between two Writes, for what a client does late.
const PAUSE: Step = Step::Pause(40);

pub(super) fn cases() -> Vec<Case> {
    let one = write(u64::from(TRANSFER));
    let slowly = [one.clone(), PAUSE, one.clone(), PAUSE, one, PAUSE, Step::Flush];
    vec![
        should(
            "client/buffers/past-the-end",
            "A client leaves the memory behind a buffer alone.",
            Inferred("Active"),
        )
        .hint("`--guard` stops the client at the instruction that does it.")
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::InBounds, Check::Played]),
        should(
            "client/buffers/before-the-zone",
            "A client leaves the memory in front of a buffer's prefix zone alone.",
            Inferred("VDConfig Structure"),
        )
        .hint("Only prefixZoneSize bytes in front of the data are the client's.")
        .act(backup(&slowly))
        .judged(&[Check::InBounds, Check::Played]),
        must(
            "client/buffers/hands-off",
            "After CompleteCommand a client neither touches nor remembers the command's buffer.",
            Page("Active"),
        )
        .hint("`--guard` stops the client at the instruction that does it, also if it only reads.")
        .act(backup(&slowly))
        .judged(&[Check::HandsOff, Check::Played]),
    ]
}
