//! SQL Server's own blocks: configuration, data pages, log, summary.

use std::ops::Range;

use crate::lsn::Lsn;
use crate::record::{Field, Kind, Record, TextRef};
use crate::tag::{Tag, block_type};

use super::BlockKind;

/// SQL Server's configuration block, before the data.
#[derive(Debug)]
pub struct Msci;

impl Kind for Msci {
    const NAME: &'static str = "MSCI";
    const FIXED: usize = 56;
}

impl BlockKind for Msci {
    const TYPE: Tag = block_type::MSCI;
}

/// SQL Server's summary block: the configuration with final values.
#[derive(Debug)]
pub struct Msls;

impl Kind for Msls {
    const NAME: &'static str = "MSLS";
    const FIXED: usize = 56;
}

impl BlockKind for Msls {
    const TYPE: Tag = block_type::MSLS;
}

/// SQL Server's block of data pages.
#[derive(Debug)]
pub struct Msda;

impl Msda {
    /// Always 1; its meaning is not known.
    const CONSTANT: Field<Self, u16> = Field::at(58);
}

impl Kind for Msda {
    const NAME: &'static str = "MSDA";
    const FIXED: usize = 60;
}

impl BlockKind for Msda {
    const TYPE: Tag = block_type::MSDA;
    const STRING_TYPE: u8 = 0;
}

impl Record<Msci> {
    /// A new configuration block.
    pub fn new() -> Self {
        Self::block(Msci::FIXED)
    }
}

impl Record<Msls> {
    /// A new summary block.
    pub fn new() -> Self {
        Self::block(Msls::FIXED)
    }
}

impl Record<Msda> {
    /// A new data block.
    pub fn new() -> Self {
        let mut block = Self::block(Msda::FIXED);
        block.set(Msda::CONSTANT, 1);
        block
    }
}

impl Default for Record<Msci> {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Record<Msls> {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Record<Msda> {
    fn default() -> Self {
        Self::new()
    }
}

/// SQL Server's block for one virtual log file.
#[derive(Debug)]
pub struct Mstl;

impl Mstl {
    /// First block of log records in a virtual log file, in bytes from its start.
    const FIRST_BLOCK: u64 = 8192;

