//! A client's device set object: the methods of `ClientVirtualDeviceSet` and
//! `IClientVirtualDeviceSet2`.

use std::sync::{
    Arc, Mutex, PoisonError, RwLock,
    atomic::{AtomicU32, Ordering},
};

use vdi_protocol::{HResult, VdConfig, validate_client_config};
use vdi_region::{AccessFault, Region, RegionError, SharedSlice, process_token};

use crate::{
    abort::{AbortCause, AbortKind},
    buffer_fault::BufferFault,
    client::{
        areas::{AreaTable, Miss},
        device::{ClientDevice, Opened},
        observer::Observer,
        session::{Role, Session},
    },
    environment::Environment,
    error::{Error, Reason, Timeout},
    handle::Handle,
    layout::Offsets,
    leftovers,
    lock::lock,
    names::DeviceNames,
    naming,
    phase::Phase,
    sabotage::Sabotage,
    segment::ControlSegment,
    waiting::Waited,
};

/// How long OpenDevice waits for the server to name its devices.
const NAMES_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// One set object. After Close it can Create again.
#[derive(Debug)]
pub struct ClientSet {
    environment: Environment,
    areas: Arc<AreaTable>,
    observer: RwLock<Option<Arc<dyn Observer>>>,
    open: Mutex<Option<Open>>,
    /// The process that opened the set; another one is its fork.
    token: AtomicU32,
    last_abort: Mutex<Option<AbortCause>>,
    /// A [`Sabotage`] that Create has to suffer, 0 for none.
    sabotage: AtomicU32,
}

#[derive(Debug)]
struct Open {
    session: Arc<Session>,
    devices: Vec<Arc<Opened>>,
}

/// A buffer of the set that stays mapped for as long as this value lives.
#[derive(Debug)]
pub struct MappedBuffer {
    region: Arc<Region>,
    offset: usize,
    len: usize,
}

impl MappedBuffer {
    /// The data of the buffer, as large as buffers of its area are.
    ///
    /// # Errors
    /// The buffer does not lie within its segment: the control segment was scribbled on.
    pub fn slice(&self) -> Result<SharedSlice<'_>, Error> {
        Ok(self.region.slice(self.offset, self.len)?)
    }
}

impl ClientSet {
    /// An object that holds no set yet.
    pub fn new(environment: Environment) -> ClientSet {
        ClientSet {
            environment,
            areas: Arc::new(AreaTable::new()),
            observer: RwLock::default(),
            open: Mutex::default(),
            token: AtomicU32::new(process_token()),
            last_abort: Mutex::default(),
            sabotage: AtomicU32::new(0),
        }
    }

    /// Who is told of events, from the next Create or OpenInSecondary on.
    pub fn set_observer(&self, observer: Arc<dyn Observer>) {
        *self.observer.write().unwrap_or_else(PoisonError::into_inner) = Some(observer);
    }

    /// Has Create fail from now on, or work again, for a client under test.
    pub fn sabotage_create(&self, sabotage: Option<Sabotage>) {
        self.sabotage.store(sabotage.map_or(0, |it| it as u32), Ordering::Relaxed);
    }

    /// Where this object looks for sets.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Creates the set `name`.
    ///
    /// # Errors
    /// `VD_E_PROTOCOL` the object holds a set, or the name is taken; `VD_E_INVALID` no set can have
    /// this name; `VD_E_NOTSUPPORTED` a field of `config`; `VD_E_MEMORY`, `VD_E_SECURITY`.
    /// Source: VDI specification, CreateEx; Linux specification, Create.
    pub fn create(&self, name: &[u8], config: &VdConfig) -> Result<(), Error> {
        self.create_ex(None, name, config)
    }

