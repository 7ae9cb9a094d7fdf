//! The files of a database, and its pages in them: read for backups, written by restores and changes.

#[cfg(unix)]
mod posix;
#[cfg(windows)]
mod windows;

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use mtf::{EXTENT_PAGES, EXTENT_SIZE, PAGE_SIZE, PageId, stamp_page};
use serde::{Deserialize, Serialize};

#[cfg(unix)]
use posix as system;
#[cfg(windows)]
use windows as system;

use super::database::{Content, Database, DatabaseFile, FileKind};
use super::memory_file::MemoryFile;
use super::pages::{
    PageChange, clear_bits, fill_data_page, fill_map, gam_pages, is_differential_map,
};

/// An extent of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExtentId {
    /// File.
    pub file: u16,
    /// Number in the file.
    pub extent: u32,
}

impl ExtentId {
    /// The extent of a page.
    pub fn of(page: PageId) -> ExtentId {
        ExtentId { file: page.file, extent: page.page / EXTENT_PAGES as u32 }
    }

    /// Where it is in its file, in bytes.
    fn at(self) -> u64 {
        u64::from(self.extent) * EXTENT_SIZE as u64
    }

    /// Its first page.
    pub fn first_page(self) -> PageId {
        PageId { file: self.file, page: self.extent * EXTENT_PAGES as u32 }
    }
}

/// A file of pages that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}; look at the file and the disk it is on", .path.display())]
pub struct StorageError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub error: io::Error,
}

/// A file of pages or of log, open.
#[derive(Debug)]
pub(super) enum PageFile {
    Disk(PathBuf, File),
    Memory(MemoryFile),
}

impl PageFile {
    /// Makes an empty file of this size.
    pub(super) fn create(path: &Path, size: u64) -> Result<(), StorageError> {
        create(path, size).map_err(|error| StorageError { path: path.to_owned(), error })
    }

    /// Opens a file; none if the content is not in one.
    pub(super) fn open(content: &Content) -> Result<Option<PageFile>, StorageError> {
        Ok(match content {
            Content::Stored(path) => {
                let opened = File::options().read(true).write(true).open(path);
                let failed = |error| StorageError { path: path.clone(), error };
                Some(PageFile::Disk(path.clone(), opened.map_err(failed)?))
            }
            Content::Memory(file) => Some(PageFile::Memory(file.clone())),
            Content::Generated(_) | Content::Log => None,
        })
    }

    /// Opens a file that has at least this size.
    pub(super) fn open_whole(
        content: &Content,
        size: u64,
    ) -> Result<Option<PageFile>, StorageError> {
        let opened = PageFile::open(content)?;
        if let Some(PageFile::Disk(path, file)) = &opened {
            let failed = |error| StorageError { path: path.clone(), error };
            if file.metadata().map_err(failed)?.len() < size {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Ok(opened)
    }

    /// Brings what was written to the disk.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        match self {
            PageFile::Disk(path, file) => {
                file.sync_data().map_err(|error| StorageError { path: path.clone(), error })
            }
            PageFile::Memory(_) => Ok(()),
        }
    }

    /// What lies behind the end of the file reads as zeros.
    pub(super) fn read(&self, bytes: &mut [u8], at: u64) -> Result<(), StorageError> {
        match self {
            PageFile::Disk(path, file) => {
                read_at(file, bytes, at).map_err(|error| StorageError { path: path.clone(), error })
            }
            PageFile::Memory(file) => {
                file.read(bytes, at);
                Ok(())
            }
        }
    }

    pub(super) fn write(&self, bytes: &[u8], at: u64) -> Result<(), StorageError> {
        match self {
            PageFile::Disk(path, file) => write_all_at(file, bytes, at)
                .map_err(|error| StorageError { path: path.clone(), error }),
            PageFile::Memory(file) => {
                file.write(bytes, at);
                Ok(())
            }
        }
    }
}

/// Opens those of the files, given with their ids, that hold pages.
fn open_all<'c>(
    contents: impl Iterator<Item = (u16, &'c Content)>,
) -> Result<HashMap<u16, PageFile>, StorageError> {
    let mut files = HashMap::new();
    for (id, content) in contents {
        if let Some(opened) = PageFile::open(content)? {
            files.insert(id, opened);
        }
    }
    Ok(files)
}

