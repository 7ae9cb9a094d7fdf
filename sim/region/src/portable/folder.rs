//! stub
use crate::*;
use std::time::Instant;
fn none() -> RegionError {
    RegionError::Unavailable { backend: Backend::Portable }
}
pub(crate) fn list(_: &dyn Fn(&str) -> bool) -> Result<Vec<ObjectInfo>, RegionError> {
    Err(none())
}
pub(crate) fn remove_leftover(_: &ObjectInfo) -> Result<Removed, RegionError> {
    Err(none())
}
pub(crate) fn wait_for(
    _: &dyn Fn(&str) -> bool,
    _: Option<Instant>,
) -> Result<Option<ObjectName>, RegionError> {
    Err(none())
}