    /// [`create`](Self::create) for a named instance; instances share one namespace here.
    ///
    /// # Errors
    /// As `create`, and `VD_E_INSTANCE_NAME` for a name with the machine's in front.
    pub fn create_ex(
        &self,
        instance: Option<&[u8]>,
        name: &[u8],
        config: &VdConfig,
    ) -> Result<(), Error> {
        let mut open = self.lock_for_opening("Create")?;
        check_instance(instance)?;
        naming::check_set_name(name)?;
        validate_client_config(config)?;
        if let Some(sabotage) = Sabotage::from_word(self.sabotage.load(Ordering::Relaxed)) {
            let object = naming::control_name(&self.environment.namespace, name)?;
            let len = Offsets::total(config.device_count as usize, name.len());
            return Err(sabotage.error("create", object.to_string(), len as u64).into());
        }
        let segment = match ControlSegment::create(&self.environment, name, config) {
            Err(e) if matches!(e.reason(), Reason::Region(RegionError::Exists { .. })) => {
                leftovers::make_way(&self.environment, name)?;
                ControlSegment::create(&self.environment, name, config)?
            }
            other => other?,
        };
        *open = Some(self.enter(segment, Role::Primary));
        Ok(())
    }

    /// Joins the set `name` that another process created and configured.
    ///
    /// # Errors
    /// `VD_E_PROTOCOL` the object holds a set, there is none of this name, its primary has not returned
    /// from GetConfiguration, or it is normally terminated; `VD_E_ABORT`; `VD_E_INVALID` for an impossible name.
    /// Source: VDI specification, OpenInSecondaryEx; Linux specification, OpenInSecondary.
    pub fn open_in_secondary(&self, name: &[u8]) -> Result<(), Error> {
        self.open_in_secondary_ex(None, name)
    }

    /// [`open_in_secondary`](Self::open_in_secondary) for a named instance.
    ///
    /// # Errors
    /// As `open_in_secondary`, and `VD_E_INSTANCE_NAME`.
    pub fn open_in_secondary_ex(&self, instance: Option<&[u8]>, name: &[u8]) -> Result<(), Error> {
        let mut open = self.lock_for_opening("OpenInSecondary")?;
        check_instance(instance)?;
        naming::check_set_name(name)?;
        let not_ready = |state| Reason::WrongState { call: "OpenInSecondary", state };
        let segment = match ControlSegment::open(&self.environment, name) {
            Err(e) if e.status() == HResult::VD_E_INVALID => {
                return Err(not_ready("not created").into());
            }
            other => other?,
        };
        let phase = segment.phase();
        if phase == Phase::Abort {
            return Err(Reason::Aborted(segment.abort_cause()).into());
        }
        let configured = segment.control().client_configured.load(Ordering::Acquire) == 1;
        if !configured || phase == Phase::NormallyTerminated {
            return Err(not_ready(phase.in_words()).into());
        }
        let entered = self.enter(segment, Role::Secondary);
        entered.session.watch_server()?;
        // A failure has aborted the set and tells itself at the next call.
        let _ = entered.session.map_areas();
        *open = Some(entered);
        Ok(())
    }

    /// Waits for the server to finish the configuration and returns it.
    ///
    /// # Errors
    /// `VD_E_TIMEOUT`, `VD_E_ABORT`, `VD_E_PROTOCOL` before Create.
    /// Source: VDI specification, GetConfiguration.
    pub fn get_configuration(&self, timeout: Timeout) -> Result<VdConfig, Error> {
        let session = self.session("GetConfiguration")?;
        let mut configured = || session.phase() >= Phase::Initializing;
        let waited = session.wait_for_change(&mut configured, timeout)?;
        if session.is_closed() || session.phase() == Phase::Abort {
            return Err(session.aborted());
        }
        if waited == Waited::TimedOut {
            return Err(Reason::TimedOut(timeout.unwrap_or_default()).into());
        }
        session.watch_server()?;
        let control = session.segment.control();
        let config = control.config.load();
        // The real library returns the configuration also when a buffer segment could not be opened,
        // and lets OpenDevice tell of the abort that follows.
        let _ = session.map_areas();
        if session.role == Role::Primary {
            control.client_configured.store(1, Ordering::Release);
        }
        Ok(config)
    }

