//! Where Windows looks for the classes: the registry, for the machine or for one user, and for programs
//! of 64 and of 32 bits apart.
//!
//! A registration of ours carries a mark. One without it is SQL Server's own, or another program's,
//! and is left alone unless the user forces it; then it is kept beside ours and put back later.

use std::path::{Path, PathBuf};

use vdi_protocol::guid::{
    CLSID_MSSQL_CLIENT_VIRTUAL_DEVICE_SET, CLSID_MSSQL_SERVER_VIRTUAL_DEVICE_SET, Guid,
};
use windows_registry::{CURRENT_USER, Key, LOCAL_MACHINE};
use windows_sys::Win32::Foundation::{HMODULE, MAX_PATH};
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
    GetModuleFileNameW, GetModuleHandleExW,
};

const CLASSES: [(Guid, &str); 2] = [
    (CLSID_MSSQL_CLIENT_VIRTUAL_DEVICE_SET, "Virtual device set, client (vdisim)"),
    (CLSID_MSSQL_SERVER_VIRTUAL_DEVICE_SET, "Virtual device set, server (vdisim)"),
];

/// Values of ours beside the default one, which is the DLL's path.
const MARK: &str = "vdisim";
const EARLIER: &str = "vdisim.earlier";
const EARLIER_MODEL: &str = "vdisim.earlier.ThreadingModel";
const MODEL: &str = "ThreadingModel";

/// HRESULT_FROM_WIN32(ERROR_ALREADY_REGISTERED).
const ALREADY_REGISTERED: i32 = 0x8007_04DA_u32.cast_signed();
/// SELFREG_E_CLASS.
const SELFREG_E_CLASS: i32 = 0x8004_0201_u32.cast_signed();

/// Whom a registration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hive {
    /// All users of the machine; takes an administrator.
    Machine,
    /// This user; goes before the machine's, but not for a process that runs elevated.
    User,
}

impl Hive {
    fn key(self) -> &'static Key {
        match self {
            Hive::Machine => LOCAL_MACHINE,
            Hive::User => CURRENT_USER,
        }
    }
}

/// Which programs a registration is for: those that can load the DLL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// Programs of this process's own kind.
    Own,
    /// Programs of 32 bits, where this process has 64.
    Narrow,
}

impl Bits {
    /// Both, for a look at all there is.
    pub const ALL: [Bits; 2] = [Bits::Own, Bits::Narrow];
}

/// Why a registration could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// Somebody else's DLL is registered.
    #[error(
        "the VDI classes belong to {path} already; `vdisim register --force` replaces that until \
         `vdisim unregister`, and `vdisim register --user` leaves it alone."
    )]
    Foreign {
        /// The other DLL.
        path: String,
    },
    /// The registry refused.
    #[error(
        "the registry refused the change: {0}; run as administrator, or register for this user."
    )]
    Registry(#[from] windows_core::Error),
    /// The DLL's own path is not to be had.
    #[error("the path of the DLL cannot be told; give it with --sqlvdi.")]
    NoPath,
}

impl RegistrationError {
    /// What DllRegisterServer returns.
    pub fn status(&self) -> i32 {
        match self {
            RegistrationError::Foreign { .. } => ALREADY_REGISTERED,
            RegistrationError::Registry(error) => error.code().0,
            RegistrationError::NoPath => SELFREG_E_CLASS,
        }
    }
}

/// What is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The DLL.
    pub path: PathBuf,
    /// Whether the registration is ours.
    pub ours: bool,
}

/// The DLL that COM would load for the client's class, if any is registered for whom.
pub fn registered(hive: Hive, bits: Bits) -> Option<Registered> {
    let key = hive.key().open(server_key(CLSID_MSSQL_CLIENT_VIRTUAL_DEVICE_SET, bits)).ok()?;
    let path = key.get_string("").ok()?.into();
    Some(Registered { path, ours: key.get_string(MARK).is_ok() })
}

