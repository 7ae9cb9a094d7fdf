//! Devices: files for DISK, device sets for VIRTUAL_DEVICE.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use vdi_protocol::Direction;

use super::context::Context;
use crate::messages::{Message, SeveralMessages};
use crate::session::{DevicePlan, TransferPlan};
use crate::transfer::{Session, SetName, Statement, TransferError};

/// Bytes of one read or write of a file unless MAXTRANSFERSIZE says otherwise.
const DISK_TRANSFER: u32 = 1 << 20;

/// The file of a DISK device; a path that is not absolute lies in the folder for backups.
fn path(context: &Context<'_>, device: &DevicePlan) -> PathBuf {
    context.instance.server.folder().join("backup").join(&device.name)
}

/// An error of the operating system as SQL Server shows it.
pub(super) fn os_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "2(The system cannot find the file specified.)".to_owned(),
        io::ErrorKind::PermissionDenied => "5(Access is denied.)".to_owned(),
        io::ErrorKind::StorageFull => "112(There is not enough space on the disk.)".to_owned(),
        _ => format!("{}({error})", error.raw_os_error().unwrap_or(31)),
    }
}

fn cannot_open(device: &DevicePlan, error: &io::Error, state: u8) -> SeveralMessages {
    Message::new(3201, &[&device.name, &os_error(error)]).with_state(state).into()
}

/// Opens a device's file for a BACKUP. A file that already holds something is overwritten only
/// WITH INIT or FORMAT, because a second set cannot be appended to it.
pub(super) fn create(
    context: &Context<'_>,
    device: &DevicePlan,
    overwrite: bool,
) -> Result<File, SeveralMessages> {
    let path = path(context, device);
    let failed = |error| cannot_open(device, &error, 1);
    if let Some(folder) = path.parent() {
        let ours = path.starts_with(context.instance.server.folder());
        if ours {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
    }
    let is_used = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0);
    if is_used && !overwrite {
        return Err(Message::new(3246, &[&device.name]).into());
    }
    File::create(&path).map_err(failed)
}

/// Opens a device's file for a RESTORE.
pub(super) fn open(context: &Context<'_>, device: &DevicePlan) -> Result<File, SeveralMessages> {
    File::open(path(context, device)).map_err(|error| cannot_open(device, &error, 2))
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
    let failed = |error| Message::new(3202, &[&device.name, &os_error(&error)]).into();
    file.write_all(bytes).map_err(failed)
}

/// Makes what was written durable.
pub(super) fn sync(device: &DevicePlan, file: &File) -> Result<(), SeveralMessages> {
    let failed = |error| Message::new(3202, &[&device.name, &os_error(&error)]).into();
    file.sync_data().map_err(failed)
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

/// Attaches to the device set of virtual devices, in the instance's way.
pub(super) fn attach(
    context: &Context<'_>,
    direction: Direction,
    devices: &[DevicePlan],
    plan: &TransferPlan,
) -> Result<Session, SeveralMessages> {
    let names: Vec<_> = devices.iter().map(|device| device.name.as_bytes().to_vec()).collect();
    let set = SetName::Named(names[0].clone());
    let mut statement = Statement::new(direction, set, context.instance.profile);
    statement.devices = names;
    statement.block_size = plan.block_size;
    statement.buffer_count = plan.buffer_count;
    statement.max_transfer_size = plan.max_transfer_size;
    let instance = context.instance;
    let transfer = instance
        .attach
        .attach(&instance.environment, statement)
        .map_err(|error| transfer_failed(context, &error))?;
    context.attend(&transfer);
    Ok(transfer)
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
