//! The files of a BACKUP to DISK. None of them changes before all are open and found to be fit, and
//! what a failed statement has made or written is taken back.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use mtf::Raid;
use same_file::Handle;

use super::context::Context;
use super::device::{self, Opening};
use super::media::{self, Media};
use crate::messages::{Message, SeveralMessages};
use crate::session::{BackupPlan, DevicePlan};

/// The files of all devices, in the order of their families.
#[derive(Debug)]
pub(super) struct BackupFiles<'d> {
    files: Vec<BackupFile<'d>>,
    /// Whether they may hold something of the set.
    has_begun: bool,
}

/// The file of a device.
#[derive(Debug)]
pub(super) struct BackupFile<'d> {
    device: &'d DevicePlan,
    handle: Handle,
    /// Where it is if the statement has made it.
    made: Option<PathBuf>,
    /// Number of the family that goes there, from 1.
    family: u16,
    /// Bytes of it that stay.
    kept: u64,
}

impl<'d> BackupFiles<'d> {
    /// Opens the devices' files, and tells what stands on the media that the set is written to; none
    /// for new media.
    ///
    /// # Errors
    ///
    /// The messages if one cannot be opened, or they do not hold the families of one media.
    pub(super) fn open(
        context: &Context<'_>,
        plan: &'d BackupPlan,
    ) -> Result<(Self, Vec<Media>), SeveralMessages> {
        let mut opened = BackupFiles { files: Vec::new(), has_begun: false };
        for (device, family) in plan.devices.iter().zip(1..) {
            let file = BackupFile::open(context, device, family, plan.overwrite)?;
            if opened.files.iter().any(|other| other.is_same(&file)) {
                let error = io::Error::from(ErrorKind::ResourceBusy);
                return Err(device::cannot_open(context, device, &error, Opening::Append));
            }
            opened.files.push(file);
        }
        let media = opened.media(context, plan)?;
        Ok((opened, media))
    }

    /// What stands on the media; gives each file the family that it holds.
    fn media(
        &mut self,
        context: &Context<'_>,
        plan: &BackupPlan,
    ) -> Result<Vec<Media>, SeveralMessages> {
        if plan.overwrite || self.files.iter().all(|file| file.size() == 0) {
            return Ok(Vec::new());
        }
        let mut found: Vec<Media> = Vec::new();
        for file in &mut self.files {
            let device = file.device;
            if file.size() == 0 {
                return Err(Message::new(3254, &[&device.name]).into());
            }
            let media = media::scan(context, device, file.handle.as_file_mut())?;
            check_family(plan, device, &media, &found)?;
            (file.family, file.kept) = (media.raid.get(Raid::FAMILY), media.end);
            found.push(media);
        }
        self.files.sort_by_key(|file| file.family);
        Ok(found)
    }

    /// Begins to write: from here on, what is not kept is gone.
    pub(super) fn begin(&mut self) -> Result<(), SeveralMessages> {
        self.has_begun = true;
        for file in self.files.iter_mut().filter(|file| file.is_regular()) {
            let kept = file.kept;
            let handle = file.handle.as_file_mut();
            let cut = handle.set_len(kept).and_then(|()| handle.seek(SeekFrom::Start(kept)));
            cut.map_err(|error| device::write_failed(file.device, &error))?;
        }
        Ok(())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut BackupFile<'d>> {
        self.files.iter_mut()
    }

    /// The statement has succeeded: what was written stays.
    pub(super) fn keep(mut self) {
        self.files.clear();
    }
}

/// The statement has failed: what it made goes, and what it began to write. Who cannot do so has
/// nobody to tell, as the statement's own messages are on their way.
impl Drop for BackupFiles<'_> {
    fn drop(&mut self) {
        for file in &self.files {
            if let Some(path) = &file.made {
                let _ = std::fs::remove_file(path);
            } else if self.has_begun && file.is_regular() {
                let _ = file.handle.as_file().set_len(file.kept);
            }
        }
    }
}

impl<'d> BackupFile<'d> {
    /// Opens a device's file as it is; makes it if there is none.
    fn open(
        context: &Context<'_>,
        device: &'d DevicePlan,
        family: u16,
        overwrite: bool,
    ) -> Result<Self, SeveralMessages> {
        let path = device::path(context, device);
        let opening = if !overwrite && path.exists() { Opening::Append } else { Opening::Create };
        let open = || -> io::Result<Self> {
            device::make_folder(context, &path)?;
            let (file, is_new) = match options(&path).create_new(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    (options(&path).create(true).truncate(false).open(&path)?, false)
                }
                made => (made?, true),
            };
            let handle = Handle::from_file(file)?;
            let made = is_new.then(|| path.clone());
            Ok(BackupFile { device, handle, made, family, kept: 0 })
        };
        open().map_err(|error| device::cannot_open(context, device, &error, opening))
    }

    fn is_regular(&self) -> bool {
        self.handle.as_file().metadata().is_ok_and(|metadata| metadata.is_file())
    }

    /// Bytes that it holds; a pipe or a device holds none.
    fn size(&self) -> u64 {
        let metadata = self.handle.as_file().metadata();
        metadata.ok().filter(|metadata| metadata.is_file()).map_or(0, |metadata| metadata.len())
    }

    /// Whether both are one file, whatever its names. A pipe or a device may take several families.
    fn is_same(&self, other: &Self) -> bool {
        self.is_regular() && self.handle == other.handle
    }

    /// Device and file, to write to.
    pub(super) fn target(&mut self) -> (&'d DevicePlan, &mut File) {
        (self.device, self.handle.as_file_mut())
    }
}

/// Whoever reads from a pipe or a device has to be somebody else.
fn options(path: &Path) -> OpenOptions {
    let is_special = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    let mut options = File::options();
    options.read(!is_special).write(true);
    options
}

/// Checks that a device's media is a family of the same media as those before it.
fn check_family(
    plan: &BackupPlan,
    device: &DevicePlan,
    media: &Media,
    earlier: &[Media],
) -> Result<(), Message> {
    let (name, given) = (&device.name, plan.devices.len());
    let (count, number) = (media.raid.get(Raid::FAMILY_COUNT), media.raid.get(Raid::FAMILY));
    if usize::from(count) != given {
        return Err(Message::new(3231, &[name, &count, &given]));
    }
    let is_twice = |other: &Media| other.raid.get(Raid::FAMILY) == number;
    let belongs = |other: &Media| {
        other.raid.get(Raid::MEDIA_SET) == media.raid.get(Raid::MEDIA_SET)
            && other.sets == media.sets
    };
    if !(1..=count).contains(&number) || !earlier.iter().all(belongs) {
        return Err(Message::new(3258, &[name]));
    }
    match earlier.iter().position(is_twice) {
        Some(other) => Err(Message::new(3227, &[name, &number, &plan.devices[other].name])),
        None => Ok(()),
    }
}
