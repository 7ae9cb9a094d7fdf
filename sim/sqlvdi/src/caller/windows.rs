//! The COM interface of `sqlvdi.dll`: its vtables, and the calls with Rust's types.
//!
//! The DLL's own class factory is asked, so that no registration is needed and any DLL can be named.
//! Source: vdi.h of the Windows samples; COM specification, IClassFactory.

use std::ffi::{CStr, c_void};
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::os::windows::io::AsRawHandle;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::time::Duration;

use vdi_protocol::{CompletionCode, HResult, VdConfig, guid};
use windows_sys::Win32::Foundation::{ERROR_BROKEN_PIPE, ERROR_HANDLE_EOF};
use windows_sys::Win32::Storage::FileSystem::{ReadFile, WriteFile};
use windows_sys::Win32::System::IO::{OVERLAPPED, OVERLAPPED_0, OVERLAPPED_0_0};
use windows_sys::Win32::System::Memory::{
    MEM_MAPPED, MEMORY_BASIC_INFORMATION, PAGE_READWRITE, VirtualQuery,
};

pub(super) use vdi_protocol::VdcCommand;

use super::{CallError, LoadError};

/// The file name of the drop-in on this platform.
pub const LIBRARY_NAME: &str = "sqlvdi.dll";

pub(super) type Status = i32;
type Guid = guid::Guid;

const IID_ICLASS_FACTORY: Guid = Guid::from_u128(0x00000001_0000_0000_c000_000000000046);

/// The first methods of every interface.
#[repr(C)]
pub(super) struct Unknown {
    query_interface:
        unsafe extern "system" fn(*mut c_void, *const Guid, *mut *mut c_void) -> Status,
    add_ref: unsafe extern "system" fn(*mut c_void) -> u32,
    pub(super) release: unsafe extern "system" fn(*mut c_void) -> u32,
}

#[repr(C)]
struct FactoryMethods {
    unknown: Unknown,
    create_instance: unsafe extern "system" fn(
        *mut c_void,
        *mut c_void,
        *const Guid,
        *mut *mut c_void,
    ) -> Status,
}

/// `IClientVirtualDeviceSet2`.
#[repr(C)]
struct SetMethods {
    unknown: Unknown,
    create: unsafe extern "system" fn(Set, *const u16, *mut VdConfig) -> Status,
    get_configuration: unsafe extern "system" fn(Set, u32, *mut VdConfig) -> Status,
    open_device: unsafe extern "system" fn(Set, *const u16, *mut Device) -> Status,
    close: unsafe extern "system" fn(Set) -> Status,
    signal_abort: unsafe extern "system" fn(Set) -> Status,
    open_in_secondary: unsafe extern "system" fn(Set, *const u16) -> Status,
    get_buffer_handle: unsafe extern "system" fn(Set, *mut u8, *mut u32) -> Status,
    map_buffer_handle: unsafe extern "system" fn(Set, u32, *mut *mut u8) -> Status,
    create_ex: unsafe extern "system" fn(Set, *const u16, *const u16, *mut VdConfig) -> Status,
    open_in_secondary_ex: unsafe extern "system" fn(Set, *const u16, *const u16) -> Status,
}

/// `IClientVirtualDevice`.
#[repr(C)]
struct DeviceMethods {
    unknown: Unknown,
    get_command: unsafe extern "system" fn(Device, u32, *mut *mut VdcCommand) -> Status,
    complete_command: unsafe extern "system" fn(Device, *mut VdcCommand, u32, u32, u64) -> Status,
}

/// The object behind `IClientVirtualDeviceSet2 *`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct SetObject(*const SetMethods);

/// The object behind `IClientVirtualDevice *`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct DeviceObject(*const DeviceMethods);

type Set = *mut SetObject;
type Device = *mut DeviceObject;

type GetClassObject =
    unsafe extern "system" fn(*const Guid, *const Guid, *mut *mut c_void) -> Status;

type Factory = NonNull<*const FactoryMethods>;

/// The class factories of a loaded DLL.
#[derive(Debug)]
pub(super) struct Symbols {
    get_class: GetClassObject,
    /// That of the client's set.
    factory: Factory,
}

// SAFETY: the factory is free-threaded by what this module asks of a DLL; it is only passed on.
unsafe impl Send for Symbols {}
// SAFETY: as for Send.
unsafe impl Sync for Symbols {}

