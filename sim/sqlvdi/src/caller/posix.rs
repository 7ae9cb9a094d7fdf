//! The C++ interface of `libsqlvdi.so`: its symbols, and the calls with Rust's types.
//!
//! The object of a set is one pointer wide and allocated by us; the object of a device is allocated
//! by the library with C++'s `operator new`, so that deleting it is its destructor followed by
//! `operator delete`. Source: vdi.h of the Linux sample; Itanium C++ ABI.

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::time::Duration;

use vdi_protocol::{CompletionCode, HResult, VdConfig};

pub(super) use vdi_protocol::VdcCommand;

use super::{CallError, LoadError};

/// The file name of the drop-in on this platform.
pub const LIBRARY_NAME: &str = "libsqlvdi.so";

/// The object behind `ClientVirtualDeviceSet *`: one pointer, which the library fills.
#[derive(Debug)]
#[repr(C)]
pub(super) struct SetObject(*mut c_void);

/// The object behind `ClientVirtualDevice *`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct DeviceObject(*mut c_void);

type Set = *mut SetObject;
type Device = *mut DeviceObject;

/// Declares the table of symbols together with the code that fills it.
macro_rules! symbols {
    ($( $field:ident: $name:literal, $type:ty; )+) => {
        /// The symbols of a drop-in, resolved.
        #[derive(Debug)]
        pub(super) struct Symbols {
            $( $field: $type, )+
            operator_delete: unsafe extern "C" fn(*mut c_void),
        }

        impl Symbols {
            pub(super) fn load(path: &Path) -> Result<Symbols, LoadError> {
                // SAFETY: the initialisers of the library run; whoever names a library to load
                // vouches for them, as with any program that is started.
                let library = unsafe { libloading::Library::new(path) }
                    .map_err(|source| LoadError::NotLoadable { path: path.to_owned(), source })?;
                let symbols = Symbols {
                    $( $field: {
                        // SAFETY: the mangled name fixes the argument types; the type given is
                        // theirs, with `this` in front and `int` or nothing as result.
                        let symbol = unsafe { library.get::<$type>($name) };
                        *symbol.map_err(|_| LoadError::NoSymbol {
                            path: path.to_owned(),
                            symbol: $name,
                        })?
                    }, )+
                    operator_delete: operator_delete(&library),
                };
                // Threads of the library may still run, so its code must stay.
                std::mem::forget(library);
                Ok(symbols)
            }
        }
    };
}

symbols! {
    set_new: "_ZN22ClientVirtualDeviceSetC1Ev", unsafe extern "C" fn(Set);
    set_delete: "_ZN22ClientVirtualDeviceSetD1Ev", unsafe extern "C" fn(Set);
    create: "_ZN22ClientVirtualDeviceSet6CreateEPcP8VDConfig",
        unsafe extern "C" fn(Set, *mut c_char, *mut VdConfig) -> c_int;
    get_configuration: "_ZN22ClientVirtualDeviceSet16GetConfigurationElP8VDConfig",
        unsafe extern "C" fn(Set, c_long, *mut VdConfig) -> c_int;
    open_device: "_ZN22ClientVirtualDeviceSet10OpenDeviceEPcPP19ClientVirtualDevice",
        unsafe extern "C" fn(Set, *mut c_char, *mut Device) -> c_int;
    close: "_ZN22ClientVirtualDeviceSet5CloseEv", unsafe extern "C" fn(Set) -> c_int;
    signal_abort: "_ZN22ClientVirtualDeviceSet11SignalAbortEv", unsafe extern "C" fn(Set) -> c_int;
    open_in_secondary: "_ZN22ClientVirtualDeviceSet15OpenInSecondaryEPc",
        unsafe extern "C" fn(Set, *mut c_char) -> c_int;
    get_buffer_handle: "_ZN22ClientVirtualDeviceSet15GetBufferHandleEPhPj",
        unsafe extern "C" fn(Set, *mut u8, *mut c_uint) -> c_int;
    map_buffer_handle: "_ZN22ClientVirtualDeviceSet15MapBufferHandleEiPPh",
        unsafe extern "C" fn(Set, c_int, *mut *mut u8) -> c_int;
    get_command: "_ZN19ClientVirtualDevice10GetCommandElPP11VDC_Command",
        unsafe extern "C" fn(Device, c_long, *mut *mut VdcCommand) -> c_int;
    complete_command: "_ZN19ClientVirtualDevice15CompleteCommandEP11VDC_Commandiml",
        unsafe extern "C" fn(Device, *mut VdcCommand, c_int, c_ulong, i64) -> c_int;
    device_delete: "_ZN19ClientVirtualDeviceD1Ev", unsafe extern "C" fn(Device);
}

