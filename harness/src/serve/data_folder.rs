//! Where the servers of a namespace keep their databases when nobody says otherwise.

use std::env;
use std::path::PathBuf;

use vdi_device::Namespace;

/// No folder can be derived from the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no place for the server's data: neither {DATA_HOME} nor {HOME} is set to an absolute \
     path; set one, or give --data"
)]
pub struct NoDataFolder;

#[cfg(not(windows))]
const DATA_HOME: &str = "XDG_DATA_HOME";
#[cfg(not(windows))]
const HOME: &str = "HOME";
#[cfg(not(windows))]
const BELOW_HOME: &str = ".local/share";

#[cfg(windows)]
const DATA_HOME: &str = "LOCALAPPDATA";
#[cfg(windows)]
const HOME: &str = "USERPROFILE";
#[cfg(windows)]
const BELOW_HOME: &str = r"AppData\Local";

/// Said to our own programs alone: a variable that others heed, too, would change what a client does.
pub(crate) const OUR_DATA_HOME: &str = "VDISIM_DATA_HOME";

/// The data folder of a namespace: `vdisim/<namespace>` in `VDISIM_DATA_HOME`, in `XDG_DATA_HOME`, or
/// in `~/.local/share` if neither is set. It need not exist. Source of the rule: XDG Base Directory Specification; on
/// Windows, the folder for local application data.
///
/// # Errors
///
/// [`NoDataFolder`] if the environment names none.
pub fn data_folder(namespace: &Namespace) -> Result<PathBuf, NoDataFolder> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(OUR_DATA_HOME)
        .or_else(|| absolute(DATA_HOME))
        .or_else(|| absolute(HOME).map(|home| home.join(BELOW_HOME)))
        .ok_or(NoDataFolder)?;
    Ok(base.join("vdisim").join(namespace.as_str()))
}
