//! The C++ symbols, as a compiler mangles the members of the classes in `include/vdi.h`, with `this`
//! as the first argument. Source: vdi.h of the Linux sample; Itanium C++ ABI.
//!
//! Every object of the client is one pointer wide: the set's is in memory of the client, constructed
//! here; the device's is made here and may be deleted there. A null pointer is VD_E_INVALID
//! everywhere, also as `this`. Output arguments are written on success only, save OpenDevice's.

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use serde_json::{Value, json};
use vdi_protocol::{CompletionCode, HResult, VdConfig, VdcCommand};

use super::device::Device;
use super::operator_new::operator_new;
use super::set::{self, DeviceSet};
use super::trace;

/// A `ClientVirtualDeviceSet`.
#[repr(C)]
struct SetObject {
    cvds: AtomicPtr<DeviceSet>,
}

/// A `ClientVirtualDevice`. Its pointer owns one reference to the device.
#[repr(C)]
struct DeviceObject {
    cvd: AtomicPtr<Device>,
}

/// Runs on the way out of the process, after the client's own destructors.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = {
    extern "C" fn at_exit() {
        let _ = guarded(|| {
            set::leave_names_clean();
            trace::end();
            Ok(())
        });
    }
    at_exit
};

/// `ClientVirtualDeviceSet::ClientVirtualDeviceSet()`, the complete object's constructor.
#[unsafe(export_name = "_ZN22ClientVirtualDeviceSetC1Ev")]
unsafe extern "C" fn set_construct(this: *mut SetObject) {
    // Not through a reference: the memory holds nothing yet.
    let cvds =
        catch_unwind(DeviceSet::take).map_or(ptr::null_mut(), |set| ptr::from_ref(set).cast_mut());
    if !this.is_null() {
        // SAFETY: a C++ compiler calls a constructor with memory for the object.
        unsafe { this.write(SetObject { cvds: AtomicPtr::new(cvds) }) };
    }
}

/// The same for the base of another object.
#[unsafe(export_name = "_ZN22ClientVirtualDeviceSetC2Ev")]
unsafe extern "C" fn set_construct_base(this: *mut SetObject) {
    // SAFETY: as for the complete object.
    unsafe { set_construct(this) };
}

/// `ClientVirtualDeviceSet::~ClientVirtualDeviceSet()`, the complete object's destructor.
#[unsafe(export_name = "_ZN22ClientVirtualDeviceSetD1Ev")]
unsafe extern "C" fn set_destroy(this: *mut SetObject) {
    let call = trace::call("~ClientVirtualDeviceSet");
    // SAFETY: null or an object that was constructed.
    let set = unsafe { inside_of_set(this) };
    let status = guarded(|| {
        set?.give_back();
        // SAFETY: not null, as it has an inside.
        unsafe { (*this).cvds.store(ptr::null_mut(), Ordering::Relaxed) };
        Ok(())
    });
    if let Some(call) = call {
        call.returned(&set_label(set), json!({}), status, json!({}));
    }
}

/// The same for the base of another object.
#[unsafe(export_name = "_ZN22ClientVirtualDeviceSetD2Ev")]
unsafe extern "C" fn set_destroy_base(this: *mut SetObject) {
    // SAFETY: as for the complete object.
    unsafe { set_destroy(this) };
}

/// Before a call that opens a set is recorded: what a test left may say where to.
fn heed(set: Result<&DeviceSet, HResult>) {
    let _ = guarded(|| {
        set?.heed();
        Ok(())
    });
}

/// `int Create(char *name, VDConfig *cfg)`
#[unsafe(export_name = "_ZN22ClientVirtualDeviceSet6CreateEPcP8VDConfig")]
unsafe extern "C" fn set_create(
    this: *const SetObject,
    name: *const c_char,
    config: *const VdConfig,
) -> c_int {
    // SAFETY: null, or what the interface asks for: an object, a string, a configuration.
    let (set, name, config) = unsafe { (inside_of_set(this), string(name), read(config)) };
    heed(set);
    let call = trace::call("Create");
    let status = guarded(|| set?.create_ex(None, name?, &config?));
    if let Some(call) = call {
        let arguments = json!({"name": text(name), "config": config_fields(config)});
        call.returned(&set_label(set), arguments, status, json!({}));
    }
    status
}

