//! Where a rule comes from, and how strictly it may therefore be judged.

use std::fmt;

use super::results::Level;

/// The source of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A page of Microsoft's VDI specification.
    Page(&'static str),
    /// Microsoft's header or sample's readme.
    Microsoft(&'static str),
    /// An article of Microsoft's knowledge base.
    Article(&'static str),
    /// A page that other sources contradict, or that leaves the matter open, in this way.
    Uncertain(&'static str, &'static str),
    /// Follows from what is stated here, but is not stated itself.
    Inferred(&'static str),
    /// What clients that work with SQL Server do, or what its users have learnt.
    Practice(&'static str),
}

impl Source {
    /// The strictest level that a rule from here may have.
    pub fn strictest(self) -> Level {
        match self {
            Source::Page(_) | Source::Microsoft(_) | Source::Article(_) => Level::Must,
            Source::Inferred(_) | Source::Practice(_) => Level::Should,
            Source::Uncertain(..) => Level::Disputed,
        }
    }

    /// Whether a rule from here may have this level.
    pub fn allows(self, level: Level) -> bool {
        match self.strictest() {
            Level::Must => level != Level::Disputed,
            Level::Should => level != Level::Must,
            _ => matches!(level, Level::Disputed | Level::Info),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Page(page) => write!(f, "VDI, {page} page"),
            Source::Microsoft(what) | Source::Article(what) => f.write_str(what),
            Source::Uncertain(page, doubt) => write!(f, "VDI, {page} page; uncertain: {doubt}"),
            Source::Inferred(page) => write!(f, "inferred from VDI, {page} page"),
            Source::Practice(what) => write!(f, "practice: {what}"),
        }
    }
}
