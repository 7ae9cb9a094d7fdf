//! The server's classes of a `sqlvdi.dll`, from its own class factory.
//!
//! Source: vdi.h of the Windows samples; VDI specification, IServerVirtualDeviceSet2 and
//! IServerVirtualDevice.

use std::ffi::{CString, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vdi_protocol::{CompletionCode, HResult, ServerConfig, VdConfig, VdsCommand, guid};

use super::{Completion, ServerCommand};
use crate::caller::native::{Status, Unknown, result, wide};
use crate::caller::{CallError, DropIn, NoServerError};

/// `IServerVirtualDeviceSet2`. Block size before alignment, as in the header.
#[repr(C)]
struct SetMethods {
    unknown: Unknown,
    open: unsafe extern "system" fn(Set, *const u16, *const u16) -> Status,
    get_configuration: unsafe extern "system" fn(Set, *mut VdConfig) -> Status,
    begin_configuration: unsafe extern "system" fn(Set, u32, u32, u32, u32, u32) -> Status,
    end_configuration: unsafe extern "system" fn(Set) -> Status,
    request_buffers: unsafe extern "system" fn(Set, u32, u32, u32) -> Status,
    query_available_buffers: unsafe extern "system" fn(Set, u32, u32, *mut u32) -> Status,
    execute_completion_agent: unsafe extern "system" fn(Set) -> Status,
    open_device: unsafe extern "system" fn(Set, *const u16, *mut Device) -> Status,
    allocate_buffer: unsafe extern "system" fn(Set, *mut *mut u8, u32, u32) -> Status,
    free_buffer: unsafe extern "system" fn(Set, *mut u8, u32) -> Status,
    is_shared_buffer: unsafe extern "system" fn(Set, *mut u8) -> i32,
    signal_abort: unsafe extern "system" fn(Set) -> Status,
    close: unsafe extern "system" fn(Set) -> Status,
}

/// `IServerVirtualDevice`.
#[repr(C)]
struct DeviceMethods {
    unknown: Unknown,
    send_command: unsafe extern "system" fn(Device, *mut VdsCommand) -> Status,
    close_device: unsafe extern "system" fn(Device) -> Status,
}

#[repr(C)]
struct SetObject(*const SetMethods);

#[repr(C)]
struct DeviceObject(*const DeviceMethods);

type Set = *mut SetObject;
type Device = *mut DeviceObject;

/// An `IServerVirtualDeviceSet2` of a DLL. It is released when this, its clones and all its devices are
/// dropped.
#[derive(Clone, Debug)]
pub struct CallerServer {
    inner: Arc<SetInner>,
}

#[derive(Debug)]
struct SetInner {
    object: NonNull<SetObject>,
    /// Every command ever sent: the library may look at one until its routine was called, and how
    /// late it calls one is its own affair.
    sent: Mutex<Vec<NonNull<Sent>>>,
}

// SAFETY: the classes are free-threaded (the agent has a thread of its own); the object is only
// passed on, and the commands are looked at behind locks.
unsafe impl Send for SetInner {}
// SAFETY: as for Send.
unsafe impl Sync for SetInner {}

/// An `IServerVirtualDevice` of a DLL.
#[derive(Debug)]
pub struct CallerServerDevice {
    set: Arc<SetInner>,
    object: NonNull<DeviceObject>,
}

// SAFETY: as for the set.
unsafe impl Send for CallerServerDevice {}
// SAFETY: as for the set.
unsafe impl Sync for CallerServerDevice {}

/// A buffer in the server's hands. Dropped, it stays allocated until the set is closed.
#[derive(Debug)]
pub struct ServerBuffer {
    start: NonNull<u8>,
    size: u32,
}

// SAFETY: the address is only passed back to the library.
unsafe impl Send for ServerBuffer {}

type Routine = Box<dyn FnOnce(Completion) + Send>;

/// A command where the library sees it, and who is told of its end.
struct Sent {
    command: VdsCommand,
    end: Mutex<Option<(Routine, Option<ServerBuffer>)>>,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").finish_non_exhaustive()
    }
}

/// `void routine(VDS_Command *)`.
unsafe extern "C" fn completed(command: *mut VdsCommand) {
    // SAFETY: the library gives back the command that it was sent, whose fields it has written; that
    // lives as long as the set.
    let answer = unsafe { command.read() };
    let sent = answer.completion_context.cast::<Sent>().cast_const();
    // SAFETY: `send_command` put the address there; only the command, which is the library's, is ever
    // written beside the lock.
    let end = unsafe { &(*sent).end };
    let end = end.lock().unwrap_or_else(PoisonError::into_inner).take();
    // A second call tells nobody.
    let Some((routine, buffer)) = end else { return };
    routine(Completion {
        code: answer.completion_code,
        bytes: answer.bytes_transferred,
        position: answer.out_position,
        buffer,
    });
}

