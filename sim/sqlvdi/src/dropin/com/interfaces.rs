//! The interfaces in the order of their methods in memory. Source: vdi.h of the Windows samples.
#![allow(non_snake_case, reason = "the names of the interface")]

use std::ffi::c_void;

use vdi_protocol::{VdConfig, VdcCommand, VdsCommand};
use windows_core::{BOOL, GUID, HRESULT, IUnknown, IUnknown_Vtbl, interface};

/// A name of the client's: UTF-16 with a zero at its end, or null.
pub(super) type Name = *const u16;

#[interface("00000001-0000-0000-c000-000000000046")]
pub(super) unsafe trait IClassFactory: IUnknown {
    fn CreateInstance(
        &self,
        outer: *mut c_void,
        iid: *const GUID,
        object: *mut *mut c_void,
    ) -> HRESULT;
    fn LockServer(&self, lock: BOOL) -> HRESULT;
}

#[interface("40700424-0080-11d2-851f-00c04fc21759")]
pub(super) unsafe trait IClientVirtualDevice: IUnknown {
    fn GetCommand(&self, timeout: u32, command: *mut *mut VdcCommand) -> HRESULT;
    fn CompleteCommand(
        &self,
        command: *mut VdcCommand,
        code: u32,
        bytes: u32,
        position: u64,
    ) -> HRESULT;
}

#[interface("40700425-0080-11d2-851f-00c04fc21759")]
pub(super) unsafe trait IClientVirtualDeviceSet: IUnknown {
    fn Create(&self, name: Name, config: *mut VdConfig) -> HRESULT;
    fn GetConfiguration(&self, timeout: u32, config: *mut VdConfig) -> HRESULT;
    fn OpenDevice(&self, name: Name, device: *mut *mut c_void) -> HRESULT;
    fn Close(&self) -> HRESULT;
    fn SignalAbort(&self) -> HRESULT;
    fn OpenInSecondary(&self, name: Name) -> HRESULT;
    fn GetBufferHandle(&self, buffer: *mut u8, handle: *mut u32) -> HRESULT;
    fn MapBufferHandle(&self, handle: u32, buffer: *mut *mut u8) -> HRESULT;
}

/// Derived, so that an object with it answers for the older one with this vtable: a sample asks for
/// the older one and calls CreateEx.
#[interface("d0e6eb07-7a62-11d2-8573-00c04fc21759")]
pub(super) unsafe trait IClientVirtualDeviceSet2: IClientVirtualDeviceSet {
    fn CreateEx(&self, instance: Name, name: Name, config: *mut VdConfig) -> HRESULT;
    fn OpenInSecondaryEx(&self, instance: Name, name: Name) -> HRESULT;
}

#[interface("b5e7a131-a7bd-11d1-84c2-00c04fc21759")]
pub(super) unsafe trait IServerVirtualDevice: IUnknown {
    fn SendCommand(&self, command: *mut VdsCommand) -> HRESULT;
    fn CloseDevice(&self) -> HRESULT;
}

/// Block size before alignment, as in the header; the documentation has them the other way round.
#[interface("aecbd0d6-24c6-11d3-85b7-00c04fc21759")]
pub(super) unsafe trait IServerVirtualDeviceSet2: IUnknown {
    fn Open(&self, instance: Name, name: Name) -> HRESULT;
    fn GetConfiguration(&self, config: *mut VdConfig) -> HRESULT;
    fn BeginConfiguration(
        &self,
        features: u32,
        block_size: u32,
        alignment: u32,
        max_transfer_size: u32,
        timeout: u32,
    ) -> HRESULT;
    fn EndConfiguration(&self) -> HRESULT;
    fn RequestBuffers(&self, size: u32, alignment: u32, count: u32) -> HRESULT;
    fn QueryAvailableBuffers(&self, size: u32, alignment: u32, count: *mut u32) -> HRESULT;
    fn ExecuteCompletionAgent(&self) -> HRESULT;
    fn OpenDevice(&self, name: Name, device: *mut *mut c_void) -> HRESULT;
    fn AllocateBuffer(&self, buffer: *mut *mut u8, size: u32, alignment: u32) -> HRESULT;
    fn FreeBuffer(&self, buffer: *mut u8, size: u32) -> HRESULT;
    fn IsSharedBuffer(&self, buffer: *mut u8) -> BOOL;
    fn SignalAbort(&self) -> HRESULT;
    fn Close(&self) -> HRESULT;
}

#[cfg(test)]
mod tests {
    use windows_core::Interface;

    use super::*;

    /// Catches: an identity mistyped.
    #[test]
    fn identities_are_those_of_the_protocol() {
        use vdi_protocol::guid;
        let pairs = [
            (IClientVirtualDevice::IID, guid::IID_ICLIENT_VIRTUAL_DEVICE),
            (IClientVirtualDeviceSet::IID, guid::IID_ICLIENT_VIRTUAL_DEVICE_SET),
            (IClientVirtualDeviceSet2::IID, guid::IID_ICLIENT_VIRTUAL_DEVICE_SET2),
            (IServerVirtualDevice::IID, guid::IID_ISERVER_VIRTUAL_DEVICE),
            (IServerVirtualDeviceSet2::IID, guid::IID_ISERVER_VIRTUAL_DEVICE_SET2),
        ];
        for (ours, theirs) in pairs {
            assert_eq!(ours.to_u128(), theirs.to_u128());
        }
    }
}
