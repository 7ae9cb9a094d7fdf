//! The identities of the COM interfaces and classes.
//!
//! Source: vdiguid.h and vdi.h of the Windows samples.

use core::fmt;

/// A GUID in the form of Windows: three integers and eight bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Guid {
    /// The first eight digits.
    pub data1: u32,
    /// The next four.
    pub data2: u16,
    /// The next four.
    pub data3: u16,
    /// The last sixteen.
    pub data4: [u8; 8],
}

impl Guid {
    /// From the digits as they are written.
    pub const fn from_u128(digits: u128) -> Self {
        Self {
            data1: (digits >> 96) as u32,
            data2: (digits >> 80) as u16,
            data3: (digits >> 64) as u16,
            data4: (digits as u64).to_be_bytes(),
        }
    }

    /// The digits as they are written.
    pub const fn to_u128(self) -> u128 {
        (self.data1 as u128) << 96
            | (self.data2 as u128) << 80
            | (self.data3 as u128) << 64
            | u64::from_be_bytes(self.data4) as u128
    }
}

/// Lower case with hyphens, without braces.
impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = u64::from_be_bytes(self.data4);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            self.data1,
            self.data2,
            self.data3,
            tail >> 48,
            tail & 0xFFFF_FFFF_FFFF
        )
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

/// IClientVirtualDevice.
pub const IID_ICLIENT_VIRTUAL_DEVICE: Guid =
    Guid::from_u128(0x40700424_0080_11d2_851f_00c04fc21759);
/// IClientVirtualDeviceSet. A client may ask for it and use the answer as a Set2 (a sample does),
/// so the object behind it has the vtable of Set2.
pub const IID_ICLIENT_VIRTUAL_DEVICE_SET: Guid =
    Guid::from_u128(0x40700425_0080_11d2_851f_00c04fc21759);
/// IClientVirtualDeviceSet2.
pub const IID_ICLIENT_VIRTUAL_DEVICE_SET2: Guid =
    Guid::from_u128(0xd0e6eb07_7a62_11d2_8573_00c04fc21759);
/// IServerVirtualDevice.
pub const IID_ISERVER_VIRTUAL_DEVICE: Guid =
    Guid::from_u128(0xb5e7a131_a7bd_11d1_84c2_00c04fc21759);
/// IServerVirtualDeviceSet.
pub const IID_ISERVER_VIRTUAL_DEVICE_SET: Guid =
    Guid::from_u128(0xb5e7a132_a7bd_11d1_84c2_00c04fc21759);
/// IServerVirtualDeviceSet2.
pub const IID_ISERVER_VIRTUAL_DEVICE_SET2: Guid =
    Guid::from_u128(0xaecbd0d6_24c6_11d3_85b7_00c04fc21759);
/// The class that clients create; the header gives it the IID of the first set interface.
pub const CLSID_MSSQL_CLIENT_VIRTUAL_DEVICE_SET: Guid = IID_ICLIENT_VIRTUAL_DEVICE_SET;
/// The class of the server's set; the header gives it the IID of the first set interface.
pub const CLSID_MSSQL_SERVER_VIRTUAL_DEVICE_SET: Guid = IID_ISERVER_VIRTUAL_DEVICE_SET;
/// The client class of WinFS.
pub const CLSID_WINFS_CLIENT_VIRTUAL_DEVICE_SET: Guid =
    Guid::from_u128(0x50b99b13_7b84_44d3_9c98_2652bf144d96);
/// The server class of WinFS.
pub const CLSID_WINFS_SERVER_VIRTUAL_DEVICE_SET: Guid =
    Guid::from_u128(0x92e6b26b_57da_47ed_8153_dff187a76dde);
/// The client class of the Windows Internal Database (newer header only).
pub const CLSID_WIDVDI_CLIENT_VIRTUAL_DEVICE_SET: Guid =
    Guid::from_u128(0xa9a3fe12_61c7_496e_aabf_b83e3287ab82);
/// The server class of the Windows Internal Database (newer header only).
pub const CLSID_WIDVDI_SERVER_VIRTUAL_DEVICE_SET: Guid =
    Guid::from_u128(0xa6f16b19_0040_4947_8d3f_52de129bb615);

/// Every identity with the name that the headers give it.
pub const NAMES: [(&str, Guid); 12] = [
    ("IID_IClientVirtualDevice", IID_ICLIENT_VIRTUAL_DEVICE),
    ("IID_IClientVirtualDeviceSet", IID_ICLIENT_VIRTUAL_DEVICE_SET),
    ("IID_IClientVirtualDeviceSet2", IID_ICLIENT_VIRTUAL_DEVICE_SET2),
    ("IID_IServerVirtualDevice", IID_ISERVER_VIRTUAL_DEVICE),
    ("IID_IServerVirtualDeviceSet", IID_ISERVER_VIRTUAL_DEVICE_SET),
    ("IID_IServerVirtualDeviceSet2", IID_ISERVER_VIRTUAL_DEVICE_SET2),
    ("CLSID_MSSQL_ClientVirtualDeviceSet", CLSID_MSSQL_CLIENT_VIRTUAL_DEVICE_SET),
    ("CLSID_MSSQL_ServerVirtualDeviceSet", CLSID_MSSQL_SERVER_VIRTUAL_DEVICE_SET),
    ("CLSID_WINFS_ClientVirtualDeviceSet", CLSID_WINFS_CLIENT_VIRTUAL_DEVICE_SET),
    ("CLSID_WINFS_ServerVirtualDeviceSet", CLSID_WINFS_SERVER_VIRTUAL_DEVICE_SET),
    ("CLSID_WIDVDI_ClientVirtualDeviceSet", CLSID_WIDVDI_CLIENT_VIRTUAL_DEVICE_SET),
    ("CLSID_WIDVDI_ServerVirtualDeviceSet", CLSID_WIDVDI_SERVER_VIRTUAL_DEVICE_SET),
];