/// `int GetConfiguration(time_t timeout, VDConfig *cfg)`
#[unsafe(export_name = "_ZN22ClientVirtualDeviceSet16GetConfigurationElP8VDConfig")]
unsafe extern "C" fn set_get_configuration(
    this: *const SetObject,
    timeout: c_long,
    config: *mut VdConfig,
) -> c_int {
    let call = trace::call("GetConfiguration");
    // SAFETY: null or a constructed object.
    let set = unsafe { inside_of_set(this) };
    let mut answer = Err(HResult::VD_E_INVALID);
    let status = guarded(|| {
        let config = writable(config)?;
        answer = set?.get_configuration(timeout);
        // SAFETY: not null, so it is the configuration that the interface asks for.
        answer.map(|answer| unsafe { config.write(answer) })
    });
    if let Some(call) = call {
        let results = json!({"config": config_fields(answer)});
        call.returned(&set_label(set), json!({"timeout": timeout}), status, results);
    }
    status
}

/// `int OpenDevice(char *name, ClientVirtualDevice **ppVirtualDevice)`
#[unsafe(export_name = "_ZN22ClientVirtualDeviceSet10OpenDeviceEPcPP19ClientVirtualDevice")]
unsafe extern "C" fn set_open_device(
    this: *const SetObject,
    name: *const c_char,
    device: *mut *mut DeviceObject,
) -> c_int {
    let call = trace::call("OpenDevice");
    // SAFETY: null, or an object and a string.
    let (set, name) = unsafe { (inside_of_set(this), string(name)) };
    let mut label = Value::Null;
    let status = guarded(|| {
        let device = writable(device)?;
        // SAFETY: not null, so it is the pointer that the interface asks for; likewise below.
        unsafe { device.write(ptr::null_mut()) };
        let opened = set?.open_device(name?)?;
        let object = operator_new(size_of::<DeviceObject>()).ok_or(HResult::VD_E_MEMORY)?.cast();
        if call.is_some() {
            label = opened.label().into();
        }
        let cvd = AtomicPtr::new(Arc::into_raw(opened).cast_mut());
        // SAFETY: the memory is new and large enough.
        unsafe {
            object.write(DeviceObject { cvd });
            device.write(object.as_ptr());
        }
        Ok(())
    });
    if let Some(call) = call {
        let arguments = json!({"name": text(name)});
        call.returned(&set_label(set), arguments, status, json!({"device": label}));
    }
    status
}

/// `int Close()`
#[unsafe(export_name = "_ZN22ClientVirtualDeviceSet5CloseEv")]
unsafe extern "C" fn set_close(this: *const SetObject) -> c_int {
    // SAFETY: null or a constructed object.
    unsafe { plain_call("Close", this, DeviceSet::close) }
}

/// `int SignalAbort()`
#[unsafe(export_name = "_ZN22ClientVirtualDeviceSet11SignalAbortEv")]
unsafe extern "C" fn set_signal_abort(this: *const SetObject) -> c_int {
    // SAFETY: null or a constructed object.
    unsafe { plain_call("SignalAbort", this, DeviceSet::signal_abort) }
}

/// `void RegisterDeviceClosed()`: public in the header, undocumented, and nothing for a client; the
/// count of closed devices is kept elsewhere.
#[unsafe(export_name = "_ZN22ClientVirtualDeviceSet20RegisterDeviceClosedEv")]
unsafe extern "C" fn set_register_device_closed(this: *const SetObject) {
    // SAFETY: null or a constructed object.
    unsafe { plain_call("RegisterDeviceClosed", this, |_| Ok(())) };
}

