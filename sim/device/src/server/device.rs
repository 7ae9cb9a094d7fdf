//! A device as the server uses it: send a command, be called back, close.

use std::{
    fmt,
    sync::{Arc, Mutex, atomic::Ordering},
};

use vdi_protocol::{CommandCode, CompletionCode};

use crate::{
    error::{Error, Reason, Timeout},
    lock::lock,
    server::{buffer::Buffer, crew::Interest, inner::Held},
};

/// Called once for every command that was given to SendCommand, also for one that was refused.
///
/// It runs on the thread that leads the completion agent's loop: it may send further commands and
/// allocate buffers, and must not wait for completions itself.
pub type CompletionRoutine = Arc<dyn Fn(Completed) + Send + Sync>;

/// A command for the client, as `VDS_Command` describes it.
pub struct Request {
    /// What the client is to do.
    pub code: CommandCode,
    /// Bytes to transfer, or what the command overloads the field with.
    pub size: u32,
    /// `inPosition`.
    pub position: u64,
    /// The buffer to fill or to store; it comes back with the completion.
    pub buffer: Option<Buffer>,
    /// The server's own.
    pub context: u64,
    /// Who is told of the end.
    pub routine: CompletionRoutine,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("code", &self.code)
            .field("size", &self.size)
            .field("position", &self.position)
            .field("buffer", &self.buffer)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Completed {
    /// The command.
    pub code: CommandCode,
    /// The size it was sent with.
    pub size: u32,
    /// The client's answer, or why it never got there.
    pub completion: CompletionCode,
    /// Bytes transferred: what the client claimed, at most `size`.
    pub bytes: u32,
    /// What the client claimed, more than `size` included.
    pub claimed: u64,
    /// `outPosition`.
    pub position: u64,
    /// The buffer, which is the server's again.
    pub buffer: Option<Buffer>,
    /// The server's own.
    pub context: u64,
}

/// One opened device.
#[derive(Debug)]
pub struct ServerDevice {
    inner: Arc<Held>,
    index: usize,
    name: Vec<u8>,
}

impl ServerDevice {
    pub(crate) fn new(inner: Arc<Held>, index: usize, name: Vec<u8>) -> Self {
        ServerDevice { inner, index, name }
    }

    /// The device's place among the VIRTUAL_DEVICE clauses, from 0.
    pub fn index(&self) -> u32 {
        self.index as u32
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Commands sent and not yet completed.
    pub fn outstanding(&self) -> u32 {
        lock(&self.inner.lanes[self.index]).outstanding()
    }

    /// Queues a command for the client.
    ///
    /// # Errors
    /// The routine was called with the completion code in brackets: `VD_E_QUEUE_FULL` (1450),
    /// `VD_E_IO_ERROR` (1117), `VD_E_PROTOCOL` the device or set is closed or not active (6),
    /// `VD_E_ABORT` (995). Source: VDI specification, IServerVirtualDevice::SendCommand.
    pub fn send_command(&self, request: Request) -> Result<(), Error> {
        self.inner.send(self.index, request)
    }

    /// Sends a command and leads the agent's loop until it is completed.
    ///
    /// # Errors
    /// As [`send_command`](Self::send_command). A command that was sent and aborted is no error here:
    /// it is completed with ERROR_OPERATION_ABORTED.
    pub fn execute(
        &self,
        code: CommandCode,
        size: u32,
        position: u64,
        buffer: Option<Buffer>,
    ) -> Result<Completed, Error> {
        let answer = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&answer);
        let routine: CompletionRoutine = Arc::new(move |completed| *lock(&slot) = Some(completed));
        self.send_command(Request { code, size, position, buffer, context: 0, routine })?;
        self.run_agent_until(&mut || lock(&answer).is_some(), None)?;
        let completed = lock(&answer).take();
        completed.ok_or_else(|| self.inner.aborted())
    }

    /// [`ServerSet::run_agent_until`](crate::ServerSet::run_agent_until), looking at `done` again only
    /// when a command of this device was completed.
    ///
    /// # Errors
    /// As there.
    pub fn run_agent_until(
        &self,
        done: &mut dyn FnMut() -> bool,
        timeout: Timeout,
    ) -> Result<(), Error> {
        self.inner.run_until(Interest::Lane(self.index), done, timeout)
    }

    /// Closes the device: the client gets VD_E_CLOSE behind everything sent before.
    ///
    /// # Errors
    /// `VD_E_CLOSE` it is closed already; `VD_E_ABORT` the set was aborted, and there is nothing to do;
    /// `VD_E_PROTOCOL` after the set's Close.
    /// Source: VDI specification, IServerVirtualDevice::CloseDevice.
    pub fn close_device(&self) -> Result<(), Error> {
        let inner = &*self.inner;
        let lane = &inner.segment.lanes()[self.index];
        {
            let mut state = lock(&inner.lanes[self.index]);
            if inner.is_closed() {
                return Err(Reason::WrongState { call: "CloseDevice", state: "closed" }.into());
            }
            if state.aborted || inner.is_aborted() {
                return Err(inner.aborted());
            }
            if state.closed {
                return Err(Reason::ClosedBefore.into());
            }
            state.closed = true;
            lane.closed.store(1, Ordering::Release);
        }
        inner.segment.control().devices_closed.fetch_add(1, Ordering::AcqRel);
        // Whether or not somebody is said to sleep: after this nobody looks for lost wake-ups.
        lane.bell.ring_always();
        inner.segment.wake(&lane.bell);
        inner.segment.announce_change();
        inner.device_closed();
        Ok(())
    }
}
