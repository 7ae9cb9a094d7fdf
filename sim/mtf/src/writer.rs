//! The writer of blocks and streams.
//!
//! Writes front to back to any [`io::Write`]: a `Vec`, a file, or the caller's packer of transfer
//! buffers. Whatever follows from the place in the stream is computed here: header checksums,
//! addresses and numbers, lengths of all padding, filemarks, backup checksums. Payloads go through
//! without being copied or kept.

use std::io;

use crate::block::{Block, Eset, Msls, Sfmb, Sset, Tape};
use crate::checksum::BackupChecksum;
use crate::header::{BlockHeader, StreamHeader};
use crate::record::{Kind, Record};
use crate::tag::{Tag, stream_id};

/// Distance to which blocks of a set are padded.
const LOGICAL_BLOCK: u64 = 1024;

/// Lead bytes, zero, before the payload of MQDA and MQTL.
const LEAD: [u8; 2] = [0; 2];

static ZEROS: [u8; 4096] = [0; 4096];

/// Writes blocks and their streams.
///
/// The order is the caller's: a block, its streams, [`Self::end_block`]. [`BackupWriter`] knows the
/// order of a whole backup.
///
/// [`BackupWriter`]: crate::BackupWriter
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    position: u64,
    /// BLOCKSIZE of the media in bytes.
    block_size: u64,
    filemarks: bool,
    /// Byte offsets of the filemarks written.
    marks: Vec<u64>,
    /// Start of the set.
    set_at: u64,
    /// Number of the next block of the set.
    next_id: u32,
    /// Byte offset of the first ESET of the set.
    end_at: Option<u64>,
    /// What the streams of the block begun are padded to.
    padding: Padding,
    payload: Option<Payload>,
    block: Vec<u8>,
}

/// A multiple to pad to, counted from a place in the stream.
#[derive(Debug, Clone, Copy)]
struct Padding {
    multiple: u64,
    from: u64,
}

#[derive(Debug)]
struct Payload {
    remaining: u64,
    /// The checksum so far, if one follows.
    sum: Option<BackupChecksum>,
}

impl<W: io::Write> Writer<W> {
    /// A writer at the start of a stream.
    pub fn new(out: W) -> Self {
        Self {
            out,
            position: 0,
            block_size: 512,
            filemarks: true,
            marks: Vec::new(),
            set_at: 0,
            next_id: 0,
            end_at: None,
            padding: Padding { multiple: LOGICAL_BLOCK, from: 0 },
            payload: None,
            block: Vec::new(),
        }
    }

    /// A writer behind the sets of a media that ends at byte `position`; `marks` are the byte offsets
    /// of its filemarks.
    pub(crate) fn behind(out: W, tape: &Record<Tape>, position: u64, marks: Vec<u64>) -> Self {
        let mut writer = Self { position, marks, ..Self::new(out) };
        writer.block_size = tape.block_size().into();
        writer.filemarks = tape.has_filemarks();
        writer
    }

    /// Bytes written so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether the media has soft filemarks.
    pub fn has_filemarks(&self) -> bool {
        self.filemarks
    }

    /// Where the bytes go.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Where the bytes went.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// This family's part of the backup's size, as SQL Server counts it; to be taken before the
    /// summary block.
    pub fn set_size(&self) -> u64 {
        (self.position - self.set_at + LOGICAL_BLOCK).next_multiple_of(self.block_size)
    }

    /// What payloads and filemarks are aligned to.
    fn alignment(&self) -> u64 {
        self.block_size.max(LOGICAL_BLOCK)
    }

    /// Writes a block's descriptor. A filemark is complete with it; its contents are computed,
    /// unless it is of the older layout.
    ///
    /// # Errors
    ///
    /// Those of the output, as everywhere in this type; and [`io::ErrorKind::InvalidInput`] while
    /// a payload is incomplete.
    pub fn block(&mut self, block: &Block) -> io::Result<()> {
        match block {
            Block::Tape(tape) => self.tape(tape),
            Block::Sfmb(mark) if mark.is_legacy() => self.legacy_filemark(mark),
            Block::Sfmb(_) => self.filemark(),
            Block::Sset(set) => self.set(set),
            Block::Volb(volume) => self.block_of_set(volume),
            Block::Msci(configuration) => self.block_of_set(configuration),
            Block::Msda(data) => self.block_of_set(data),
            Block::Mstl(log) => self.block_of_set(log),
            Block::Msls(summary) => self.summary(summary),
            Block::Eset(end) => self.end_of_set(end),
            Block::Unknown(unknown) => self.block_of_set(unknown),
        }
    }

