//! A loaded library.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LoadError;
use super::native::Symbols;

/// A drop-in that was loaded from a file. Cloning it is cheap and loads nothing again.
///
/// The library is never unloaded: code of it may run on threads of its own.
#[derive(Clone, Debug)]
pub struct DropIn {
    path: Arc<Path>,
    symbols: &'static Symbols,
}

impl DropIn {
    /// Loads the library at `path` with its symbols kept to itself, as dlopen with RTLD_LOCAL.
    ///
    /// Loading a path twice gives the same library: the dynamic linker keeps one copy of a file.
    ///
    /// # Errors
    /// [`LoadError`] if it is no library or lacks one of the interface's symbols.
    pub fn load(path: &Path) -> Result<DropIn, LoadError> {
        let symbols = Symbols::load(path)?;
        // Leaked on purpose: see the type's documentation. It is one small table a load.
        Ok(DropIn { path: PathBuf::from(path).into(), symbols: Box::leak(Box::new(symbols)) })
    }

    /// Where it was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn symbols(&self) -> &'static Symbols {
        self.symbols
    }
}
