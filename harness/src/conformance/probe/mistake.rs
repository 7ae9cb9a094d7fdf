//! Mistakes that a probe makes on purpose, so that the suite's own test sees every cell fail.

use clap::ValueEnum;
use vdi_protocol::HResult;

/// What a probe does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mistake {
    /// No call is ever refused.
    ForgivesAll,
    /// Every call is refused.
    RefusesAll,
    /// The server half's SignalAbort aborts nothing.
    NeverAborts,
}

impl Mistake {
    /// As command lines have it.
    pub fn word(self) -> String {
        self.to_possible_value().map_or_else(String::new, |word| word.get_name().to_owned())
    }

    /// What a call returns with this mistake in the place of `status`.
    pub(super) fn forge(self, status: HResult) -> HResult {
        match self {
            Mistake::ForgivesAll => HResult::NOERROR,
            Mistake::RefusesAll => HResult::VD_E_PROTOCOL,
            Mistake::NeverAborts => status,
        }
    }
}
