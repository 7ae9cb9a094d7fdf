//! `libsqlvdi.so` exports the client half alone, so there is never one of these.

use std::convert::Infallible;

use vdi_protocol::{ServerConfig, VdConfig};

use super::{Completion, ServerCommand};
use crate::caller::{CallError, DropIn, NoServerError};

/// A server's device set.
#[derive(Clone, Debug)]
pub struct CallerServer(Infallible);

/// A server's device.
#[derive(Debug)]
pub struct CallerServerDevice(Infallible);

/// A buffer in the server's hands.
#[derive(Debug)]
pub struct ServerBuffer(Infallible);

impl CallerServer {
    /// # Errors
    /// [`NoServerError::NotInInterface`], always.
    pub fn new(_: &DropIn) -> Result<CallerServer, NoServerError> {
        Err(NoServerError::NotInInterface)
    }

    /// Open.
    pub fn open(&self, _name: &[u8]) -> Result<(), CallError> {
        match self.0 {}
    }

    /// GetConfiguration.
    pub fn get_configuration(&self) -> Result<VdConfig, CallError> {
        match self.0 {}
    }

    /// BeginConfiguration.
    pub fn begin_configuration(&self, _config: &ServerConfig) -> Result<(), CallError> {
        match self.0 {}
    }

    /// RequestBuffers.
    pub fn request_buffers(&self, _: u32, _: u32, _: u32) -> Result<(), CallError> {
        match self.0 {}
    }

    /// EndConfiguration.
    pub fn end_configuration(&self) -> Result<(), CallError> {
        match self.0 {}
    }

    /// OpenDevice.
    pub fn open_device(&self, _name: &[u8]) -> Result<CallerServerDevice, CallError> {
        match self.0 {}
    }

    /// ExecuteCompletionAgent.
    pub fn execute_completion_agent(&self) -> Result<(), CallError> {
        match self.0 {}
    }

    /// AllocateBuffer.
    pub fn allocate_buffer(&self, _size: u32, _alignment: u32) -> Result<ServerBuffer, CallError> {
        match self.0 {}
    }

    /// FreeBuffer.
    pub fn free_buffer(&self, buffer: ServerBuffer) -> Result<(), CallError> {
        match buffer.0 {}
    }

    /// SignalAbort.
    pub fn signal_abort(&self) -> Result<(), CallError> {
        match self.0 {}
    }

    /// Close.
    pub fn close(&self) -> Result<(), CallError> {
        match self.0 {}
    }
}

impl CallerServerDevice {
    /// SendCommand.
    pub fn send_command(
        &self,
        _command: ServerCommand,
        _routine: impl FnOnce(Completion) + Send + 'static,
    ) -> Result<(), CallError> {
        match self.0 {}
    }

    /// CloseDevice.
    pub fn close_device(&self) -> Result<(), CallError> {
        match self.0 {}
    }
}
