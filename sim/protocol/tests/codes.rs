//! Names and values against a list of our own, written from the headers.

use std::collections::HashSet;

use rstest::rstest;
use vdi_protocol::{CommandCode, CompletionCode, Features, HResult, Mode, Whence, guid};

/// Catches: a wrong value, a wrong sign, a misspelt or missing name.
#[test]
fn status_codes_are_those_of_the_header() {
    let header: [(&str, u32, i32); 14] = [
        ("NOERROR", 0x0000_0000, 0),
        ("VD_E_NOTOPEN", 0x8077_0002, -2139684862),
        ("VD_E_TIMEOUT", 0x8077_0003, -2139684861),
        ("VD_E_ABORT", 0x8077_0004, -2139684860),
        ("VD_E_SECURITY", 0x8077_0005, -2139684859),
        ("VD_E_INVALID", 0x8077_0006, -2139684858),
        ("VD_E_INSTANCE_NAME", 0x8077_0007, -2139684857),
        ("VD_E_NOTSUPPORTED", 0x8077_0009, -2139684855),
        ("VD_E_MEMORY", 0x8077_000A, -2139684854),
        ("VD_E_UNEXPECTED", 0x8077_000B, -2139684853),
        ("VD_E_PROTOCOL", 0x8077_000C, -2139684852),
        ("VD_E_OPEN", 0x8077_000D, -2139684851),
        ("VD_E_CLOSE", 0x8077_000E, -2139684850),
        ("VD_E_BUSY", 0x8077_000F, -2139684849),
    ];
    let ours = [("VD_E_QUEUE_FULL", 0x8077_0010), ("VD_E_IO_ERROR", 0x8077_0011)];
    for (name, value, signed) in header {
        let code = HResult::from_name(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!((code.0, code.as_i32()), (value, signed), "{name}");
        assert!(!code.is_ours(), "{name}");
        assert_eq!(code.is_success(), value == 0, "{name}");
    }
    for (name, value) in ours {
        let code = HResult::from_name(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(code.0, value, "{name}");
        assert!(code.is_ours(), "{name}");
    }
    assert_eq!(HResult::ALL.len(), header.len() + ours.len());
    assert_eq!(HResult(0x8077_0008).name(), None, "no header defines 8");
}

/// Catches: a mask that loses the low bits, a success that turns into an error, a status that is
/// wrapped twice.
#[rstest]
#[case(0, 0)]
#[case(2, 0x8007_0002)]
#[case(995, 0x8007_03E3)]
#[case(0x8_0002, 0x8007_0002)]
#[case(0x8077_0003, 0x8077_0003)]
fn win32_errors_become_statuses(#[case] win32: u32, #[case] status: u32) {
    assert_eq!(HResult::from_win32(win32).0, status);
}

/// Catches: a Display without the value, the name, or the leading zeros.
#[test]
fn statuses_read_as_value_and_name() {
    assert_eq!(HResult::VD_E_TIMEOUT.to_string(), "0x80770003 VD_E_TIMEOUT");
    assert_eq!(HResult::NOERROR.to_string(), "0x00000000 NOERROR");
    assert_eq!(HResult(0x8077_0008).to_string(), "0x80770008");
}

/// Catches: a wrong value, a missing code, a code without the text that SQL Server prints.
#[test]
fn completion_codes_are_those_of_windows() {
    let list = [
        ("ERROR_SUCCESS", 0),
        ("ERROR_INVALID_HANDLE", 6),
        ("ERROR_ARENA_TRASHED", 7),
        ("ERROR_WRITE_FAULT", 29),
        ("ERROR_READ_FAULT", 30),
        ("ERROR_HANDLE_EOF", 38),
        ("ERROR_HANDLE_DISK_FULL", 39),
        ("ERROR_NOT_SUPPORTED", 50),
        ("ERROR_DISK_FULL", 112),
        ("ERROR_OPERATION_ABORTED", 995),
        ("ERROR_END_OF_MEDIA", 1100),
        ("ERROR_FILEMARK_DETECTED", 1101),
        ("ERROR_BEGINNING_OF_MEDIA", 1102),
        ("ERROR_NO_DATA_DETECTED", 1104),
        ("ERROR_IO_DEVICE", 1117),
        ("ERROR_EOM_OVERFLOW", 1129),
        ("ERROR_NO_SYSTEM_RESOURCES", 1450),
    ];
    assert_eq!(CompletionCode::ALL.len(), list.len());
    for (name, value) in list {
        let code = CompletionCode::from_name(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(code.0, value, "{name}");
        assert!(code.message().is_some_and(|text| text.ends_with('.')), "{name}");
    }
}

/// Catches: SQL Server's form of an operating system error drifting from the real one.
#[test]
fn os_errors_read_as_sql_server_prints_them() {
    assert_eq!(
        CompletionCode::ERROR_OPERATION_ABORTED.os_error().to_string(),
        "995(The I/O operation has been aborted because of either a thread exit or an \
         application request.)"
    );
    assert_eq!(
        CompletionCode::ERROR_DISK_FULL.os_error().to_string(),
        "112(There is not enough space on the disk.)"
    );
    assert_eq!(CompletionCode(4711).os_error().to_string(), "4711(error not found)");
}

/// Catches: a Read's end taken for an error, or an error for its end.
#[test]
fn three_codes_end_the_data() {
    let ends: Vec<u32> =
        CompletionCode::ALL.iter().filter(|code| code.ends_data()).map(|code| code.0).collect();
    assert_eq!(ends, [38, 1101, 1104]);
}

/// Catches: two commands swapped, a name that differs from the header's.
#[test]
fn commands_are_numbered_as_in_the_header() {
    let names = [
        "VDC_Read",
        "VDC_Write",
        "VDC_ClearError",
        "VDC_Rewind",
        "VDC_WriteMark",
        "VDC_SkipMarks",
        "VDC_SkipBlocks",
        "VDC_Load",
        "VDC_GetPosition",
        "VDC_SetPosition",
        "VDC_Discard",
        "VDC_Flush",
        "VDC_Snapshot",
        "VDC_MountSnapshot",
        "VDC_PrepareToFreeze",
        "VDC_FileInfoBegin",
        "VDC_FileInfoEnd",
        "VDC_GetError",
        "VDC_Complete",
    ];
    assert_eq!(CommandCode::ALL.len(), names.len());
    for (value, name) in (1..).zip(names) {
        assert_eq!(CommandCode(value).name(), Some(name), "{value}");
        assert_eq!(CommandCode::ALL[value as usize - 1], CommandCode(value));
    }
    assert_eq!(CommandCode(0).name(), None);
    assert_eq!(CommandCode(20).to_string(), "command 20");
}

/// Catches: an origin that is off by one, a wild size taken for one.
#[test]
fn origins_are_zero_to_two() {
    let origins = [Whence::Beginning, Whence::Current, Whence::End];
    for (size, origin) in (0..).zip(origins) {
        assert_eq!(Whence::from_size(size), Some(origin));
        assert_eq!(origin as u32, size);
    }
    assert_eq!(Whence::from_size(3), None);
    assert_eq!(Whence::from_size(u32::MAX), None);
}

/// Catches: a wrong or missing bit, a wrong alias.
#[test]
fn feature_bits_are_those_of_the_header() {
    let bits = [
        ("VDF_Removable", 0x1),
        ("VDF_Rewind", 0x2),
        ("VDF_Position", 0x10),
        ("VDF_SkipBlocks", 0x20),
        ("VDF_ReversePosition", 0x40),
        ("VDF_Discard", 0x80),
        ("VDF_FileMarks", 0x100),
        ("VDF_RandomAccess", 0x200),
        ("VDF_SnapshotPrepare", 0x400),
        ("VDF_EnumFrozenFiles", 0x800),
        ("VDF_VSSWriter", 0x1000),
        ("VDF_RequestComplete", 0x2000),
        ("VDF_WriteMedia", 0x1_0000),
        ("VDF_ReadMedia", 0x2_0000),
        ("VDF_CompleteEnabled", 0x4_0000),
        ("VDF_LatchStats", 0x8000_0000u32),
    ];
    assert_eq!(Features::NAMES.map(|(bit, name)| (name, bit.bits())), bits);
    for (name, value) in bits {
        assert_eq!(Features::from_bits_retain(value).to_string(), name);
    }
    assert_eq!(Features::LIKE_PIPE.bits(), 0);
    assert_eq!(Features::LIKE_TAPE.bits(), 0x173);
    assert_eq!(Features::LIKE_DISK.bits(), 0x200);
}

/// Catches: bits that no header names being dropped, by the type or by its Display.
#[test]
fn unknown_feature_bits_are_kept_and_shown() {
    let odd = Features::from_bits_retain(0x2000 | 0x4 | 0x10_0000);
    assert_eq!(odd.bits(), 0x10_2004);
    assert_eq!(odd.to_string(), "VDF_RequestComplete|0x100004");
    assert_eq!(Features::empty().to_string(), "VDF_LikePipe");
    assert_eq!((odd - Features::REQUEST_COMPLETE).bits(), 0x10_0004);
    assert_eq!((!Features::REMOVABLE).bits(), 0xFFFF_FFFE);
}

/// The combinations of the specification, spelt out: four bases and one with removable media,
/// each with any of three additions.
fn listed() -> HashSet<u32> {
    let mut all = HashSet::new();
    for base in [0x0, 0x1, 0x173, 0x200, 0x201] {
        for discard in [0, 0x80] {
            for prepare in [0, 0x400] {
                for complete in [0, 0x2000] {
                    all.insert(base | discard | prepare | complete);
                }
            }
        }
    }
    all
}

/// Catches: a combination let in or left out. Walks every mask of the assigned and unassigned
/// bits up to 0x4000, and each higher bit on top of the listed ones.
#[test]
fn exactly_the_listed_combinations_are_listed() {
    let listed = listed();
    assert_eq!(listed.len(), 40);
    for mask in 0..0x8000u32 {
        let features = Features::from_bits_retain(mask);
        assert_eq!(features.is_listed_combination(), listed.contains(&mask), "{mask:#x}");
    }
    for mask in listed {
        for high in 15..32 {
            let features = Features::from_bits_retain(mask | 1 << high);
            assert!(!features.is_listed_combination(), "{features}");
        }
    }
}

/// Catches: a mode that overlooks its bit, or that an optional bit changes.
#[test]
fn the_mode_follows_from_the_features() {
    for (base, mode) in Features::LISTED_MODES {
        assert_eq!(base.mode(), mode, "{base}");
        assert_eq!((base | Features::OPTIONAL | Features::WRITE_MEDIA).mode(), mode, "{base}");
    }
    assert_eq!((Features::LIKE_TAPE | Features::LIKE_DISK).mode(), Mode::Disk);
    assert_eq!(Features::REWIND.mode(), Mode::Pipe);
}

/// Catches: a digit of a GUID, its byte order, or the two classes that share an IID.
#[test]
fn guids_are_those_of_the_header() {
    let header = [
        ("IID_IClientVirtualDevice", "40700424-0080-11d2-851f-00c04fc21759"),
        ("IID_IClientVirtualDeviceSet", "40700425-0080-11d2-851f-00c04fc21759"),
        ("IID_IClientVirtualDeviceSet2", "d0e6eb07-7a62-11d2-8573-00c04fc21759"),
        ("IID_IServerVirtualDevice", "b5e7a131-a7bd-11d1-84c2-00c04fc21759"),
        ("IID_IServerVirtualDeviceSet", "b5e7a132-a7bd-11d1-84c2-00c04fc21759"),
        ("IID_IServerVirtualDeviceSet2", "aecbd0d6-24c6-11d3-85b7-00c04fc21759"),
        ("CLSID_MSSQL_ClientVirtualDeviceSet", "40700425-0080-11d2-851f-00c04fc21759"),
        ("CLSID_MSSQL_ServerVirtualDeviceSet", "b5e7a132-a7bd-11d1-84c2-00c04fc21759"),
        ("CLSID_WINFS_ClientVirtualDeviceSet", "50b99b13-7b84-44d3-9c98-2652bf144d96"),
        ("CLSID_WINFS_ServerVirtualDeviceSet", "92e6b26b-57da-47ed-8153-dff187a76dde"),
        ("CLSID_WIDVDI_ClientVirtualDeviceSet", "a9a3fe12-61c7-496e-aabf-b83e3287ab82"),
        ("CLSID_WIDVDI_ServerVirtualDeviceSet", "a6f16b19-0040-4947-8d3f-52de129bb615"),
    ];
    assert_eq!(guid::NAMES.len(), header.len());
    for ((name, guid), (expected, digits)) in guid::NAMES.into_iter().zip(header) {
        assert_eq!((name, guid.to_string().as_str()), (expected, digits));
        assert_eq!(guid::Guid::from_u128(guid.to_u128()), guid, "{name}");
    }
    let device = guid::IID_ICLIENT_VIRTUAL_DEVICE;
    assert_eq!((device.data1, device.data2, device.data3), (0x4070_0424, 0x0080, 0x11d2));
    assert_eq!(device.data4, [0x85, 0x1f, 0x00, 0xc0, 0x4f, 0xc2, 0x17, 0x59]);
}
