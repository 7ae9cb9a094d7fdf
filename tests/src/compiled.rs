//! Clients in C++.

use std::path::Path;
use std::process::Command;

use crate::artefacts;

/// Compiles `source`, a file below tests/clients, into `program`: as a vendor does, with our headers and
/// `-lsqlvdi` alone.
///
/// # Panics
/// Without a compiler, and when the source does not compile without a warning.
pub fn compile(source: &str, program: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = artefacts::drop_in();
    let built = Command::new("g++")
        .args(["-std=c++11", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .arg(program)
        .arg(root.join("clients").join(source))
        .arg("-I")
        .arg(root.join("../sim/sqlvdi/include"))
        .arg("-L")
        .arg(library.parent().expect("a library lies in a folder"))
        .arg("-lsqlvdi")
        .status()
        .expect("g++ is on PATH: scripts/setup installs it");
    assert!(built.success(), "{source} does not compile");
}