/// `int OpenInSecondary(char *setName)`
#[unsafe(export_name = "_ZN22ClientVirtualDeviceSet15OpenInSecondaryEPc")]
unsafe extern "C" fn set_open_in_secondary(this: *const SetObject, name: *const c_char) -> c_int {
    // SAFETY: null, or an object and a string.
    let (set, name) = unsafe { (inside_of_set(this), string(name)) };
    heed(set);
    let call = trace::call("OpenInSecondary");
    let status = guarded(|| set?.open_in_secondary_ex(None, name?));
    if let Some(call) = call {
        call.returned(&set_label(set), json!({"name": text(name)}), status, json!({}));
    }
    status
}

/// `int GetBufferHandle(uint8_t *pBuffer, unsigned int *pBufferHandle)`
#[unsafe(export_name = "_ZN22ClientVirtualDeviceSet15GetBufferHandleEPhPj")]
unsafe extern "C" fn set_get_buffer_handle(
    this: *const SetObject,
    buffer: *const u8,
    handle: *mut c_uint,
) -> c_int {
    let call = trace::call("GetBufferHandle");
    // SAFETY: null or a constructed object.
    let set = unsafe { inside_of_set(this) };
    let mut answer = Err(HResult::VD_E_INVALID);
    let status = guarded(|| {
        let handle = writable(handle)?;
        answer = set?.get_buffer_handle(writable(buffer.cast_mut())?);
        // SAFETY: not null, so it is the number that the interface asks for.
        answer.map(|answer| unsafe { handle.write(answer) })
    });
    if let Some(call) = call {
        let arguments = json!({"buffer": trace::address(buffer)});
        call.returned(&set_label(set), arguments, status, json!({"handle": answer.ok()}));
    }
    status
}

/// `int MapBufferHandle(int dwBuffer, uint8_t **ppBuffer)`
#[unsafe(export_name = "_ZN22ClientVirtualDeviceSet15MapBufferHandleEiPPh")]
unsafe extern "C" fn set_map_buffer_handle(
    this: *const SetObject,
    handle: c_int,
    buffer: *mut *mut u8,
) -> c_int {
    let call = trace::call("MapBufferHandle");
    // SAFETY: null or a constructed object.
    let set = unsafe { inside_of_set(this) };
    let mut answer = Err(HResult::VD_E_INVALID);
    let status = guarded(|| {
        let buffer = writable(buffer)?;
        answer = set?.map_buffer_handle(handle.cast_unsigned());
        // SAFETY: not null, so it is the pointer that the interface asks for.
        answer.map(|answer| unsafe { buffer.write(answer) })
    });
    if let Some(call) = call {
        let results = json!({"buffer": answer.ok().map(|buffer| trace::address(buffer))});
        let arguments = json!({"handle": handle.cast_unsigned()});
        call.returned(&set_label(set), arguments, status, results);
    }
    status
}

/// `ClientVirtualDevice::ClientVirtualDevice()`: a device that is not open. Clients get theirs from
/// OpenDevice, but the header lets them make one.
#[unsafe(export_name = "_ZN19ClientVirtualDeviceC1Ev")]
unsafe extern "C" fn device_construct(this: *mut DeviceObject) {
    if !this.is_null() {
        // SAFETY: a C++ compiler calls a constructor with memory for the object.
        unsafe { this.write(DeviceObject { cvd: AtomicPtr::new(ptr::null_mut()) }) };
    }
}

/// The same for the base of another object.
#[unsafe(export_name = "_ZN19ClientVirtualDeviceC2Ev")]
unsafe extern "C" fn device_construct_base(this: *mut DeviceObject) {
    // SAFETY: as for the complete object.
    unsafe { device_construct(this) };
}

