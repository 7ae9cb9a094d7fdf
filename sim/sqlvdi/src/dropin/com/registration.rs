//! Where Windows looks for the classes: the registry, for the machine or for one user, and for programs
//! of 64 and of 32 bits apart.
//!
//! A registration of ours carries a mark. One without it is SQL Server's own, or another program's,
//! and is left alone unless the user forces it; then the values that ours changes are kept beside it, and put
//! back later. What ours does not change stays where it is.

use std::path::{Path, PathBuf};

use vdi_protocol::guid::{
    CLSID_MSSQL_CLIENT_VIRTUAL_DEVICE_SET, CLSID_MSSQL_SERVER_VIRTUAL_DEVICE_SET, Guid,
};
use windows_core::HRESULT;
use windows_registry::{CURRENT_USER, Key, LOCAL_MACHINE, Type, Value};
use windows_sys::Win32::Foundation::{ERROR_FILE_NOT_FOUND, HMODULE, MAX_PATH};
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
    GetModuleFileNameW, GetModuleHandleExW,
};

const CLASSES: [(Guid, &str); 2] = [
    (CLSID_MSSQL_CLIENT_VIRTUAL_DEVICE_SET, "Virtual device set, client (vdisim)"),
    (CLSID_MSSQL_SERVER_VIRTUAL_DEVICE_SET, "Virtual device set, server (vdisim)"),
];

/// In the server key, the path that we registered. Where another stands in the path's own place, somebody has
/// registered over ours.
const MARK: &str = "vdisim";

/// A value that a registration of ours changes.
struct Change {
    /// Below the server key, else in the class's own.
    of_server: bool,
    name: &'static str,
    /// What keeps, in the server key, the value that stood there, with its type.
    earlier: &'static str,
}

/// The path, which makes the registration ours.
const PATH: Change = Change { of_server: true, name: "", earlier: "vdisim.earlier" };
const MODEL: Change =
    Change { of_server: true, name: "ThreadingModel", earlier: "vdisim.earlier.ThreadingModel" };
