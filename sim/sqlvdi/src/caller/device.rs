//! A device and its commands.

use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use vdi_protocol::{CommandCode, CompletionCode, HResult};

use super::buffer::Buffer;
use super::native::{DeviceObject, VdcCommand};
use super::set::SetInner;
use super::{BufferError, CallError};

/// A `ClientVirtualDevice` object of a drop-in. It is deleted when this, its clones and all its
/// commands are dropped, which may be before or after the set is closed.
#[derive(Clone, Debug)]
pub struct CallerDevice {
    inner: Arc<DeviceInner>,
}

#[derive(Debug)]
struct DeviceInner {
    set: Arc<SetInner>,
    object: NonNull<DeviceObject>,
}

// SAFETY: the object is only passed on to the library, which allows calls from any thread.
unsafe impl Send for DeviceInner {}
// SAFETY: as for Send.
unsafe impl Sync for DeviceInner {}

impl CallerDevice {
    pub(super) fn new(set: Arc<SetInner>, object: NonNull<DeviceObject>) -> CallerDevice {
        CallerDevice { inner: Arc::new(DeviceInner { set, object }) }
    }

    /// GetCommand: waits for the next command; `None` waits for ever, zero polls.
    ///
    /// # Errors
    /// The status that GetCommand returned; VD_E_CLOSE is the normal end.
    pub fn get_command(&self, timeout: Option<Duration>) -> Result<Command, CallError> {
        // Counted before the call: a Close that comes between the two makes the command a stale one.
        let closes = self.inner.set.closes();
        // Before the wait, not between a command and its answer.
        let device = self.inner.clone();
        // SAFETY: the object lives as long as `inner`.
        let (cell, copy) =
            unsafe { self.inner.set.symbols().get_command(self.inner.object, timeout) }?;
        let buffer = NonNull::new(copy.buffer)
            .map(|start| Buffer::new(self.inner.set.clone(), closes, start, copy.size as usize));
        Ok(Command {
            device,
            cell,
            code: copy.command_code,
            size: copy.size,
            position: copy.position,
            buffer,
        })
    }
}

impl Drop for DeviceInner {
    fn drop(&mut self) {
        // SAFETY: everything that uses the object keeps an Arc of this, so nobody does any more;
        // `set` is dropped after this.
        unsafe { self.set.symbols().delete_device(self.object) };
    }
}

/// An open command: answer it with [`Command::complete`]. One that is dropped stays open in the
/// drop-in, as with a client that forgets it.
#[derive(Debug)]
pub struct Command {
    device: Arc<DeviceInner>,
    cell: NonNull<VdcCommand>,
    code: CommandCode,
    size: u32,
    position: u64,
    buffer: Option<Buffer>,
}

// SAFETY: the cell's address is only passed back to the library.
unsafe impl Send for Command {}
// SAFETY: as for Send.
unsafe impl Sync for Command {}

impl Command {
    /// What is to be done.
    pub fn code(&self) -> CommandCode {
        self.code
    }

    /// Buffer to transfer, or the count that some commands have here.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The position, for commands that have one.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether there is a buffer; it then has [`Command::size`] bytes.
    pub fn has_buffer(&self) -> bool {
        self.buffer.is_some()
    }

    /// Its buffer.
    ///
    /// # Errors
    /// [`BufferError`]: it has none.
    pub fn buffer(&self) -> Result<&Buffer, BufferError> {
        self.buffer.as_ref().ok_or(BufferError::NoBuffer)
    }

    /// GetBufferHandle: what names this command's buffer in the other processes of the set.
    ///
    /// # Errors
    /// The status that GetBufferHandle returned; VD_E_INVALID without a call if there is no buffer.
    pub fn buffer_handle(&self) -> Result<u32, CallError> {
        let none = CallError { call: "GetBufferHandle", status: HResult::VD_E_INVALID };
        let set = &self.device.set;
        let start = self.buffer.as_ref().ok_or(none)?.start();
        // SAFETY: the set lives as long as the device.
        unsafe { set.symbols().get_buffer_handle(set.object(), start) }
    }

    /// CompleteCommand: `bytes` counts for Read and Write, `position` for GetPosition and
    /// SetPosition.
    ///
    /// # Errors
    /// The status that CompleteCommand returned.
    pub fn complete(
        self,
        code: CompletionCode,
        bytes: u64,
        position: u64,
    ) -> Result<(), CallError> {
        let device = &self.device;
        let symbols = device.set.symbols();
        // SAFETY: the object lives as long as `device`.
        unsafe { symbols.complete_command(device.object, self.cell, code, bytes, position) }
    }
}
