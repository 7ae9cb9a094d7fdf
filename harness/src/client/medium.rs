//! A device over a file: what each command does in pipe-, tape- and disk-like mode.
//!
//! A tape's filemarks are kept beside the file, in `FILE.marks`, one byte offset a line. Its block
//! addresses count blocks and filemarks from the beginning, as tape drives do.
//! Source: VDI, "Client Supported Commands" and the pages of the commands.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sqlvdi::caller::Command;
use vdi_protocol::{CommandCode, CompletionCode, Features, Mode, VdConfig, Whence};

use super::moving::{MoveError, Mover};
use super::plan::Operation;
use super::snapshot;

/// The answer to a command, as CompleteCommand takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: CompletionCode,
    pub(crate) bytes: u64,
    pub(crate) position: u64,
}

impl Answer {
    fn code(code: CompletionCode) -> Self {
        Answer { code, bytes: 0, position: 0 }
    }

    fn bytes(code: CompletionCode, bytes: u64) -> Self {
        Answer { code, bytes, position: 0 }
    }
}

/// Win32's code for a device without a medium.
const ERROR_NOT_READY: CompletionCode = CompletionCode(21);

const SUCCESS: Answer = Answer { code: CompletionCode::ERROR_SUCCESS, bytes: 0, position: 0 };

/// What has been asked of a device so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// A Flush was answered and nothing was written after it.
    pub(crate) durable: bool,
    /// A Complete was answered.
    pub(crate) complete: bool,
    /// Bytes moved.
    pub(crate) bytes: u64,
}

/// One device's medium.
pub(crate) struct Medium {
    mode: Mode,
    features: Features,
    block_size: u64,
    /// Where the next byte of a stream or tape is.
    head: u64,
    /// Filemarks before the head.
    passed: usize,
    marks: Vec<u64>,
    marks_file: Option<PathBuf>,
    path: PathBuf,
    mover: Box<dyn Mover>,
    pub(crate) seen: Seen,
}

impl Medium {
    /// The medium of a device whose bytes `mover` moves.
    pub(crate) fn new(
        operation: Operation,
        config: &VdConfig,
        path: &Path,
        mover: Box<dyn Mover>,
    ) -> io::Result<Medium> {
        let features = config.features();
        let mode = features.mode();
        let mut name = path.as_os_str().to_owned();
        name.push(".marks");
        let marks_file = (mode == Mode::Tape).then(|| PathBuf::from(name));
        let marks = match (&marks_file, operation) {
            (Some(file), Operation::Restore) => read_marks(file)?,
            _ => Vec::new(),
        };
        let block_size = u64::from(config.block_size.max(1));
        let (head, passed, seen) = Default::default();
        let path = path.to_owned();
        Ok(Medium {
            mode,
            features,
            block_size,
            head,
            passed,
            marks,
            marks_file,
            path,
            mover,
            seen,
        })
    }

    /// Executes a command.
    pub(crate) fn execute(&mut self, command: &Command) -> Answer {
        match command.code() {
            CommandCode::WRITE => self.write(command),
            CommandCode::READ => self.read(command),
            CommandCode::FLUSH => self.flush(),
            CommandCode::COMPLETE => {
                self.seen.complete = true;
                SUCCESS
            }
            CommandCode::CLEAR_ERROR => SUCCESS,
            CommandCode::PREPARE_TO_FREEZE
                if self.features.contains(Features::SNAPSHOT_PREPARE) =>
            {
                SUCCESS
            }
            CommandCode::SNAPSHOT => Self::of_snapshot(snapshot::take(&self.path)),
            CommandCode::MOUNT_SNAPSHOT => Self::of_snapshot(snapshot::mount(&self.path)),
            CommandCode::DISCARD if self.features.contains(Features::DISCARD) => SUCCESS,
            CommandCode::GET_POSITION if self.has_positions() => self.at_position(),
            CommandCode::SET_POSITION if self.has_positions() => {
                self.set_position(command.position(), command.size())
            }
            code if self.mode == Mode::Tape => self.wind(code, command.size().cast_signed()),
            _ => Answer::code(CompletionCode::ERROR_NOT_SUPPORTED),
        }
    }

    /// No more commands come.
    pub(crate) fn into_mover(self) -> Box<dyn Mover> {
        self.mover
    }

    fn has_positions(&self) -> bool {
        self.features.intersects(Features::POSITION | Features::RANDOM_ACCESS)
    }

    /// A snapshot that could not be taken or mounted is the end of the statement.
    /// Source: VDI, VDC_Snapshot page.
    fn of_snapshot(done: io::Result<()>) -> Answer {
        match done {
            Ok(()) => SUCCESS,
            Err(_) => Answer::code(CompletionCode::ERROR_OPERATION_ABORTED),
        }
    }