const DESCRIPTION: Change =
    Change { of_server: false, name: "", earlier: "vdisim.earlier.description" };

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

    fn name(self) -> &'static str {
        match self {
            Hive::Machine => "HKEY_LOCAL_MACHINE",
            Hive::User => "HKEY_CURRENT_USER",
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
    /// Whose DLL is registered cannot be told.
    #[error(
        "the registry key {key} cannot be read: {error}; ask its owner for permission to read it."
    )]
    Unreadable {
        /// The key.
        key: String,
        /// Why.
        error: windows_core::Error,
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
            RegistrationError::Unreadable { error, .. } | RegistrationError::Registry(error) => {
                error.code().0
            }
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
///
/// # Errors
/// [`RegistrationError::Unreadable`].
pub fn registered(hive: Hive, bits: Bits) -> Result<Option<Registered>, RegistrationError> {
    look(hive, bits, CLSID_MSSQL_CLIENT_VIRTUAL_DEVICE_SET)
}

fn look(hive: Hive, bits: Bits, class: Guid) -> Result<Option<Registered>, RegistrationError> {
    let place = server_key(class, bits);
    let values = || {
        let Some(key) = if_any(hive.key().open(&place))? else { return Ok(None) };
        let Some(path) = if_any(key.get_value(PATH.name))? else { return Ok(None) };
        let mark = if_any(key.get_value(MARK))?;
        let ours = mark.is_some_and(|mark| *mark == *path);
        // What is no text is no path, either, but somebody's.
        let path = String::try_from(path).unwrap_or_default().into();
        Ok(Some(Registered { path, ours }))
    };
    values().map_err(|error| {
        let key = format!(r"{}\{place}", hive.name());
        RegistrationError::Unreadable { key, error }
    })
}

/// `None` for what does not exist; what may not be looked at may well exist.
fn if_any<T>(got: windows_core::Result<T>) -> windows_core::Result<Option<T>> {
    match got {
        Ok(it) => Ok(Some(it)),
        Err(error) if error.code() == HRESULT::from_win32(ERROR_FILE_NOT_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Registers the DLL at `path`. With `force` also over another's registration. Nothing is written before all
/// classes have been looked at.
///
/// # Errors
/// [`RegistrationError`].
pub fn register(hive: Hive, bits: Bits, path: &Path, force: bool) -> Result<(), RegistrationError> {
    let there = look_at_all(hive, bits)?;
    let foreign = there.iter().flatten().find(|it| !it.ours);
    if let (Some(it), false) = (foreign, force) {
        return Err(RegistrationError::Foreign { path: it.path.display().to_string() });
    }
    for ((class, description), there) in CLASSES.into_iter().zip(there) {
        let entry = Entry::make(hive, bits, class)?;
        if !there.is_some_and(|it| it.ours) {
            entry.keep()?;
        }
        let path = path.to_string_lossy();
        // In this order what is interrupted half-way is still another's, or can be taken back whole.
        entry.server.set_string(MARK, &path)?;
        entry.server.set_string(PATH.name, &path)?;
        entry.server.set_string(MODEL.name, "Both")?;
        entry.class.set_string(DESCRIPTION.name, description)?;
    }
    Ok(())
}

fn look_at_all(
    hive: Hive,
    bits: Bits,
) -> Result<[Option<Registered>; CLASSES.len()], RegistrationError> {
    let [(client, _), (server, _)] = CLASSES;
    Ok([look(hive, bits, client)?, look(hive, bits, server)?])
}

/// As [`register`] for the DLL that this code is in.
pub(super) fn register_this(hive: Hive) -> Result<(), RegistrationError> {
    register(hive, Bits::Own, &this_module().ok_or(RegistrationError::NoPath)?, false)
}

/// Takes our registration away and puts back what it had replaced; leaves another's alone.
///
/// # Errors
/// [`RegistrationError::Unreadable`], [`RegistrationError::Registry`].
pub fn unregister(hive: Hive, bits: Bits) -> Result<(), RegistrationError> {
    for ((class, _), there) in CLASSES.into_iter().zip(look_at_all(hive, bits)?) {
        if !there.is_some_and(|it| it.ours) {
            continue;
        }
        let entry = Entry::make(hive, bits, class)?;
        entry.put_back()?;
        entry.forget()?;
        drop(entry);
        for place in [server_key(class, bits), class_key(class, bits)] {
            let key = hive.key().open(&place)?;
            let is_empty = key.keys()?.next().is_none() && key.values()?.next().is_none();
            drop(key);
            if is_empty {
                hive.key().remove_tree(place)?;
            }
        }
    }
    Ok(())
}

/// A class's keys, to be changed.
struct Entry {
    class: Key,
    server: Key,
}

impl Entry {
    fn make(hive: Hive, bits: Bits, class: Guid) -> windows_core::Result<Entry> {
        let root = hive.key();
        let made = root.create(class_key(class, bits))?;
        Ok(Entry { class: made, server: root.create(server_key(class, bits))? })
    }

    fn key_of(&self, change: &Change) -> &Key {
        if change.of_server { &self.server } else { &self.class }
    }

    /// Keeps what a registration will change.
    fn keep(&self) -> windows_core::Result<()> {
        for change in [PATH, MODEL, DESCRIPTION] {
            let value = if_any(self.key_of(&change).get_value(change.name))?;
            set(&self.server, change.earlier, value)?;
        }
        Ok(())
    }

    /// The other way round. The path is the last, so that it is ours until all is done.
    fn put_back(&self) -> windows_core::Result<()> {
        for change in [DESCRIPTION, MODEL, PATH] {
            let value = if_any(self.server.get_value(change.earlier))?;
            set(self.key_of(&change), change.name, value)?;
        }
        Ok(())
    }

    /// Removes what marks a registration as ours.
    fn forget(&self) -> windows_core::Result<()> {
        for name in [MARK, PATH.earlier, MODEL.earlier, DESCRIPTION.earlier] {
            set(&self.server, name, None)?;
        }
        Ok(())
    }
}

/// Sets the value, or removes what is there.
fn set(key: &Key, name: &str, value: Option<Value>) -> windows_core::Result<()> {
    match value {
        // By the type's number: for those with names `set_bytes` asserts a form, and another's need not have it.
        Some(value) => key.set_bytes(name, Type::Other(value.ty().into()), &value),
        None => if_any(key.remove_value(name)).map(drop),
    }
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