impl Symbols {
    pub(super) fn load(path: &Path) -> Result<Symbols, LoadError> {
        const SYMBOL: &str = "DllGetClassObject";
        // SAFETY: the initialisers of the library run; whoever names a library to load vouches for
        // them, as with any program that is started.
        let library = unsafe { libloading::Library::new(path) }
            .map_err(|source| LoadError::NotLoadable { path: path.to_owned(), source })?;
        let none = || LoadError::NoSymbol { path: path.to_owned(), symbol: SYMBOL };
        // SAFETY: the type is that of the function of this name in every COM server.
        let get_class = *unsafe { library.get::<GetClassObject>(SYMBOL) }.map_err(|_| none())?;
        // Threads of the library may still run, so its code must stay.
        std::mem::forget(library);
        let factory = factory_of(get_class, &guid::CLSID_MSSQL_CLIENT_VIRTUAL_DEVICE_SET);
        Ok(Symbols { get_class, factory: factory.map_err(|_| none())? })
    }

    /// An object of another class, of which the caller has the one reference.
    pub(super) fn make(&self, class: &Guid, interface: &Guid) -> Result<NonNull<c_void>, HResult> {
        let factory = factory_of(self.get_class, class)?;
        let made = instance_of(factory, interface);
        // SAFETY: `factory_of` got it for us alone, and it is not used any more.
        unsafe { ((**factory.as_ptr()).unknown.release)(factory.as_ptr().cast()) };
        made
    }
}

/// The factory of a class, of which the caller has the one reference.
fn factory_of(get_class: GetClassObject, class: &Guid) -> Result<Factory, HResult> {
    let mut factory = ptr::null_mut();
    // SAFETY: two identities and a place for a pointer, for a function of a DLL that stays.
    let status = unsafe { get_class(class, &IID_ICLASS_FACTORY, &mut factory) };
    given(status, factory.cast())
}

/// A new object of a factory, and one reference to it.
fn instance_of(factory: Factory, interface: &Guid) -> Result<NonNull<c_void>, HResult> {
    let (factory, mut object) = (factory.as_ptr(), ptr::null_mut());
    // SAFETY: whoever has a factory holds a reference; an identity and a place for a pointer; no
    // outer object.
    let status = unsafe {
        let create = (**factory).create_instance;
        create(factory.cast(), ptr::null_mut(), interface, &mut object)
    };
    given(status, object)
}

fn given<T>(status: Status, object: *mut T) -> Result<NonNull<T>, HResult> {
    match NonNull::new(object) {
        Some(object) if status >= 0 => Ok(object),
        _ if status < 0 => Err(HResult(status.cast_unsigned())),
        // All is well, and yet there is nothing.
        _ => Err(HResult::VD_E_UNEXPECTED),
    }
}

impl SetObject {
    /// A set that holds nothing yet.
    pub(super) fn new(symbols: &Symbols) -> NonNull<SetObject> {
        let set = instance_of(symbols.factory, &guid::IID_ICLIENT_VIRTUAL_DEVICE_SET2);
        // Out of memory is the one reason left.
        set.expect("the class that the DLL offered makes objects").cast()
    }
}

impl Symbols {
    /// Releases a set.
    ///
    /// # Safety
    /// `set` comes from [`SetObject::new`] with this library and is not used afterwards.
    pub(super) unsafe fn delete_set(&self, set: NonNull<SetObject>) {
        // SAFETY: the caller's promise.
        unsafe { ((*(*set.as_ptr()).0).unknown.release)(set.as_ptr().cast()) };
    }

    /// Releases a device.
    ///
    /// # Safety
    /// `device` comes from this library's OpenDevice and is not used afterwards.
    pub(super) unsafe fn delete_device(&self, device: NonNull<DeviceObject>) {
        // SAFETY: the caller's promise.
        unsafe { ((*(*device.as_ptr()).0).unknown.release)(device.as_ptr().cast()) };
    }
}

/// The method of a set.
///
/// # Safety
/// `set` comes from [`SetObject::new`] and is alive.
unsafe fn methods<'a>(set: NonNull<SetObject>) -> &'a SetMethods {
    // SAFETY: the caller's promise; a vtable lives as long as the DLL, which stays.
    unsafe { &*(*set.as_ptr()).0 }
}

/// The calls on a set. For all of them:
///
/// # Safety
/// `set` comes from [`SetObject::new`] with this library and is alive.
impl Symbols {
    /// CreateEx for the default instance.
    pub(super) unsafe fn create(
        &self,
        set: NonNull<SetObject>,
        name: &CStr,
        config: &VdConfig,
    ) -> Result<(), CallError> {
        let (name, mut config) = (wide("CreateEx", name)?, *config);
        // SAFETY: the set is alive (caller); name and config are valid for the call.
        result("CreateEx", unsafe {
            (methods(set).create_ex)(set.as_ptr(), ptr::null(), name.as_ptr(), &mut config)
        })
    }

    /// GetConfiguration.
    pub(super) unsafe fn get_configuration(
        &self,
        set: NonNull<SetObject>,
        timeout: Option<Duration>,
    ) -> Result<VdConfig, CallError> {
        let mut config = VdConfig::default();
        // SAFETY: the set is alive (caller); config is writable.
        result("GetConfiguration", unsafe {
            (methods(set).get_configuration)(set.as_ptr(), milliseconds(timeout), &mut config)
        })?;
        Ok(config)
    }