    /// Opens the device `name`.
    ///
    /// Checked in this order: abort, state, whether all devices are open, the name, whether it is
    /// open in any process of the set. The first device's name is the set's. The primary must have
    /// returned from GetConfiguration: whether the server had finished by chance is not asked.
    ///
    /// # Errors
    /// `VD_E_ABORT`, `VD_E_PROTOCOL`, `VD_E_OPEN`, `VD_E_INVALID`.
    /// Source: VDI specification, OpenDevice.
    pub fn open_device(&self, name: &[u8]) -> Result<ClientDevice, Error> {
        let session = self.session("OpenDevice")?;
        let control = session.segment.control();
        match session.phase() {
            Phase::Abort => return Err(session.aborted()),
            Phase::Initializing | Phase::Active
                if control.client_configured.load(Ordering::Acquire) == 1 => {}
            phase => return Err(wrong_state("OpenDevice", phase.in_words())),
        }
        let lanes = session.segment.lanes();
        if lanes.iter().all(|lane| lane.opened_by.load(Ordering::Acquire) != 0) {
            return Err(Reason::AllOpen { count: lanes.len() }.into());
        }
        let index = self.find_device(&session, name)?;
        let opened_by = &lanes[index].opened_by;
        let pid = std::process::id();
        if let Err(other) = opened_by.compare_exchange(0, pid, Ordering::AcqRel, Ordering::Acquire)
        {
            return Err(Reason::DeviceOpen { name: naming::display(name), pid: other }.into());
        }
        Phase::advance(&control.phase, Phase::Initializing, Phase::Active);
        let opened = Opened::new(Arc::clone(&session), index, process_token());
        match lock(&self.open).as_mut() {
            Some(open) if Arc::ptr_eq(&open.session, &session) => {
                open.devices.push(Arc::clone(&opened));
                Ok(ClientDevice::new(opened))
            }
            // Another thread closed the set meanwhile.
            _ => {
                opened_by.store(0, Ordering::Release);
                Err(wrong_state("OpenDevice", "closed"))
            }
        }
    }

    /// Ends the set at once: blocked calls return VD_E_ABORT, uncompleted commands reach the server as
    /// ERROR_OPERATION_ABORTED.
    ///
    /// # Errors
    /// `VD_E_PROTOCOL` the object holds no set. Source: VDI specification, SignalAbort.
    pub fn signal_abort(&self) -> Result<(), Error> {
        let session = self.session("SignalAbort")?;
        session.abort(AbortCause::new(AbortKind::ClientSignalled));
        Ok(())
    }

    /// Leaves the set and releases everything; the object can Create again.
    ///
    /// A device counts as open if it was opened through this object and the server has not closed it.
    ///
    /// # Errors
    /// `VD_E_OPEN` devices were open: the set was aborted, and is left all the same;
    /// `VD_E_PROTOCOL` the object holds no set. Source: VDI specification, Close.
    pub fn close(&self) -> Result<(), Error> {
        self.check_process()?;
        let Some(Open { session, devices }) = lock(&self.open).take() else {
            return Err(wrong_state("Close", "not open"));
        };
        let lanes = session.segment.lanes();
        let is_open =
            |device: &&Arc<Opened>| lanes[device.lane()].closed.load(Ordering::Acquire) == 0;
        let left_open = devices.iter().filter(is_open).count();
        let aborted = session.phase() == Phase::Abort;
        let needed = session.role == Role::Primary && !session.segment.all_closed();
        let owing = devices.iter().any(|device| device.owes_answers());
        if aborted {
            session.segment.repeat_abort();
        } else if left_open > 0 || needed || owing {
            session.abort(AbortCause::new(AbortKind::ClientClosed));
        }
        let bells: Vec<_> = devices.iter().map(|device| &lanes[device.lane()].bell).collect();
        session.shut(&bells);
        for device in &devices {
            device.disconnect();
        }
        session.forget_areas();
        session.stop_watching();
        if session.phase() == Phase::Abort {
            *lock(&self.last_abort) = Some(session.segment.abort_cause());
        }
        if session.role == Role::Primary {
            session.segment.control().client_closed.store(1, Ordering::Release);
            session.segment.announce_change();
            session.segment.unlink_all();
        }
        if left_open > 0 && !aborted {
            return Err(Reason::DevicesOpen { count: left_open }.into());
        }
        Ok(())
    }

