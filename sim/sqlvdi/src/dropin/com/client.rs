//! The client's objects.
#![allow(non_snake_case, reason = "the names of the interface")]

use std::cell::Cell;
use std::ffi::{OsStr, c_void};
use std::ptr;
use std::sync::Arc;

use serde_json::{Value, json};
use vdi_protocol::{CompletionCode, HResult, VdConfig, VdcCommand};
use windows_core::{HRESULT, implement};

use super::class::Alive;
use super::interfaces::{
    IClientVirtualDevice, IClientVirtualDevice_Impl, IClientVirtualDeviceSet_Impl,
    IClientVirtualDeviceSet2, IClientVirtualDeviceSet2_Impl, Name,
};
use super::text::{guarded, instance, name, needed};
use crate::dropin::device::Device;
use crate::dropin::set::DeviceSet;
use crate::dropin::trace;

/// The variable that names the instance for the calls that have no argument for it.
/// Source: VDI, CreateEx.
const VIRTUAL_SERVER_NAME: &str = "_VIRTUAL_SERVER_NAME_";

/// A client's set.
#[implement(IClientVirtualDeviceSet2)]
pub(super) struct ClientSetObject {
    set: &'static DeviceSet,
    _alive: Alive,
}

impl ClientSetObject {
    pub(super) fn new() -> ClientSetObject {
        ClientSetObject { set: DeviceSet::take(), _alive: Alive::new() }
    }

    fn create(
        &self,
        call: &'static str,
        instance: Option<&[u8]>,
        name: Option<&[u8]>,
        config: *const VdConfig,
    ) -> HRESULT {
        self.set.heed();
        let call = trace::call(call);
        // SAFETY: null, or the configuration that the interface asks for; any bytes are one.
        let config = unsafe { config.as_ref() }.copied();
        let invalid = HResult::VD_E_INVALID;
        let status =
            guarded(|| self.set.create_ex(instance, name.ok_or(invalid)?, &config.ok_or(invalid)?));
        if let Some(call) = call {
            let arguments = json!({"instance": shown(instance), "name": shown(name)});
            call.returned(&self.set.label(), arguments, status.0, json!({}));
        }
        status
    }

    fn join(&self, call: &'static str, instance: Option<&[u8]>, name: Option<&[u8]>) -> HRESULT {
        self.set.heed();
        let call = trace::call(call);
        let status =
            guarded(|| self.set.open_in_secondary_ex(instance, name.ok_or(HResult::VD_E_INVALID)?));
        if let Some(call) = call {
            let arguments = json!({"instance": shown(instance), "name": shown(name)});
            call.returned(&self.set.label(), arguments, status.0, json!({}));
        }
        status
    }

    /// A call that has neither arguments nor results.
    fn plain(
        &self,
        call: &'static str,
        body: impl FnOnce(&DeviceSet) -> Result<(), HResult>,
    ) -> HRESULT {
        self.told(call, body, || (json!({}), json!({})))
    }

    /// [`plain`](Self::plain) for a call whose trace has arguments and results, which `words` knows
    /// when it has returned.
    fn told(
        &self,
        call: &'static str,
        body: impl FnOnce(&DeviceSet) -> Result<(), HResult>,
        words: impl FnOnce() -> (Value, Value),
    ) -> HRESULT {
        let call = trace::call(call);
        let status = guarded(|| body(self.set));
        if let Some(call) = call {
            let (arguments, results) = words();
            call.returned(&self.set.label(), arguments, status.0, results);
        }
        status
    }
}

impl Drop for ClientSetObject {
    /// The last Release; a set that is open then is closed, and aborted if its devices are.
    fn drop(&mut self) {
        let _ = guarded(|| {
            self.set.give_back();
            Ok(())
        });
    }
}

impl IClientVirtualDeviceSet_Impl for ClientSetObject_Impl {
    unsafe fn Create(&self, set_name: Name, config: *mut VdConfig) -> HRESULT {
        // SAFETY: null or a string, by the interface.
        let set_name = unsafe { name(set_name) };
        self.create("Create", default_instance().as_deref(), set_name.as_deref(), config)
    }

    unsafe fn GetConfiguration(&self, timeout: u32, config: *mut VdConfig) -> HRESULT {
        let call = trace::call("GetConfiguration");
        let status = guarded(|| {
            let config = needed(config)?;
            let answer = self.set.get_configuration(i64::from(timeout))?;
            // SAFETY: not null, so it is the configuration that the interface asks for.
            unsafe { config.write(answer) };
            Ok(())
        });
        if let Some(call) = call {
            call.returned(&self.set.label(), json!({"timeout": timeout}), status.0, json!({}));
        }
        status
    }

    unsafe fn OpenDevice(&self, device_name: Name, device: *mut *mut c_void) -> HRESULT {
        let call = trace::call("OpenDevice");
        // SAFETY: null or a string, by the interface.
        let device_name = unsafe { name(device_name) };
        let mut label = Value::Null;
        let status = guarded(|| {
            let device = needed(device)?;
            // SAFETY: not null, so it is the pointer that the interface asks for; likewise below.
            unsafe { device.write(ptr::null_mut()) };
            let opened =
                self.set.open_device(device_name.as_deref().ok_or(HResult::VD_E_INVALID)?)?;
            if call.is_some() {
                label = opened.label().into();
            }
            let object: IClientVirtualDevice =
                ClientDeviceObject { device: opened, _alive: Alive::new() }.into();
            // SAFETY: as above; the client gets the one reference.
            unsafe { device.write(windows_core::Interface::into_raw(object)) };
            Ok(())
        });
        if let Some(call) = call {
            let arguments = json!({"name": shown(device_name.as_deref())});
            call.returned(&self.set.label(), arguments, status.0, json!({"device": label}));
        }
        status
    }