    /// Always 1; its meaning is not known.
    const CONSTANT: Field<Self, u16> = Field::at(58);
    /// Byte offset in the log file where the log in the backup starts; 0 if there is none.
    pub const START: Field<Self, u64> = Field::at(60);
    /// Byte offset in the log file where it ends.
    pub const END: Field<Self, u64> = Field::at(68);
    /// File id of the log file.
    pub const FILE_ID: Field<Self, u16> = Field::at(76);
    /// The record of the virtual log file: the fields below and zeros.
    pub const VLF: Field<Self, TextRef> = Field::at(80);
    /// Its sequence number; 0 if it contributes no log.
    pub const VLF_SEQUENCE: Field<Self, u32> = Field::at(92);
    /// Its size in bytes.
    pub const VLF_SIZE: Field<Self, u64> = Field::at(96);
    /// Its byte offset in the log file.
    pub const VLF_START: Field<Self, u64> = Field::at(104);
    /// File id, again.
    pub const VLF_FILE_ID: Field<Self, u16> = Field::at(112);
    /// Parity: 0, 64 or 128.
    pub const VLF_PARITY: Field<Self, u16> = Field::at(114);
    /// LSN of its creation.
    pub const VLF_CREATE_LSN: Field<Self, Lsn> = Field::at(116);
    /// 4 or 5, by release.
    pub(crate) const VLF_VERSION: Field<Self, u16> = Field::at(126);
}

impl Kind for Mstl {
    const NAME: &'static str = "MSTL";
    const FIXED: usize = 128;
    const TEXTS: &'static [Field<Self, TextRef>] = &[];
}

impl BlockKind for Mstl {
    const TYPE: Tag = block_type::MSTL;
    const STRING_TYPE: u8 = 0;
}

/// One virtual log file of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtualLogFile {
    /// File id of the log file.
    pub file_id: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Byte offset in the log file.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// Where its log ends if more follows in the next one, in bytes from its start: at its end, or
    /// before.
    pub filled: u64,
    /// Parity: 0, 64 or 128.
    pub parity: u16,
    /// LSN of its creation.
    pub create_lsn: Lsn,
}

impl VirtualLogFile {
    /// The part of the log file that a backup from `first` to `last` takes from this virtual log
    /// file, in bytes; none if it holds none of that log.
    pub fn range(&self, first: Lsn, last: Lsn) -> Option<Range<u64>> {
        if self.sequence < first.vlf || self.sequence > last.vlf {
            return None;
        }
        let at = |lsn: Lsn| self.start + 512 * u64::from(lsn.block);
        let start =
            if self.sequence == first.vlf { at(first) } else { self.start + Mstl::FIRST_BLOCK };
        let end = if self.sequence == last.vlf { at(last) } else { self.start + self.filled };
        Some(start..end)
    }
}

impl Record<Mstl> {
    /// The block of a virtual log file: of `size` bytes, whose VLF record ends with `version`, as
    /// the release wants it; `range` is the log that follows.
    pub(crate) fn with_layout(
        size: usize,
        version: u16,
        vlf: &VirtualLogFile,
        range: Option<Range<u64>>,
    ) -> Self {
        let mut block = Self::block(size);
        let record = TextRef {
            size: (size - Mstl::VLF_SEQUENCE.offset()) as u16,
            offset: Mstl::VLF_SEQUENCE.offset() as u16,
        };
        let sequence = if range.is_some() { vlf.sequence } else { 0 };
        let range = range.unwrap_or_default();
        block
            .set(Mstl::CONSTANT, 1)
            .set(Mstl::START, range.start)
            .set(Mstl::END, range.end)
            .set(Mstl::FILE_ID, vlf.file_id)
            .set(Mstl::VLF, record)
            .set(Mstl::VLF_SEQUENCE, sequence)
            .set(Mstl::VLF_SIZE, vlf.size)
            .set(Mstl::VLF_START, vlf.start)
            .set(Mstl::VLF_FILE_ID, vlf.file_id)
            .set(Mstl::VLF_PARITY, vlf.parity)
            .set(Mstl::VLF_CREATE_LSN, vlf.create_lsn)
            .set(Mstl::VLF_VERSION, version);
        block
    }

    /// Bytes of log that the backup takes from this virtual log file. They follow on the family
    /// that carries the log, filled up with zeros to 64 KiB.
    pub fn log_size(&self) -> u64 {
        self.get(Mstl::END).saturating_sub(self.get(Mstl::START))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Catches: a range taken from the wrong end, blocks not counted from the start of the virtual
    /// log file, its header taken for log.
    #[rstest]
    #[case::before_the_log(6, None)]
    #[case::first(7, Some(0x10_0000 + 512 * 20..0x14_0000))]
    #[case::between(8, Some(0x10_0000 + 8192..0x14_0000))]
    #[case::last(9, Some(0x10_0000 + 8192..0x10_0000 + 512 * 100))]
    #[case::after_the_log(10, None)]
    fn log_is_taken_from_the_first_lsn_to_the_last(
        #[case] sequence: u32,
        #[case] range: Option<Range<u64>>,
    ) {
        let vlf = VirtualLogFile {
            file_id: 2,
            sequence,
            start: 0x10_0000,
            size: 0x4_0000,
            filled: 0x4_0000,
            parity: 64,
            create_lsn: Lsn::default(),
        };
        let first = Lsn { vlf: 7, block: 20, slot: 1 };
        let last = Lsn { vlf: 9, block: 100, slot: 1 };
        assert_eq!(vlf.range(first, last), range);
    }
}
