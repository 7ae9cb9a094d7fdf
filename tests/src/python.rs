//! The Python of the SQL clients.

use std::path::PathBuf;

/// The Python that has the clients, where scripts/python-tools puts it.
pub fn python() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let folder = variable("VDISIM_CLIENTS").or_else(|| {
        let cache = variable("XDG_CACHE_HOME").or(variable("HOME").map(|home| home.join(".cache")));
        Some(cache?.join("vdisim/clients"))
    })?;
    Some(folder.join("venv/bin/python")).filter(|python| python.exists())
}