/// The `operator delete` that belongs to the library's `operator new`: the program's own if it has
/// one (a sanitizer's, an allocator's), else that of the C++ library that the drop-in is linked
/// with. Without either, the drop-in allocates with malloc.
fn operator_delete(library: &libloading::Library) -> unsafe extern "C" fn(*mut c_void) {
    const NAME: &str = "_ZdlPv";
    type Delete = unsafe extern "C" fn(*mut c_void);
    let program: libloading::Library = libloading::os::unix::Library::this().into();
    // SAFETY: the mangled name says `void operator delete(void *)`.
    let symbol = unsafe { program.get::<Delete>(NAME) };
    // SAFETY: as above.
    symbol.or_else(|_| unsafe { library.get::<Delete>(NAME) }).map_or(libc::free, |it| *it)
}

impl SetObject {
    /// A set, constructed. It does not move from here: the library may keep its address.
    pub(super) fn new(symbols: &Symbols) -> NonNull<SetObject> {
        let object = NonNull::from(Box::leak(Box::new(SetObject(ptr::null_mut()))));
        // SAFETY: the constructor gets one pointer's worth of memory that it owns from now on.
        unsafe { (symbols.set_new)(object.as_ptr()) };
        object
    }
}

impl Symbols {
    /// Destroys and frees a set.
    ///
    /// # Safety
    /// `set` comes from [`SetObject::new`] with this library and is not used afterwards.
    pub(super) unsafe fn delete_set(&self, set: NonNull<SetObject>) {
        // SAFETY: the caller's promise.
        unsafe {
            (self.set_delete)(set.as_ptr());
            drop(Box::from_raw(set.as_ptr()));
        }
    }

    /// Destroys and frees a device as C++'s `delete` does.
    ///
    /// # Safety
    /// `device` comes from this library's OpenDevice and is not used afterwards.
    pub(super) unsafe fn delete_device(&self, device: NonNull<DeviceObject>) {
        // SAFETY: the caller's promise.
        unsafe {
            (self.device_delete)(device.as_ptr());
            (self.operator_delete)(device.as_ptr().cast());
        }
    }
}

/// The calls on a set. For all of them:
///
/// # Safety
/// `set` comes from [`SetObject::new`] with this library and is alive.
impl Symbols {
    /// Create.
    pub(super) unsafe fn create(
        &self,
        set: NonNull<SetObject>,
        name: &CStr,
        config: &VdConfig,
    ) -> Result<(), CallError> {
        let mut config = *config;
        // SAFETY: the set is alive (caller); name and config are valid for the call, which by the
        // interface only reads them.
        result("Create", unsafe {
            (self.create)(set.as_ptr(), name.as_ptr().cast_mut(), &mut config)
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
            (self.get_configuration)(set.as_ptr(), milliseconds(timeout), &mut config)
        })?;
        Ok(config)
    }

    /// OpenDevice.
    pub(super) unsafe fn open_device(
        &self,
        set: NonNull<SetObject>,
        name: &CStr,
    ) -> Result<NonNull<DeviceObject>, CallError> {
        let mut device = ptr::null_mut();
        // SAFETY: the set is alive (caller); name is valid for reads, device for writes.
        result("OpenDevice", unsafe {
            (self.open_device)(set.as_ptr(), name.as_ptr().cast_mut(), &mut device)
        })?;
        NonNull::new(device)
            .ok_or(CallError { call: "OpenDevice", status: HResult::VD_E_UNEXPECTED })
    }

    /// Close.
    pub(super) unsafe fn close(&self, set: NonNull<SetObject>) -> Result<(), CallError> {
        // SAFETY: the set is alive (caller).
        result("Close", unsafe { (self.close)(set.as_ptr()) })
    }

    /// SignalAbort.
    pub(super) unsafe fn signal_abort(&self, set: NonNull<SetObject>) -> Result<(), CallError> {
        // SAFETY: the set is alive (caller).
        result("SignalAbort", unsafe { (self.signal_abort)(set.as_ptr()) })
    }

