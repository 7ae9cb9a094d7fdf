//! Where a rule comes from: the specification, or our own judgement.

/// Whether the specification states a rule or leaves it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The specification states it (the page is named where the table is).
    Stated,
    /// The specification is silent, contradicts itself or could not be read there; decided by
    /// sense, for the reason given.
    Decided(&'static str),
}

impl Source {
    /// Whether the specification states the rule.
    pub const fn is_stated(self) -> bool {
        matches!(self, Self::Stated)
    }
}
