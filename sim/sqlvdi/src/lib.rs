//! The drop-in for SQL Server's Virtual Device Interface library, and a safe loader of any drop-in.
//!
//! Built as a shared library this is `libsqlvdi.so`, with the C++ symbols of SQL Server's own and
//! nothing else exported; `include/` has the headers to compile a client with. Used as a Rust
//! library it offers [`caller`], which loads such a library at run time and calls it.

pub mod caller;
#[cfg(target_os = "linux")]
mod dropin;
