//! Completion codes: how a client says what became of a command.

use core::fmt;

use crate::named::named_codes;

/// A Win32 error code as passed to CompleteCommand.
///
/// The Linux header defines seven of them; the specification names the rest, with the values of
/// the public winerror.h. Any other Win32 code is legal too ("an appropriate Win32 code").
/// Source: VDI, "Command General Rules"; vdi.h of the Linux sample.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct CompletionCode(pub u32);

named_codes!(CompletionCode {
    /// The command was executed.
    ERROR_SUCCESS = 0, "ERROR_SUCCESS";
    /// The handle is invalid: what the server's routine sees when the device is not open.
    ERROR_INVALID_HANDLE = 6, "ERROR_INVALID_HANDLE";
    /// The storage control blocks were destroyed.
    ERROR_ARENA_TRASHED = 7, "ERROR_ARENA_TRASHED";
    /// The device could not be written.
    ERROR_WRITE_FAULT = 29, "ERROR_WRITE_FAULT";
    /// The device could not be read.
    ERROR_READ_FAULT = 30, "ERROR_READ_FAULT";
    /// End of data on a Read; the bytes before it are reported with it.
    ERROR_HANDLE_EOF = 38, "ERROR_HANDLE_EOF";
    /// The disk behind the handle is full.
    ERROR_HANDLE_DISK_FULL = 39, "ERROR_HANDLE_DISK_FULL";
    /// The client does not support the command.
    ERROR_NOT_SUPPORTED = 50, "ERROR_NOT_SUPPORTED";
    /// There is no room for a Write; without removable media there is no recovery.
    ERROR_DISK_FULL = 112, "ERROR_DISK_FULL";
    /// What the server's routine sees for every command that an abort cut off.
    ERROR_OPERATION_ABORTED = 995, "ERROR_OPERATION_ABORTED";
    /// The end-of-media warning zone of removable media was reached.
    ERROR_END_OF_MEDIA = 1100, "ERROR_END_OF_MEDIA";
    /// A Read tried to pass a filemark.
    ERROR_FILEMARK_DETECTED = 1101, "ERROR_FILEMARK_DETECTED";
    /// A move backwards met the beginning of the medium.
    ERROR_BEGINNING_OF_MEDIA = 1102, "ERROR_BEGINNING_OF_MEDIA";
    /// No more data on the medium; a Read treats it as ERROR_HANDLE_EOF.
    ERROR_NO_DATA_DETECTED = 1104, "ERROR_NO_DATA_DETECTED";
    /// The device is in the IO-ERROR state: queued and refused commands end with it.
    ERROR_IO_DEVICE = 1117, "ERROR_IO_DEVICE";
    /// The physical end of the medium was passed; the server aborts the BACKUP.
    ERROR_EOM_OVERFLOW = 1129, "ERROR_EOM_OVERFLOW";
    /// The device's command queue is full.
    ERROR_NO_SYSTEM_RESOURCES = 1450, "ERROR_NO_SYSTEM_RESOURCES";
});

impl CompletionCode {
    /// Whether the command was executed.
    pub const fn is_success(self) -> bool {
        self.0 == 0
    }

    /// Whether completing a Read with this code says that there is no more data on the medium.
    /// Source: VDI, VDC_Read page, "End Of Media and Unexpected Filemarks".
    pub const fn ends_data(self) -> bool {
        matches!(
            self,
            Self::ERROR_HANDLE_EOF | Self::ERROR_NO_DATA_DETECTED | Self::ERROR_FILEMARK_DETECTED
        )
    }

    /// The text that Windows has for the code, without the number. `None` for a code that is not
    /// in [`CompletionCode::ALL`].
    pub const fn message(self) -> Option<&'static str> {
        Some(match self {
            Self::ERROR_SUCCESS => "The operation completed successfully.",
            Self::ERROR_INVALID_HANDLE => "The handle is invalid.",
            Self::ERROR_ARENA_TRASHED => "The storage control blocks were destroyed.",
            Self::ERROR_WRITE_FAULT => "The system cannot write to the specified device.",
            Self::ERROR_READ_FAULT => "The system cannot read from the specified device.",
            Self::ERROR_HANDLE_EOF => "Reached the end of the file.",
            Self::ERROR_HANDLE_DISK_FULL => "The disk is full.",
            Self::ERROR_NOT_SUPPORTED => "The request is not supported.",
            Self::ERROR_DISK_FULL => "There is not enough space on the disk.",
            Self::ERROR_OPERATION_ABORTED => {
                "The I/O operation has been aborted because of either a thread exit or an \
                 application request."
            }
            Self::ERROR_END_OF_MEDIA => "The physical end of the tape has been reached.",
            Self::ERROR_FILEMARK_DETECTED => "A tape access reached a filemark.",
            Self::ERROR_BEGINNING_OF_MEDIA => {
                "The beginning of the tape or a partition was encountered."
            }
            Self::ERROR_NO_DATA_DETECTED => "No more data is on the tape.",
            Self::ERROR_IO_DEVICE => {
                "The request could not be performed because of an I/O device error."
            }
            Self::ERROR_EOM_OVERFLOW => "Physical end of tape encountered.",
            Self::ERROR_NO_SYSTEM_RESOURCES => {
                "Insufficient system resources exist to complete the requested service."
            }
            _ => return None,
        })
    }

    /// The code as SQL Server puts it behind "Operating system error": number and text,
    /// `995(The I/O operation has been aborted …)`; a code without a text reads
    /// `1234(error not found)`, as SQL Server on Linux prints it.
    pub fn os_error(self) -> OsError {
        OsError(self)
    }
}

impl fmt::Display for CompletionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match self.name() {
            Some(name) => write!(f, " {name}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for CompletionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompletionCode({self})")
    }
}

/// Displays a completion code the way SQL Server's messages do; see [`CompletionCode::os_error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OsError(CompletionCode);

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.0.0, self.0.message().unwrap_or("error not found"))
    }
}