    /// OpenDevice.
    pub(super) unsafe fn open_device(
        &self,
        set: NonNull<SetObject>,
        name: &CStr,
    ) -> Result<NonNull<DeviceObject>, CallError> {
        let (name, mut device) = (wide("OpenDevice", name)?, ptr::null_mut());
        // SAFETY: the set is alive (caller); name is valid for reads, device for writes.
        result("OpenDevice", unsafe {
            (methods(set).open_device)(set.as_ptr(), name.as_ptr(), &mut device)
        })?;
        NonNull::new(device)
            .ok_or(CallError { call: "OpenDevice", status: HResult::VD_E_UNEXPECTED })
    }

    /// Close.
    pub(super) unsafe fn close(&self, set: NonNull<SetObject>) -> Result<(), CallError> {
        // SAFETY: the set is alive (caller).
        result("Close", unsafe { (methods(set).close)(set.as_ptr()) })
    }

    /// SignalAbort.
    pub(super) unsafe fn signal_abort(&self, set: NonNull<SetObject>) -> Result<(), CallError> {
        // SAFETY: the set is alive (caller).
        result("SignalAbort", unsafe { (methods(set).signal_abort)(set.as_ptr()) })
    }

    /// OpenInSecondaryEx for the default instance.
    pub(super) unsafe fn open_in_secondary(
        &self,
        set: NonNull<SetObject>,
        name: &CStr,
    ) -> Result<(), CallError> {
        let name = wide("OpenInSecondaryEx", name)?;
        // SAFETY: the set is alive (caller); name is valid for reads.
        result("OpenInSecondaryEx", unsafe {
            (methods(set).open_in_secondary_ex)(set.as_ptr(), ptr::null(), name.as_ptr())
        })
    }

    /// GetBufferHandle.
    pub(super) unsafe fn get_buffer_handle(
        &self,
        set: NonNull<SetObject>,
        buffer: NonNull<u8>,
    ) -> Result<u32, CallError> {
        let mut handle = 0;
        // SAFETY: the set is alive (caller); the call looks at the buffer's address only.
        result("GetBufferHandle", unsafe {
            (methods(set).get_buffer_handle)(set.as_ptr(), buffer.as_ptr(), &mut handle)
        })?;
        Ok(handle)
    }

    /// MapBufferHandle.
    pub(super) unsafe fn map_buffer_handle(
        &self,
        set: NonNull<SetObject>,
        handle: u32,
    ) -> Result<*mut u8, CallError> {
        let mut buffer = ptr::null_mut();
        // SAFETY: the set is alive (caller); buffer is writable.
        result("MapBufferHandle", unsafe {
            (methods(set).map_buffer_handle)(set.as_ptr(), handle, &mut buffer)
        })?;
        Ok(buffer)
    }
}

/// The calls on a device. For all of them:
///
/// # Safety
/// `device` comes from this library's OpenDevice and is alive.
impl Symbols {
    /// GetCommand: the command's address and a copy of what it says.
    pub(super) unsafe fn get_command(
        &self,
        device: NonNull<DeviceObject>,
        timeout: Option<Duration>,
    ) -> Result<(NonNull<VdcCommand>, VdcCommand), CallError> {
        const CALL: &str = "GetCommand";
        let mut command = ptr::null_mut();
        // SAFETY: the device is alive (caller); command is writable.
        result(CALL, unsafe {
            let methods = &*(*device.as_ptr()).0;
            (methods.get_command)(device.as_ptr(), milliseconds(timeout), &mut command)
        })?;
        let command = NonNull::new(command)
            .ok_or(CallError { call: CALL, status: HResult::VD_E_UNEXPECTED })?;
        // SAFETY: after NOERROR it points to a command that the library keeps until it is completed.
        Ok((command, unsafe { command.read() }))
    }

    /// CompleteCommand.
    pub(super) unsafe fn complete_command(
        &self,
        device: NonNull<DeviceObject>,
        command: NonNull<VdcCommand>,
        code: CompletionCode,
        bytes: u64,
        position: u64,
    ) -> Result<(), CallError> {
        // No buffer is that large; the server refuses the claim.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        // SAFETY: the device is alive (caller); the library checks the command.
        result("CompleteCommand", unsafe {
            let methods = &*(*device.as_ptr()).0;
            (methods.complete_command)(device.as_ptr(), command.as_ptr(), code.0, bytes, position)
        })
    }
}

pub(super) fn result(call: &'static str, status: Status) -> Result<(), CallError> {
    match HResult(status.cast_unsigned()) {
        HResult::NOERROR => Ok(()),
        status => Err(CallError { call, status }),
    }
}

