//! How the drop-in is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if linux {
        // Clients record this name when they are linked with -lsqlvdi and look it up at start.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libsqlvdi.so");
        // A thread of ours watches the server while a set is open, so the code must stay in memory
        // even when the client calls dlclose.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