    /// The handle under which other processes of the set know the buffer that starts at `buffer`.
    ///
    /// # Errors
    /// `VD_E_PROTOCOL` no set is open here; `VD_E_INVALID` no buffer of the set starts there.
    /// Source: VDI specification, GetBufferHandle.
    #[inline]
    pub fn get_buffer_handle(&self, buffer: *const u8) -> Result<u32, HResult> {
        if self.token.load(Ordering::Relaxed) != process_token() {
            return Err(HResult::VD_E_PROTOCOL);
        }
        self.areas.handle_of(buffer.addr())
    }

    /// Where this process has the buffer that another one named by `handle`.
    ///
    /// # Errors
    /// `VD_E_PROTOCOL` no set is open here; `VD_E_INVALID` it is no handle of this set.
    /// Source: VDI specification, MapBufferHandle.
    #[inline]
    pub fn map_buffer_handle(&self, handle: u32) -> Result<*mut u8, HResult> {
        if self.token.load(Ordering::Relaxed) != process_token() {
            return Err(HResult::VD_E_PROTOCOL);
        }
        let address = match self.areas.find(handle) {
            Ok(found) => found.address,
            Err(miss) => self.map_late(handle, miss)?,
        };
        if self.areas.is_guarded() {
            let session = self.session("MapBufferHandle").map_err(|e| e.status())?;
            session.guard.map(handle);
        }
        Ok(address)
    }

    /// What an access that the processor refused means, if it was one to a buffer of this set behind
    /// a [`Fence`](crate::Fence) of pages; the server can read it as
    /// [`ServerSet::buffer_fault`](crate::ServerSet::buffer_fault). It may be called in a signal
    /// handler: it neither allocates nor waits.
    pub fn witness(&self, fault: &AccessFault) -> Option<BufferFault> {
        let open = self.open.try_lock().ok()?;
        let session = &open.as_ref()?.session;
        let fault = session.guard.witness(fault)?;
        fault.store(&session.segment.control().buffer_fault);
        Some(fault)
    }

    /// The buffer behind `handle` as checked copies in and out, for a client written in Rust.
    ///
    /// # Errors
    /// As [`map_buffer_handle`](Self::map_buffer_handle).
    pub fn map_buffer(&self, handle: u32) -> Result<MappedBuffer, HResult> {
        self.map_buffer_handle(handle)?;
        let session = self.session("MapBufferHandle").map_err(|e| e.status())?;
        let Handle { area, slot, .. } = Handle::decode(handle);
        let (region, offset, len) =
            session.locate(area as usize, slot).ok_or(HResult::VD_E_INVALID)?;
        Ok(MappedBuffer { region, offset, len })
    }

    /// Why the set that was closed last had been aborted, if it had.
    pub fn last_abort(&self) -> Option<AbortCause> {
        self.check_process().ok()?;
        match &*lock(&self.open) {
            Some(open) if open.session.phase() == Phase::Abort => {
                Some(open.session.segment.abort_cause())
            }
            Some(_) => None,
            None => *lock(&self.last_abort),
        }
    }