    /// Writes a media header.
    pub(crate) fn tape(&mut self, tape: &Record<Tape>) -> io::Result<()> {
        self.block_size = tape.block_size().into();
        self.filemarks = tape.has_filemarks();
        self.padding = Padding { multiple: self.alignment(), from: 0 };
        self.descriptor(tape.bytes(), |_| {})
    }

    /// Writes a soft filemark, which lists those before it.
    pub(crate) fn filemark(&mut self) -> io::Result<()> {
        let mark = Record::<Sfmb>::after(&self.marks, self.block_size as usize);
        self.legacy_filemark(&mark)
    }

    fn legacy_filemark(&mut self, mark: &Record<Sfmb>) -> io::Result<()> {
        self.marks.push(self.position);
        self.descriptor(mark.bytes(), |_| {})
    }

    /// Writes the start of a set.
    pub(crate) fn set(&mut self, set: &Record<Sset>) -> io::Result<()> {
        (self.set_at, self.next_id, self.end_at) = (self.position, 0, None);
        let mut set = set.clone();
        set.set(Sset::PHYSICAL_ADDRESS, self.position);
        self.block_of_set(&set)
    }

    /// Writes a summary block, which is padded to the filemark after it.
    pub(crate) fn summary(&mut self, summary: &Record<Msls>) -> io::Result<()> {
        self.block_of_set(summary)?;
        self.padding = Padding { multiple: self.alignment(), from: self.set_at };
        Ok(())
    }

    /// Writes an end of the set, the first or the second.
    pub(crate) fn end_of_set(&mut self, end: &Record<Eset>) -> io::Result<()> {
        let mut end = end.clone();
        end.set(Eset::CATALOG_ADDRESS, self.end_at.unwrap_or(0));
        self.end_at = self.end_at.or(Some(self.position));
        self.padding = Padding { multiple: self.alignment(), from: 0 };
        self.descriptor(end.bytes(), |_| {})
    }

    /// Writes the descriptor of a block that has a number and an address in its set.
    pub(crate) fn block_of_set<K: Kind>(&mut self, block: &Record<K>) -> io::Result<()> {
        let (id, address) = (self.next_id, (self.position - self.set_at) / LOGICAL_BLOCK);
        self.next_id += 1;
        self.padding = Padding { multiple: LOGICAL_BLOCK, from: self.set_at };
        self.descriptor(block.bytes(), |block| {
            BlockHeader::CONTROL_BLOCK_ID.write(block, id);
            BlockHeader::FORMAT_LOGICAL_ADDRESS.write(block, address);
        })
    }

    fn descriptor(&mut self, bytes: &[u8], complete: impl FnOnce(&mut [u8])) -> io::Result<()> {
        self.check_no_payload()?;
        let mut block = std::mem::take(&mut self.block);
        block.clear();
        block.extend_from_slice(bytes);
        block.resize(bytes.len().next_multiple_of(4), 0);
        let size = u16::try_from(block.len()).map_err(|_| invalid("the block exceeds 64 KiB"))?;
        BlockHeader::FIRST_EVENT.write(&mut block, size);
        complete(&mut block);
        BlockHeader::seal(&mut block);
        let written = self.put(&block);
        self.block = block;
        written
    }

    /// Writes a whole stream; its length is that of `data`.
    pub fn stream(&mut self, header: &StreamHeader, data: &[u8]) -> io::Result<()> {
        self.stream_header(&StreamHeader { length: data.len() as u64, ..*header })?;
        self.put(data)
    }

    /// Writes a stream header, and the fill before it.
    fn stream_header(&mut self, header: &StreamHeader) -> io::Result<()> {
        self.check_no_payload()?;
        self.zeros(self.position.next_multiple_of(4) - self.position)?;
        self.put(&header.encode())
    }

    /// Begins a stream whose data comes by [`Self::payload`]. For MQDA and MQTL, the two lead bytes
    /// are written here; `header.length` counts them.
    pub fn begin_payload(&mut self, header: &StreamHeader) -> io::Result<()> {
        self.stream_header(header)?;
        let has_lead = [stream_id::MQDA, stream_id::MQTL].contains(&header.id) && header.length > 0;
        let lead = if has_lead { &LEAD[..] } else { &[] };
        let Some(remaining) = header.length.checked_sub(lead.len() as u64) else {
            return Err(invalid("the stream is shorter than its lead bytes"));
        };
        self.put(lead)?;
        let sum = header.checksum_follows().then(BackupChecksum::default);
        self.payload = Some(Payload { remaining, sum });
        self.finish_payload();
        Ok(())
    }