    unsafe fn Close(&self) -> HRESULT {
        self.plain("Close", DeviceSet::close)
    }

    unsafe fn SignalAbort(&self) -> HRESULT {
        self.plain("SignalAbort", DeviceSet::signal_abort)
    }

    unsafe fn OpenInSecondary(&self, set_name: Name) -> HRESULT {
        // SAFETY: null or a string, by the interface.
        let set_name = unsafe { name(set_name) };
        self.join("OpenInSecondary", default_instance().as_deref(), set_name.as_deref())
    }

    unsafe fn GetBufferHandle(&self, buffer: *mut u8, handle: *mut u32) -> HRESULT {
        let got = Cell::new(None);
        let body = |set: &DeviceSet| {
            let handle = needed(handle)?;
            let answer = set.get_buffer_handle(needed(buffer)?)?;
            got.set(Some(answer));
            // SAFETY: not null, so it is the number that the interface asks for.
            unsafe { handle.write(answer) };
            Ok(())
        };
        let words = || (json!({"buffer": trace::address(buffer)}), json!({"handle": got.get()}));
        self.told("GetBufferHandle", body, words)
    }

    unsafe fn MapBufferHandle(&self, handle: u32, buffer: *mut *mut u8) -> HRESULT {
        let mapped = Cell::new(None);
        let body = |set: &DeviceSet| {
            let buffer = needed(buffer)?;
            let answer = set.map_buffer_handle(handle)?;
            mapped.set(Some(trace::address(answer)));
            // SAFETY: not null, so it is the pointer that the interface asks for.
            unsafe { buffer.write(answer) };
            Ok(())
        };
        let words = || (json!({"handle": handle}), json!({"buffer": mapped.take()}));
        self.told("MapBufferHandle", body, words)
    }
}

impl IClientVirtualDeviceSet2_Impl for ClientSetObject_Impl {
    unsafe fn CreateEx(&self, server: Name, set_name: Name, config: *mut VdConfig) -> HRESULT {
        // SAFETY: null or strings, by the interface.
        let (server, set_name) = unsafe { (instance(server), name(set_name)) };
        self.create("CreateEx", server.as_deref(), set_name.as_deref(), config)
    }

    unsafe fn OpenInSecondaryEx(&self, server: Name, set_name: Name) -> HRESULT {
        // SAFETY: null or strings, by the interface.
        let (server, set_name) = unsafe { (instance(server), name(set_name)) };
        self.join("OpenInSecondaryEx", server.as_deref(), set_name.as_deref())
    }
}

/// A device. It may be released before or behind its set's Close.
#[implement(IClientVirtualDevice)]
struct ClientDeviceObject {
    device: Arc<Device>,
    _alive: Alive,
}

impl IClientVirtualDevice_Impl for ClientDeviceObject_Impl {
    unsafe fn GetCommand(&self, timeout: u32, command: *mut *mut VdcCommand) -> HRESULT {
        let call = trace::call("GetCommand");
        let mut given = None;
        let status = guarded(|| {
            let command = needed(command)?;
            // 2^31 ms and more are INFINITE for the set, too: a client can't tell.
            let answer = self.device.get_command(i64::from(timeout))?;
            given = Some(answer);
            // SAFETY: not null, so it is the pointer that the interface asks for.
            unsafe { command.write(answer) };
            Ok(())
        });
        if let Some(call) = call {
            let results = given.map_or(json!({}), |cell| {
                // SAFETY: GetCommand gave it just now, and the device keeps its memory.
                let given = unsafe { cell.read() };
                json!({
                    "command": self.device.id_of(cell),
                    "code": given.command_code.to_string(),
                    "size": given.size,
                    "position": given.position,
                    "buffer": format!("{:p}", given.buffer),
                })
            });
            call.returned(&self.device.label(), json!({"timeout": timeout}), status.0, results);
        }
        status
    }

    unsafe fn CompleteCommand(
        &self,
        command: *mut VdcCommand,
        code: u32,
        bytes: u32,
        position: u64,
    ) -> HRESULT {
        let call = trace::call("CompleteCommand");
        let status = guarded(|| {
            let command = needed(command)?;
            self.device.complete_command(command, CompletionCode(code), u64::from(bytes), position)
        });
        if let Some(call) = call {
            let id = self.device.id_of(command);
            let arguments =
                json!({"command": id, "code": code, "bytes": bytes, "position": position});
            call.returned(&self.device.label(), arguments, status.0, json!({}));
        }
        status
    }
}

/// The instance for the calls that have no argument for it.
fn default_instance() -> Option<Vec<u8>> {
    let named = std::env::var_os(VIRTUAL_SERVER_NAME).filter(|name| name != OsStr::new(""));
    named.map(std::ffi::OsString::into_encoded_bytes)
}

fn shown(name: Option<&[u8]>) -> Option<String> {
    name.map(|name| String::from_utf8_lossy(name).into_owned())
}
