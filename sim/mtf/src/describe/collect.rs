//! Collecting the description of a stream from what the reader tells.

use std::io::Read;

use crate::block::{Block, Mstl, Sset, Tape, Volb};
use crate::configuration::{Configuration, Scin, Sfgi, Sfin};
use crate::error::MtfError;
use crate::header::{BlockHeader, StreamHeader};
use crate::page::{EXTENT_PAGES, PAGE_SIZE, PageCheck, PageId, check_page, is_filler, page_id};
use crate::reader::{Checks, Events, Reader};
use crate::record::Record;
use crate::set_map::Raid;
use crate::tag::stream_id;

use super::{
    BackupKind, BackupSet, BlockSummary, Contents, Description, File, Filegroup, LogRange, Media,
    PageRun, Pages, Problem, StreamSummary,
};

/// Damage that is listed one by one.
const DAMAGE_LISTED: usize = 100;

/// Runs of pages that are listed one by one.
const RUNS_LISTED: usize = 1000;

/// Reads a backup to its end and describes it. What keeps it from being read is part of the
/// description.
pub fn describe(mut input: impl Read) -> Description {
    let mut collector = Collector::default();
    // The collector judges each page itself, to count them.
    let checks = Checks { page_checksums: false, ..Checks::default() };
    let mut reader = Reader::with_checks(checks);
    let ended = read_sets(&mut input, &mut reader, &mut collector);
    let mut description = collector.description;
    description.size = reader.position();
    match ended {
        Ok(()) => description.complete = true,
        Err(problem) => description.problem = Some(problem),
    }
    description
}

fn read_sets(
    input: &mut impl Read,
    reader: &mut Reader,
    collector: &mut Collector,
) -> Result<(), Problem> {
    let mut buffer = vec![0; 1 << 18];
    loop {
        let size = match input.read(&mut buffer) {
            Ok(size) => size,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let message = format!("the backup cannot be read: {error}");
                return Err(Problem { message, sql_message: None, at: Some(reader.position()) });
            }
        };
        if size == 0 {
            return reader.finish().map_err(Problem::from);
        }
        let mut rest = &buffer[..size];
        while !rest.is_empty() {
            if reader.is_finished() {
                reader.continue_media();
            }
            let taken = reader.feed(rest, collector).map_err(Problem::from)?;
            rest = &rest[taken..];
        }
    }
}

impl From<MtfError> for Problem {
    fn from(error: MtfError) -> Self {
        Self { message: error.to_string(), sql_message: Some(error.sql_message()), at: error.at() }
    }
}

#[derive(Debug, Default)]
struct Collector {
    description: Description,
    /// Pages of the extent begun, modulo its size.
    page_in_extent: usize,
    page_at: u64,
    /// Log that the block begun tells of, to be listed if it follows.
    log_range: Option<LogRange>,
}

impl Collector {
    fn set(&mut self) -> Option<&mut BackupSet> {
        self.description.sets.last_mut()
    }

    fn add_damage(&mut self, problem: Problem) {
        self.description.damage_count += 1;
        if self.description.damage.len() < DAMAGE_LISTED {
            self.description.damage.push(problem);
        }
    }

    fn add_page(&mut self, page: &[u8; PAGE_SIZE]) {
        let (index, at) = (self.page_in_extent, self.page_at);
        self.page_in_extent = (index + 1) % EXTENT_PAGES;
        self.page_at += PAGE_SIZE as u64;
        let check = check_page(page);
        let Some(set) = self.set() else { return };
        set.pages.count += 1;
        if is_filler(page) {
            set.pages.fillers += 1;
            return;
        }
        if index == 0 {
            set.pages.add_extent(page_id(page));
        }
        match check {
            PageCheck::Unprotected => {}
            PageCheck::Intact => set.pages.protected += 1,
            PageCheck::Damaged { stored, computed } => {
                set.pages.protected += 1;
                set.pages.damaged += 1;
                let page = page_id(page);
                let damage = MtfError::PageChecksum { page, at, stored, computed };
                self.add_damage(damage.into());
            }
        }
    }
}

impl Pages {
    fn add_extent(&mut self, first: PageId) {
        if let Some(run) = self.runs.last_mut()
            && run.first.file == first.file
            && run.first.page.checked_add(run.count) == Some(first.page)
        {
            run.count += EXTENT_PAGES as u32;
        } else if self.runs.len() < RUNS_LISTED {
            self.runs.push(PageRun { first, count: EXTENT_PAGES as u32 });
        }
    }
}

impl Events for Collector {
    type Error = MtfError;

    fn block(&mut self, block: &Block, at: u64) -> Result<(), MtfError> {
        self.description.blocks.push(BlockSummary {
            at,
            block_type: block.block_type(),
            size: block.header(BlockHeader::FIRST_EVENT),
            attributes: block.header(BlockHeader::ATTRIBUTES),
            streams: Vec::new(),
        });
        match block {
            Block::Tape(tape) => self.description.media = Some(media(tape)),
            Block::Sset(set) => self.description.sets.push(backup_set(set, at)),
            Block::Volb(volume) => {
                if let Some(set) = self.set() {
                    set.machine = volume.text(Volb::MACHINE);
                }
            }
            Block::Mstl(log) => self.log_range = Some(log_range(log)),
            _ => {}
        }
        Ok(())
    }

    fn stream(&mut self, stream: &StreamHeader, at: u64) -> Result<(), MtfError> {
        if let Some(range) = self.log_range.take_if(|_| stream.id == stream_id::MQTL)
            && let Some(set) = self.set()
        {
            set.log.push(range);
        }
        self.page_in_extent = 0;
        self.page_at = at + StreamHeader::SIZE as u64 + 2;
        let StreamHeader { id, media_attributes: attributes, length, .. } = *stream;
        if let Some(block) = self.description.blocks.last_mut() {
            block.streams.push(StreamSummary { at, id, attributes, length });
        }
        Ok(())
    }

