use std::io;
use std::path::PathBuf;

/// A report folder that could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The folder or a file of it cannot be written.
    #[error("the report {} cannot be written: {error}; name another folder.", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is no results.json, or it cannot be read.
    #[error(
        "{} cannot be read: {error}; name a folder that `vdisim test --report` wrote.",
        .path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file holds something else.
    #[error("{} is no results.json of vdisim: {error}.", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        error: serde_json::Error,
    },
    /// The file was written by another version of vdisim.
    #[error(
        "{} has the form {found} of results.json, and this vdisim knows form {known}; use the \
         vdisim that wrote it, or a newer one.",
        .path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
}
