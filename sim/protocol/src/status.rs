//! Status codes: what a call of the interface returns.

use core::fmt;

use crate::named::named_codes;

/// The status of a call: an HRESULT on Windows, the same 32 bits in a plain `int` on Linux.
///
/// The codes of VDI are `MAKE_HRESULT(SEVERITY_ERROR, 0x77, n)`, so they all start with 0x8077.
/// Source: vdierror.h of the Windows and Linux samples (the two agree).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct HResult(pub u32);

named_codes!(HResult {
    /// Success (`S_OK`).
    NOERROR = 0, "NOERROR";
    /// The object was not open. In the header, but no page of the specification returns it.
    VD_E_NOTOPEN = vd_error(2), "VD_E_NOTOPEN";
    /// The call waited and its interval elapsed.
    VD_E_TIMEOUT = vd_error(3), "VD_E_TIMEOUT";
    /// Either side asked to abort: only Close is of use now.
    VD_E_ABORT = vd_error(4), "VD_E_ABORT";
    /// The security environment could not be made.
    VD_E_SECURITY = vd_error(5), "VD_E_SECURITY";
    /// An argument is invalid: a name, a pointer, a handle, a command.
    VD_E_INVALID = vd_error(6), "VD_E_INVALID";
    /// The SQL Server instance name is not known.
    VD_E_INSTANCE_NAME = vd_error(7), "VD_E_INSTANCE_NAME";
    /// The configuration asked for is not supported.
    VD_E_NOTSUPPORTED = vd_error(9), "VD_E_NOTSUPPORTED";
    /// Memory for the set or its buffers could not be had.
    VD_E_MEMORY = vd_error(10), "VD_E_MEMORY";
    /// An unexpected internal error.
    VD_E_UNEXPECTED = vd_error(11), "VD_E_UNEXPECTED";
    /// The call is out of order: the set or device is in a state that does not allow it.
    VD_E_PROTOCOL = vd_error(12), "VD_E_PROTOCOL";
    /// All devices are open already.
    VD_E_OPEN = vd_error(13), "VD_E_OPEN";
    /// The server closed the device: the normal end.
    VD_E_CLOSE = vd_error(14), "VD_E_CLOSE";
    /// The resource is busy.
    VD_E_BUSY = vd_error(15), "VD_E_BUSY";
    /// The device's command queue is full. Named on the page of
    /// IServerVirtualDevice::SendCommand without a value; **the value is ours**.
    VD_E_QUEUE_FULL = vd_error(16), "VD_E_QUEUE_FULL";
    /// The device is in the IO-ERROR state and accepts nothing but VDC_ClearError. Named on the
    /// page of IServerVirtualDevice::SendCommand without a value; **the value is ours**.
    VD_E_IO_ERROR = vd_error(17), "VD_E_IO_ERROR";
});

/// `VD_ERROR(code)` of vdierror.h: severity 1, facility 0x77.
const fn vd_error(code: u32) -> u32 {
    0x8077_0000 | code
}

impl HResult {
    /// `HRESULT_FROM_WIN32`: 0 stays success, `n` becomes 0x8007nnnn. An argument that is an
    /// HRESULT already (its top bit is set) is kept, as the Windows macro does.
    ///
    /// Source: VDI, "Error Codes and Logs" (errors of Win32 calls come back in this form).
    pub const fn from_win32(code: u32) -> Self {
        if code == 0 || code & 0x8000_0000 != 0 {
            Self(code)
        } else {
            Self(0x8007_0000 | (code & 0xFFFF))
        }
    }

    /// The same bits as the signed `int` that the Linux interface returns.
    pub const fn as_i32(self) -> i32 {
        self.0 as i32
    }

    /// Whether the severity bit is clear (the `SUCCEEDED` macro).
    pub const fn is_success(self) -> bool {
        self.0 & 0x8000_0000 == 0
    }

    /// Whether the code's value was chosen by this project because none is published.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::VD_E_QUEUE_FULL | Self::VD_E_IO_ERROR)
    }
}

impl fmt::Display for HResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08X}", self.0)?;
        match self.name() {
            Some(name) => write!(f, " {name}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for HResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HResult({self})")
    }
}