    fn write(&mut self, command: &Command) -> Answer {
        let at = if self.mode == Mode::Disk { command.position() } else { self.head };
        match self.mover.store(command, at) {
            Ok(()) => {
                let size = u64::from(command.size());
                self.head = at + size;
                // Writing on a tape ends it there.
                self.marks.truncate(self.passed);
                self.seen.durable = false;
                self.seen.bytes += size;
                Answer::bytes(CompletionCode::ERROR_SUCCESS, size)
            }
            Err(MoveError::Full) => Answer::code(CompletionCode::ERROR_DISK_FULL),
            Err(MoveError::Other(_)) => Answer::code(CompletionCode::ERROR_WRITE_FAULT),
        }
    }

    fn read(&mut self, command: &Command) -> Answer {
        let at = if self.mode == Mode::Disk { command.position() } else { self.head };
        let size = u64::from(command.size());
        let to_mark = self.marks.get(self.passed).map_or(u64::MAX, |mark| mark - at);
        let Ok(bytes) = self.mover.fetch(command, at, size.min(to_mark)) else {
            return Answer::code(CompletionCode::ERROR_READ_FAULT);
        };
        self.head = at + bytes;
        self.seen.bytes += bytes;
        let code = if bytes == size {
            CompletionCode::ERROR_SUCCESS
        } else if bytes == to_mark {
            self.passed += 1;
            CompletionCode::ERROR_FILEMARK_DETECTED
        } else {
            CompletionCode::ERROR_HANDLE_EOF
        };
        Answer::bytes(code, bytes)
    }

    fn flush(&mut self) -> Answer {
        let end = (self.mode == Mode::Disk && self.seen.bytes > 0).then_some(self.head);
        let stored = self.mover.settle(end).and_then(|()| Ok(self.write_marks()?));
        match stored {
            Ok(()) => {
                self.seen.durable = true;
                SUCCESS
            }
            Err(MoveError::Full) => Answer::code(CompletionCode::ERROR_DISK_FULL),
            Err(MoveError::Other(_)) => Answer::code(CompletionCode::ERROR_WRITE_FAULT),
        }
    }

    /// The commands that only tapes have.
    fn wind(&mut self, code: CommandCode, count: i32) -> Answer {
        match code {
            CommandCode::REWIND => {
                (self.head, self.passed) = (0, 0);
                SUCCESS
            }
            CommandCode::WRITE_MARK => {
                self.marks.truncate(self.passed);
                self.marks.push(self.head);
                self.passed += 1;
                self.seen.durable = false;
                SUCCESS
            }
            CommandCode::SKIP_MARKS => self.skip_marks(count),
            CommandCode::SKIP_BLOCKS => self.skip_blocks(count),
            // A device of ours has one medium, so there is no next one to load.
            CommandCode::LOAD => Answer::code(ERROR_NOT_READY),
            _ => Answer::code(CompletionCode::ERROR_NOT_SUPPORTED),
        }
    }

    /// Forwards the head stops behind the last mark passed, backwards before it.
    fn skip_marks(&mut self, count: i32) -> Answer {
        let behind = self.passed as i64 + i64::from(count);
        if behind < 0 {
            (self.head, self.passed) = (0, 0);
            return Answer::code(CompletionCode::ERROR_BEGINNING_OF_MEDIA);
        }
        let behind = behind as usize;
        if behind > self.marks.len() {
            self.passed = self.marks.len();
            self.head = self.marks.last().copied().unwrap_or(self.head).max(self.head);
            return Answer::code(CompletionCode::ERROR_NO_DATA_DETECTED);
        }
        let stop = if count < 0 { behind } else { behind.wrapping_sub(1) };
        self.head = self.marks.get(stop).copied().unwrap_or(self.head);
        self.passed = behind;
        SUCCESS
    }

    /// A filemark in the way stops the head behind it (before it, backwards) with
    /// ERROR_FILEMARK_DETECTED.
    fn skip_blocks(&mut self, count: i32) -> Answer {
        let way = i64::from(count).unsigned_abs() * self.block_size;
        if count >= 0 {
            let target = self.head + way;
            match self.marks.get(self.passed) {
                Some(&mark) if mark < target => {
                    (self.head, self.passed) = (mark, self.passed + 1);
                    Answer::code(CompletionCode::ERROR_FILEMARK_DETECTED)
                }
                _ => {
                    self.head = target;
                    SUCCESS
                }
            }
        } else {
            let floor = self.passed.checked_sub(1).and_then(|last| self.marks.get(last)).copied();
            match (self.head.checked_sub(way), floor) {
                (target, Some(mark)) if target.is_none_or(|target| target < mark) => {
                    (self.head, self.passed) = (mark, self.passed - 1);
                    Answer::code(CompletionCode::ERROR_FILEMARK_DETECTED)
                }
                (Some(target), _) => {
                    self.head = target;
                    SUCCESS
                }
                (None, _) => {
                    self.head = 0;
                    Answer::code(CompletionCode::ERROR_BEGINNING_OF_MEDIA)
                }
            }
        }
    }

    fn at_position(&self) -> Answer {
        let position = if self.mode == Mode::Disk {
            self.head
        } else {
            self.head.div_ceil(self.block_size) + self.passed as u64
        };
        Answer { position, ..SUCCESS }
    }

