//! The order of blocks in a stream.
//!
//! ```text
//! TAPE SFMB  SSET VOLB MSCI MSDA* MSTL* MSLS  SFMB ESET ESET SFMB
//! ```
//!
//! Media without soft filemarks leave out the SFMB blocks. (spec: SQL Server's backup streams,
//! whole-file order)

use crate::error::{MtfError, TruncatedPart};
use crate::tag::{Tag, block_type as t};

/// How far the stream got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Start,
    Media,
    MediaMark,
    Set,
    Volume,
    Body,
    Summary,
    SummaryMark,
    FirstEnd,
    SecondEnd,
    Complete,
}

impl Place {
    /// The place after a block of type `block`; none if the block may not come here.
    pub(super) fn after(self, block: Tag, filemarks: bool) -> Option<Self> {
        Some(match (self, block) {
            (Self::Start, t::TAPE) => Self::Media,
            (Self::Media, t::SFMB) => Self::MediaMark,
            (Self::Media, t::SSET) if !filemarks => Self::Set,
            (Self::MediaMark | Self::Complete, t::SSET) => Self::Set,
            (Self::Set | Self::Volume, t::VOLB) => Self::Volume,
            (Self::Volume, t::MSCI) => Self::Body,
            (Self::Body, t::MSLS) => Self::Summary,
            (Self::Body, t::MSDA | t::MSTL) => Self::Body,
            (Self::Body, unknown) if is_unknown(unknown) => Self::Body,
            (Self::Summary, t::SFMB) => Self::SummaryMark,
            (Self::Summary, t::ESET) if !filemarks => Self::FirstEnd,
            (Self::SummaryMark, t::ESET) => Self::FirstEnd,
            (Self::FirstEnd, t::ESET) if filemarks => Self::SecondEnd,
            (Self::FirstEnd, t::ESET) => Self::Complete,
            (Self::SecondEnd, t::SFMB) => Self::Complete,
            _ => return None,
        })
    }

    /// Whether a block here has a number and an address in its set.
    pub(super) fn is_in_set(self) -> bool {
        matches!(self, Self::Set | Self::Volume | Self::Body | Self::Summary)
    }

    /// What was read last, in messages.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Start => "the start of the stream",
            Self::Media => "the media header (TAPE)",
            Self::MediaMark => "the filemark of the media header (SFMB)",
            Self::Set => "the start of the set (SSET)",
            Self::Volume => "the volume (VOLB)",
            Self::Body => "the configuration, data and log (MSCI, MSDA, MSTL)",
            Self::Summary => "the summary (MSLS)",
            Self::SummaryMark => "the filemark of the summary (SFMB)",
            Self::FirstEnd => "the first end of the set (ESET)",
            Self::SecondEnd => "the second end of the set (ESET)",
            Self::Complete => "the end of the set",
        }
    }

    /// What a stream that ends here, at byte `at`, is.
    pub(super) fn truncated(self, at: u64) -> MtfError {
        let part = match self {
            Self::Start | Self::Media | Self::MediaMark | Self::Set | Self::Volume => {
                TruncatedPart::Start
            }
            Self::Body => TruncatedPart::Data,
            _ => TruncatedPart::End,
        };
        MtfError::Truncated { at, after: self.describe(), part }
    }
}

/// Blocks of the tape format that SQL Server does not use.
pub(super) fn is_foreign(block: Tag) -> bool {
    [t::DIRB, t::FILE, t::CFIL, t::ESPB, t::EOTM].contains(&block)
}

fn is_unknown(block: Tag) -> bool {
    let known = [t::TAPE, t::SFMB, t::SSET, t::VOLB, t::MSCI, t::MSLS, t::ESET];
    block.is_plausible() && !known.contains(&block) && !is_foreign(block)
}