/// `ClientVirtualDevice::~ClientVirtualDevice()`. It leaves the device as it is: what is open stays
/// open for the server, and Close of the set ends it.
#[unsafe(export_name = "_ZN19ClientVirtualDeviceD1Ev")]
unsafe extern "C" fn device_destroy(this: *mut DeviceObject) {
    let call = trace::call("~ClientVirtualDevice");
    // SAFETY: null or a constructed object.
    let object = unsafe { this.as_ref() };
    let label = call.is_some().then(|| {
        // SAFETY: as above; the device is alive, its object being one.
        unsafe { inside_of_device(this) }.map_or_else(|_| String::new(), Device::label)
    });
    let status = guarded(|| {
        let cvd = object.ok_or(HResult::VD_E_INVALID)?.cvd.swap(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: null, or a device that this object's reference keeps alive; a copy of the object
        // has none of its own, so that only the first deletion of the two counts.
        if unsafe { cvd.as_ref() }.is_some_and(Device::delete_once) {
            // SAFETY: the reference that OpenDevice put into the object.
            drop(unsafe { Arc::from_raw(cvd) });
        }
        Ok(())
    });
    if let Some(call) = call {
        call.returned(&label.unwrap_or_default(), json!({}), status, json!({}));
    }
}

/// The same for the base of another object.
#[unsafe(export_name = "_ZN19ClientVirtualDeviceD2Ev")]
unsafe extern "C" fn device_destroy_base(this: *mut DeviceObject) {
    // SAFETY: as for the complete object.
    unsafe { device_destroy(this) };
}

/// `int GetCommand(time_t timeOut, VDC_Command **ppCmd)`
#[unsafe(export_name = "_ZN19ClientVirtualDevice10GetCommandElPP11VDC_Command")]
unsafe extern "C" fn device_get_command(
    this: *const DeviceObject,
    timeout: c_long,
    command: *mut *mut VdcCommand,
) -> c_int {
    let call = trace::call("GetCommand");
    // SAFETY: null or a constructed object.
    let device = unsafe { inside_of_device(this) };
    let mut answer = Err(HResult::VD_E_INVALID);
    let status = guarded(|| {
        let command = writable(command)?;
        answer = device?.get_command(timeout);
        // SAFETY: not null, so it is the pointer that the interface asks for.
        answer.map(|answer| unsafe { command.write(answer) })
    });
    if let Some(call) = call {
        // SAFETY: GetCommand gave it just now, and the device keeps its memory.
        let given = answer.map(|cell| unsafe { cell.read() });
        let results = given.map_or(json!({}), |given| {
            json!({
                "command": device.ok().zip(answer.ok()).and_then(|(it, cell)| it.id_of(cell)),
                "code": given.command_code.to_string(),
                "size": given.size,
                "position": given.position,
                "buffer": trace::address(given.buffer),
            })
        });
        call.returned(&device_label(device), json!({"timeout": timeout}), status, results);
    }
    status
}

/// `int CompleteCommand(VDC_Command *pCmd, int completionCode, unsigned long bytesTransferred,
/// int64_t position)`
#[unsafe(export_name = "_ZN19ClientVirtualDevice15CompleteCommandEP11VDC_Commandiml")]
unsafe extern "C" fn device_complete_command(
    this: *const DeviceObject,
    command: *const VdcCommand,
    code: c_int,
    bytes: c_ulong,
    position: i64,
) -> c_int {
    let call = trace::call("CompleteCommand");
    // SAFETY: null or a constructed object.
    let device = unsafe { inside_of_device(this) };
    let code = CompletionCode(code.cast_unsigned());
    let status = guarded(|| {
        let command = writable(command.cast_mut())?;
        device?.complete_command(command, code, bytes, position.cast_unsigned())
    });
    if let Some(call) = call {
        let id = device.ok().and_then(|device| device.id_of(command));
        let arguments = json!({
            "command": id, "code": code.0, "bytes": bytes, "position": position,
        });
        call.returned(&device_label(device), arguments, status, json!({}));
    }
    status
}

/// A call of a set that has neither arguments nor results.
///
/// # Safety
/// `this` is null or a constructed object.
unsafe fn plain_call(
    name: &'static str,
    this: *const SetObject,
    body: impl FnOnce(&DeviceSet) -> Result<(), HResult>,
) -> c_int {
    let call = trace::call(name);
    // SAFETY: the caller's promise.
    let set = unsafe { inside_of_set(this) };
    let status = guarded(|| body(set?));
    if let Some(call) = call {
        call.returned(&set_label(set), json!({}), status, json!({}));
    }
    status
}

/// The status of a call; a panic in it is VD_E_UNEXPECTED.
#[inline]
fn guarded(call: impl FnOnce() -> Result<(), HResult>) -> c_int {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => HResult::NOERROR.as_i32(),
        Ok(Err(status)) => status.as_i32(),
        Err(panic) => {
            // Dropping what it carries could panic again.
            std::mem::forget(panic);
            HResult::VD_E_UNEXPECTED.as_i32()
        }
    }
}

