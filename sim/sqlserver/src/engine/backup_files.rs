//! The files of a BACKUP to DISK. None of them changes before all are open and found to be fit, and
//! what a failed statement has made or written is taken back.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use mtf::Raid;
use same_file::Handle;

use super::context::Context;
use super::device::{self, Opening};
use super::facts::{date_time, media_date};
use super::media::{self, Media};
use super::password;
use crate::messages::{Message, SeveralMessages};
use crate::session::{BackupPlan, DevicePlan, Overwrite, now};

/// The files of all devices, in the order of their families.
#[derive(Debug, Default)]
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
        let mut opened = BackupFiles::default();
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

    /// What stands on the media and stays; gives each file the family that it holds.
    fn media(
        &mut self,
        context: &Context<'_>,
        plan: &BackupPlan,
    ) -> Result<Vec<Media>, SeveralMessages> {
        if plan.overwrite == Overwrite::Media || self.files.iter().all(|file| file.size() == 0) {
            return Ok(Vec::new());
        }
        let (mut found, mut strange) = (Vec::new(), None);
        for file in &mut self.files {
            let device = file.device;
            let Some(media) = file.media(context, plan.overwrite)? else {
                strange.get_or_insert(device);
                continue;
            };
            password::check_media(&plan.transfer, &media.tape)?;
            check_family(plan, device, &media, &found)?;
            let media = if plan.overwrite == Overwrite::Sets { media.emptied() } else { media };
            (file.family, file.kept) = (media.raid.get(Raid::FAMILY), media.end);
            found.push((device, media));
        }
        if let (Some(device), false) = (strange, found.is_empty()) {
            return Err(Message::new(3258, &[&device.name]).into());
        }
        found.iter().try_for_each(|(device, media)| check_expiration(plan, device, media))?;
        self.files.sort_by_key(|file| file.family);
        Ok(found.into_iter().map(|(_, media)| media).collect())
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
        overwrite: Overwrite,
    ) -> Result<Self, SeveralMessages> {
        let path = device::path(context, device);
        let opening = match overwrite {
            Overwrite::Nothing if path.exists() => Opening::Append,
            _ => Opening::Create,
        };
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

    /// What stands on its media; none only if that is overwritten.
    fn media(
        &mut self,
        context: &Context<'_>,
        overwrite: Overwrite,
    ) -> Result<Option<Media>, SeveralMessages> {
        let (device, size) = (self.device, self.size());
        let file = self.handle.as_file_mut();
        match overwrite {
            Overwrite::Nothing if size == 0 => Err(Message::new(3254, &[&device.name]).into()),
            Overwrite::Nothing => media::scan(context, device, file).map(Some),
            _ if size == 0 => Ok(None),
            _ => media::look(context, device, file),
        }
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
    earlier: &[(&DevicePlan, Media)],
) -> Result<(), Message> {
    let (name, given) = (&device.name, plan.devices.len());
    let (count, number) = (media.raid.get(Raid::FAMILY_COUNT), media.raid.get(Raid::FAMILY));
    if usize::from(count) != given {
        return Err(Message::new(3231, &[name, &count, &given]));
    }
    let appends = plan.overwrite == Overwrite::Nothing;
    let belongs = |(_, other): &(&DevicePlan, Media)| {
        other.raid.get(Raid::MEDIA_SET) == media.raid.get(Raid::MEDIA_SET)
            && (other.sets == media.sets || !appends)
    };
    if !(1..=count).contains(&number) || !earlier.iter().all(belongs) {
        return Err(Message::new(3258, &[name]));
    }
    match earlier.iter().find(|(_, other)| other.raid.get(Raid::FAMILY) == number) {
        Some((other, _)) => Err(Message::new(3227, &[name, &number, &other.name])),
        None => Ok(()),
    }
}

/// Checks that no set that is overwritten is to be kept.
fn check_expiration(plan: &BackupPlan, device: &DevicePlan, media: &Media) -> Result<(), Message> {
    let is_free = media.expiration <= media_date(now());
    if plan.overwrite == Overwrite::Nothing || plan.skip || is_free {
        return Ok(());
    }
    let time = date_time(media.expiration);
    let text = time.map(|time| time.strftime("%b %e %Y %_I:%M:%S:000%p").to_string());
    Err(Message::new(4030, &[&device.name, &text.unwrap_or_else(|| media.expiration.to_string())]))
}
