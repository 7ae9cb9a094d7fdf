//! A server's device set object: the methods of `IServerVirtualDeviceSet2`.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use vdi_protocol::{HResult, ServerConfig, VdConfig};
use vdi_region::{Lease, LeaseRole, ObjectName, Owner, ProcessIdentity, wait_for_object};

use crate::{
    abort::{AbortCause, AbortKind},
    buffer_fault::BufferFault,
    environment::Environment,
    error::{Error, Reason, Timeout},
    fence::Fence,
    layout::Control,
    lock::lock,
    names::DeviceNames,
    naming,
    phase::Phase,
    sabotage::Sabotage,
    segment::{ControlSegment, no_such_set},
    server::{
        buffer::Buffer,
        configuration::check_buffer,
        crew::{Interest, Wish},
        device::ServerDevice,
        inner::{Held, Inner},
    },
};

/// How long to sleep between two looks at a set that exists and can't be served yet.
const RETRY: Duration = Duration::from_millis(1);

/// One open set. Clones share it; the last one to go closes it.
#[derive(Debug, Clone)]
pub struct ServerSet {
    inner: Arc<Held>,
}

impl ServerSet {
    /// Opens the set `name` that a client has created.
    ///
    /// # Errors
    /// `VD_E_INVALID` there is none that this server can serve; `VD_E_SECURITY` it is not accessible;
    /// `VD_E_UNEXPECTED` it has another layout version or is damaged; `VD_E_ABORT`.
    /// Source: VDI specification, IServerVirtualDeviceSet2::Open.
    pub fn open(
        environment: &Environment,
        instance: Option<&[u8]>,
        name: &[u8],
    ) -> Result<ServerSet, Error> {
        if let Some(instance) = instance.filter(|i| i.contains(&b'\\')) {
            return Err(Reason::InstanceName { name: naming::display(instance) }.into());
        }
        naming::check_set_name(name)?;
        ServerSet::attach(environment, ControlSegment::open(environment, name)?)
    }

