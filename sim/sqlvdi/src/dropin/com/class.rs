//! Making objects, and the functions that the DLL exports.
#![allow(non_snake_case, reason = "the names of the interface")]

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use vdi_protocol::guid;
use windows_core::{BOOL, GUID, HRESULT, IUnknown, Interface, implement};
use windows_sys::Win32::Foundation::{
    CLASS_E_CLASSNOTAVAILABLE, CLASS_E_NOAGGREGATION, E_INVALIDARG, E_POINTER, E_UNEXPECTED,
    S_FALSE, S_OK,
};

use super::client::ClientSetObject;
use super::interfaces::{IClassFactory, IClassFactory_Impl, Name};
use super::registration::{self, Bits, Hive};
use super::server::ServerSetObject;
use super::text::name;

/// What keeps the DLL in memory: objects, and locks of the class factory.
static USES: AtomicUsize = AtomicUsize::new(0);

/// One object that lives.
#[derive(Debug)]
pub(super) struct Alive(());

impl Alive {
    pub(super) fn new() -> Alive {
        USES.fetch_add(1, Ordering::Relaxed);
        Alive(())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        USES.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a class makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    ClientSet,
    ServerSet,
}

impl Class {
    fn of(clsid: &GUID) -> Option<Class> {
        const CLIENT: u128 = guid::CLSID_MSSQL_CLIENT_VIRTUAL_DEVICE_SET.to_u128();
        const SERVER: u128 = guid::CLSID_MSSQL_SERVER_VIRTUAL_DEVICE_SET.to_u128();
        match clsid.to_u128() {
            CLIENT => Some(Class::ClientSet),
            SERVER => Some(Class::ServerSet),
            _ => None,
        }
    }

    fn make(self) -> IUnknown {
        match self {
            Class::ClientSet => ClientSetObject::new().into(),
            Class::ServerSet => ServerSetObject::new().into(),
        }
    }
}

#[implement(IClassFactory)]
struct ClassFactory {
    class: Class,
    _alive: Alive,
}

impl IClassFactory_Impl for ClassFactory_Impl {
    unsafe fn CreateInstance(
        &self,
        outer: *mut c_void,
        iid: *const GUID,
        object: *mut *mut c_void,
    ) -> HRESULT {
        // SAFETY: the pointers are those that COM asks for, or null.
        unsafe {
            give(iid, object, || match outer.is_null() {
                true => Ok(self.class.make()),
                false => Err(CLASS_E_NOAGGREGATION),
            })
        }
    }

    unsafe fn LockServer(&self, lock: BOOL) -> HRESULT {
        match lock.as_bool() {
            true => USES.fetch_add(1, Ordering::Relaxed),
            false => USES.fetch_sub(1, Ordering::Relaxed),
        };
        HRESULT(S_OK)
    }
}

/// Makes an object and gives its interface `iid` out; `object` is null after a failure.
///
/// # Safety
/// `iid` is null or readable, `object` null or writable.
unsafe fn give(
    iid: *const GUID,
    object: *mut *mut c_void,
    make: impl FnOnce() -> Result<IUnknown, i32>,
) -> HRESULT {
    if object.is_null() {
        return HRESULT(E_POINTER);
    }
    // SAFETY: not null; the caller's promise.
    unsafe { object.write(ptr::null_mut()) };
    if iid.is_null() {
        return HRESULT(E_INVALIDARG);
    }
    match catch_unwind(AssertUnwindSafe(make)) {
        // SAFETY: both are not null; the caller's promise.
        Ok(Ok(made)) => unsafe { made.query(iid, object) },
        Ok(Err(status)) => HRESULT(status),
        Err(panic) => {
            std::mem::forget(panic);
            HRESULT(E_UNEXPECTED)
        }
    }
}

/// What COM asks a DLL for a class.
#[unsafe(no_mangle)]
unsafe extern "system" fn DllGetClassObject(
    clsid: *const GUID,
    iid: *const GUID,
    object: *mut *mut c_void,
) -> HRESULT {
    // SAFETY: null, or the identity that COM passes.
    let class = unsafe { clsid.as_ref() }.and_then(Class::of);
    // SAFETY: the pointers are those that COM passes.
    unsafe {
        give(iid, object, || {
            let class = class.ok_or(CLASS_E_CLASSNOTAVAILABLE)?;
            let factory: IClassFactory = ClassFactory { class, _alive: Alive::new() }.into();
            Ok(factory.into())
        })
    }
}

/// Whether nothing of the DLL is in use. (What every process has of it, a few tables, may go.)
#[unsafe(no_mangle)]
extern "system" fn DllCanUnloadNow() -> HRESULT {
    HRESULT(if USES.load(Ordering::Relaxed) == 0 { S_OK } else { S_FALSE })
}

/// `regsvr32 sqlvdi.dll`: registers for all users.
#[unsafe(no_mangle)]
extern "system" fn DllRegisterServer() -> HRESULT {
    settle(|| registration::register_this(Hive::Machine))
}

/// `regsvr32 /u sqlvdi.dll`.
#[unsafe(no_mangle)]
extern "system" fn DllUnregisterServer() -> HRESULT {
    settle(|| registration::unregister(Hive::Machine, Bits::Own))
}

/// `regsvr32 /n /i:user sqlvdi.dll`, and with `/u`: for this user alone.
#[unsafe(no_mangle)]
unsafe extern "system" fn DllInstall(install: BOOL, words: Name) -> HRESULT {
    // SAFETY: null or a string, by the convention of regsvr32.
    let hive = match unsafe { name(words) }.as_deref() {
        None | Some(b"") => Hive::Machine,
        Some(b"user") => Hive::User,
        Some(_) => return HRESULT(E_INVALIDARG),
    };
    settle(|| match install.as_bool() {
        true => registration::register_this(hive),
        false => registration::unregister(hive, Bits::Own),
    })
}

fn settle(work: impl FnOnce() -> Result<(), registration::RegistrationError>) -> HRESULT {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => HRESULT(S_OK),
        Ok(Err(error)) => {
            crate::dropin::messages::say(&format!("vdisim: {error}"));
            HRESULT(error.status())
        }
        Err(panic) => {
            std::mem::forget(panic);
            HRESULT(E_UNEXPECTED)
        }
    }
}