    fn set_position(&mut self, position: u64, whence: u32) -> Answer {
        if self.mode != Mode::Disk {
            // The addresses of what lies behind mark k are k more than those of the blocks.
            let blocks = |passed: usize| position.checked_sub(passed as u64);
            let begins = |passed: usize| match passed.checked_sub(1) {
                Some(mark) => self.marks[mark].div_ceil(self.block_size),
                None => 0,
            };
            let fits = |passed: &usize| blocks(*passed).is_some_and(|b| b >= begins(*passed));
            self.passed = (0..=self.marks.len()).rev().find(fits).unwrap_or(0);
            self.head = (position - self.passed as u64) * self.block_size;
            return self.at_position();
        }
        let origin = match Whence::from_size(whence) {
            Some(Whence::Current) => self.head,
            // The stream is written from front to back, so its end is where it was written to.
            Some(Whence::Beginning) => 0,
            Some(Whence::End) | None => {
                return Answer::code(CompletionCode::ERROR_NOT_SUPPORTED);
            }
        };
        self.head = origin.wrapping_add(position);
        self.at_position()
    }

    fn write_marks(&self) -> io::Result<()> {
        let Some(path) = &self.marks_file else { return Ok(()) };
        let lines: String = self.marks.iter().map(|mark| format!("{mark}\n")).collect();
        fs::write(path, lines)?;
        // Windows flushes only what is open for writing.
        File::options().write(true).open(path)?.sync_all()
    }
}

fn read_marks(path: &Path) -> io::Result<Vec<u64>> {
    let lines = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        lines => lines?,
    };
    let senseless = || {
        let text = format!("{} is no list of ascending byte offsets", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let marks: Option<Vec<u64>> = lines.lines().map(|line| line.parse().ok()).collect();
    marks.filter(|marks| marks.is_sorted()).ok_or_else(senseless)
}

#[cfg(test)]
mod tests {
    use super::super::error::ClientError;
    use super::*;

    struct Nowhere;

    impl Mover for Nowhere {
        fn store(&mut self, _: &Command, _: u64) -> Result<(), MoveError> {
            Ok(())
        }

        fn fetch(&mut self, _: &Command, _: u64, _: u64) -> Result<u64, MoveError> {
            Ok(0)
        }

        fn settle(&mut self, _: Option<u64>) -> Result<(), MoveError> {
            Ok(())
        }

        fn finish(self: Box<Self>) -> Result<(), ClientError> {
            Ok(())
        }
    }

    /// A tape of blocks of 512 bytes with marks behind the 4th and the 6th.
    fn tape(folder: &Path) -> Medium {
        let config = VdConfig {
            features: Features::LIKE_TAPE.bits(),
            block_size: 512,
            ..VdConfig::default()
        };
        let path = folder.join("tape");
        fs::write(folder.join("tape.marks"), "2048\n3072\n").unwrap();
        Medium::new(Operation::Restore, &config, &path, Box::new(Nowhere)).unwrap()
    }

    // Catches: a head on the wrong side of a mark, and moves beyond the ends that succeed.
    #[test]
    fn a_tape_winds_over_blocks_and_marks() {
        let folder = tempfile::tempdir().unwrap();
        let mut tape = tape(folder.path());
        let marks = CommandCode::SKIP_MARKS;
        let blocks = CommandCode::SKIP_BLOCKS;
        let mark_met = CompletionCode::ERROR_FILEMARK_DETECTED;
        let success = CompletionCode::ERROR_SUCCESS;
        for (code, count, answer, head, passed) in [
            (blocks, 3, success, 1536, 0),
            (blocks, 2, mark_met, 2048, 1),
            (blocks, 1, success, 2560, 1),
            (blocks, -2, mark_met, 2048, 0),
            (marks, 2, success, 3072, 2),
            (marks, -1, success, 3072, 1),
            (marks, 2, CompletionCode::ERROR_NO_DATA_DETECTED, 3072, 2),
            (marks, -3, CompletionCode::ERROR_BEGINNING_OF_MEDIA, 0, 0),
            (blocks, -1, CompletionCode::ERROR_BEGINNING_OF_MEDIA, 0, 0),
        ] {
            assert_eq!(tape.wind(code, count).code, answer, "{code} {count}");
            assert_eq!((tape.head, tape.passed), (head, passed), "{code} {count}");
        }
    }

    // Catches: addresses that do not lead back to where they were told.
    #[test]
    fn a_tape_finds_every_place_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut tape = tape(folder.path());
        let places = [(0, 0), (1536, 0), (2048, 1), (2560, 1), (3072, 2), (4096, 2)];
        let mut addresses = Vec::new();
        for (head, passed) in places {
            (tape.head, tape.passed) = (head, passed);
            addresses.push(tape.at_position().position);
        }
        assert!(addresses.is_sorted_by(|a, b| a < b), "{addresses:?}");
        for (place, address) in places.into_iter().zip(addresses) {
            assert_eq!(tape.set_position(address, 0).position, address);
            assert_eq!((tape.head, tape.passed), place);
        }
    }
}