impl CallerServer {
    /// An object that has no set yet.
    ///
    /// # Errors
    /// [`NoServerError::NoClass`]: the DLL does not offer the class or the interface.
    pub fn new(drop_in: &DropIn) -> Result<CallerServer, NoServerError> {
        let class = guid::CLSID_MSSQL_SERVER_VIRTUAL_DEVICE_SET;
        let interface = guid::IID_ISERVER_VIRTUAL_DEVICE_SET2;
        let object = drop_in
            .symbols()
            .make(&class, &interface)
            .map_err(|status| NoServerError::NoClass { path: drop_in.path().to_owned(), status })?;
        let inner = SetInner { object: object.cast(), sent: Mutex::default() };
        Ok(CallerServer { inner: Arc::new(inner) })
    }

    /// Open: finds the set that a client of the default instance has created.
    ///
    /// # Errors
    /// The status that Open returned; so for each of the calls.
    pub fn open(&self, name: &[u8]) -> Result<(), CallError> {
        let name = wide_name("Open", name)?;
        self.inner.call("Open", |set, methods| {
            // SAFETY: the set is alive; no instance, and a name that is valid for the call.
            unsafe { (methods.open)(set, ptr::null(), name.as_ptr()) }
        })
    }

    /// GetConfiguration: what the client asked for.
    pub fn get_configuration(&self) -> Result<VdConfig, CallError> {
        let mut config = VdConfig::default();
        self.inner.call("GetConfiguration", |set, methods| {
            // SAFETY: the set is alive; the configuration is writable.
            unsafe { (methods.get_configuration)(set, &mut config) }
        })?;
        Ok(config)
    }

    /// BeginConfiguration.
    pub fn begin_configuration(&self, config: &ServerConfig) -> Result<(), CallError> {
        let ServerConfig { features, block_size, alignment, max_transfer_size, time_out } = *config;
        let features = features.bits();
        self.inner.call("BeginConfiguration", |set, methods| {
            let begin = methods.begin_configuration;
            // SAFETY: the set is alive; the rest are numbers.
            unsafe { begin(set, features, block_size, alignment, max_transfer_size, time_out) }
        })
    }

    /// RequestBuffers.
    pub fn request_buffers(&self, size: u32, alignment: u32, count: u32) -> Result<(), CallError> {
        self.inner.call("RequestBuffers", |set, methods| {
            // SAFETY: the set is alive; the rest are numbers.
            unsafe { (methods.request_buffers)(set, size, alignment, count) }
        })
    }

    /// EndConfiguration.
    pub fn end_configuration(&self) -> Result<(), CallError> {
        // SAFETY: the set is alive.
        self.inner
            .call("EndConfiguration", |set, methods| unsafe { (methods.end_configuration)(set) })
    }

    /// OpenDevice: the next device, under this name.
    pub fn open_device(&self, name: &[u8]) -> Result<CallerServerDevice, CallError> {
        const CALL: &str = "OpenDevice";
        let (name, mut device) = (wide_name(CALL, name)?, ptr::null_mut());
        self.inner.call(CALL, |set, methods| {
            // SAFETY: the set is alive; the name is valid for the call, the pointer writable.
            unsafe { (methods.open_device)(set, name.as_ptr(), &mut device) }
        })?;
        let object = NonNull::new(device).ok_or(unexpected(CALL))?;
        Ok(CallerServerDevice { set: Arc::clone(&self.inner), object })
    }

    /// ExecuteCompletionAgent: calls the routines of commands on this thread, until the set ends.
    pub fn execute_completion_agent(&self) -> Result<(), CallError> {
        // SAFETY: the set is alive.
        self.inner.call("ExecuteCompletionAgent", |set, methods| unsafe {
            (methods.execute_completion_agent)(set)
        })
    }

    /// AllocateBuffer.
    pub fn allocate_buffer(&self, size: u32, alignment: u32) -> Result<ServerBuffer, CallError> {
        const CALL: &str = "AllocateBuffer";
        let mut start = ptr::null_mut();
        self.inner.call(CALL, |set, methods| {
            // SAFETY: the set is alive; the pointer is writable.
            unsafe { (methods.allocate_buffer)(set, &mut start, size, alignment) }
        })?;
        Ok(ServerBuffer { start: NonNull::new(start).ok_or(unexpected(CALL))?, size })
    }

