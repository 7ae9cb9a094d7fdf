//! Devices: files for DISK, device sets for VIRTUAL_DEVICE.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use vdi_protocol::Direction;

use super::context::Context;
use crate::messages::{Message, SeveralMessages};
use crate::session::{DevicePlan, TransferPlan};
use crate::sql::DeviceKind;
use crate::transfer::{Session, SetName, Statement, TransferError};

/// Bytes of one read or write of a file unless MAXTRANSFERSIZE says otherwise.
const DISK_TRANSFER: u32 = 1 << 20;

/// The file of a DISK device; a path that is not absolute lies in the folder for backups.
pub(super) fn path(context: &Context<'_>, device: &DevicePlan) -> PathBuf {
    context.instance.server.folder().join("backup").join(&device.name)
}

/// An error of the operating system as SQL Server shows it.
pub(super) fn os_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "2(The system cannot find the file specified.)".to_owned(),
        io::ErrorKind::PermissionDenied => "5(Access is denied.)".to_owned(),
        io::ErrorKind::ResourceBusy => {
            "32(The process cannot access the file because it is being used by another process.)"
                .to_owned()
        }
        io::ErrorKind::StorageFull => "112(There is not enough space on the disk.)".to_owned(),
        _ => format!("{}({error})", error.raw_os_error().unwrap_or(31)),
    }
}

/// Why a device's file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Create,
    Append,
    Read,
}

/// 3201; the error log has the step that failed (18204).
/// Source: sys.messages; the steps' names: observed error logs.
pub(super) fn cannot_open(
    context: &Context<'_>,
    device: &DevicePlan,
    error: &io::Error,
    opening: Opening,
) -> SeveralMessages {
    let path = path(context, device);
    let is_folder_there = path.parent().is_none_or(Path::is_dir);
    let text = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if !is_folder_there => {
            "3(The system cannot find the path specified.)".to_owned()
        }
        _ => os_error(error),
    };
    let (step, failed) = match opening {
        Opening::Create => ("BackupDiskFile::CreateMedia", "create"),
        Opening::Append | Opening::Read => ("BackupDiskFile::OpenMedia", "open"),
    };
    let logged = Message::new(18204, &[&step, &device.name, &failed, &text]);
    context.instance.log("Backup", logged);
    let state = if opening == Opening::Read { 2 } else { 1 };
    Message::new(3201, &[&device.name, &text]).with_state(state).into()
}

/// Makes the folder that a device's file lies in, if it is one of the server's own.
pub(super) fn make_folder(context: &Context<'_>, path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if path.starts_with(context.instance.server.folder()) => {
            std::fs::create_dir_all(folder)
        }
        _ => Ok(()),
    }
}

/// Opens a device's file for a RESTORE.
pub(super) fn open(context: &Context<'_>, device: &DevicePlan) -> Result<File, SeveralMessages> {
    let failed = |error| cannot_open(context, device, &error, Opening::Read);
    File::open(path(context, device)).map_err(failed)
}

/// Bytes of a transfer with a file.
pub(super) fn disk_transfer(plan: &TransferPlan) -> usize {
    plan.max_transfer_size.unwrap_or(DISK_TRANSFER) as usize
}

/// Writes a buffer to a device's file.
pub(super) fn write(
    device: &DevicePlan,
    file: &mut File,
    bytes: &[u8],
) -> Result<(), SeveralMessages> {
    file.write_all(bytes).map_err(|error| write_failed(device, &error))
}

/// 3202.
pub(super) fn write_failed(device: &DevicePlan, error: &io::Error) -> SeveralMessages {
    Message::new(3202, &[&device.name, &os_error(error)]).into()
}

/// Makes what was written durable. A pipe or a device has nothing to make durable and says so.
pub(super) fn sync(device: &DevicePlan, file: &File) -> Result<(), SeveralMessages> {
    let sync = || if file.metadata()?.is_file() { file.sync_data() } else { Ok(()) };
    sync().map_err(|error| write_failed(device, &error))
}

/// Reads from a device's file; zero bytes at its end.
pub(super) fn read(
    device: &DevicePlan,
    file: &mut File,
    bytes: &mut [u8],
) -> Result<usize, SeveralMessages> {
    loop {
        match file.read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(Message::new(3203, &[&device.name, &os_error(&error)]).into());
            }
            Ok(count) => return Ok(count),
        }
    }
}

/// What a statement over virtual devices says of its transfer.
fn statement(
    context: &Context<'_>,
    direction: Direction,
    devices: &[DevicePlan],
    plan: &TransferPlan,
) -> Statement {
    let names: Vec<_> = devices.iter().map(|device| device.name.as_bytes().to_vec()).collect();
    let set = SetName::Named(names[0].clone());
    let mut statement = Statement::new(direction, set, context.instance.profile);
    statement.devices = names;
    statement.block_size = plan.block_size;
    statement.buffer_count = plan.buffer_count;
    statement.max_transfer_size = plan.max_transfer_size;
    statement.snapshot = plan.snapshot;
    statement
}

/// Attaches to the device set of virtual devices, in the instance's way.
pub(super) fn attach(
    context: &Context<'_>,
    direction: Direction,
    devices: &[DevicePlan],
    plan: &TransferPlan,
) -> Result<Session, SeveralMessages> {
    let instance = context.instance;
    let transfer = instance
        .attach
        .attach(&instance.environment, statement(context, direction, devices, plan))
        .map_err(|error| transfer_failed(context, &error))?;
    context.attend(transfer.abort_handle());
    Ok(transfer)
}

/// The whole transfer as the instance's owner executes it; `None` if that is the engine's task.
pub(super) fn perform(
    context: &Context<'_>,
    direction: Direction,
    devices: &[DevicePlan],
    plan: &TransferPlan,
) -> Option<Result<(), SeveralMessages>> {
    if devices[0].kind != DeviceKind::VirtualDevice {
        return None;
    }
    let instance = context.instance;
    let statement = statement(context, direction, devices, plan);
    let attend = |handle| context.attend(handle);
    let done = instance.attach.perform(&instance.environment, &statement, &attend)?;
    Some(done.map_err(|error| transfer_failed(context, &error)))
}

/// What a failed transfer answers. The log gets the true cause too; 3041 and 3013 are the
/// statement's own.
pub(super) fn transfer_failed(context: &Context<'_>, error: &TransferError) -> SeveralMessages {
    let mut messages = Vec::new();
    for message in &error.messages {
        if matches!(message.number, 3013 | 3041) {
            continue;
        }
        if matches!(message.number, 18204 | 18210) {
            context.instance.log("Backup", message.clone());
        }
        messages.push(message.clone());
    }
    context.instance.log("Backup", Message::user(0, 10, 1, format!("Cause: {}", error.cause)));
    SeveralMessages(messages)
}
