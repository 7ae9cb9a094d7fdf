//! The server's objects, so that a server can be written in C++.
#![allow(non_snake_case, reason = "the names of the interface")]

use std::collections::HashMap;
use std::ffi::c_void;
use std::mem::transmute;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vdi_device::{Buffer, Completed, Environment, Error, Request, ServerDevice, ServerSet};
use vdi_protocol::{Features, HResult, ServerConfig, VdConfig, VdsCommand};
use windows_core::{BOOL, HRESULT, implement};
use windows_sys::Win32::Foundation::ERROR_FILE_NOT_FOUND;

use super::class::Alive;
use super::event_log::{Report, Side};
use super::interfaces::{
    IServerVirtualDevice, IServerVirtualDevice_Impl, IServerVirtualDeviceSet2,
    IServerVirtualDeviceSet2_Impl, Name,
};
use super::text::{guarded, instance, name, needed};
use crate::dropin::messages::explain;

/// `void routine(VDS_Command *)`.
type Routine = unsafe extern "C" fn(*mut VdsCommand);

/// The buffers that the server has in hand, by their addresses; the others are under way.
#[derive(Debug, Default)]
struct Buffers(Mutex<HashMap<usize, Buffer>>);

impl Buffers {
    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Buffer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, buffer: Buffer) -> *mut u8 {
        let start = buffer.as_ptr();
        self.lock().insert(start.addr(), buffer);
        start
    }
}

/// What SQL Server's own DLL reports when there is no set of that name.
fn report_missing(instance: Option<&[u8]>, set_name: &[u8]) {
    Report {
        side: Side::Server,
        instance,
        set_name,
        location: "SVDS::Open",
        description: "Open(Control)",
        error: ERROR_FILE_NOT_FOUND.cast_signed(),
    }
    .write();
}

/// A server's set.
#[implement(IServerVirtualDeviceSet2)]
pub(super) struct ServerSetObject {
    set: Mutex<Option<ServerSet>>,
    /// Whether EndConfiguration has made the buffers of the set that is open.
    configured: AtomicBool,
    buffers: Arc<Buffers>,
    _alive: Alive,
}

impl ServerSetObject {
    pub(super) fn new() -> ServerSetObject {
        ServerSetObject {
            set: Mutex::default(),
            configured: AtomicBool::new(false),
            buffers: Arc::default(),
            _alive: Alive::new(),
        }
    }

    /// The set, if one is open.
    fn set(&self) -> Result<ServerSet, HResult> {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        set.clone().ok_or(HResult::VD_E_PROTOCOL)
    }

    fn on_set(&self, call: &str, body: impl FnOnce(&ServerSet) -> Result<(), Error>) -> HRESULT {
        guarded(|| body(&self.set()?).map_err(|error| explain(call, &error)))
    }
}

impl Drop for ServerSetObject {
    fn drop(&mut self) {
        let _ = guarded(|| {
            self.buffers.lock().clear();
            if let Ok(set) = self.set() {
                // Open still, so that it is an aborted set for the client.
                let _ = set.close();
            }
            Ok(())
        });
    }
}

impl IServerVirtualDeviceSet2_Impl for ServerSetObject_Impl {
    unsafe fn Open(&self, server: Name, set_name: Name) -> HRESULT {
        // SAFETY: null or strings, by the interface.
        let (server, set_name) = unsafe { (instance(server), name(set_name)) };
        guarded(|| {
            let set_name = set_name.as_deref().ok_or(HResult::VD_E_INVALID)?;
            let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
            if set.is_some() {
                return Err(HResult::VD_E_PROTOCOL);
            }
            let open = || {
                let environment = Environment::from_process()?;
                ServerSet::open(&environment, server.as_deref(), set_name)
            };
            *set = Some(open().map_err(|error| {
                if error.status() == HResult::VD_E_INVALID {
                    report_missing(server.as_deref(), set_name);
                }
                explain("Open", &error)
            })?);
            self.configured.store(false, Ordering::Relaxed);
            Ok(())
        })
    }

    unsafe fn GetConfiguration(&self, config: *mut VdConfig) -> HRESULT {
        guarded(|| {
            let config = needed(config)?;
            let answer = self.set()?.get_configuration().map_err(|error| error.status())?;
            // SAFETY: not null, so it is the configuration that the interface asks for.
            unsafe { config.write(answer) };
            Ok(())
        })
    }

    unsafe fn BeginConfiguration(
        &self,
        features: u32,
        block_size: u32,
        alignment: u32,
        max_transfer_size: u32,
        timeout: u32,
    ) -> HRESULT {
        let features = Features::from_bits_retain(features);
        let config =
            ServerConfig { features, block_size, alignment, max_transfer_size, time_out: timeout };
        self.on_set("BeginConfiguration", |set| set.begin_configuration(&config))
    }

    unsafe fn EndConfiguration(&self) -> HRESULT {
        self.on_set("EndConfiguration", |set| {
            set.end_configuration()?;
            self.configured.store(true, Ordering::Relaxed);
            Ok(())
        })
    }

    unsafe fn RequestBuffers(&self, size: u32, alignment: u32, count: u32) -> HRESULT {
        self.on_set("RequestBuffers", |set| set.request_buffers(size, alignment, count))
    }

    unsafe fn QueryAvailableBuffers(&self, size: u32, alignment: u32, count: *mut u32) -> HRESULT {
        guarded(|| {
            let count = needed(count)?;
            let answer = self.set()?.query_available_buffers(size, alignment);
            // SAFETY: not null, so it is the number that the interface asks for.
            unsafe { count.write(answer.map_err(|error| error.status())?) };
            Ok(())
        })
    }

