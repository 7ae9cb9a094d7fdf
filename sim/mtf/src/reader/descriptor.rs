//! Reading descriptor blocks: what a header must be, and where it may stand.

use crate::block::{Block, Sset, Tape};
use crate::error::MtfError;
use crate::header::BlockHeader;
use crate::record::Record;
use crate::tag::{Tag, block_type};

use super::order::{self, Place};
use super::{Events, Progress, Reader, SetPlace, State, Stop};

/// The first bytes of a compressed backup.
const COMPRESSED_SIGNATURE: &[u8; 8] = b"MSSQLBAK";

impl Reader {
    pub(super) fn read_block<S: Events>(
        &mut self,
        input: &mut &[u8],
        sink: &mut S,
    ) -> Result<Progress, Stop<S::Error>> {
        if self.collected.is_empty() {
            self.item_at = self.position;
        }
        if self.collected.len() < BlockHeader::SIZE {
            if self.collect(BlockHeader::SIZE, input) == Progress::Hungry {
                return Ok(Progress::Hungry);
            }
            self.check_header()?;
        }
        let size = BlockHeader::FIRST_EVENT.read(&self.collected).into();
        if self.collect(size, input) == Progress::Hungry {
            return Ok(Progress::Hungry);
        }
        let name = Tag(BlockHeader::TYPE.read(&self.collected));
        let block = Block::parse(std::mem::take(&mut self.collected))
            .map_err(|unfit| self.malformed(name, unfit.reason()))?;
        self.accept_block(&block, sink)?;
        if matches!(block, Block::Sfmb(_)) {
            self.end_block(sink)?;
        } else {
            self.state = State::Stream;
        }
        Ok(Progress::Next)
    }

    /// What can be said from the header alone.
    fn check_header(&self) -> Result<(), MtfError> {
        let header = &self.collected;
        if self.place == Place::Start {
            check_signature(header)?;
        }
        let (name, at) = (Tag(BlockHeader::TYPE.read(header)), self.item_at);
        let stored = BlockHeader::CHECKSUM.read(header);
        let computed = BlockHeader::compute_checksum(header);
        if stored != computed {
            return Err(MtfError::HeaderChecksum { name, at, stored, computed });
        }
        if order::is_foreign(name) {
            let feature = "a block type that SQL Server does not write";
            return Err(MtfError::Unsupported { name, at, feature });
        }
        if self.place.after(name, self.filemarks).is_none() {
            let after = self.place.describe();
            return Err(MtfError::UnexpectedBlock { found: name, after, at });
        }
        let size = usize::from(BlockHeader::FIRST_EVENT.read(header));
        if size < BlockHeader::SIZE || !size.is_multiple_of(4) {
            return Err(self.malformed(name, "its size is no multiple of 4 or less than 52"));
        }
        Ok(())
    }

    fn accept_block<S: Events>(
        &mut self,
        block: &Block,
        sink: &mut S,
    ) -> Result<(), Stop<S::Error>> {
        match block {
            Block::Tape(tape) => self.accept_tape(tape)?,
            Block::Sset(set) => self.accept_set(set)?,
            _ => {}
        }
        let name = block.block_type();
        let next = self.place.after(name, self.filemarks);
        self.place = next.expect("checked with the header");
        if self.place.is_in_set() {
            self.check_place(block, sink)?;
        }
        sink.block(block, self.item_at).map_err(Stop::Receiver)
    }

    fn accept_tape(&mut self, tape: &Record<Tape>) -> Result<(), MtfError> {
        let major = tape.get(Tape::FORMAT_VERSION);
        if major != 1 {
            return Err(MtfError::FormatVersion { major });
        }
        let sequence = tape.get(Tape::MEDIA_SEQUENCE);
        if sequence != 1 {
            return Err(MtfError::ContinuationVolume { sequence });
        }
        let logical_block_size = tape.get(Tape::LOGICAL_BLOCK_SIZE);
        if ![512, 1024].contains(&logical_block_size) {
            let reason = "its format logical block size is neither 512 nor 1024";
            return Err(self.malformed(block_type::TAPE, reason));
        }
        self.logical_block_size = logical_block_size.into();
        self.filemarks = tape.has_filemarks();
        if self.filemarks && !tape.get(Tape::FILEMARK_SIZE).is_power_of_two() {
            let reason = "its filemark size is no power of 2";
            return Err(self.malformed(block_type::TAPE, reason));
        }
        Ok(())
    }

    fn accept_set(&mut self, set: &Record<Sset>) -> Result<(), MtfError> {
        let vendor = set.get(Sset::SOFTWARE_VENDOR);
        if vendor != Tape::MICROSOFT_SQL_SERVER {
            return Err(MtfError::NotSqlServer { vendor, at: self.item_at });
        }
        self.set = SetPlace { at: self.item_at, ..SetPlace::default() };
        Ok(())
    }

    /// Checks number and address of a block in its set.
    fn check_place<S: Events>(
        &mut self,
        block: &Block,
        sink: &mut S,
    ) -> Result<(), Stop<S::Error>> {
        let id = block.header(BlockHeader::CONTROL_BLOCK_ID);
        let address = block.header(BlockHeader::FORMAT_LOGICAL_ADDRESS);
        let expected_id = self.set.next_id;
        let expected_address = (self.item_at - self.set.at) / self.logical_block_size;
        self.set.next_id = expected_id.wrapping_add(1);
        if (id, address) == (expected_id, expected_address) {
            return Ok(());
        }
        let (name, at) = (block.block_type(), self.item_at);
        let damage = MtfError::Misplaced { name, at, id, expected_id, address, expected_address };
        sink.damage(damage).map_err(Stop::Receiver)
    }

    pub(super) fn end_block<S: Events>(&mut self, sink: &mut S) -> Result<(), Stop<S::Error>> {
        if self.place == Place::Body && !self.set.has_configuration {
            return Err(self.malformed(block_type::MSCI, "it has no configuration").into());
        }
        let finished = self.place == Place::Complete;
        self.state = if finished { State::Finished } else { State::Block };
        sink.end_block(self.position).map_err(Stop::Receiver)
    }
}

/// Tells a media header from other files by their first bytes.
pub(super) fn check_signature(start: &[u8]) -> Result<(), MtfError> {
    if start.starts_with(COMPRESSED_SIGNATURE) {
        return Err(MtfError::Compressed);
    }
    let known = start.len().min(4);
    if start[..known] == block_type::TAPE.0[..known] {
        return Ok(());
    }
    let mut found = [0; 4];
    found[..known].copy_from_slice(&start[..known]);
    Err(MtfError::NotMtf { found: Tag(found) })
}
