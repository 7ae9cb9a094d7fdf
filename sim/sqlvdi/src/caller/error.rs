//! What can go wrong on the calling side.

use std::path::PathBuf;

use vdi_protocol::HResult;

use super::native::LIBRARY_NAME;

/// A call of the drop-in that did not return NOERROR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call} returned {status}; `vdisim explain` tells the usual causes of the code.")]
pub struct CallError {
    /// The method, as the headers spell it.
    pub call: &'static str,
    /// What it returned.
    pub status: HResult,
}

/// Bytes of a buffer that could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum BufferError {
    /// The set was closed after the buffer had been handed out.
    #[error(
        "the set of this buffer is closed, so its memory is gone; move the bytes before Close."
    )]
    Closed,
    /// The command has no buffer.
    #[error("the command has no buffer; only Read and Write have one.")]
    NoBuffer,
    /// Beyond the end.
    #[error("bytes {at} to {at}+{len} are not inside the buffer of {size} bytes.")]
    OutOfBounds {
        /// First byte asked for.
        at: usize,
        /// Bytes asked for.
        len: usize,
        /// Bytes that the buffer has.
        size: usize,
    },
    /// The address that MapBufferHandle gave is not that many bytes of shared memory.
    #[error(
        "the handle's buffer at {address:#x} is not {size} bytes of shared memory; send the size \
         of the command together with its handle."
    )]
    NotShared {
        /// What MapBufferHandle gave.
        address: usize,
        /// The size asked for in bytes.
        size: usize,
    },
    /// MapBufferHandle failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The file could not be read or written, or the mappings of the process not be listed.
    #[error("the bytes could not be moved: {0}.")]
    Io(#[from] std::io::Error),
}

/// A library that cannot be used as a drop-in.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The dynamic linker refused it.
    #[error("{path} could not be loaded as a library: {source}.", path = .path.display())]
    NotLoadable {
        /// The file.
        path: PathBuf,
        /// What the linker said.
        source: libloading::Error,
    },
    /// A symbol is missing.
    #[error(
        "{path} is no VDI client library: it does not export {symbol}; give the path of a \
         libsqlvdi.so.",
        path = .path.display()
    )]
    NoSymbol {
        /// The file.
        path: PathBuf,
        /// The first missing symbol, mangled.
        symbol: &'static str,
    },
}

/// A library whose server half cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum NoServerError {
    /// The interface has only a client half.
    #[error("the interface of {LIBRARY_NAME} has no server half.")]
    NotInInterface,
    /// A DLL without the class, or whose class lacks the interface.
    #[error("{path} offers no IServerVirtualDeviceSet2: its class factory answers {status}.", path = .path.display())]
    NoClass {
        /// The DLL.
        path: PathBuf,
        /// What it returned.
        status: HResult,
    },
}

/// No drop-in where one was looked for.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// A path that was given leads nowhere.
    #[error("{origin} names {path}, which is no file; correct it or leave it out.", path = .path.display())]
    Given {
        /// `--sqlvdi` or `VDISIM_SQLVDI`.
        origin: &'static str,
        /// The path given.
        path: PathBuf,
    },
    /// Nothing beside the executable.
    #[error(
        "there is no {name} in {folder} nor in its deps/; build it with `cargo build --release \
         --workspace`, or give its path with --sqlvdi or VDISIM_SQLVDI.",
        folder = .folder.display()
    )]
    Missing {
        /// The library's file name on this platform.
        name: &'static str,
        /// The folder of the executable.
        folder: PathBuf,
    },
    /// The folder of the executable is unknown.
    #[error("the folder of this executable cannot be told ({0}); give --sqlvdi PATH.")]
    NoExecutable(#[source] std::io::Error),
}