    /// For the exit of a process that did not Close: ends the set and removes the names this process
    /// owns, nothing else; other threads may still be running.
    pub fn abandon(&self) {
        if self.check_process().is_ok()
            && let Ok(open) = self.open.try_lock()
            && let Some(Open { session, devices }) = &*open
        {
            let lanes = session.segment.lanes();
            let holds_open =
                devices.iter().any(|d| lanes[d.lane()].closed.load(Ordering::Acquire) == 0);
            let primary = session.role == Role::Primary;
            if holds_open || (primary && !session.segment.all_closed()) {
                session.abort(AbortCause::new(AbortKind::ClientClosed));
            }
            if primary {
                session.segment.unlink_all();
            }
        }
    }

    fn map_late(&self, handle: u32, miss: Miss) -> Result<*mut u8, HResult> {
        match miss {
            Miss::NotOpen => Err(HResult::VD_E_PROTOCOL),
            Miss::Invalid => Err(HResult::VD_E_INVALID),
            Miss::Unmapped => {
                let session = self.session("MapBufferHandle").map_err(|e| e.status())?;
                let area = Handle::decode(handle).area as usize;
                session.map_area(area).map_err(|_| HResult::VD_E_INVALID)?;
                let found = self.areas.find(handle).map_err(|_| HResult::VD_E_INVALID)?;
                Ok(found.address)
            }
        }
    }

    /// The lane of the device `name`, waiting for the server to name its devices if it has not.
    fn find_device(&self, session: &Arc<Session>, name: &[u8]) -> Result<usize, Error> {
        let names = DeviceNames::new(&session.segment);
        let mut found = None;
        let mut known = || {
            found = names.find(name);
            found.is_some() || names.complete()
        };
        session.wait_for_change(&mut known, Some(NAMES_WITHIN))?;
        if session.is_closed() || session.phase() == Phase::Abort {
            return Err(session.aborted());
        }
        found.ok_or_else(|| Reason::NoSuchDevice { name: naming::display(name) }.into())
    }

    fn enter(&self, segment: ControlSegment, role: Role) -> Open {
        self.token.store(process_token(), Ordering::Relaxed);
        let observer = self.observer.read().unwrap_or_else(PoisonError::into_inner).clone();
        let session = Session::new(segment, role, Arc::clone(&self.areas), observer);
        Open { session, devices: Vec::new() }
    }

    fn lock_for_opening(
        &self,
        call: &'static str,
    ) -> Result<std::sync::MutexGuard<'_, Option<Open>>, Error> {
        // An object that never held a set may be used by a fork of the process that made it.
        let open = match self.open.try_lock() {
            Ok(open) => open,
            Err(_) if self.check_process().is_err() => return Err(Reason::Forked.into()),
            Err(_) => lock(&self.open),
        };
        match &*open {
            None => Ok(open),
            Some(_) if self.check_process().is_err() => Err(Reason::Forked.into()),
            Some(open) => Err(wrong_state(call, open.session.phase().in_words())),
        }
    }

    fn session(&self, call: &'static str) -> Result<Arc<Session>, Error> {
        self.check_process()?;
        match &*lock(&self.open) {
            Some(open) => Ok(Arc::clone(&open.session)),
            None => Err(wrong_state(call, "not open")),
        }
    }

    fn check_process(&self) -> Result<(), Error> {
        match self.token.load(Ordering::Relaxed) == process_token() {
            true => Ok(()),
            false => Err(Reason::Forked.into()),
        }
    }
}

impl Drop for ClientSet {
    /// A set object that goes without Close leaves the set as Close does; in a fork of the process
    /// that opened it, nothing happens.
    fn drop(&mut self) {
        if self.check_process().is_ok() && lock(&self.open).is_some() {
            // Devices that were open are the reason why the server sees an abort; nobody is left here
            // who could be told.
            let _ = self.close();
        }
    }
}

fn wrong_state(call: &'static str, state: &'static str) -> Error {
    Reason::WrongState { call, state }.into()
}

fn check_instance(instance: Option<&[u8]>) -> Result<(), Error> {
    match instance {
        Some(name) if name.contains(&b'\\') => {
            Err(Reason::InstanceName { name: naming::display(name) }.into())
        }
        _ => Ok(()),
    }
}
