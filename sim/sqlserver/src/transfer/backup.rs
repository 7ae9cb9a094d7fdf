//! The stream of one device in a BACKUP: Writes from a source, several in flight.

use vdi_device::Buffer;
use vdi_protocol::{CommandCode, Features};

use super::cause::Cause;
use super::lane::{Answer, Lane, Stopped};
use super::session::Shape;
use super::source::{Source, SourceError, Step};

/// Sends the whole stream and waits until every Write was answered. Returns its bytes.
pub(crate) fn send_stream(
    lane: &mut Lane<'_>,
    source: &mut dyn Source,
    shape: &Shape,
) -> Result<u64, Stopped> {
    if shape.features.contains(Features::POSITION) {
        lane.execute(CommandCode::GET_POSITION, 0, 0)?;
    }
    let mut writer = Writer { lane, shape, at: 0, spare: None };
    loop {
        match source.step().map_err(|error| writer.source_failed(error))? {
            Step::Data(ready) => writer.write(source, ready)?,
            Step::FileMark if shape.features.contains(Features::FILE_MARKS) => {
                writer.settle()?;
                writer.lane.execute(CommandCode::WRITE_MARK, 0, 0)?;
            }
            Step::FileMark => {}
            Step::Flush => {
                writer.settle()?;
                writer.lane.execute(CommandCode::FLUSH, 0, 0)?;
            }
            Step::PrepareToFreeze => {
                writer.settle()?;
                if shape.features.contains(Features::SNAPSHOT_PREPARE) {
                    writer.lane.execute(CommandCode::PREPARE_TO_FREEZE, 0, 0)?;
                }
            }
            Step::End => {
                writer.settle()?;
                return Ok(writer.at);
            }
        }
    }
}

struct Writer<'l, 'r> {
    lane: &'l mut Lane<'r>,
    shape: &'l Shape,
    at: u64,
    spare: Option<Buffer>,
}

impl Writer<'_, '_> {
    fn write(&mut self, source: &mut dyn Source, ready: u64) -> Result<(), Stopped> {
        let size = self.shape.transfer_size(self.at, ready);
        let buffer = self.free_buffer(size)?;
        let part = buffer
            .slice()
            .subslice(0, size as usize)
            .map_err(|error| self.source_failed(SourceError::Other(error.to_string())))?;
        source.fill(&part).map_err(|error| self.source_failed(error))?;
        let position = self.shape.position(self.at);
        self.lane.send(CommandCode::WRITE, size, position, Some(buffer))?;
        self.at += u64::from(size);
        if self.lane.takes_flush() {
            self.settle()?;
            self.lane.execute(CommandCode::FLUSH, 0, 0)?;
        }
        Ok(())
    }

    /// A buffer to fill: the one that came back last, while it is in the cache, or one of the pool.
    fn free_buffer(&mut self, size: u32) -> Result<Buffer, Stopped> {
        while self.lane.outstanding() >= self.shape.depth {
            let answer = self.lane.next()?;
            self.take_back(answer)?;
        }
        while let Some(answer) = self.lane.try_next() {
            self.take_back(answer)?;
        }
        match self.spare.take() {
            Some(buffer) if buffer.len() >= size as usize => Ok(buffer),
            _ => self.lane.buffer(size, self.shape.alignment),
        }
    }

    fn take_back(&mut self, answer: Answer) -> Result<(), Stopped> {
        self.lane.succeeded(&answer)?;
        if answer.bytes != u64::from(answer.command.size) {
            let (command, bytes) = (answer.command, answer.bytes);
            return Err(self.lane.run.fail(Cause::WrongCount { command, bytes }));
        }
        self.spare = answer.buffer.filter(|_| self.shape.keeps_buffers);
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Stopped> {
        while self.lane.outstanding() > 0 {
            let answer = self.lane.next()?;
            self.take_back(answer)?;
        }
        self.spare = None;
        Ok(())
    }

    fn source_failed(&self, error: SourceError) -> Stopped {
        let (device, name) = (self.lane.index(), self.lane.name().to_owned());
        self.lane.run.fail(Cause::Source { device, name, error })
    }
}
