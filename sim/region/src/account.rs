//! Accounts that an object is made for besides its maker's.

use crate::{RegionError, native};

/// The number by which [`Access::Group`](crate::Access::Group) knows an account in this process; the
/// account is given by its SID (`S-1-5-20`) or its name (`NT SERVICE\MSSQLSERVER`). `None` where groups
/// and modes say who may use an object.
///
/// Errors: [`RegionError::NoAccount`], [`RegionError::Os`].
pub fn account(name: &str) -> Result<Option<u32>, RegionError> {
    native::accounts::find(name)
}
