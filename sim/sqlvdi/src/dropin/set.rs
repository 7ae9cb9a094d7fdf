//! The inside of a `ClientVirtualDeviceSet` object.
//!
//! Insides are never freed: the one of a destroyed object serves the next object. So a client that
//! destroys an object twice, or a copy of it, or calls it afterwards, meets a set that is not open,
//! and the end of the process can go through all sets without a lock, also in a forked child.

use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vdi_device::{
    BufferFault, CREATE_FAULT, ClientSet, Environment, Error, Sabotage, settings_left,
};
use vdi_protocol::{HResult, VdConfig};
use vdi_region::AccessFault;

use super::device::Device;
use super::messages::{Messages, explain, say};
use super::time_out::TimeUnit;
use super::trace;

/// All insides, newest first.
static NEWEST: AtomicPtr<DeviceSet> = AtomicPtr::new(ptr::null_mut());

/// Numbers for sets and devices in a trace.
static LAST_NUMBER: AtomicU32 = AtomicU32::new(0);

/// One set.
#[derive(Debug)]
pub(super) struct DeviceSet {
    number: u32,
    /// The one made before this, or null.
    older: AtomicPtr<DeviceSet>,
    in_use: AtomicBool,
    /// The set itself, or what every call returns because the environment is wrong.
    client: Result<ClientSet, HResult>,
    messages: Arc<Messages>,
    /// Whether its time-outs are seconds.
    in_seconds: AtomicBool,
    /// The process that has the set open, 0 for none: a forked child must leave it alone.
    opened_by: AtomicU32,
    /// The devices of the last opening. They are kept until the next one, so that a device that is
    /// deleted while a thread waits in it stays in memory until Close has called the thread back.
    devices: Mutex<Vec<Arc<Device>>>,
}

