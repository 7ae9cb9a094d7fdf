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
    /// Windows: the account that the server runs under, by name or SID, if it is neither the client's own nor
    /// an administrator's. The sets made here are for it, too.
    pub service_account: Option<String>,
}

impl Environment {
    /// As given.
    pub fn new(namespace: Namespace, backend: Backend) -> Self {
        Environment { namespace, backend, service_account: None }
    }

    /// From `VDISIM_NAMESPACE`, `VDISIM_BACKEND` and `VDISIM_SERVICE_ACCOUNT`; what is not set is `default`, the
    /// platform's, and none.
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
        let service_account = std::env::var_os("VDISIM_SERVICE_ACCOUNT")
            .map(|account| account.to_string_lossy().into_owned())
            .filter(|account| !account.is_empty());
        Ok(Environment { namespace, backend, service_account })
    }
}