/// The set inside an object; a destroyed object holds no set.
///
/// # Safety
/// `this` is null or a constructed object.
#[inline]
unsafe fn inside_of_set(this: *const SetObject) -> Result<&'static DeviceSet, HResult> {
    // SAFETY: the caller's promise.
    let object = unsafe { this.as_ref() }.ok_or(HResult::VD_E_INVALID)?;
    // SAFETY: null or from DeviceSet::take, which lives for ever.
    unsafe { object.cvds.load(Ordering::Relaxed).as_ref() }.ok_or(HResult::VD_E_PROTOCOL)
}

/// The device inside an object; one that the client made itself, or deleted, is not open.
///
/// # Safety
/// `this` is null or a constructed object that is not deleted during 'a.
#[inline]
unsafe fn inside_of_device<'a>(this: *const DeviceObject) -> Result<&'a Device, HResult> {
    // SAFETY: the caller's promise.
    let object = unsafe { this.as_ref() }.ok_or(HResult::VD_E_INVALID)?;
    // SAFETY: null, or a device that the object's reference keeps alive.
    unsafe { object.cvd.load(Ordering::Relaxed).as_ref() }.ok_or(HResult::VD_E_PROTOCOL)
}

/// A pointer that the call needs.
#[inline]
fn writable<T>(pointer: *mut T) -> Result<*mut T, HResult> {
    if pointer.is_null() { Err(HResult::VD_E_INVALID) } else { Ok(pointer) }
}

/// A name.
///
/// # Safety
/// `name` is null or a C string that stays as it is during 'a.
unsafe fn string<'a>(name: *const c_char) -> Result<&'a [u8], HResult> {
    if name.is_null() {
        return Err(HResult::VD_E_INVALID);
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { CStr::from_ptr(name) }.to_bytes())
}

/// A copy of a configuration.
///
/// # Safety
/// `config` is null or readable.
unsafe fn read(config: *const VdConfig) -> Result<VdConfig, HResult> {
    // SAFETY: the caller's promise; any bytes are a configuration.
    unsafe { config.as_ref() }.copied().ok_or(HResult::VD_E_INVALID)
}

fn set_label(set: Result<&DeviceSet, HResult>) -> String {
    set.map_or_else(|_| String::new(), DeviceSet::label)
}

fn device_label(device: Result<&Device, HResult>) -> String {
    device.map_or_else(|_| String::new(), Device::label)
}

fn text(name: Result<&[u8], HResult>) -> Option<String> {
    name.ok().map(|name| String::from_utf8_lossy(name).into_owned())
}

fn config_fields(config: Result<VdConfig, HResult>) -> Value {
    config.map_or(Value::Null, |config| {
        json!({
            "deviceCount": config.device_count,
            "features": config.features,
            "prefixZoneSize": config.prefix_zone_size,
            "alignment": config.alignment,
            "softFileMarkBlockSize": config.soft_file_mark_block_size,
            "EOMWarningSize": config.eom_warning_size,
            "serverTimeOut": config.server_time_out,
            "blockSize": config.block_size,
            "maxIODepth": config.max_io_depth,
            "maxTransferSize": config.max_transfer_size,
            "bufferAreaSize": config.buffer_area_size,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a panic that unwinds into the client, or that is taken for success.
    #[test]
    fn a_panic_is_an_unexpected_error() {
        let status = guarded(|| panic!("as if by a bug"));
        assert_eq!(HResult(status.cast_unsigned()), HResult::VD_E_UNEXPECTED);
    }
}
