//! The headers of descriptor blocks and of streams.

use serde::Serialize;

use crate::checksum::header_checksum;
use crate::record::{Field, TextRef};
use crate::tag::Tag;

/// The common header of every descriptor block (spec: MTF 1.00a, `MTF_DB_HDR`), as a table of
/// fields.
#[derive(Debug)]
pub struct BlockHeader;

impl BlockHeader {
    /// Size of the header in bytes.
    pub const SIZE: usize = 52;
    /// [`Self::ATTRIBUTES`] of a TAPE block: a set map exists, a detail directory is allowed.
    pub const TAPE_ATTRIBUTES: u32 = 0x0003_0000;
    /// [`Self::ATTRIBUTES`] of a soft filemark in the layout of SQL Server 2008 and later.
    pub const FILEMARK_ATTRIBUTES: u32 = 0x8000_0000;
    /// [`Self::STRING_TYPE`] of a block with UTF-16 strings.
    pub const UTF16: u8 = 2;

    /// Type of the block.
    pub const TYPE: Field<Self, [u8; 4]> = Field::at(0);
    /// Attributes, by block type.
    pub const ATTRIBUTES: Field<Self, u32> = Field::at(4);
    /// Offset of what follows the descriptor: its first stream, or the next block.
    pub const FIRST_EVENT: Field<Self, u16> = Field::at(8);
    /// Operating system, 14 = Windows NT.
    pub const OS_ID: Field<Self, u8> = Field::at(10);
    /// Version of the operating-system data, 1.
    pub const OS_VERSION: Field<Self, u8> = Field::at(11);
    /// Displayable size.
    pub const DISPLAYABLE_SIZE: Field<Self, u64> = Field::at(12);
    /// Format logical address: distance from the SSET block in format logical blocks.
    pub const FORMAT_LOGICAL_ADDRESS: Field<Self, u64> = Field::at(20);
    /// Number of the block in its set, from 0 at SSET.
    pub const CONTROL_BLOCK_ID: Field<Self, u32> = Field::at(36);
    /// Operating-system data.
    pub const OS_DATA: Field<Self, TextRef> = Field::at(44);
    /// 0 no strings, 1 ANSI, [`Self::UTF16`].
    pub const STRING_TYPE: Field<Self, u8> = Field::at(48);
    /// Exclusive or of the 25 words before it.
    pub const CHECKSUM: Field<Self, u16> = Field::at(50);

    /// Fills in the checksum of the header at the start of `block`.
    pub(crate) fn seal(block: &mut [u8]) {
        let sum = Self::compute_checksum(block);
        Self::CHECKSUM.write(block, sum);
    }

    /// The checksum that belongs in the header at the start of `block`.
    pub(crate) fn compute_checksum(block: &[u8]) -> u16 {
        header_checksum(&block[..Self::CHECKSUM.offset()])
    }
}

/// The header of a stream (spec: MTF 1.00a, `MTF_STREAM_HDR`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StreamHeader {
    /// What the stream holds.
    pub id: Tag,
    /// File-system attributes; SQL Server writes 0.
    pub file_attributes: u16,
    /// Media-format attributes: the constants of this type.
    pub media_attributes: u16,
    /// Bytes of data after the header.
    pub length: u64,
    /// Encryption algorithm; SQL Server writes 0.
    pub encryption: u16,
    /// Compression algorithm; SQL Server writes 0.
    pub compression: u16,
}

impl StreamHeader {
    /// Size of the header in bytes.
    pub const SIZE: usize = 22;
    /// Media-format attribute: the stream comes in pieces of its own length each.
    pub const VARIABLE: u16 = 0x2;
    /// Media-format attribute: the last piece.
    pub const VARIABLE_END: u16 = 0x4;
    /// Media-format attribute: the data is encrypted.
    pub const ENCRYPTED: u16 = 0x8;
    /// Media-format attribute: the data is compressed.
    pub const COMPRESSED: u16 = 0x10;
    /// Media-format attribute of SQL Server: an alignment stream.
    pub const ALIGNMENT: u16 = 0x80;
    /// Media-format attribute of SQL Server: a CSUM stream follows.
    pub const CHECKSUM_FOLLOWS: u16 = 0x100;

    /// A header with the attributes that SQL Server leaves at zero.
    pub fn new(id: Tag, media_attributes: u16, length: u64) -> Self {
        Self { id, file_attributes: 0, media_attributes, length, encryption: 0, compression: 0 }
    }

    /// Whether a CSUM stream must follow.
    pub fn checksum_follows(&self) -> bool {
        self.media_attributes & Self::CHECKSUM_FOLLOWS != 0
    }

    /// The header on the media, with its checksum.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&self.id.0);
        bytes[4..6].copy_from_slice(&self.file_attributes.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.media_attributes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..18].copy_from_slice(&self.encryption.to_le_bytes());
        bytes[18..20].copy_from_slice(&self.compression.to_le_bytes());
        let sum = header_checksum(&bytes[..20]);
        bytes[20..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The header, and the stored and the computed checksum if they differ.
    pub(crate) fn decode(bytes: &[u8; Self::SIZE]) -> (Self, Option<(u16, u16)>) {
        let word = |at| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let length = (0..4).fold(0, |length, i| length | u64::from(word(8 + 2 * i)) << (16 * i));
        let header = Self {
            id: Tag([bytes[0], bytes[1], bytes[2], bytes[3]]),
            file_attributes: word(4),
            media_attributes: word(6),
            length,
            encryption: word(16),
            compression: word(18),
        };
        let (stored, computed) = (word(20), header_checksum(&bytes[..20]));
        (header, (stored != computed).then_some((stored, computed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tag::stream_id;

    #[test]
    fn a_stream_header_of_a_real_backup() {
        let header = StreamHeader::new(stream_id::MQDA, StreamHeader::VARIABLE, 0x34_0002);
        let bytes = header.encode();
        assert_eq!(bytes[20..], 0x103du16.to_le_bytes());
        assert_eq!(StreamHeader::decode(&bytes), (header, None));

        let mut flipped = bytes;
        flipped[9] ^= 1;
        assert_eq!(StreamHeader::decode(&flipped).1, Some((0x103d, 0x113d)));
    }
}
