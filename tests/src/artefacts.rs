//! The programs under test: what lies beside this test in `target/<profile>`.

use std::path::PathBuf;

/// The `vdisim` command.
pub fn vdisim() -> PathBuf {
    built(&format!("vdisim{}", std::env::consts::EXE_SUFFIX))
}

/// The drop-in.
pub fn drop_in() -> PathBuf {
    built(vdisim::launch::LIBRARY_NAME)
}

/// `target/<profile>/<name>`.
///
/// # Panics
/// It is not there.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.ancestors().nth(2).expect("tests lie in target/<profile>/deps");
    let path = folder.join(name);
    assert!(path.is_file(), "{} is not built; run scripts/test, which builds it", path.display());
    path
}
