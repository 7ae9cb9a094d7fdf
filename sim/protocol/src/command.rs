//! Commands: what the server asks of a device, and how.

use core::ffi::c_void;
use core::fmt;
use core::mem::{align_of, offset_of, size_of};

use crate::completion::CompletionCode;
use crate::named::named_codes;

/// The code of a command (VDCommands in vdi.h; 18 and 19 are absent from the 2004 header).
///
/// Any value can stand here: a client answers one it does not know with ERROR_NOT_SUPPORTED.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct CommandCode(pub u32);

named_codes!(CommandCode {
    /// Fill the buffer from the device.
    READ = 1, "VDC_Read";
    /// Take the buffer to the device; it may be cached until Flush.
    WRITE = 2, "VDC_Write";
    /// Leave the IO-ERROR state. Not delivered before the client completed all it held.
    CLEAR_ERROR = 3, "VDC_ClearError";
    /// Go to the beginning of the medium.
    REWIND = 4, "VDC_Rewind";
    /// Write a filemark.
    WRITE_MARK = 5, "VDC_WriteMark";
    /// Pass filemarks; the count travels in `size`, negative only with VDF_ReversePosition
    /// (sign unconfirmed).
    SKIP_MARKS = 6, "VDC_SkipMarks";
    /// Pass blocks; the count travels in `size`, negative only with VDF_ReversePosition
    /// (sign unconfirmed).
    SKIP_BLOCKS = 7, "VDC_SkipBlocks";
    /// Load the next medium. `size` is an input of unconfirmed meaning.
    LOAD = 8, "VDC_Load";
    /// Say where the device is.
    GET_POSITION = 9, "VDC_GetPosition";
    /// Go to a position and say where the device is then.
    SET_POSITION = 10, "VDC_SetPosition";
    /// Data written so far may be dropped (meaning taken from the name, unconfirmed).
    DISCARD = 11, "VDC_Discard";
    /// Make every Write so far durable; in disk-like mode also set the end of the file. May come
    /// several times and is not the end of the backup.
    FLUSH = 12, "VDC_Flush";
    /// The database files are frozen: take the snapshot.
    SNAPSHOT = 13, "VDC_Snapshot";
    /// Bring the snapshot's files back.
    MOUNT_SNAPSHOT = 14, "VDC_MountSnapshot";
    /// Get ready; success lets the freeze happen.
    PREPARE_TO_FREEZE = 15, "VDC_PrepareToFreeze";
    /// The list of frozen files begins (meaning taken from the name, unconfirmed).
    FILE_INFO_BEGIN = 16, "VDC_FileInfoBegin";
    /// The list of frozen files ends (meaning taken from the name, unconfirmed).
    FILE_INFO_END = 17, "VDC_FileInfoEnd";
    /// Say what the last error was (meaning taken from the name, never observed).
    GET_ERROR = 18, "VDC_GetError";
    /// The server has sent everything; the client may still fail the backup by its answer.
    COMPLETE = 19, "VDC_Complete";
});

impl fmt::Display for CommandCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "command {}", self.0),
        }
    }
}

impl fmt::Debug for CommandCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandCode({} {self})", self.0)
    }
}

/// What VDC_SetPosition counts from, in the command's `size`, with VDF_RandomAccess.
/// Source: VDWhence in vdi.h; VDI, VDC_SetPosition page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Whence {
    /// VDC_Beginning: from the start of the file.
    Beginning = 0,
    /// VDC_Current: from the present position.
    Current = 1,
    /// VDC_End: from the end of the file.
    End = 2,
}

impl Whence {
    /// The origin that a command's `size` names, if it names one.
    pub const fn from_size(size: u32) -> Option<Self> {
        match size {
            0 => Some(Self::Beginning),
            1 => Some(Self::Current),
            2 => Some(Self::End),
            _ => None,
        }
    }
}

/// A command as the client sees it (VDC_Command). Its address is the handle for CompleteCommand,
/// and the client must not write to it.
///
/// The widths are those of both systems; Linux declares the first three fields signed.
/// Source: vdi.h of both samples (`#pragma pack(8)`).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct VdcCommand {
    /// Which command.
    pub command_code: CommandCode,
    /// Bytes to transfer, without the prefix zone; some commands put a count or a [`Whence`] here.
    pub size: u32,
    /// Byte position or opaque block address, where the command has one.
    pub position: u64,
    /// The data, for Read and Write; null otherwise.
    pub buffer: *mut u8,
}

impl VdcCommand {
    /// `size` as the signed count of SkipMarks and SkipBlocks.
    pub const fn count(&self) -> i32 {
        self.size as i32
    }
}

/// A request as the server half sees it (VDS_Command).
///
/// The widths are those of both systems; Linux declares the integers signed.
/// Source: vdi.h of both samples (`#pragma pack(8)`).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct VdsCommand {
    /// Which command.
    pub command_code: CommandCode,
    /// Bytes to transfer, or what the command overloads it with.
    pub size: u32,
    /// Position that goes to the client.
    pub in_position: u64,
    /// Position that came back from the client.
    pub out_position: u64,
    /// The data, in a buffer from AllocateBuffer.
    pub buffer: *mut u8,
    /// `void routine(VDS_Command*)`, called on completion; must be set.
    pub completion_routine: *mut c_void,
    /// The server's own, never looked at.
    pub completion_context: *mut c_void,
    /// What the client answered, or what the interface put in its place.
    pub completion_code: CompletionCode,
    /// Bytes that Read or Write moved.
    pub bytes_transferred: u32,
}

const _: () = {
    assert!(offset_of!(VdcCommand, command_code) == 0);
    assert!(offset_of!(VdcCommand, size) == 4);
    assert!(offset_of!(VdcCommand, position) == 8);
    assert!(offset_of!(VdcCommand, buffer) == 16);
    assert!(offset_of!(VdsCommand, command_code) == 0);
    assert!(offset_of!(VdsCommand, size) == 4);
    assert!(offset_of!(VdsCommand, in_position) == 8);
    assert!(offset_of!(VdsCommand, out_position) == 16);
    assert!(offset_of!(VdsCommand, buffer) == 24);
};

#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<VdcCommand>() == 24 && align_of::<VdcCommand>() == 8);
    assert!(offset_of!(VdsCommand, completion_routine) == 32);
    assert!(offset_of!(VdsCommand, completion_context) == 40);
    assert!(offset_of!(VdsCommand, completion_code) == 48);
    assert!(offset_of!(VdsCommand, bytes_transferred) == 52);
    assert!(size_of::<VdsCommand>() == 56 && align_of::<VdsCommand>() == 8);
};

#[cfg(all(windows, target_pointer_width = "32"))]
const _: () = {
    assert!(size_of::<VdcCommand>() == 24 && align_of::<VdcCommand>() == 8);
    assert!(size_of::<VdsCommand>() == 48 && align_of::<VdsCommand>() == 8);
};