/// A name as the interface wants it. One that is no UTF-8 has no form there.
pub(super) fn wide(call: &'static str, name: &CStr) -> Result<Vec<u16>, CallError> {
    let name = name.to_str().map_err(|_| CallError { call, status: HResult::VD_E_INVALID })?;
    Ok(name.encode_utf16().chain([0]).collect())
}

/// The interface's milliseconds, rounded up; INFINITE waits for ever. What is long but not infinite
/// stays below the values that any drop-in may take for it.
fn milliseconds(timeout: Option<Duration>) -> u32 {
    const LONGEST: u128 = 0x7FFF_FFFE;
    let Some(timeout) = timeout else { return u32::MAX };
    timeout.as_nanos().div_ceil(1_000_000).min(LONGEST) as u32
}

/// The mapping of shared memory that `address` lies in, if it does.
pub(super) fn shared_mapping_of(address: usize) -> io::Result<Option<Range<usize>>> {
    let mut about = MEMORY_BASIC_INFORMATION::default();
    // SAFETY: the structure has the size given; the address is only looked up.
    let known =
        unsafe { VirtualQuery(ptr::without_provenance(address), &mut about, size_of_val(&about)) };
    let shared = known != 0 && about.Type == MEM_MAPPED && about.Protect == PAGE_READWRITE;
    let start = about.BaseAddress.addr();
    Ok(shared.then(|| start..start.saturating_add(about.RegionSize)))
}

/// Reads once from a file into `len` bytes at `target`; at `offset`, or where the file stands.
///
/// # Safety
/// `target` is valid for writes of `len` bytes, and nobody holds a reference to them.
pub(super) unsafe fn read(
    file: &File,
    target: *mut u8,
    len: usize,
    offset: Option<u64>,
) -> io::Result<usize> {
    let result = moved(file, len, offset, |len, count, place| {
        // SAFETY: the caller's promise; the other pointers live through the call, which is not
        // asynchronous.
        unsafe { ReadFile(file.as_raw_handle(), target, len, count, place) }
    });
    let is_end = |error: &io::Error| {
        let number = error.raw_os_error().map(i32::cast_unsigned);
        matches!(number, Some(ERROR_HANDLE_EOF | ERROR_BROKEN_PIPE))
    };
    match result {
        // How the end of a file at an offset, and of a pipe, are told.
        Err(error) if is_end(&error) => Ok(0),
        result => result,
    }
}

/// Writes once to a file from `len` bytes at `source`; at `offset`, or where the file stands.
///
/// # Safety
/// `source` is valid for reads of `len` bytes.
pub(super) unsafe fn write(
    file: &File,
    source: *const u8,
    len: usize,
    offset: Option<u64>,
) -> io::Result<usize> {
    moved(file, len, offset, |len, count, place| {
        // SAFETY: as in `read`; the kernel only reads them.
        unsafe { WriteFile(file.as_raw_handle(), source, len, count, place) }
    })
}

/// Calls with a length that the system can take, and at the file offset if there is one. Such a call
/// moves the place where the file stands; it is put back.
fn moved(
    mut file: &File,
    len: usize,
    offset: Option<u64>,
    call: impl FnOnce(u32, *mut u32, *mut OVERLAPPED) -> i32,
) -> io::Result<usize> {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let mut count = 0;
    let checked = |done: i32, count: u32| {
        (done != 0).then_some(count as usize).ok_or_else(io::Error::last_os_error)
    };
    let Some(offset) = offset else {
        let done = call(len, &mut count, ptr::null_mut());
        return checked(done, count);
    };
    let stood = file.stream_position()?;
    let place = OVERLAPPED_0_0 { Offset: offset as u32, OffsetHigh: (offset >> 32) as u32 };
    let mut overlapped =
        OVERLAPPED { Anonymous: OVERLAPPED_0 { Anonymous: place }, ..Default::default() };
    let done = call(len, &mut count, &mut overlapped);
    let result = checked(done, count);
    file.seek(SeekFrom::Start(stood))?;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: rounding down (a 100 µs wait that polls), a long wait that becomes infinite.
    #[test]
    fn time_outs_are_whole_milliseconds() {
        assert_eq!(milliseconds(None), u32::MAX);
        assert_eq!(milliseconds(Some(Duration::ZERO)), 0);
        assert_eq!(milliseconds(Some(Duration::from_micros(100))), 1);
        assert_eq!(milliseconds(Some(Duration::MAX)), 0x7FFF_FFFE);
    }

    /// Catches: accepting private memory.
    #[test]
    fn only_mapped_memory_counts() {
        let private = vec![0_u8; 4096];
        assert_eq!(shared_mapping_of(private.as_ptr().addr()).unwrap(), None);
    }
}