/// The pages of a database as it was when this was made.
#[derive(Debug)]
pub struct Pages {
    database: Database,
    changed: BTreeSet<ExtentId>,
    files: HashMap<u16, PageFile>,
    /// Where the extents are that a restore has brought and that are not in the files yet.
    arrived: HashMap<u16, PageFile>,
    arrived_extents: BTreeSet<ExtentId>,
}

impl Pages {
    /// Opens the files of a database.
    ///
    /// # Errors
    ///
    /// The file that could not be opened.
    pub fn open(database: &Database) -> Result<Pages, StorageError> {
        let files = database.files.iter().map(|file| (file.id, &file.content));
        let arrived = database.arrived.iter().flat_map(|arrived| &arrived.files);
        let files = open_all(files)?;
        let arrived = open_all(arrived.map(|(id, content)| (*id, content)))?;
        let extents = database.arrived.iter().flat_map(|arrived| arrived.extents.iter().copied());
        let arrived_extents = extents.collect();
        let changed = database
            .changed
            .iter()
            .map(|changed| ExtentId { file: changed.file, extent: changed.extent })
            .collect();
        Ok(Pages { database: database.clone(), changed, files, arrived, arrived_extents })
    }

    /// The file in which an extent stands.
    fn file_of(&self, id: ExtentId) -> Option<&PageFile> {
        let is_arrived = self.arrived_extents.contains(&id);
        if is_arrived { self.arrived.get(&id.file) } else { self.files.get(&id.file) }
    }

    /// Copies what a restore has brought into the files of the database. It may be done again.
    ///
    /// # Errors
    ///
    /// The file that could not be read or written.
    pub fn take_in(&self) -> Result<(), StorageError> {
        let mut bytes = Box::new([0; EXTENT_SIZE]);
        for id in &self.arrived_extents {
            self.read_extent(*id, &mut bytes)?;
            if let Some(file) = self.files.get(&id.file) {
                file.write(&bytes[..], id.at())?;
            }
        }
        Ok(())
    }

    /// Reads an extent: the pages as they stand in the file.
    ///
    /// # Errors
    ///
    /// The file that could not be read.
    pub fn read_extent(
        &self,
        id: ExtentId,
        bytes: &mut [u8; EXTENT_SIZE],
    ) -> Result<(), StorageError> {
        if let Some(file) = self.file_of(id) {
            file.read(bytes, id.at())?;
        }
        let generated = match self.database.file(id.file).map(|file| &file.content) {
            Some(Content::Generated(generated)) => Some(generated),
            _ => None,
        };
        let is_changed = |extent| self.changed.contains(&ExtentId { extent, ..id });
        let first = id.first_page();
        for (number, page) in bytes.as_chunks_mut::<PAGE_SIZE>().0.iter_mut().enumerate() {
            let page_id = PageId { page: first.page + number as u32, ..first };
            match generated {
                Some(generated) => generated.fill(page, page_id, is_changed),
                None if is_differential_map(page_id) => {
                    fill_map(page, page_id, is_changed);
                    stamp_page(page);
                }
                None => {}
            }
        }
        Ok(())
    }

    /// The extents that a full backup holds: those that the allocation maps say, and those that
    /// were restored without.
    ///
    /// # Errors
    ///
    /// The file whose allocation maps could not be read.
    pub fn allocated(&self) -> Result<Vec<ExtentId>, StorageError> {
        let mut extents = self.mapped()?;
        extents.extend(&self.database.unmapped);
        extents.sort_unstable();
        extents.dedup();
        Ok(extents)
    }

    /// The extents that are allocated by the allocation maps, in order.
    ///
    /// # Errors
    ///
    /// The file whose allocation maps could not be read.
    pub fn mapped(&self) -> Result<Vec<ExtentId>, StorageError> {
        let mut extents = Vec::new();
        for file in self.database.data_files() {
            let count = file.page_count();
            for map in gam_pages(count) {
                let id = PageId { file: file.id, page: map };
                let page = self.read_page(id)?;
                let clear = clear_bits(&page, id, count);
                extents.extend(clear.into_iter().map(|extent| ExtentId { file: file.id, extent }));
            }
        }
        Ok(extents)
    }

