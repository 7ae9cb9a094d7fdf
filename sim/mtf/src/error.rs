//! What can be wrong with a stream.

use crate::page::PageId;
use crate::record::TextTooLong;
use crate::tag::Tag;

/// What is wrong with a stream, and where: `at` is a byte offset from the start of the stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MtfError {
    /// Nothing was read.
    #[error("the stream is empty; check that the device delivered the backup")]
    Empty,
    /// The stream does not start with a media header.
    #[error(
        "the stream starts with \"{found}\" and not with a TAPE block: it is no Microsoft Tape \
         Format stream; check that this is a native SQL Server backup"
    )]
    NotMtf {
        /// First four bytes.
        found: Tag,
    },
    /// The stream is the container of a compressed backup.
    #[error(
        "this is a compressed SQL Server backup (MSSQLBAK container), which is not supported; \
         make the backup WITH NO_COMPRESSION"
    )]
    Compressed,
    /// A checksum of a header is wrong.
    #[error(
        "the checksum of the {name} header at byte {at} is {stored:#06x} and should be \
         {computed:#06x}: the stream is damaged there, or bytes before it are missing"
    )]
    HeaderChecksum {
        /// Type of the block or id of the stream, as read.
        name: Tag,
        /// Where the header starts.
        at: u64,
        /// Checksum in the header.
        stored: u16,
        /// Checksum of its bytes.
        computed: u16,
    },
    /// A block stands where it may not.
    #[error(
        "a \"{found}\" block at byte {at} may not follow {after}: the stream is damaged or not \
         written by SQL Server"
    )]
    UnexpectedBlock {
        /// Type of the block.
        found: Tag,
        /// What it follows.
        after: &'static str,
        /// Where the block starts.
        at: u64,
    },
    /// A structure contradicts itself.
    #[error("the {name} at byte {at} is malformed: {reason}; the stream is damaged there")]
    Malformed {
        /// Block, stream or chunk.
        name: Tag,
        /// Where it starts.
        at: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A block's address or number in its set is not what its place says.
    #[error(
        "the {name} block at byte {at} says that it is block {id} at address {address} of its \
         set, but it is block {expected_id} at address {expected_address}: a part of the stream \
         is missing or comes twice"
    )]
    Misplaced {
        /// Type of the block.
        name: Tag,
        /// Where it starts.
        at: u64,
        /// Number it says.
        id: u32,
        /// Number by its place.
        expected_id: u32,
        /// Format logical address it says.
        address: u64,
        /// Format logical address by its place.
        expected_address: u64,
    },
    /// A feature of the tape format that SQL Server does not use.
    #[error("the {name} at byte {at} uses {feature}, which is not supported in a backup")]
    Unsupported {
        /// Block or stream.
        name: Tag,
        /// Where it starts.
        at: u64,
        /// The feature.
        feature: &'static str,
    },
    /// Another version of the tape format.
    #[error("the media is of Microsoft Tape Format version {major}; version 1 is supported")]
    FormatVersion {
        /// Version it says.
        major: u8,
    },
    /// A later volume of a family.
    #[error(
        "the media is volume {sequence} of its family; start with volume 1, which holds the start \
         of the backup set"
    )]
    ContinuationVolume {
        /// Volume it says.
        sequence: u16,
    },
    /// A backup set of other software.
    #[error(
        "the backup set at byte {at} was written by software vendor {vendor:#06x} and not by SQL \
         Server; it holds no database"
    )]
    NotSqlServer {
        /// Vendor it says.
        vendor: u16,
        /// Where the set starts.
        at: u64,
    },
    /// The stream ends too early.
    #[error(
        "the stream ends at byte {at}, after {after}, before the backup set is complete; check \
         that all that was written is read back"
    )]
    Truncated {
        /// Its length.
        at: u64,
        /// How far it got.
        after: &'static str,
        /// Which part of the set is missing.
        part: TruncatedPart,
    },
    /// A page's checksum is wrong.
    #[error(
        "the checksum of page {page}, at byte {at}, is {stored:#010x} and should be \
         {computed:#010x}: the page was damaged before the backup or on its way"
    )]
    PageChecksum {
        /// Number in the page's header.
        page: PageId,
        /// Where the page starts.
        at: u64,
        /// Checksum in the header.
        stored: u32,
        /// Checksum of its bytes.
        computed: u32,
    },
    /// A backup checksum is wrong.
    #[error(
        "the backup checksum at byte {at} is {stored:#010x} and should be {computed:#010x}: the \
         data before it was damaged after it was written"
    )]
    BackupChecksum {
        /// Where the CSUM stream starts.
        at: u64,
        /// Checksum in the stream.
        stored: u32,
        /// Checksum of the data.
        computed: u32,
    },
    /// The receiver of the events gave up earlier.
    #[error("reading was abandoned at byte {at}, when the receiver of the data refused it")]
    Abandoned {
        /// Where.
        at: u64,
    },
    /// A string is too long for its record.
    #[error(transparent)]
    TextTooLong(#[from] TextTooLong),
}

/// What a truncated stream does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TruncatedPart {
    /// The blocks before the data.
    Start,
    /// Data, log or summary.
    Data,
    /// The blocks that end the set.
    End,
}

impl MtfError {
    /// Number of SQL Server's message for this.
    ///
    /// Where a stream ends in its data, SQL Server reports the failing read: 3203 with operating
    /// system error 38.
    pub fn sql_message(&self) -> u32 {
        match self {
            Self::NotSqlServer { .. } => 3143,
            Self::PageChecksum { .. } => 3183,
            Self::BackupChecksum { .. } => 3189,
            Self::Truncated { part: TruncatedPart::Data, .. } => 3203,
            Self::Abandoned { .. } => 3204,
            Self::Truncated { part: TruncatedPart::Start, .. } => 3208,
            Self::Unsupported { .. } => 3239,
            Self::HeaderChecksum { .. }
            | Self::UnexpectedBlock { .. }
            | Self::Malformed { .. }
            | Self::Misplaced { .. }
            | Self::Compressed => 3241,
            Self::NotMtf { .. } => 3242,
            Self::FormatVersion { .. } => 3243,
            Self::TextTooLong(_) => 3244,
            Self::ContinuationVolume { .. } => 3249,
            Self::Empty => 3254,
            Self::Truncated { part: TruncatedPart::End, .. } => 3256,
        }
    }

    /// Where in the stream, in bytes from its start, as far as there is a place.
    pub fn at(&self) -> Option<u64> {
        match self {
            Self::HeaderChecksum { at, .. }
            | Self::UnexpectedBlock { at, .. }
            | Self::Malformed { at, .. }
            | Self::Misplaced { at, .. }
            | Self::Unsupported { at, .. }
            | Self::NotSqlServer { at, .. }
            | Self::Truncated { at, .. }
            | Self::PageChecksum { at, .. }
            | Self::BackupChecksum { at, .. }
            | Self::Abandoned { at } => Some(*at),
            Self::Empty
            | Self::NotMtf { .. }
            | Self::Compressed
            | Self::FormatVersion { .. }
            | Self::ContinuationVolume { .. }
            | Self::TextTooLong(_) => None,
        }
    }
}
