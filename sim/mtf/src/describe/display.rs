//! The description as text.

use std::fmt::{self, Display, Formatter};

use crate::tag::stream_id;

use super::{
    BackupKind, BackupSet, BlockSummary, Contents, Description, File, Media, Pages, Problem,
};

/// Runs of pages that are printed.
const RUNS_PRINTED: usize = 8;

impl Display for Description {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(media) = &self.media {
            media.fmt(f)?;
        }
        for set in &self.sets {
            writeln!(f)?;
            set.fmt(f)?;
        }
        if !self.blocks.is_empty() {
            writeln!(f, "\nBlocks")?;
            for block in &self.blocks {
                block.fmt(f)?;
            }
        }
        writeln!(f, "\n{} bytes read", self.size)?;
        if self.damage_count > 0 {
            writeln!(f, "Damage found: {}", self.damage_count)?;
            for damage in &self.damage {
                writeln!(f, "  {damage}")?;
            }
        }
        match &self.problem {
            None => writeln!(f, "The backup is complete."),
            Some(problem) => writeln!(f, "The backup cannot be read to its end: {problem}"),
        }
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.sql_message {
            Some(number) => write!(f, "{} (message {number})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// A line of a name and a value.
fn line(f: &mut Formatter<'_>, name: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "  {name:<15} {value}")
}

/// A line that is left out when it says nothing.
fn line_if(f: &mut Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    if value.is_empty() { Ok(()) } else { line(f, name, value) }
}

impl Display for Media {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Media")?;
        line_if(f, "name", &self.name)?;
        line_if(f, "description", &self.description)?;
        line(f, "software", format_args!("{} ({:#06x})", self.software, self.software_vendor))?;
        if let Some(media_set) = self.media_set {
            line(f, "media set", media_set)?;
        }
        let (number, count) = (self.family.unwrap_or(1), self.family_count.unwrap_or(1));
        line(f, "family", format_args!("{number} of {count}, id {:#010x}", self.family_id))?;
        line(f, "written", self.date)?;
        let filemarks = if self.filemarks { "soft filemarks" } else { "no filemarks" };
        line(f, "block size", format_args!("{}, {filemarks}", self.block_size))?;
        if self.has_password { line(f, "password", "yes") } else { Ok(()) }
    }
}

impl Display for BackupSet {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Backup set {} at {:#x}", self.position, self.at)?;
        line_if(f, "name", &self.name)?;
        line_if(f, "description", &self.description)?;
        line(f, "user", &self.user)?;
        line(f, "machine", &self.machine)?;
        line(f, "backup set", self.backup_set)?;
        if !self.expiration.is_unknown() {
            line(f, "expires", self.expiration)?;
        }
        if let Some(zone) = self.time_zone {
            line(f, "time zone", format_args!("{:+} minutes", i32::from(zone) * 15))?;
        }
        match self.summary.as_ref().or(self.configuration.as_ref()) {
            Some(contents) => contents.fmt(f)?,
            None => line(f, "started", self.date)?,
        }
        for file in self.configuration.iter().flat_map(|contents| &contents.files) {
            line(f, if file.is_log { "log file" } else { "data file" }, file)?;
        }
        self.pages.fmt(f)?;
        for log in &self.log {
            let size = log.end.saturating_sub(log.start);
            let (vlf, file, start) = (log.vlf, log.file, log.start);
            let log = format_args!("{size} bytes of VLF {vlf} in file {file} from {start:#x}");
            line(f, "log", log)?;
        }
        if self.checksum_count > 0 {
            line(f, "checksums", self.checksum_count)?;
        }
        if self.summary.is_some() { Ok(()) } else { line(f, "summary", "missing") }
    }
}

impl Display for BackupKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Differential => "differential",
            Self::Log => "log",
            Self::Unknown => "of an unknown type",
        })
    }
}

impl Display for Contents {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let copy_only = if self.copy_only { ", copy-only" } else { "" };
        let checksum = if self.checksum { ", with checksums" } else { "" };
        line(f, "kind", format_args!("{}{copy_only}{checksum}", self.kind))?;
        line(f, "database", &self.database)?;
        let (major, minor, build) = self.server_version;
        line(f, "server", format_args!("{}, version {major}.{minor}.{build}", self.server))?;
        line(f, "structure", format_args!("version {}", self.database_version))?;
        line(f, "started", self.started)?;
        line(f, "finished", self.finished)?;
        line(f, "size", format_args!("{} bytes over all families", self.backup_size))?;
        line(f, "first LSN", self.first_lsn)?;
        line(f, "last LSN", self.last_lsn)?;
        line(f, "checkpoint LSN", self.checkpoint_lsn)?;
        line(f, "full backup LSN", self.database_backup_lsn)?;
        line(f, "recovery fork", self.recovery_fork)?;
        if let Some(base) = self.base_backup {
            line(f, "base backup", base)?;
        }
        for group in &self.filegroups {
            line(f, "filegroup", format_args!("{} {}", group.id, group.name))?;
        }
        Ok(())
    }
}

impl Display for File {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { id, logical_name, physical_name, size, .. } = self;
        write!(f, "{id} {logical_name} ({physical_name}), {size} bytes")?;
        if self.is_log { Ok(()) } else { write!(f, ", {} backed up", self.backup_size) }
    }
}

impl Display for Pages {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return Ok(());
        }
        let Self { count, fillers, protected, damaged, .. } = self;
        let counts = format_args!(
            "{count}, {fillers} of them filler, {protected} with a checksum, {damaged} damaged"
        );
        line(f, "pages", counts)?;
        for run in self.runs.iter().take(RUNS_PRINTED) {
            line(f, "", format_args!("{} pages from {}", run.count, run.first))?;
        }
        match self.runs.len().saturating_sub(RUNS_PRINTED) {
            0 => Ok(()),
            more => line(f, "", format_args!("and {more} more runs")),
        }
    }
}

impl Display for BlockSummary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "  {:#10x} {}", self.at, self.block_type)?;
        for stream in self.streams.iter().filter(|stream| stream.id != stream_id::SPAD) {
            write!(f, " {}({})", stream.id, stream.length)?;
        }
        writeln!(f)
    }
}