/// Registers the DLL at `path`. With `force` also over another's registration.
///
/// # Errors
/// [`RegistrationError`].
pub fn register(hive: Hive, bits: Bits, path: &Path, force: bool) -> Result<(), RegistrationError> {
    for (class, name) in CLASSES {
        let root = hive.key();
        let earlier = root.open(server_key(class, bits)).ok().and_then(|key| {
            let foreign = key.get_string(MARK).is_err();
            let path = key.get_string("").ok()?;
            foreign.then(|| (path, key.get_string(MODEL).unwrap_or_default()))
        });
        if let (Some((path, _)), false) = (&earlier, force) {
            return Err(RegistrationError::Foreign { path: path.clone() });
        }
        root.create(class_key(class, bits))?.set_string("", name)?;
        let key = root.create(server_key(class, bits))?;
        key.set_string("", path.to_string_lossy())?;
        key.set_string(MODEL, "Both")?;
        key.set_string(MARK, env!("CARGO_PKG_VERSION"))?;
        if let Some((path, model)) = earlier {
            key.set_string(EARLIER, path)?;
            key.set_string(EARLIER_MODEL, model)?;
        }
    }
    Ok(())
}

/// As [`register`] for the DLL that this code is in.
pub(super) fn register_this(hive: Hive) -> Result<(), RegistrationError> {
    register(hive, Bits::Own, &this_module().ok_or(RegistrationError::NoPath)?, false)
}

/// Takes our registration away and puts back what it had replaced; leaves another's alone.
///
/// # Errors
/// [`RegistrationError::Registry`].
pub fn unregister(hive: Hive, bits: Bits) -> Result<(), RegistrationError> {
    for (class, _) in CLASSES {
        let Ok(key) = hive.key().open(server_key(class, bits)) else { continue };
        if key.get_string(MARK).is_err() {
            continue;
        }
        let earlier = key.get_string(EARLIER).ok();
        let model = key.get_string(EARLIER_MODEL).unwrap_or_default();
        drop(key);
        hive.key().remove_tree(class_key(class, bits))?;
        if let Some(path) = earlier {
            let key = hive.key().create(server_key(class, bits))?;
            key.set_string("", path)?;
            if !model.is_empty() {
                key.set_string(MODEL, model)?;
            }
        }
    }
    Ok(())
}

/// A manifest by which a program finds the classes without any registration: as `sqlvdi.manifest` beside
/// `sqlvdi.dll`, it is the source of an activation context, or the assembly `sqlvdi` that the program's own
/// manifest depends on. Source: Windows, registration-free activation of COM components.
pub fn manifest() -> String {
    let class = |(class, name): &(Guid, &str)| {
        format!(
            "    <comClass clsid=\"{{{class}}}\" threadingModel=\"Both\" description=\"{name}\"/>\n"
        )
    };
    let classes: String = CLASSES.iter().map(class).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n\
         <assembly xmlns=\"urn:schemas-microsoft-com:asm.v1\" manifestVersion=\"1.0\">\n  \
         <assemblyIdentity type=\"win32\" name=\"sqlvdi\" version=\"{}.0\"/>\n  \
         <file name=\"sqlvdi.dll\">\n{classes}  </file>\n</assembly>\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Windows keeps the classes for programs of 32 bits below a key of their own.
fn class_key(class: Guid, bits: Bits) -> String {
    let narrow = match bits {
        Bits::Own => "",
        Bits::Narrow => r"WOW6432Node\",
    };
    format!(r"Software\Classes\{narrow}CLSID\{{{class}}}")
}

fn server_key(class: Guid, bits: Bits) -> String {
    format!(r"{}\InprocServer32", class_key(class, bits))
}

/// The file that this code was loaded from.
fn this_module() -> Option<PathBuf> {
    let mut module: HMODULE = std::ptr::null_mut();
    let flags =
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    let here = this_module as *const ();
    // SAFETY: with this flag the "name" is an address in the module, and the function's is one.
    let found = unsafe { GetModuleHandleExW(flags, here.cast(), &mut module) };
    // Longer than any path without the prefix for long ones.
    let mut path = [0_u16; 8 * MAX_PATH as usize];
    // SAFETY: the buffer has the length given; the module is that of running code.
    let len = unsafe { GetModuleFileNameW(module, path.as_mut_ptr(), path.len() as u32) } as usize;
    let whole = found != 0 && len > 0 && len < path.len();
    use std::os::windows::ffi::OsStringExt;
    whole.then(|| std::ffi::OsString::from_wide(&path[..len]).into())
}
