//! stub
use crate::*;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::time::Duration;
#[derive(Debug)]
pub(crate) struct Object;
fn none() -> RegionError {
    RegionError::Unavailable { backend: Backend::Portable }
}
impl Object {
    pub(crate) fn build(_: &ObjectName, _: usize, _: Access) -> Result<Object, RegionError> {
        Err(none())
    }
    pub(crate) fn open(_: &ObjectName) -> Result<Object, RegionError> {
        Err(none())
    }
    pub(crate) fn publish(&self) -> Result<(), RegionError> {
        Err(none())
    }
    pub(crate) fn base(&self) -> NonNull<u8> {
        NonNull::dangling()
    }
    pub(crate) fn len(&self) -> usize {
        0
    }
    pub(crate) fn base_alignment(&self) -> usize {
        4096
    }
    pub(crate) fn owner(&self) -> Owner {
        Owner { uid: 0, gid: 0, mode: 0 }
    }
    pub(crate) fn object_size(&self) -> Result<u64, RegionError> {
        Err(none())
    }
    pub(crate) fn unlink(&self) -> Result<(), RegionError> {
        Err(none())
    }
    pub(crate) fn take_lease(&self, _: LeaseRole) -> Result<Lease, RegionError> {
        Err(none())
    }
    pub(crate) fn release_lease(&self, _: LeaseRole) -> Result<(), RegionError> {
        Err(none())
    }
    pub(crate) fn lease_held(&self, _: LeaseRole) -> Result<bool, RegionError> {
        Err(none())
    }
    pub(crate) fn wait(
        &self,
        _: &AtomicU32,
        _: u32,
        _: Option<Duration>,
    ) -> Result<Wait, RegionError> {
        Err(none())
    }
    pub(crate) fn wake(&self, _: &AtomicU32, _: u32) {}
}
