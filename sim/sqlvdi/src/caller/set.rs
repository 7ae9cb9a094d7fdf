//! A client's device set.

use std::ffi::CString;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use vdi_protocol::{HResult, VdConfig};

use super::native::{self, SetObject, Symbols};
use super::{Buffer, BufferError, CallError, CallerDevice, DropIn};

/// A `ClientVirtualDeviceSet` object of a drop-in. Every call is one call of the object.
///
/// It may be created or joined, used, closed, and created again. The object is destroyed when this
/// and every device, command and mapped buffer of it are dropped; without a [`CallerSet::close`]
/// before, that aborts the set.
///
/// Names are bytes; one with a zero byte inside cannot be passed and is VD_E_INVALID. Time-outs are
/// passed in milliseconds, `None` waits for ever: do not set `VDISIM_TIMEOUT_UNIT=s` for a process
/// that uses this.
#[derive(Clone, Debug)]
pub struct CallerSet {
    inner: Arc<SetInner>,
}

#[derive(Debug)]
pub(super) struct SetInner {
    symbols: &'static Symbols,
    object: NonNull<SetObject>,
    /// Whoever reads or writes a buffer holds it for reading, Close holds it for writing, so that no
    /// buffer goes away under a copy.
    open: RwLock<()>,
    /// How often the set was closed; changes while Close holds `open`.
    closes: AtomicU64,
    /// Mappings of shared memory that a handle led into since the last Close.
    mappings: Mutex<Vec<Range<usize>>>,
}

// SAFETY: the interface allows calls of a set from any thread, several at once; the object itself
// is only passed on.
unsafe impl Send for SetInner {}
// SAFETY: as for Send.
unsafe impl Sync for SetInner {}

impl CallerSet {
    /// A new object that holds no set yet.
    pub fn new(drop_in: &DropIn) -> CallerSet {
        let symbols = drop_in.symbols();
        let object = SetObject::new(symbols);
        let (open, closes, mappings) = Default::default();
        CallerSet { inner: Arc::new(SetInner { symbols, object, open, closes, mappings }) }
    }

    /// Create: makes the set.
    ///
    /// # Errors
    /// The status that Create returned.
    pub fn create(&self, name: &[u8], config: &VdConfig) -> Result<(), CallError> {
        let name = c_string("Create", name)?;
        // SAFETY: the object lives as long as `inner`.
        unsafe { self.inner.symbols.create(self.inner.object, &name, config) }
    }

    /// GetConfiguration: waits for the server's configuration.
    ///
    /// # Errors
    /// The status that GetConfiguration returned.
    pub fn get_configuration(&self, timeout: Option<Duration>) -> Result<VdConfig, CallError> {
        // SAFETY: the object lives as long as `inner`.
        unsafe { self.inner.symbols.get_configuration(self.inner.object, timeout) }
    }

    /// OpenDevice: the device of this name.
    ///
    /// # Errors
    /// The status that OpenDevice returned.
    pub fn open_device(&self, name: &[u8]) -> Result<CallerDevice, CallError> {
        let name = c_string("OpenDevice", name)?;
        // SAFETY: the object lives as long as `inner`.
        let device = unsafe { self.inner.symbols.open_device(self.inner.object, &name) }?;
        Ok(CallerDevice::new(self.inner.clone(), device))
    }

    /// OpenInSecondary: joins the set that another process created and configured.
    ///
    /// # Errors
    /// The status that OpenInSecondary returned.
    pub fn open_in_secondary(&self, name: &[u8]) -> Result<(), CallError> {
        let name = c_string("OpenInSecondary", name)?;
        // SAFETY: the object lives as long as `inner`.
        unsafe { self.inner.symbols.open_in_secondary(self.inner.object, &name) }
    }

    /// Close, once the copies that are under way have ended.
    ///
    /// # Errors
    /// The status that Close returned; VD_E_OPEN has closed the set all the same.
    pub fn close(&self) -> Result<(), CallError> {
        let _closing = self.inner.open.write().unwrap_or_else(PoisonError::into_inner);
        self.inner.mappings().clear();
        // SAFETY: the object lives as long as `inner`.
        let closed = unsafe { self.inner.symbols.close(self.inner.object) };
        // Counted last: whoever read the count before, and got a command before, finds it changed.
        self.inner.closes.fetch_add(1, Ordering::SeqCst);
        closed
    }

    /// SignalAbort: ends the set from any thread.
    ///
    /// # Errors
    /// The status that SignalAbort returned.
    pub fn signal_abort(&self) -> Result<(), CallError> {
        // SAFETY: the object lives as long as `inner`.
        unsafe { self.inner.symbols.signal_abort(self.inner.object) }
    }

    /// MapBufferHandle: the buffer that another process of the set sent the handle of, together
    /// with its size in bytes. Map it anew for each command; that is cheap after the first time.
    ///
    /// # Errors
    /// The status that MapBufferHandle returned, or [`BufferError::NotShared`] if the buffer is
    /// not as large as the size says.
    pub fn map_buffer_handle(&self, handle: u32, size: u32) -> Result<Buffer, BufferError> {
        Buffer::mapped(&self.inner, handle, size as usize)
    }

    /// MapBufferHandle and nothing else: the address alone, as a client in C++ gets it.
    ///
    /// # Errors
    /// The status that MapBufferHandle returned.
    pub fn buffer_address(&self, handle: u32) -> Result<*mut u8, CallError> {
        // SAFETY: the object lives as long as `inner`.
        unsafe { self.inner.symbols.map_buffer_handle(self.inner.object, handle) }
    }
}

impl SetInner {
    pub(super) fn symbols(&self) -> &'static Symbols {
        self.symbols
    }

    pub(super) fn object(&self) -> NonNull<SetObject> {
        self.object
    }

    /// Whether `len` bytes from `address` on lie in one mapping of shared memory. To be asked while
    /// the set is held open.
    pub(super) fn is_shared_memory(&self, address: usize, len: usize) -> io::Result<bool> {
        let mut mappings = self.mappings();
        let known = mappings.iter().find(|mapping| mapping.contains(&address)).cloned();
        let mapping = match known {
            Some(mapping) => mapping,
            None => match native::shared_mapping_of(address)? {
                Some(mapping) => {
                    mappings.push(mapping.clone());
                    mapping
                }
                None => return Ok(false),
            },
        };
        Ok(len <= mapping.end - address)
    }

    fn mappings(&self) -> MutexGuard<'_, Vec<Range<usize>>> {
        self.mappings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of Closes so far. There is no further one while a [`hold_open`](Self::hold_open) lives.
    pub(super) fn closes(&self) -> u64 {
        self.closes.load(Ordering::SeqCst)
    }

    /// As long as the guard lives, the set is not closed.
    pub(super) fn hold_open(&self) -> RwLockReadGuard<'_, ()> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SetInner {
    fn drop(&mut self) {
        // SAFETY: everything that uses the object keeps an Arc of this, so nobody does any more.
        unsafe { self.symbols.delete_set(self.object) };
    }
}

fn c_string(call: &'static str, name: &[u8]) -> Result<CString, CallError> {
    CString::new(name).map_err(|_| CallError { call, status: HResult::VD_E_INVALID })
}
