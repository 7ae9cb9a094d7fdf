//! Four-letter tags.

use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};

/// The four ASCII letters that name a descriptor block, a stream or a configuration chunk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tag(pub [u8; 4]);

impl Tag {
    /// Whether these are four capital letters or digits, as every tag of the format is.
    pub fn is_plausible(self) -> bool {
        self.0.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            match byte {
                b' '..=b'~' => f.write_char(char::from(byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}

impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Descriptor block types (spec: MTF 1.00a §5; MSCI, MSDA, MSTL, MSLS are SQL Server's own).
pub mod block_type {
    use super::Tag;

    /// Media header: the first block of a family.
    pub const TAPE: Tag = Tag(*b"TAPE");
    /// Soft filemark.
    pub const SFMB: Tag = Tag(*b"SFMB");
    /// Start of a backup set.
    pub const SSET: Tag = Tag(*b"SSET");
    /// Volume.
    pub const VOLB: Tag = Tag(*b"VOLB");
    /// SQL Server: configuration of the backup, before its data.
    pub const MSCI: Tag = Tag(*b"MSCI");
    /// SQL Server: data pages.
    pub const MSDA: Tag = Tag(*b"MSDA");
    /// SQL Server: one virtual log file.
    pub const MSTL: Tag = Tag(*b"MSTL");
    /// SQL Server: the configuration again, with final values.
    pub const MSLS: Tag = Tag(*b"MSLS");
    /// End of a backup set.
    pub const ESET: Tag = Tag(*b"ESET");
    /// Directory (not used by SQL Server).
    pub const DIRB: Tag = Tag(*b"DIRB");
    /// File (not used by SQL Server).
    pub const FILE: Tag = Tag(*b"FILE");
    /// Corrupt object (not used by SQL Server).
    pub const CFIL: Tag = Tag(*b"CFIL");
    /// End of set pad (not used by SQL Server).
    pub const ESPB: Tag = Tag(*b"ESPB");
    /// End of tape: the set goes on, on another volume.
    pub const EOTM: Tag = Tag(*b"EOTM");
}

/// Stream ids (spec: MTF 1.00a §6; RAID, MQCI, APAD, MQDA, MQTL, OTCP are SQL Server's own).
pub mod stream_id {
    use super::Tag;

    /// Pads to the next block and ends the stream list of its block.
    pub const SPAD: Tag = Tag(*b"SPAD");
    /// Checksum of the stream before it.
    pub const CSUM: Tag = Tag(*b"CSUM");
    /// Set map of the media.
    pub const TSMP: Tag = Tag(*b"TSMP");
    /// SQL Server: media set and family numbers.
    pub const RAID: Tag = Tag(*b"RAID");
    /// SQL Server: configuration chunks.
    pub const MQCI: Tag = Tag(*b"MQCI");
    /// SQL Server: pads so that the payload of the next stream is aligned.
    pub const APAD: Tag = Tag(*b"APAD");
    /// SQL Server: extents of data pages.
    pub const MQDA: Tag = Tag(*b"MQDA");
    /// SQL Server: bytes of the transaction log.
    pub const MQTL: Tag = Tag(*b"MQTL");
    /// SQL Server: pads before the set map.
    pub const OTCP: Tag = Tag(*b"OTCP");
}
