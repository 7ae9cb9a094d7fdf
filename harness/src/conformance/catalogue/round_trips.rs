//! Whole backups and restores of our own client, in every mode: the self-test's own cases.

use crate::conformance::case::{Case, Trial};
use crate::conformance::results::Level;
use crate::conformance::source::Source;
use crate::selftest::{MODES, Mode};

pub(super) fn cases() -> Vec<Case> {
    MODES.iter().map(round_trip).collect()
}

fn round_trip(mode: &'static Mode) -> Case {
    let id = format!("self-test/round-trip/{}", mode.name);
    let rule = format!("Every byte comes back: {}.", mode.about);
    let case = Case::new(&id, Level::Must, &rule, Source::Page("Active"));
    Case { trial: Trial::RoundTrip(mode), ..case }
}