    /// FreeBuffer.
    pub fn free_buffer(&self, buffer: ServerBuffer) -> Result<(), CallError> {
        self.inner.call("FreeBuffer", |set, methods| {
            // SAFETY: the set is alive; the library gave the address and looks it up.
            unsafe { (methods.free_buffer)(set, buffer.start.as_ptr(), buffer.size) }
        })
    }

    /// SignalAbort.
    pub fn signal_abort(&self) -> Result<(), CallError> {
        // SAFETY: the set is alive.
        self.inner.call("SignalAbort", |set, methods| unsafe { (methods.signal_abort)(set) })
    }

    /// Close.
    pub fn close(&self) -> Result<(), CallError> {
        // SAFETY: the set is alive.
        self.inner.call("Close", |set, methods| unsafe { (methods.close)(set) })
    }
}

impl SetInner {
    fn call(
        &self,
        call: &'static str,
        body: impl FnOnce(Set, &SetMethods) -> Status,
    ) -> Result<(), CallError> {
        let set = self.object.as_ptr();
        // SAFETY: the object lives as long as this; a vtable as long as the DLL, which stays.
        let methods = unsafe { &*(*set).0 };
        result(call, body(set, methods))
    }

    fn sent(&self) -> MutexGuard<'_, Vec<NonNull<Sent>>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SetInner {
    fn drop(&mut self) {
        let set = self.object.as_ptr();
        // SAFETY: everything that uses the object keeps an Arc of this, so nobody does any more.
        unsafe { ((*(*set).0).unknown.release)(set.cast()) };
        for sent in self.sent().drain(..) {
            // SAFETY: a Box that `send_command` made; the set is gone, and with it who looks at it.
            drop(unsafe { Box::from_raw(sent.as_ptr()) });
        }
    }
}

impl CallerServerDevice {
    /// SendCommand. The routine is called from the agent's thread, or from this call if it fails; a
    /// library that fails without calling it has it dropped with the set. A panic of it ends the process.
    pub fn send_command(
        &self,
        command: ServerCommand,
        routine: impl FnOnce(Completion) + Send + 'static,
    ) -> Result<(), CallError> {
        let ServerCommand { code, size, position, buffer } = command;
        let start = buffer.as_ref().map_or(ptr::null_mut(), |buffer| buffer.start.as_ptr());
        let sent = Box::into_raw(Box::new(Sent {
            command: VdsCommand {
                command_code: code,
                size,
                in_position: position,
                out_position: 0,
                buffer: start,
                completion_routine: completed as unsafe extern "C" fn(*mut VdsCommand)
                    as *mut c_void,
                completion_context: ptr::null_mut(),
                completion_code: CompletionCode::ERROR_SUCCESS,
                bytes_transferred: 0,
            },
            end: Mutex::new(Some((Box::new(routine), buffer))),
        }));
        // SAFETY: just made, and nobody else knows it yet.
        let command = unsafe {
            (*sent).command.completion_context = sent.cast();
            self.set.sent().push(NonNull::new_unchecked(sent));
            &raw mut (*sent).command
        };
        // SAFETY: the device is alive; the command is until the set is released.
        self.call("SendCommand", |device, methods| unsafe {
            (methods.send_command)(device, command)
        })
    }

    /// CloseDevice: the client gets VD_E_CLOSE behind everything sent before.
    pub fn close_device(&self) -> Result<(), CallError> {
        // SAFETY: the device is alive.
        self.call("CloseDevice", |device, methods| unsafe { (methods.close_device)(device) })
    }

    fn call(
        &self,
        call: &'static str,
        body: impl FnOnce(Device, &DeviceMethods) -> Status,
    ) -> Result<(), CallError> {
        let device = self.object.as_ptr();
        // SAFETY: the object lives as long as this; a vtable as long as the DLL, which stays.
        let methods = unsafe { &*(*device).0 };
        result(call, body(device, methods))
    }
}

impl Drop for CallerServerDevice {
    fn drop(&mut self) {
        let device = self.object.as_ptr();
        // SAFETY: nobody else has the object; the set is released after it.
        unsafe { ((*(*device).0).unknown.release)(device.cast()) };
    }
}

fn unexpected(call: &'static str) -> CallError {
    CallError { call, status: HResult::VD_E_UNEXPECTED }
}

fn wide_name(call: &'static str, name: &[u8]) -> Result<Vec<u16>, CallError> {
    let name = CString::new(name).map_err(|_| CallError { call, status: HResult::VD_E_INVALID })?;
    wide(call, &name)
}