    /// The extents that a differential backup holds: the first of each file, which has the maps,
    /// and the changed ones.
    pub fn differential(&self) -> Vec<ExtentId> {
        let first = self.database.data_files().map(|file| ExtentId { file: file.id, extent: 0 });
        let all: BTreeSet<_> = first.chain(self.changed.iter().copied()).collect();
        all.into_iter().collect()
    }

    /// A page as it stands in the file.
    ///
    /// # Errors
    ///
    /// The file that could not be read.
    pub fn read_page(&self, id: PageId) -> Result<Box<[u8; PAGE_SIZE]>, StorageError> {
        let mut extent = Box::new([0; EXTENT_SIZE]);
        self.read_extent(ExtentId::of(id), &mut extent)?;
        let number = id.page as usize % EXTENT_PAGES;
        Ok(Box::new(extent.as_chunks::<PAGE_SIZE>().0[number]))
    }

    /// Writes an extent into its file; those of generated files are not written.
    ///
    /// # Errors
    ///
    /// The file that could not be written.
    pub fn write_extent(&self, id: ExtentId, bytes: &[u8]) -> Result<(), StorageError> {
        self.write_at(id, bytes, id.at())
    }

    /// Copies extents into the files of another database.
    ///
    /// # Errors
    ///
    /// The file that could not be read or written.
    pub fn copy_extents(&self, extents: &[ExtentId], to: &Pages) -> Result<(), StorageError> {
        let mut bytes = Box::new([0; EXTENT_SIZE]);
        for id in extents {
            self.read_extent(*id, &mut bytes)?;
            to.write_extent(*id, &bytes[..])?;
        }
        Ok(())
    }

    fn write_at(&self, id: ExtentId, bytes: &[u8], at: u64) -> Result<(), StorageError> {
        self.file_of(id).map_or(Ok(()), |file| file.write(bytes, at))
    }

    /// Writes what changes say into the files.
    ///
    /// # Errors
    ///
    /// The file that could not be written.
    pub fn write_changes(&self, changes: &[(PageId, PageChange)]) -> Result<(), StorageError> {
        let mut page = Box::new([0; PAGE_SIZE]);
        for (id, change) in changes {
            fill_data_page(&mut page, *id, change.seed, change.lsn);
            self.write_at(ExtentId::of(*id), &page[..], u64::from(id.page) * PAGE_SIZE as u64)?;
        }
        Ok(())
    }

    /// A sum over all pages of the data files, which tells whether two databases are the same page
    /// for page.
    ///
    /// # Errors
    ///
    /// The file that could not be read.
    pub fn digest(&self) -> Result<u64, StorageError> {
        use std::hash::{DefaultHasher, Hasher};
        let mut hasher = DefaultHasher::new();
        let mut bytes = Box::new([0; EXTENT_SIZE]);
        for id in self.allocated()? {
            self.read_extent(id, &mut bytes)?;
            hasher.write_u16(id.file);
            hasher.write_u32(id.extent);
            hasher.write(&bytes[..]);
        }
        Ok(hasher.finish())
    }

    /// The database these pages are of.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Makes the files of a restored database, empty.
    ///
    /// # Errors
    ///
    /// The file that could not be made.
    pub fn create_files(files: &[DatabaseFile]) -> Result<(), StorageError> {
        for file in files {
            if let (Content::Stored(path), FileKind::Data) = (&file.content, file.kind) {
                PageFile::create(path, file.size)?;
            }
        }
        Ok(())
    }
}

fn create(path: &Path, size: u64) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    File::create(path)?.set_len(size)
}

fn write_all_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match system::write_at(file, bytes, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => (bytes, at) = (&bytes[count..], at + count as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match system::read_at(file, &mut bytes[done..], at + done as u64) {
            Ok(0) => {
                bytes[done..].fill(0);
                break;
            }
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