    /// Writes the next bytes of the stream begun.
    pub fn payload(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.advance(bytes.len() as u64, Some(bytes))?;
        self.out.write_all(bytes)
    }

    /// Counts the next bytes of the stream begun as written: the caller brings them to the output
    /// by a shorter way.
    pub fn payload_beside(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.advance(bytes.len() as u64, Some(bytes))
    }

    /// Counts `size` bytes of the stream begun as written, whatever they are: for whoever wants to
    /// know places and sizes only. A checksum after them is not theirs.
    pub fn payload_unseen(&mut self, size: u64) -> io::Result<()> {
        self.advance(size, None)
    }

    fn advance(&mut self, size: u64, bytes: Option<&[u8]>) -> io::Result<()> {
        let fits = self.payload.as_mut().filter(|payload| payload.remaining >= size);
        let Some(payload) = fits else {
            return Err(invalid("more payload than the stream's header announced"));
        };
        payload.remaining -= size;
        if let (Some(sum), Some(bytes)) = (&mut payload.sum, bytes) {
            sum.update(bytes);
        }
        self.finish_payload();
        self.position += size;
        Ok(())
    }

    /// Writes zeros until the stream begun is complete.
    pub fn fill_payload(&mut self) -> io::Result<()> {
        while let Some(payload) = &self.payload
            && payload.remaining > 0
        {
            let size = payload.remaining.min(ZEROS.len() as u64);
            self.payload(&ZEROS[..size as usize])?;
        }
        Ok(())
    }

    /// Whether the stream begun wants more payload, or its checksum.
    pub(crate) fn has_payload(&self) -> bool {
        self.payload.is_some()
    }

    /// Forgets the payload when it is complete, unless its checksum is still to be written.
    fn finish_payload(&mut self) {
        self.payload.take_if(|payload| payload.remaining == 0 && payload.sum.is_none());
    }

    /// Writes the checksum (CSUM) of the stream before it.
    pub fn checksum(&mut self) -> io::Result<()> {
        let complete = self.payload.take_if(|payload| payload.remaining == 0);
        let Some(sum) = complete.and_then(|payload| payload.sum) else {
            return Err(invalid("no complete payload that a checksum follows"));
        };
        self.stream(&StreamHeader::new(stream_id::CSUM, 0, 4), &sum.value().to_le_bytes())
    }

    /// Writes the stream (APAD) that puts the payload of the next one at a multiple of the block
    /// size.
    pub fn align_payload(&mut self) -> io::Result<()> {
        let headers = 2 * StreamHeader::SIZE + LEAD.len();
        let padding = Padding { multiple: self.alignment(), from: self.set_at };
        self.pad(stream_id::APAD, StreamHeader::ALIGNMENT, headers, padding)
    }

    /// Writes the stream (OTCP) that puts the set map at a multiple of the block size.
    pub fn align_set_map(&mut self) -> io::Result<()> {
        let padding = Padding { multiple: self.alignment(), from: 0 };
        self.pad(stream_id::OTCP, 0, StreamHeader::SIZE, padding)
    }

    /// Ends the block begun with the stream (SPAD) that pads to the next one.
    pub fn end_block(&mut self) -> io::Result<()> {
        self.pad(stream_id::SPAD, 0, StreamHeader::SIZE, self.padding)
    }

    /// Writes a stream of zeros, as long as it takes for the position `headers` bytes after its
    /// start, not counting its data, to fit `padding`.
    fn pad(
        &mut self,
        id: Tag,
        media_attributes: u16,
        headers: usize,
        padding: Padding,
    ) -> io::Result<()> {
        let end = self.position.next_multiple_of(4) + headers as u64 - padding.from;
        let size = end.next_multiple_of(padding.multiple) - end;
        self.stream_header(&StreamHeader::new(id, media_attributes, size))?;
        self.zeros(size)
    }

    fn zeros(&mut self, mut size: u64) -> io::Result<()> {
        while size > 0 {
            let now = size.min(ZEROS.len() as u64);
            self.put(&ZEROS[..now as usize])?;
            size -= now;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn check_no_payload(&self) -> io::Result<()> {
        match &self.payload {
            None => Ok(()),
            Some(_) => Err(invalid("the payload of the stream begun, or its checksum, is missing")),
        }
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
