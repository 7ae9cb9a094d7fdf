//! Backups written by real SQL Servers, which are not part of the project.

use std::path::{Path, PathBuf};

/// The golden backup of that name, below VDISIM_GOLDEN or `../shared/golden` beside the checkout;
/// says by name that the test is skipped where it is missing.
pub fn golden(name: &str) -> Option<PathBuf> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = std::env::var_os("VDISIM_GOLDEN")
        .map_or_else(|| checkout.join("../shared/golden"), PathBuf::from);
    let path = folder.join(name);
    if !path.is_file() {
        println!("SKIP golden backup: there is no {}", path.display());
        return None;
    }
    Some(path)
}

/// All of these, or none.
pub fn goldens(names: &[&str]) -> Option<Vec<PathBuf>> {
    names.iter().map(|name| golden(name)).collect()
}