    unsafe fn ExecuteCompletionAgent(&self) -> HRESULT {
        self.on_set("ExecuteCompletionAgent", ServerSet::execute_completion_agent)
    }

    unsafe fn OpenDevice(&self, device_name: Name, device: *mut *mut c_void) -> HRESULT {
        // SAFETY: null or a string, by the interface.
        let device_name = unsafe { name(device_name) };
        guarded(|| {
            let device = needed(device)?;
            // SAFETY: not null, so it is the pointer that the interface asks for; likewise below.
            unsafe { device.write(ptr::null_mut()) };
            let device_name = device_name.as_deref().ok_or(HResult::VD_E_INVALID)?;
            let opened = self.set()?.open_device(device_name).map_err(|error| error.status())?;
            let buffers = Arc::clone(&self.buffers);
            let object: IServerVirtualDevice =
                ServerDeviceObject { device: opened, buffers, _alive: Alive::new() }.into();
            // SAFETY: as above; the server gets the one reference.
            unsafe { device.write(windows_core::Interface::into_raw(object)) };
            Ok(())
        })
    }

    unsafe fn AllocateBuffer(&self, buffer: *mut *mut u8, size: u32, alignment: u32) -> HRESULT {
        guarded(|| {
            let buffer = needed(buffer)?;
            let allocated = self.set()?.allocate_buffer(size, alignment);
            let start = self.buffers.put(allocated.map_err(|error| error.status())?);
            // SAFETY: not null, so it is the pointer that the interface asks for.
            unsafe { buffer.write(start) };
            Ok(())
        })
    }

    unsafe fn FreeBuffer(&self, buffer: *mut u8, _size: u32) -> HRESULT {
        guarded(|| {
            // By the table: before there are buffers the call is out of order, after an abort never.
            let aborted = self.set()?.abort_cause().is_some();
            if !aborted && !self.configured.load(Ordering::Relaxed) {
                return Err(HResult::VD_E_PROTOCOL);
            }
            // One that is under way is the client's, and none to be freed.
            let freed = self.buffers.lock().remove(&buffer.addr());
            freed.map(drop).ok_or(HResult::VD_E_INVALID)
        })
    }

    unsafe fn IsSharedBuffer(&self, buffer: *mut u8) -> BOOL {
        let mut shared = false;
        let _ = guarded(|| {
            shared = self.set()?.is_shared_buffer(buffer);
            Ok(())
        });
        shared.into()
    }

    unsafe fn SignalAbort(&self) -> HRESULT {
        self.on_set("SignalAbort", |set| {
            set.signal_abort();
            Ok(())
        })
    }

    unsafe fn Close(&self) -> HRESULT {
        guarded(|| {
            let set = self.set.lock().unwrap_or_else(PoisonError::into_inner).take();
            let set = set.ok_or(HResult::VD_E_PROTOCOL)?;
            let closed = set.close();
            self.buffers.lock().clear();
            closed.map_err(|error| error.status())
        })
    }
}

/// A server's device.
#[implement(IServerVirtualDevice)]
struct ServerDeviceObject {
    device: ServerDevice,
    buffers: Arc<Buffers>,
    _alive: Alive,
}

/// The server's command, which is its own until the routine is called.
#[derive(Clone, Copy)]
struct Sent {
    command: *mut VdsCommand,
    routine: Routine,
}

// SAFETY: by the interface the command stays where it is until the routine was called, once, from the
// agent's thread.
unsafe impl Send for Sent {}
// SAFETY: as for Send.
unsafe impl Sync for Sent {}

impl Sent {
    fn complete(&self, buffers: &Buffers, completed: Completed) {
        if let Some(buffer) = completed.buffer {
            buffers.put(buffer);
        }
        // SAFETY: see the type; the fields are written before the server is told.
        unsafe {
            (*self.command).completion_code = completed.completion;
            (*self.command).bytes_transferred = completed.bytes;
            (*self.command).out_position = completed.position;
            (self.routine)(self.command);
        }
    }
}

impl IServerVirtualDevice_Impl for ServerDeviceObject_Impl {
    unsafe fn SendCommand(&self, command: *mut VdsCommand) -> HRESULT {
        guarded(|| {
            let command = needed(command)?;
            // SAFETY: not null, so it is the command that the interface asks for.
            let asked = unsafe { command.read() };
            let routine = needed(asked.completion_routine)?;
            // SAFETY: not null, so it is the routine that the interface asks for.
            let routine = unsafe { transmute::<*mut c_void, Routine>(routine) };
            let buffer = match asked.buffer.is_null() {
                true => None,
                false => {
                    let held = self.buffers.lock().remove(&asked.buffer.addr());
                    Some(held.ok_or(HResult::VD_E_INVALID)?)
                }
            };
            let (sent, buffers) = (Sent { command, routine }, Arc::clone(&self.buffers));
            let request = Request {
                code: asked.command_code,
                size: asked.size,
                position: asked.in_position,
                buffer,
                context: 0,
                routine: Arc::new(move |completed| sent.complete(&buffers, completed)),
            };
            self.device.send_command(request).map_err(|error| error.status())
        })
    }

    unsafe fn CloseDevice(&self) -> HRESULT {
        guarded(|| self.device.close_device().map_err(|error| error.status()))
    }
}
