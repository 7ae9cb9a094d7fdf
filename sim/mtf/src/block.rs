//! Descriptor blocks: one table of fields each.
//!
//! A block's record starts with the common header ([`BlockHeader`]), so that the offsets here are
//! those of the specification. Address, number, sizes and checksum of the header are computed when
//! a block is written.

mod media;
mod set;
mod sql_server;

pub use media::{MediaLabel, Sfmb, Tape};
pub use set::{Eset, SetLabel, Sset, Volb};
pub use sql_server::{Msci, Msda, Msls, Mstl, VirtualLogFile};

use crate::header::BlockHeader;
use crate::record::{Field, Kind, Record, Unfit, Value};
use crate::tag::{Tag, block_type};

/// A [`Kind`] of record that is a descriptor block.
pub trait BlockKind: Kind {
    /// Its type.
    const TYPE: Tag;
    /// Attributes in the header that SQL Server writes.
    const ATTRIBUTES: u32 = 0;
    /// String type in the header that SQL Server writes.
    const STRING_TYPE: u8 = BlockHeader::UTF16;
}

impl<K: BlockKind> Record<K> {
    /// A block of `fixed` bytes that is zero but for its header.
    pub(crate) fn block(fixed: usize) -> Self {
        let mut block = Self::zeroed(fixed);
        block
            .set_header(BlockHeader::TYPE, K::TYPE.0)
            .set_header(BlockHeader::ATTRIBUTES, K::ATTRIBUTES)
            .set_header(BlockHeader::OS_ID, 14)
            .set_header(BlockHeader::OS_VERSION, 1)
            .set_header(BlockHeader::STRING_TYPE, K::STRING_TYPE);
        block
    }

    /// A field of the common header.
    pub fn header<T: Value>(&self, field: Field<BlockHeader, T>) -> T {
        field.read(self.bytes())
    }

    fn set_header<T: Value>(&mut self, field: Field<BlockHeader, T>, value: T) -> &mut Self {
        self.set(Field::at(field.offset()), value)
    }
}

/// A block inside a set whose type is not known; its streams pass through.
#[derive(Debug)]
pub struct Unknown;

impl Kind for Unknown {
    const NAME: &'static str = "unknown block";
    const FIXED: usize = BlockHeader::SIZE;
}

/// A descriptor block.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is documented at its record kind")]
pub enum Block {
    Tape(Record<Tape>),
    Sfmb(Record<Sfmb>),
    Sset(Record<Sset>),
    Volb(Record<Volb>),
    Msci(Record<Msci>),
    Msda(Record<Msda>),
    Mstl(Record<Mstl>),
    Msls(Record<Msls>),
    Eset(Record<Eset>),
    Unknown(Record<Unknown>),
}

impl Block {
    /// Takes the bytes of a block whose header has been checked.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, Unfit> {
        Ok(match Tag(BlockHeader::TYPE.read(&bytes)) {
            block_type::TAPE => Self::Tape(Record::parse(bytes)?),
            block_type::SFMB => Self::Sfmb(Record::parse(bytes)?),
            block_type::SSET => Self::Sset(Record::parse(bytes)?),
            block_type::VOLB => Self::Volb(Record::parse(bytes)?),
            block_type::MSCI => Self::Msci(Record::parse(bytes)?),
            block_type::MSDA => Self::Msda(Record::parse(bytes)?),
            block_type::MSTL => Self::Mstl(Record::parse(bytes)?),
            block_type::MSLS => Self::Msls(Record::parse(bytes)?),
            block_type::ESET => Self::Eset(Record::parse(bytes)?),
            _ => Self::Unknown(Record::parse(bytes)?),
        })
    }

    /// The block from its header to its first stream.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Tape(record) => record.bytes(),
            Self::Sfmb(record) => record.bytes(),
            Self::Sset(record) => record.bytes(),
            Self::Volb(record) => record.bytes(),
            Self::Msci(record) => record.bytes(),
            Self::Msda(record) => record.bytes(),
            Self::Mstl(record) => record.bytes(),
            Self::Msls(record) => record.bytes(),
            Self::Eset(record) => record.bytes(),
            Self::Unknown(record) => record.bytes(),
        }
    }

    /// Its type.
    pub fn block_type(&self) -> Tag {
        Tag(self.header(BlockHeader::TYPE))
    }

    /// A field of the common header.
    pub fn header<T: Value>(&self, field: Field<BlockHeader, T>) -> T {
        field.read(self.bytes())
    }
}