    /// OpenInSecondary.
    pub(super) unsafe fn open_in_secondary(
        &self,
        set: NonNull<SetObject>,
        name: &CStr,
    ) -> Result<(), CallError> {
        // SAFETY: the set is alive (caller); name is valid for reads.
        result("OpenInSecondary", unsafe {
            (self.open_in_secondary)(set.as_ptr(), name.as_ptr().cast_mut())
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
            (self.get_buffer_handle)(set.as_ptr(), buffer.as_ptr(), &mut handle)
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
            (self.map_buffer_handle)(set.as_ptr(), handle.cast_signed(), &mut buffer)
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
            (self.get_command)(device.as_ptr(), milliseconds(timeout), &mut command)
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
        // SAFETY: the device is alive (caller); the library checks the command.
        result("CompleteCommand", unsafe {
            (self.complete_command)(
                device.as_ptr(),
                command.as_ptr(),
                code.0.cast_signed(),
                bytes,
                position.cast_signed(),
            )
        })
    }
}

fn result(call: &'static str, status: c_int) -> Result<(), CallError> {
    match HResult(status.cast_unsigned()) {
        HResult::NOERROR => Ok(()),
        status => Err(CallError { call, status }),
    }
}

/// The interface's milliseconds, rounded up; -1 waits for ever. What is long but not infinite stays
/// below the values that mean for ever.
fn milliseconds(timeout: Option<Duration>) -> c_long {
    const LONGEST: u128 = 0x7FFF_FFFE;
    let Some(timeout) = timeout else { return -1 };
    timeout.as_nanos().div_ceil(1_000_000).min(LONGEST) as c_long
}

/// The mapping of shared memory that `address` lies in, if it does.
pub(super) fn shared_mapping_of(address: usize) -> io::Result<Option<Range<usize>>> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    Ok(maps.lines().filter_map(shared_mapping).find(|mapping| mapping.contains(&address)))
}

/// The range of a line of /proc/self/maps that is shared, readable and writable.
fn shared_mapping(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let parse = |address| usize::from_str_radix(address, 16).ok();
    (fields.next()? == "rw-s").then_some(parse(start)?..parse(end)?)
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
    let descriptor = file.as_raw_fd();
    let offset = offset.map(file_offset).transpose()?;
    // SAFETY: the caller's promise.
    retry(|| match offset {
        // SAFETY: the caller's promise.
        Some(offset) => unsafe { libc::pread(descriptor, target.cast(), len, offset) },
        // SAFETY: as above.
        None => unsafe { libc::read(descriptor, target.cast(), len) },
    })
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
    let descriptor = file.as_raw_fd();
    let offset = offset.map(file_offset).transpose()?;
    retry(|| match offset {
        // SAFETY: the caller's promise.
        Some(offset) => unsafe { libc::pwrite(descriptor, source.cast(), len, offset) },
        // SAFETY: as above.
        None => unsafe { libc::write(descriptor, source.cast(), len) },
    })
}

fn file_offset(offset: u64) -> io::Result<libc::off_t> {
    offset.try_into().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

fn retry(mut call: impl FnMut() -> libc::ssize_t) -> io::Result<usize> {
    loop {
        if let Ok(moved) = usize::try_from(call()) {
            return Ok(moved);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: rounding down (a 100 µs wait that polls), a long wait that becomes infinite.
    #[test]
    fn time_outs_are_whole_milliseconds() {
        assert_eq!(milliseconds(None), -1);
        assert_eq!(milliseconds(Some(Duration::ZERO)), 0);
        assert_eq!(milliseconds(Some(Duration::from_micros(100))), 1);
        assert_eq!(milliseconds(Some(Duration::from_millis(1500))), 1500);
        assert_eq!(milliseconds(Some(Duration::MAX)), 0x7FFF_FFFE);
    }

    /// Catches: accepting private or read-only memory.
    #[test]
    fn only_writable_shared_mappings_count() {
        let line = "7f00-7f80 rw-s 00000000 00:01 12 /dev/shm/x";
        assert_eq!(shared_mapping(line), Some(0x7f00..0x7f80));
        assert_eq!(shared_mapping(&line.replace("rw-s", "rw-p")), None);
        assert_eq!(shared_mapping(&line.replace("rw-s", "r--s")), None);
        let private = vec![0u8; 4096];
        assert_eq!(shared_mapping_of(private.as_ptr().addr()).unwrap(), None);
    }
}
