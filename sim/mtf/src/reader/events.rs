//! What a reader tells.

use crate::block::Block;
use crate::configuration::Configuration;
use crate::error::MtfError;
use crate::header::StreamHeader;
use crate::record::Record;
use crate::set_map::{Raid, SetMap};

/// Receives what a [`Reader`](crate::Reader) finds, in the order of the stream. Every method may
/// stop the reader with an error; those that a receiver does not need do nothing by default.
///
/// Slices are parts of the bytes fed to the reader, wherever those hold the whole of what is to be
/// told at once; they are valid during the call only.
#[expect(unused_variables, reason = "the default methods ignore what they are told")]
pub trait Events {
    /// What stops the reader: what is wrong with the stream, or the receiver's own trouble.
    type Error: From<MtfError>;

    /// A descriptor block starts at byte `at`; its header was checked.
    fn block(&mut self, block: &Block, at: u64) -> Result<(), Self::Error> {
        Ok(())
    }

    /// A stream of the block starts at byte `at`; its header was checked. What it holds comes next,
    /// by one of the methods below.
    fn stream(&mut self, stream: &StreamHeader, at: u64) -> Result<(), Self::Error> {
        Ok(())
    }

    /// The media set numbers (RAID).
    fn raid(&mut self, raid: &Record<Raid>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// The configuration (MQCI): of MSCI, and again of MSLS.
    fn configuration(&mut self, configuration: &Configuration) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Whole data pages (MQDA), one or more, without the stream's two lead bytes.
    fn pages(&mut self, pages: &[u8]) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Bytes of log (MQTL), without the stream's two lead bytes. The zeros that fill the last
    /// 64 KiB are part of them; the block says how many bytes are log.
    fn log(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Bytes of a stream that is not interpreted.
    fn data(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Bytes of padding (SPAD, APAD, OTCP): zeros.
    fn padding(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        Ok(())
    }

    /// The checksum (CSUM) of the stream before it.
    fn checksum(&mut self, checksum: u32) -> Result<(), Self::Error> {
        Ok(())
    }

    /// The set map (TSMP).
    fn set_map(&mut self, map: &Record<SetMap>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// The block, with its streams, ends before byte `at`.
    fn end_block(&mut self, at: u64) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Something is wrong that does not keep the reader from going on: a page checksum, a backup
    /// checksum, a block out of its place. A damaged page is told before its bytes. Stops the
    /// reader by default; a receiver that wants to go on after errors returns `Ok`.
    fn damage(&mut self, damage: MtfError) -> Result<(), Self::Error> {
        Err(damage.into())
    }
}
