//! What an explanation says about a code, whatever kind of code it is.

/// The words about one code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// What the code means.
    pub(crate) text: &'static str,
    /// What usually lies behind it, the commonest first.
    pub(crate) causes: &'static [&'static str],
    /// What to do, in the order to try.
    pub(crate) remedies: &'static [&'static str],
    /// Where the meaning is stated.
    pub(crate) source: &'static str,
}
