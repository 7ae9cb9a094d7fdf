//! The stream of one device in a RESTORE: several Reads outstanding, put in order again.
//!
//! The stream ends with ERROR_HANDLE_EOF, ERROR_NO_DATA_DETECTED or ERROR_FILEMARK_DETECTED, whose
//! bytes still count, or with a success of zero bytes. Reads behind the end that were with the
//! client or queued come back with nothing. A short Read with success is taken as it is; a
//! disk-like device is asked again from there. Source: VDI, VDC_Read page, "Command Error Handling".

use std::collections::BTreeMap;

use vdi_device::Buffer;
use vdi_protocol::{CommandCode, CompletionCode, Features, Mode};

use super::cause::Cause;
use super::lane::{Answer, Lane, Stopped};
use super::session::Shape;
use super::sink::{Ask, Sink, SinkError};

/// Reads the stream into the sink until it has ended or the sink has enough. Returns its bytes.
pub(crate) fn receive_stream(
    lane: &mut Lane<'_>,
    sink: &mut dyn Sink,
    shape: &Shape,
) -> Result<u64, Stopped> {
    if shape.features.contains(Features::REWIND) {
        lane.execute(CommandCode::REWIND, 0, 0)?;
    }
    let mut reader = Reader {
        lane,
        shape,
        next_up: BTreeMap::new(),
        asked_to: 0,
        at: 0,
        ended: false,
        enough: false,
        gap: false,
        in_error: false,
        spare: None,
    };
    while reader.ask(sink)? {
        let answer = reader.lane.next()?;
        reader.arrived(answer, sink)?;
    }
    reader.settle(sink)?;
    sink.finish().map_err(|error| reader.sink_failed(error))?;
    Ok(reader.at)
}

/// An answer that waits for those before it, or a Read that waits for its answer.
enum Turn {
    Open(u32),
    Here(Answer),
}

struct Reader<'l, 'r> {
    lane: &'l mut Lane<'r>,
    shape: &'l Shape,
    /// Reads not yet delivered to the sink, by their number.
    next_up: BTreeMap<u64, Turn>,
    /// Where the next Read of a disk-like device begins.
    asked_to: u64,
    /// Bytes delivered to the sink.
    at: u64,
    ended: bool,
    /// The sink needs no more: what is still under way is thrown away.
    enough: bool,
    /// A short Read left later Reads of a disk-like device in the wrong place.
    gap: bool,
    /// One of those ended with an error, which is to be cleared before reading on.
    in_error: bool,
    spare: Option<Buffer>,
}

impl Reader<'_, '_> {
    /// Sends as many Reads as it may; whether an answer has to be waited for.
    fn ask(&mut self, sink: &mut dyn Sink) -> Result<bool, Stopped> {
        loop {
            if self.ended {
                return Ok(false);
            }
            if self.next_up.len() >= self.shape.depth || (self.gap && !self.next_up.is_empty()) {
                return Ok(true);
            }
            if std::mem::take(&mut self.gap) {
                self.asked_to = self.at;
                if std::mem::take(&mut self.in_error) {
                    self.lane.execute(CommandCode::CLEAR_ERROR, 0, 0)?;
                }
            }
            let outstanding = self.next_up.values().map(Turn::size).sum();
            match sink.ask(outstanding) {
                Ask::Read(most) => self.read(most)?,
                Ask::Wait if !self.next_up.is_empty() => return Ok(true),
                Ask::Wait | Ask::Enough => {
                    self.enough = true;
                    return Ok(false);
                }
            }
        }
    }

    fn read(&mut self, most: u64) -> Result<(), Stopped> {
        let size = self.shape.transfer_size(self.asked_to, self.shape.whole_blocks(most));
        let buffer = match self.spare.take() {
            Some(buffer) if buffer.len() >= size as usize => buffer,
            _ => self.lane.buffer(size, self.shape.alignment)?,
        };
        let position = self.shape.position(self.asked_to);
        let n = self.lane.send(CommandCode::READ, size, position, Some(buffer))?;
        self.next_up.insert(n, Turn::Open(size));
        self.asked_to += u64::from(size);
        Ok(())
    }

    /// Puts an answer in its place and delivers all that are next in order.
    fn arrived(&mut self, answer: Answer, sink: &mut dyn Sink) -> Result<(), Stopped> {
        self.next_up.insert(answer.command.n, Turn::Here(answer));
        while let Some(first) = self.next_up.first_entry() {
            let Turn::Here(_) = first.get() else { break };
            if let Turn::Here(answer) = first.remove() {
                self.deliver(answer, sink)?;
            }
        }
        Ok(())
    }

    fn deliver(&mut self, answer: Answer, sink: &mut dyn Sink) -> Result<(), Stopped> {
        if self.enough {
            return Ok(());
        }
        if self.ended {
            return self.behind_the_end(answer);
        }
        let ends = answer.completion.ends_data();
        if self.gap && (ends || answer.completion == CompletionCode::ERROR_IO_DEVICE) {
            self.in_error = true;
            return Ok(());
        }
        if ends {
            self.lane.plausible(&answer)?;
        } else {
            self.lane.succeeded(&answer)?;
        }
        if self.gap {
            return Ok(());
        }
        let Answer { command, bytes, buffer, .. } = answer;
        if bytes > 0
            && let Some(buffer) = &buffer
        {
            buffer
                .slice()
                .subslice(0, bytes as usize)
                .map_err(|error| SinkError::Other(error.to_string()))
                .and_then(|part| sink.accept(&part))
                .map_err(|error| self.sink_failed(error))?;
            self.at += bytes;
        }
        self.ended = ends || bytes == 0;
        self.gap = !self.ended
            && bytes < u64::from(command.size)
            && self.shape.features.mode() == Mode::Disk;
        self.spare = buffer.filter(|_| self.shape.keeps_buffers);
        Ok(())
    }

    /// Reads that were outstanding when the end came bring nothing more, in whatever way.
    fn behind_the_end(&mut self, answer: Answer) -> Result<(), Stopped> {
        let code = answer.completion;
        if !code.ends_data() && code != CompletionCode::ERROR_IO_DEVICE {
            self.lane.succeeded(&answer)?;
        }
        if answer.bytes > 0 && self.shape.features.mode() != Mode::Disk {
            let (command, bytes) = (answer.command, answer.bytes);
            return Err(self.lane.run.fail(Cause::DataAfterEnd { command, bytes }));
        }
        Ok(())
    }

    fn settle(&mut self, sink: &mut dyn Sink) -> Result<(), Stopped> {
        while self.lane.outstanding() > 0 {
            let answer = self.lane.next()?;
            self.arrived(answer, sink)?;
        }
        Ok(())
    }

    fn sink_failed(&self, error: SinkError) -> Stopped {
        let (device, name) = (self.lane.index(), self.lane.name().to_owned());
        self.lane.run.fail(Cause::Sink { device, name, error })
    }
}

impl Turn {
    fn size(&self) -> u64 {
        match self {
            Turn::Open(size) => u64::from(*size),
            Turn::Here(answer) => u64::from(answer.command.size),
        }
    }
}
