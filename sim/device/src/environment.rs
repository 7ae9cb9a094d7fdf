//! Where a process looks for device sets.

use vdi_region::Backend;

use crate::{
    error::{Error, Reason},
    naming::Namespace,
};

/// Namespace and backend: two processes meet only if both agree on both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Keeps concurrent runs apart.
    pub namespace: Namespace,
    /// The kind of shared memory.
    pub backend: Backend,
}

impl Environment {
    /// As given.
    pub fn new(namespace: Namespace, backend: Backend) -> Self {
        Environment { namespace, backend }
    }

    /// From `VDISIM_NAMESPACE` and `VDISIM_BACKEND`; what is not set is `default` and the platform's.
    ///
    /// # Errors
    /// A variable holds what is no namespace or no backend.
    pub fn from_process() -> Result<Self, Error> {
        let namespace = match std::env::var("VDISIM_NAMESPACE") {
            Ok(name) => Namespace::new(&name)?,
            Err(std::env::VarError::NotPresent) => Namespace::default(),
            Err(std::env::VarError::NotUnicode(name)) => Namespace::new(&name.to_string_lossy())?,
        };
        let backend = match std::env::var("VDISIM_BACKEND") {
            Ok(name) => {
                name.parse().map_err(|e: vdi_region::RegionError| Reason::Backend(e.to_string()))?
            }
            Err(_) => Backend::platform_default(),
        };
        Ok(Environment { namespace, backend })
    }
}
