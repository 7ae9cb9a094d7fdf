//! The drop-in for SQL Server's Virtual Device Interface library, and a safe loader of any drop-in.
//!
//! Built as a shared library this is `libsqlvdi.so`, with the C++ symbols of SQL Server's own and
//! nothing else exported, and on Windows `sqlvdi.dll`, with the COM classes; `include/` has the
//! headers to compile a client with. Used as a Rust library it offers [`caller`], which loads such a
//! library at run time and calls it, [`times`], and on Windows `registration`.

pub mod caller;
#[cfg(any(target_os = "linux", windows))]
mod dropin;
pub mod times;

#[cfg(windows)]
pub use dropin::com::registration;
