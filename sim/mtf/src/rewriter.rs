//! Writing a stream again from what a reader tells.

use std::io;

use crate::block::Block;
use crate::configuration::Configuration;
use crate::error::MtfError;
use crate::header::StreamHeader;
use crate::reader::Events;
use crate::record::Record;
use crate::set_map::{Raid, SetMap};
use crate::tag::{Tag, stream_id};
use crate::writer::Writer;

/// Writes the stream that a [`Reader`](crate::Reader) reads, from its fields: addresses, numbers,
/// filemarks, checksums are computed anew, so that the copy of a sound stream is the stream itself.
/// Data, log, padding and what is not interpreted pass through.
///
/// Wrong page checksums are copied; anything else that is wrong stops it.
#[derive(Debug)]
pub struct Rewriter<W> {
    writer: Writer<W>,
    /// The header of the stream begun.
    stream: StreamHeader,
}

/// Why a stream cannot be written again.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// Something is wrong with the stream read.
    #[error(transparent)]
    Stream(#[from] MtfError),
    /// The output failed.
    #[error("the copy cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl<W: io::Write> Rewriter<W> {
    /// A rewriter at the start of a stream.
    pub fn new(out: W) -> Self {
        Self { writer: Writer::new(out), stream: StreamHeader::new(Tag::default(), 0, 0) }
    }

    /// Where the bytes went.
    pub fn into_inner(self) -> W {
        self.writer.into_inner()
    }
}

impl<W: io::Write> Events for Rewriter<W> {
    type Error = RewriteError;

    fn block(&mut self, block: &Block, _at: u64) -> Result<(), Self::Error> {
        Ok(self.writer.block(block)?)
    }

    fn stream(&mut self, stream: &StreamHeader, _at: u64) -> Result<(), Self::Error> {
        self.stream = *stream;
        match stream.id {
            // Written with their data.
            stream_id::RAID | stream_id::MQCI | stream_id::TSMP | stream_id::CSUM => {}
            _ => self.writer.begin_payload(stream)?,
        }
        Ok(())
    }

    fn raid(&mut self, raid: &Record<Raid>) -> Result<(), Self::Error> {
        Ok(self.writer.stream(&self.stream, raid.bytes())?)
    }

    fn configuration(&mut self, configuration: &Configuration) -> Result<(), Self::Error> {
        Ok(self.writer.stream(&self.stream, &configuration.encode())?)
    }

    fn pages(&mut self, pages: &[u8]) -> Result<(), Self::Error> {
        Ok(self.writer.payload(pages)?)
    }

    fn log(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        Ok(self.writer.payload(bytes)?)
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        Ok(self.writer.payload(bytes)?)
    }

    fn padding(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        Ok(self.writer.payload(bytes)?)
    }

    fn checksum(&mut self, _checksum: u32) -> Result<(), Self::Error> {
        Ok(self.writer.checksum()?)
    }

    fn set_map(&mut self, map: &Record<SetMap>) -> Result<(), Self::Error> {
        Ok(self.writer.stream(&self.stream, map.bytes())?)
    }

    fn damage(&mut self, damage: MtfError) -> Result<(), Self::Error> {
        match damage {
            MtfError::PageChecksum { .. } => Ok(()),
            damage => Err(damage.into()),
        }
    }
}