impl DeviceSet {
    /// An inside for a new object.
    pub(super) fn take() -> &'static DeviceSet {
        trace::start();
        let free = |set: &&DeviceSet| {
            let swap = |set: &DeviceSet| {
                set.in_use.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            };
            swap(set).is_ok()
        };
        all().find(free).unwrap_or_else(|| Box::leak(Box::new(DeviceSet::new())).publish())
    }

    fn new() -> DeviceSet {
        let messages = Arc::new(Messages::default());
        let client = Environment::from_process().map(ClientSet::new).map_err(|error| {
            say(&format!("vdisim: {error}"));
            error.status()
        });
        if let Ok(client) = &client {
            client.set_observer(messages.clone());
        }
        DeviceSet {
            number: next_number(),
            older: AtomicPtr::new(ptr::null_mut()),
            in_use: AtomicBool::new(true),
            client,
            messages,
            in_seconds: AtomicBool::new(time_unit(None) == TimeUnit::Seconds),
            opened_by: AtomicU32::new(0),
            devices: Mutex::default(),
        }
    }

    fn publish(&'static self) -> &'static DeviceSet {
        let this = ptr::from_ref(self).cast_mut();
        let mut newest = NEWEST.load(Ordering::Relaxed);
        loop {
            self.older.store(newest, Ordering::Relaxed);
            let exchange =
                NEWEST.compare_exchange(newest, this, Ordering::Release, Ordering::Relaxed);
            match exchange {
                Ok(_) => return self,
                Err(other) => newest = other,
            }
        }
    }

    /// What the object's destructor does: ends the set if it is open in this process.
    pub(super) fn give_back(&self) {
        if self.opened_elsewhere() || !self.in_use.load(Ordering::Acquire) {
            return;
        }
        // An open set is closed, and a set that its primary leaves open is an aborted one.
        let _ = self.close();
        self.devices().clear();
        self.in_use.store(false, Ordering::Release);
    }

    /// What the end of the process does to a set that nobody closed.
    fn leave_names_clean(&self) {
        if let (Ok(client), false) = (&self.client, self.opened_elsewhere()) {
            client.abandon();
        }
    }

    fn opened_elsewhere(&self) -> bool {
        let opened_by = self.opened_by.load(Ordering::Relaxed);
        opened_by != 0 && opened_by != std::process::id()
    }

    /// Its name in a trace.
    pub(super) fn label(&self) -> String {
        format!("set {}", self.number)
    }

    pub(super) fn create_ex(
        &self,
        instance: Option<&[u8]>,
        name: &[u8],
        config: &VdConfig,
    ) -> Result<(), HResult> {
        self.open("Create", instance, name, |client| client.create_ex(instance, name, config))
    }

    pub(super) fn open_in_secondary_ex(
        &self,
        instance: Option<&[u8]>,
        name: &[u8],
    ) -> Result<(), HResult> {
        self.open("OpenInSecondary", instance, name, |client| {
            client.open_in_secondary_ex(instance, name)
        })
    }

    fn open(
        &self,
        call: &str,
        instance: Option<&[u8]>,
        name: &[u8],
        open: impl FnOnce(&ClientSet) -> Result<(), Error>,
    ) -> Result<(), HResult> {
        let client = self.client()?;
        if self.opened_by.load(Ordering::Relaxed) == 0 {
            self.messages.name_set(instance, name);
        }
        open(client).map_err(|error| explain(call, &error))?;
        self.opened_by.store(std::process::id(), Ordering::Relaxed);
        self.devices().clear();
        Ok(())
    }

    pub(super) fn get_configuration(&self, timeout: i64) -> Result<VdConfig, HResult> {
        self.client()?
            .get_configuration(self.unit().timeout(timeout))
            .map_err(|error| explain("GetConfiguration", &error))
    }

    pub(super) fn open_device(&self, name: &[u8]) -> Result<Arc<Device>, HResult> {
        let client =
            self.client()?.open_device(name).map_err(|error| explain("OpenDevice", &error))?;
        let device = Arc::new(Device::new(next_number(), name, client, self.unit()));
        self.devices().push(device.clone());
        Ok(device)
    }

    pub(super) fn close(&self) -> Result<(), HResult> {
        let closed = self.client()?.close().map_err(|error| explain("Close", &error));
        // VD_E_OPEN is a report: the set is closed all the same.
        if matches!(closed, Ok(()) | Err(HResult::VD_E_OPEN)) {
            self.opened_by.store(0, Ordering::Relaxed);
        }
        closed
    }

    pub(super) fn signal_abort(&self) -> Result<(), HResult> {
        self.client()?.signal_abort().map_err(|error| explain("SignalAbort", &error))
    }

    #[inline]
    pub(super) fn get_buffer_handle(&self, buffer: *const u8) -> Result<u32, HResult> {
        self.client()?.get_buffer_handle(buffer)
    }

    #[inline]
    pub(super) fn map_buffer_handle(&self, handle: u32) -> Result<*mut u8, HResult> {
        self.client()?.map_buffer_handle(handle)
    }

    /// Heeds what a test left for processes that it did not start. Called before Create and its like, which it is
    /// to be in time for.
    pub(super) fn heed(&self) {
        if self.opened_by.load(Ordering::Relaxed) != 0 {
            return;
        }
        let Ok(environment) = Environment::from_process() else { return };
        let left = settings_left(&environment);
        let value = |wanted: &str| {
            left.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
        };
        trace::follow(value("VDISIM_TRACE").map(Path::new));
        let unit = time_unit(value("VDISIM_TIMEOUT_UNIT"));
        self.in_seconds.store(unit == TimeUnit::Seconds, Ordering::Relaxed);
        if let Ok(client) = &self.client {
            client.sabotage_create(create_fault(value(CREATE_FAULT)));
        }
    }

    fn unit(&self) -> TimeUnit {
        match self.in_seconds.load(Ordering::Relaxed) {
            true => TimeUnit::Seconds,
            false => TimeUnit::Milliseconds,
        }
    }

    #[inline]
    fn client(&self) -> Result<&ClientSet, HResult> {
        self.client.as_ref().map_err(|status| *status)
    }

    fn devices(&self) -> MutexGuard<'_, Vec<Arc<Device>>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every inside that was made.
fn all() -> impl Iterator<Item = &'static DeviceSet> {
    let next = |pointer: &AtomicPtr<DeviceSet>| {
        let pointer = pointer.load(Ordering::Acquire);
        // SAFETY: null, or published by `publish`, which takes leaked boxes only.
        unsafe { pointer.as_ref() }
    };
    std::iter::successors(next(&NEWEST), move |set| next(&set.older))
}

/// What a refused access means, if it was one to a buffer of an open set; async-signal-safe.
pub(super) fn witness(fault: &AccessFault) -> Option<BufferFault> {
    all().find_map(|set| set.client.as_ref().ok()?.witness(fault))
}

/// For the end of the process: removes the names of the sets that nobody closed.
pub(super) fn leave_names_clean() {
    all().for_each(DeviceSet::leave_names_clean);
}

fn next_number() -> u32 {
    LAST_NUMBER.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
}

/// Milliseconds on Windows, where nothing contradicts it.
#[cfg(windows)]
fn time_unit(_: Option<&str>) -> TimeUnit {
    TimeUnit::Milliseconds
}

/// What is to become of Create: what the environment says, else what a test left.
fn create_fault(left: Option<&str>) -> Option<Sabotage> {
    let name = std::env::var(CREATE_FAULT).ok();
    Sabotage::named(name.as_deref().or(left)?)
}

/// What the environment says, else what a test left.
#[cfg(not(windows))]
fn time_unit(left: Option<&str>) -> TimeUnit {
    let name = std::env::var_os("VDISIM_TIMEOUT_UNIT");
    let name = name.as_ref().map(|name| name.to_string_lossy()).or(left.map(Into::into));
    TimeUnit::named(name.as_deref()).unwrap_or_else(|| {
        let name = name.unwrap_or_default();
        say(&format!("vdisim: VDISIM_TIMEOUT_UNIT is '{name}'; it must be ms or s, ms is taken."));
        TimeUnit::Milliseconds
    })
}