    fn raid(&mut self, raid: &Record<Raid>) -> Result<(), MtfError> {
        if let Some(media) = &mut self.description.media {
            media.media_set = Some(raid.get(Raid::MEDIA_SET));
            media.family = Some(raid.get(Raid::FAMILY));
            media.family_count = Some(raid.get(Raid::FAMILY_COUNT));
        }
        Ok(())
    }

    fn configuration(&mut self, configuration: &Configuration) -> Result<(), MtfError> {
        if let Some(set) = self.set() {
            let account = match &set.configuration {
                None => &mut set.configuration,
                Some(_) => &mut set.summary,
            };
            *account = Some(contents(configuration));
        }
        Ok(())
    }

    fn pages(&mut self, pages: &[u8]) -> Result<(), MtfError> {
        for page in pages.as_chunks().0 {
            self.add_page(page);
        }
        Ok(())
    }

    fn checksum(&mut self, _checksum: u32) -> Result<(), MtfError> {
        if let Some(set) = self.set() {
            set.checksum_count += 1;
        }
        Ok(())
    }

    fn damage(&mut self, damage: MtfError) -> Result<(), MtfError> {
        self.add_damage(damage.into());
        Ok(())
    }
}

fn media(tape: &Record<Tape>) -> Media {
    Media {
        family_id: tape.get(Tape::FAMILY_ID),
        media_set: None,
        family: None,
        family_count: None,
        name: tape.text(Tape::NAME),
        description: tape.text(Tape::DESCRIPTION),
        has_password: tape.get(Tape::PASSWORD).size > 0,
        software: tape.text(Tape::SOFTWARE),
        software_vendor: tape.get(Tape::SOFTWARE_VENDOR),
        date: tape.get(Tape::DATE),
        block_size: tape.block_size(),
        filemarks: tape.has_filemarks(),
    }
}

fn backup_set(set: &Record<Sset>, at: u64) -> BackupSet {
    let time_zone = set.get(Sset::TIME_ZONE);
    BackupSet {
        at,
        position: set.get(Sset::DATA_SET_NUMBER),
        name: set.text(Sset::NAME),
        description: set.text(Sset::DESCRIPTION),
        user: set.text(Sset::USER),
        backup_set: set.get(Sset::BACKUP_SET),
        date: set.get(Sset::DATE),
        expiration: set.get(Sset::EXPIRATION),
        time_zone: (time_zone != Sset::UNKNOWN_ZONE).then_some(time_zone),
        machine: String::new(),
        configuration: None,
        summary: None,
        pages: Pages::default(),
        log: Vec::new(),
        checksum_count: 0,
    }
}

fn log_range(log: &Record<Mstl>) -> LogRange {
    LogRange {
        file: log.get(Mstl::FILE_ID),
        vlf: log.get(Mstl::VLF_SEQUENCE),
        start: log.get(Mstl::START),
        end: log.get(Mstl::END),
    }
}

fn contents(configuration: &Configuration) -> Contents {
    let set = configuration.set();
    let flags = set.get(Scin::FLAGS);
    let base_backup = set.get(Scin::BASE_BACKUP);
    Contents {
        kind: match set.get(Scin::BACKUP_TYPE) {
            b'D' => BackupKind::Full,
            b'I' => BackupKind::Differential,
            b'L' => BackupKind::Log,
            _ => BackupKind::Unknown,
        },
        copy_only: flags & Scin::COPY_ONLY != 0,
        checksum: flags & Scin::CHECKSUM != 0,
        flags,
        database: set.text(Scin::DATABASE_NAME),
        server: set.text(Scin::SERVER_NAME),
        server_version: (
            set.get(Scin::SOFTWARE_MAJOR),
            set.get(Scin::SOFTWARE_MINOR),
            set.get(Scin::SOFTWARE_BUILD),
        ),
        database_version: set.get(Scin::DATABASE_VERSION),
        compatibility_level: set.get(Scin::COMPATIBILITY_LEVEL),
        database_created: set.get(Scin::DATABASE_CREATED),
        started: set.get(Scin::STARTED),
        finished: set.get(Scin::FINISHED),
        backup_size: set.get(Scin::BACKUP_SIZE),
        first_lsn: set.get(Scin::FIRST_LSN),
        last_lsn: set.get(Scin::LAST_LSN),
        checkpoint_lsn: set.get(Scin::CHECKPOINT_LSN),
        database_backup_lsn: set.get(Scin::DATABASE_BACKUP_LSN),
        recovery_fork: set.get(Scin::RECOVERY_FORK),
        base_backup: (!base_backup.is_nil()).then_some(base_backup),
        filegroups: configuration
            .filegroups()
            .map(|group| Filegroup {
                id: group.get(Sfgi::FILEGROUP_ID),
                name: group.text(Sfgi::NAME),
            })
            .collect(),
        files: configuration.files().map(file).collect(),
    }
}

fn file(file: &Record<Sfin>) -> File {
    File {
        id: file.get(Sfin::FILE_ID),
        is_log: file.is_log(),
        filegroup: file.get(Sfin::FILEGROUP_ID),
        logical_name: file.text(Sfin::LOGICAL_NAME),
        physical_name: file.text(Sfin::PHYSICAL_NAME),
        size: file.get(Sfin::FILE_SIZE),
        max_size: file.get(Sfin::MAX_SIZE),
        page_count: file.get(Sfin::PAGE_COUNT),
        backup_size: file.get(Sfin::BACKUP_SIZE),
        sector_size: file.get(Sfin::SECTOR_SIZE),
        unique_id: file.get(Sfin::UNIQUE_ID),
    }
}