    /// Waits until a client has created the set `name`, or any set if there is no name, and opens it.
    ///
    /// # Errors
    /// As [`open`](Self::open), but `VD_E_TIMEOUT` when no set appeared in time.
    pub fn wait_open(
        environment: &Environment,
        name: Option<&[u8]>,
        timeout: Timeout,
    ) -> Result<ServerSet, Error> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        let prefix = naming::object_prefix(Some(&environment.namespace));
        let wanted = name.map(|n| naming::control_name(&environment.namespace, n)).transpose()?;
        loop {
            let matches = |object: &str| match &wanted {
                Some(name) => object == name.as_str(),
                None => {
                    object.starts_with(&prefix)
                        && naming::is_control(object)
                        && can_be_served(environment, object)
                }
            };
            let remaining = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            let object = wait_for_object(environment.backend, matches, remaining)?;
            let Some(object) = object else {
                return Err(Reason::TimedOut(timeout.unwrap_or_default()).into());
            };
            let opened = ControlSegment::open_object(environment, &object)
                .and_then(|segment| ServerSet::attach(environment, segment));
            match opened {
                // Gone again, not finished, a leftover, or served by somebody else.
                Err(e) if e.status() == HResult::VD_E_INVALID => {
                    if deadline.is_some_and(|d| d <= Instant::now()) {
                        return Err(Reason::TimedOut(timeout.unwrap_or_default()).into());
                    }
                    thread::sleep(RETRY);
                }
                opened => return opened,
            }
        }
    }

    fn attach(environment: &Environment, segment: ControlSegment) -> Result<ServerSet, Error> {
        let name = &segment.identity().name;
        let control = segment.control();
        if control.phase.load(Ordering::Acquire) == 0 || !segment.client_alive() {
            return Err(no_such_set(environment, name));
        }
        let attached = &control.server_attached;
        // The lease decides between two servers, and comes before the identity: who reads the identity
        // may ask for the lease. A server that died before it wrote its identity has left no trace.
        let lease = segment.region().take_lease(LeaseRole::Attacher)?;
        if lease == Lease::HeldByAnother || attached.load(Ordering::Acquire) == 1 {
            let pid = control.server.load().pid;
            return Err(Reason::Served { name: naming::display(name), pid }.into());
        }
        control.server.store(ProcessIdentity::current());
        attached.store(1, Ordering::Release);
        if !Phase::advance(&control.phase, Phase::Configurable, Phase::Connected) {
            return Err(Reason::Aborted(segment.abort_cause()).into());
        }
        segment.announce_change();
        let inner = Inner::new(segment, environment.clone());
        inner.watch_client()?;
        Ok(ServerSet { inner: Held::new(inner) })
    }

    /// The set's name, which is its first device's.
    pub fn name(&self) -> &[u8] {
        &self.inner.segment.identity().name
    }

    /// What the client gave at Create.
    ///
    /// # Errors
    /// `VD_E_ABORT`; `VD_E_PROTOCOL` after Close.
    pub fn get_configuration(&self) -> Result<VdConfig, Error> {
        let all = [
            Phase::Connected,
            Phase::Configuring,
            Phase::Initializing,
            Phase::Active,
            Phase::NormallyTerminated,
        ];
        self.inner.check_phase("GetConfiguration", &all)?;
        Ok(self.inner.segment.identity().client_config)
    }

    /// Begins the configuration with what the server has chosen.
    ///
    /// # Errors
    /// `VD_E_PROTOCOL` not connected, or aborted before; `VD_E_INVALID` a value is not possible;
    /// `VD_E_ABORT` aborted meanwhile.
    /// Source: VDI specification, BeginConfiguration; argument order as in the header.
    pub fn begin_configuration(&self, config: &ServerConfig) -> Result<(), Error> {
        self.inner.begin_configuration(config)
    }

    /// What stands around the set's buffers; before the configuration ends. It is for finding clients
    /// that touch what is not theirs, and takes memory and time.
    ///
    /// # Errors
    /// `VD_E_PROTOCOL`.
    pub fn fence_buffers(&self, fence: Fence) -> Result<(), Error> {
        self.inner.fence_buffers(fence)
    }

    /// Has the client half fail to open the buffer segments from now on, for a client under test.
    pub fn sabotage_client(&self, sabotage: Sabotage) {
        self.inner.segment.control().sabotage.store(sabotage as u32, Ordering::Release);
    }

    /// Whose the set's control object is, and who may open it.
    pub fn owner(&self) -> Owner {
        self.inner.segment.region().owner()
    }

    /// What a client was caught at, behind a [`Fence`] of pages.
    pub fn buffer_fault(&self) -> Option<BufferFault> {
        BufferFault::load(&self.inner.segment.control().buffer_fault)
    }

    /// Asks for `count` buffers of `size` bytes without prefix zone. During configuration requests are
    /// summed up; later each call allocates at once. `alignment` 0 is the configuration's.
    ///
    /// # Errors
    /// `VD_E_PROTOCOL`, `VD_E_ABORT`, `VD_E_INVALID`, `VD_E_MEMORY` (names the limit).
    pub fn request_buffers(&self, size: u32, alignment: u32, count: u32) -> Result<(), Error> {
        self.inner.request_buffers(size, alignment, count)
    }

    /// Free buffers of at least this size and alignment.
    ///
    /// # Errors
    /// `VD_E_PROTOCOL`; also after an abort, as the specification's table says.
    pub fn query_available_buffers(&self, size: u32, alignment: u32) -> Result<u32, Error> {
        let during = [Phase::Configuring, Phase::Initializing, Phase::Active];
        self.inner.check_state("QueryAvailableBuffers", &during)?;
        Ok(self.inner.pool.available(size, self.inner.effective_alignment(alignment)))
    }

    /// Ends the configuration: allocates the buffers and lets the client open its devices.
    ///
    /// # Errors
    /// `VD_E_MEMORY` names the limit; the set stays configurable without buffers. `VD_E_PROTOCOL`,
    /// `VD_E_ABORT`.
    pub fn end_configuration(&self) -> Result<(), Error> {
        self.inner.end_configuration()
    }

    /// Opens the next device and names it; the first one's name is the set's.
    ///
    /// # Errors
    /// `VD_E_OPEN` all are open; `VD_E_INVALID` the name is impossible or taken; `VD_E_PROTOCOL`.
    pub fn open_device(&self, name: &[u8]) -> Result<ServerDevice, Error> {
        let inner = &self.inner;
        inner.check_phase("OpenDevice", &[Phase::Initializing, Phase::Active])?;
        let opening = lock(&inner.configuration);
        let names = DeviceNames::new(&inner.segment);
        let index = names.count();
        if index >= inner.lanes.len() {
            return Err(Reason::AllOpen { count: index }.into());
        }
        if index > 0 {
            naming::check_device_name(name)?;
        }
        if (index == 0) != (name == self.name()) || names.find(name).is_some_and(|i| i != index) {
            return Err(Reason::NoSuchDevice { name: naming::display(name) }.into());
        }
        lock(&inner.lanes[index]).opened = true;
        names.push(name);
        drop(opening);
        let phase = &inner.segment.control().phase;
        Phase::advance(phase, Phase::Initializing, Phase::Active);
        Ok(ServerDevice::new(Arc::clone(inner), index, name.to_vec()))
    }

    /// Takes a free buffer of at least `size` bytes.
    ///
    /// # Errors
    /// `VD_E_MEMORY` none is free; `VD_E_INVALID` no buffer can be so; `VD_E_PROTOCOL`, `VD_E_ABORT`.
    pub fn allocate_buffer(&self, size: u32, alignment: u32) -> Result<Buffer, Error> {
        let inner = &self.inner;
        inner.check_phase("AllocateBuffer", &[Phase::Initializing, Phase::Active])?;
        check_buffer(size, alignment)?;
        let alignment = inner.effective_alignment(alignment);
        let slot = inner.pool.take(size, alignment);
        let slot = slot.ok_or_else(|| inner.pool.none_free(size, alignment))?;
        Ok(Buffer::new(inner.inner(), slot, size))
    }

    /// Takes a free buffer, running the agent's loop until there is one.
    ///
    /// # Errors
    /// As [`allocate_buffer`](Self::allocate_buffer), but `VD_E_MEMORY` only if no such buffer was
    /// requested at all, and `VD_E_TIMEOUT`.
    pub fn allocate_buffer_wait(
        &self,
        size: u32,
        alignment: u32,
        timeout: Timeout,
    ) -> Result<Buffer, Error> {
        let inner = &self.inner;
        inner.check_phase("AllocateBuffer", &[Phase::Initializing, Phase::Active])?;
        check_buffer(size, alignment)?;
        let alignment = inner.effective_alignment(alignment);
        let mut slot = inner.pool.take(size, alignment);
        if slot.is_none() {
            if !inner.pool.has(size, alignment) {
                return Err(inner.pool.none_free(size, alignment));
            }
            inner.pool.hungry.fetch_add(1, Ordering::SeqCst);
            let mut taken = || {
                slot = slot.take().or_else(|| inner.pool.take(size, alignment));
                slot.is_some()
            };
            let interest = Interest::Buffer(Wish { size, alignment });
            let waited = inner.run_until(interest, &mut taken, timeout);
            inner.pool.hungry.fetch_sub(1, Ordering::SeqCst);
            inner.feed();
            waited?;
        }
        let slot = slot.ok_or_else(|| inner.pool.none_free(size, alignment))?;
        Ok(Buffer::new(inner.inner(), slot, size))
    }

    /// Gives a buffer back; dropping it does the same.
    pub fn free_buffer(&self, buffer: Buffer) {
        drop(buffer);
    }

    /// Whether a buffer of the set starts at `buffer`.
    pub fn is_shared_buffer(&self, buffer: *const u8) -> bool {
        self.inner.pool.contains(buffer.addr())
    }

    /// The completion agent: runs on a thread that the server provides, until all devices are closed
    /// (`Ok`) or the set is aborted.
    ///
    /// # Errors
    /// `VD_E_ABORT`; `VD_E_PROTOCOL` before EndConfiguration, after Close, or while another thread is the
    /// agent.
    pub fn execute_completion_agent(&self) -> Result<(), Error> {
        // An abort is the agent's business, too: it completes what is open. It may come between these two looks.
        if !self.inner.is_aborted() {
            self.inner.check_state(
                "ExecuteCompletionAgent",
                &[Phase::Initializing, Phase::Active, Phase::NormallyTerminated, Phase::Abort],
            )?;
        }
        if self.inner.agent_runs.swap(true, Ordering::SeqCst) {
            let state = "served by another completion agent";
            return Err(Reason::WrongState { call: "ExecuteCompletionAgent", state }.into());
        }
        let ended = self.inner.run_agent();
        self.inner.agent_runs.store(false, Ordering::SeqCst);
        ended
    }

    /// Runs the agent's loop on the calling thread until `done`, or follows the thread that runs it.
    ///
    /// `done` is looked at after every completion, and often while the thread spins; it should be cheap.
    ///
    /// # Errors
    /// `VD_E_TIMEOUT`; `VD_E_ABORT`; `VD_E_PROTOCOL` in a completion routine or after Close.
    pub fn run_agent_until(
        &self,
        done: &mut dyn FnMut() -> bool,
        timeout: Timeout,
    ) -> Result<(), Error> {
        self.inner.run_until(Interest::Any, done, timeout)
    }

    /// Declares that the calling thread runs the agent's loop itself whenever it must wait. While such
    /// a declaration lives, the agent's own thread stays out of the way of the data.
    pub fn drive(&self) -> Driver {
        self.inner.crew.drivers.fetch_add(1, Ordering::SeqCst);
        self.inner.nudge();
        Driver { inner: Arc::clone(&self.inner) }
    }

    /// Ends the set at once: no command is accepted any more, everything open is completed with
    /// ERROR_OPERATION_ABORTED.
    pub fn signal_abort(&self) {
        if !self.inner.is_closed() {
            self.inner.abort(AbortCause::new(AbortKind::ServerSignalled));
        }
    }

    /// Leaves the set and releases everything.
    ///
    /// # Errors
    /// `VD_E_PROTOCOL` devices were open, and the set was aborted; or the set was closed before.
    pub fn close(&self) -> Result<(), Error> {
        let inner = &self.inner;
        let closed = || Error::from(Reason::WrongState { call: "Close", state: "not open" });
        if inner.is_closed() {
            return Err(closed());
        }
        let open = inner.lanes.iter().filter(|lane| {
            let lane = lock(lane);
            lane.opened && !lane.closed
        });
        let open = open.count();
        let aborted = inner.is_aborted();
        let settled = inner.all_closed() && inner.all_answered();
        if aborted {
            inner.segment.repeat_abort();
        } else if !settled {
            inner.abort(AbortCause::new(AbortKind::ServerClosed));
        } else if !inner.segment.all_closed() {
            // Nobody but a stranger takes a close back, and the client would wait for it for ever.
            inner.abort(AbortCause::new(AbortKind::Damaged));
        }
        if inner.closed.swap(true, Ordering::SeqCst) {
            return Err(closed());
        }
        inner.nudge();
        inner.release();
        match open > 0 && !aborted {
            true => {
                Err(Reason::WrongState { call: "Close", state: "active, with devices open" }.into())
            }
            false => Ok(()),
        }
    }

    /// Why the set was aborted, if it was.
    pub fn abort_cause(&self) -> Option<AbortCause> {
        self.inner.is_aborted().then(|| self.inner.segment.abort_cause())
    }

    /// The process that created the set.
    pub fn client(&self) -> ProcessIdentity {
        self.inner.segment.identity().client
    }
}

/// See [`ServerSet::drive`].
#[derive(Debug)]
pub struct Driver {
    inner: Arc<Held>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.inner.crew.drivers.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.inner.crew.wake_everybody();
        }
    }
}

/// For a server that takes any set: leftovers and sets that are served are passed over. One whose
/// Create is not done counts: nobody tells of its end, so it has to be looked at again.
fn can_be_served(environment: &Environment, object: &str) -> bool {
    let Ok(name) = ObjectName::new(object) else { return false };
    let Ok(segment) = ControlSegment::open_object(environment, &name) else { return false };
    let Control { server_attached, phase, .. } = segment.control();
    let phase = phase.load(Ordering::Acquire);
    server_attached.load(Ordering::Acquire) == 0
        && (phase == 0 || Phase::from_word(phase) == Some(Phase::Configurable))
        && segment.client_alive()
}
