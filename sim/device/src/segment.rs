//! The control segment as both halves use it: made by the client, checked by whoever opens it.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU32, Ordering},
};

use vdi_protocol::VdConfig;
use vdi_region::{
    Access, LeaseRole, ObjectName, ProcessIdentity, Region, RegionError, account, list_objects,
    usable_cpus,
};

use crate::{
    abort::{AbortCause, AbortKind},
    environment::Environment,
    error::{Error, Reason},
    handle::TAG_MAX,
    layout::{
        Control, LAYOUT_VERSION, Lane, MAGIC, Mapped, Offsets, RING_LEN, SEGMENTS_MAX,
        SET_NAME_MAX, load_u64, preamble, store_u64,
    },
    naming,
    phase::Phase,
    signal::{Doorbell, LANES_MAX},
    waiting::{Patience, Waiting},
};

/// What the preamble says, checked.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) generation: u64,
    pub(crate) name: Vec<u8>,
    pub(crate) client: ProcessIdentity,
    pub(crate) client_config: VdConfig,
    lanes: usize,
}

/// A mapped and checked control segment.
#[derive(Debug)]
pub(crate) struct ControlSegment {
    mapped: Mapped,
    identity: Identity,
    cpus: usize,
}

impl ControlSegment {
    /// Makes the segment of a new set and publishes it.
    pub(crate) fn create(
        environment: &Environment,
        name: &[u8],
        config: &VdConfig,
    ) -> Result<ControlSegment, Error> {
        let lanes = (config.device_count as usize).min(LANES_MAX);
        let object = naming::control_name(&environment.namespace, name)?;
        let server = environment.service_account.as_deref().map(account).transpose()?.flatten();
        let generation = random_u64();
        let region = Region::create(
            environment.backend,
            &object,
            Offsets::total(lanes, name.len()),
            server.map_or(Access::Creator, Access::Group),
            |region| initialize(region, lanes, generation, name, config),
        )?;
        let segment = ControlSegment {
            identity: read_identity(&region)?,
            mapped: Mapped::new(region, lanes)?,
            cpus: usable_cpus(),
        };
        if let Err(error) = segment.choose_tag(environment) {
            segment.unlink_all();
            return Err(error);
        }
        // From now on a server may have it; until now the phase was none.
        segment.control().phase.store(Phase::Configurable as u32, Ordering::Release);
        Ok(segment)
    }

    /// Opens the segment of the set `name`.
    pub(crate) fn open(environment: &Environment, name: &[u8]) -> Result<ControlSegment, Error> {
        let object = naming::control_name(&environment.namespace, name)?;
        let segment = match ControlSegment::open_object(environment, &object) {
            Err(e) if matches!(e.reason(), Reason::Region(RegionError::NotFound { .. })) => {
                return Err(no_such_set(environment, name));
            }
            other => other?,
        };
        if segment.identity.name != name {
            return Err(Reason::NameCollision { name: naming::display(name) }.into());
        }
        Ok(segment)
    }

    /// Opens whatever set has this control object.
    pub(crate) fn open_object(
        environment: &Environment,
        object: &ObjectName,
    ) -> Result<ControlSegment, Error> {
        let region = Region::open(environment.backend, object)?;
        let identity = read_identity(&region)?;
        let mapped = Mapped::new(region, identity.lanes)?;
        Ok(ControlSegment { mapped, identity, cpus: usable_cpus() })
    }

    #[inline]
    pub(crate) fn control(&self) -> &Control {
        self.mapped.control()
    }

    #[inline]
    pub(crate) fn lanes(&self) -> &[Lane] {
        self.mapped.lanes()
    }

    pub(crate) fn region(&self) -> &Region {
        self.mapped.region()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        Phase::load(&self.control().phase)
    }

    /// A place to wait on one of the segment's doorbells.
    pub(crate) fn waiting<'a>(
        &'a self,
        bell: &'a Doorbell<AtomicU32>,
        patience: &'a Patience,
    ) -> Waiting<'a> {
        let spinners = &self.control().spinners;
        Waiting { region: self.region(), bell, spinners, patience, cpus: self.cpus }
    }

    /// Wakes everybody who sleeps on `bell`, after [`Doorbell::ring`] or
    /// [`Board::announce`](crate::signal::Board::announce) said that somebody does.
    pub(crate) fn wake(&self, bell: &Doorbell<AtomicU32>) {
        self.region().wake(bell.sequence(), u32::MAX);
    }

    /// Tells whoever waits for the phase, the names or the areas to change.
    pub(crate) fn announce_change(&self) {
        let bell = &self.control().changes;
        if bell.ring() {
            self.wake(bell);
        }
    }

    /// Wakes every thread of every process of the set, whatever the segment says about sleepers.
    pub(crate) fn wake_all(&self) {
        let control = self.control();
        let lanes = self.lanes().iter().map(|lane| &lane.bell);
        for bell in lanes.chain([&control.changes, control.board.bell()]) {
            bell.ring_always();
            self.wake(bell);
        }
    }

    /// Puts the set into Abort; false if it was there already. The first cause stays.
    pub(crate) fn abort(&self, cause: AbortCause) -> bool {
        let control = self.control();
        let (kind, detail) = cause.to_words();
        if control.abort.compare_exchange(0, kind, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            for (word, value) in control.abort_detail.iter().zip(detail) {
                word.store(value, Ordering::Relaxed);
            }
        }
        let before = control.phase.swap(Phase::Abort as u32, Ordering::AcqRel);
        self.wake_all();
        before != Phase::Abort as u32
    }

    /// At a Close that finds the set in Abort: wakes everybody once more. Whoever scribbled over the
    /// phase has given no cause and woken nobody.
    pub(crate) fn repeat_abort(&self) {
        self.abort(AbortCause::new(AbortKind::Damaged));
    }

    /// Why the set was aborted, as the segment tells it.
    pub(crate) fn abort_cause(&self) -> AbortCause {
        let control = self.control();
        let kind = control.abort.load(Ordering::Acquire);
        let detail = std::array::from_fn(|i| control.abort_detail[i].load(Ordering::Relaxed));
        AbortCause::from_words(kind, detail, self.lanes().len())
    }

    /// Whether every device was closed by the server.
    pub(crate) fn all_closed(&self) -> bool {
        self.lanes().iter().all(|lane| lane.closed.load(Ordering::Acquire) == 1)
    }

    /// Looks whether the segment still holds together: the constant part is as it was, the phase is
    /// one, and the object has its length.
    pub(crate) fn check_integrity(&self) -> Result<(), AbortKind> {
        if self.region().is_truncated() {
            return Err(AbortKind::Truncated);
        }
        match self.region().object_size() {
            Ok(size) if size >= self.region().len() as u64 => {}
            _ => return Err(AbortKind::Truncated),
        }
        let known = &self.identity;
        let now = read_identity(self.region()).map_err(|_| AbortKind::Damaged)?;
        let phase = Phase::from_word(self.control().phase.load(Ordering::Acquire));
        let whole = now.generation == known.generation
            && now.client == known.client
            && now.lanes == known.lanes
            && now.name == known.name
            && phase.is_some();
        if whole { Ok(()) } else { Err(AbortKind::Damaged) }
    }

    /// Whether the client that made the segment still lives. A dead pid outranks a held lease, which a
    /// fork of the dead may keep.
    pub(crate) fn client_alive(&self) -> bool {
        match self.identity.client.is_alive() {
            Some(alive) => alive,
            None => self.region().lease_held(LeaseRole::Creator).unwrap_or(false),
        }
    }

    /// As [`client_alive`](Self::client_alive), for the server; false if none has attached.
    pub(crate) fn server_alive(&self) -> bool {
        self.server().is_some_and(|server| match server.is_alive() {
            Some(alive) => alive,
            None => self.region().lease_held(LeaseRole::Attacher).unwrap_or(false),
        })
    }

    /// The server, once it has attached.
    pub(crate) fn server(&self) -> Option<ProcessIdentity> {
        let control = self.control();
        (control.server_attached.load(Ordering::Acquire) == 1).then(|| control.server.load())
    }

    /// Removes the names of all objects of the set that still are the ones it knows.
    pub(crate) fn unlink_all(&self) {
        self.unlink_segments();
        if let Err(error) = self.region().unlink() {
            tracing::warn!(%error, "the control segment could not be removed");
        }
    }

    /// Removes the names of the buffer segments. They carry the set's generation, so no other set's
    /// objects can be meant.
    pub(crate) fn unlink_segments(&self) {
        let region = self.region();
        let count = self.control().segment_count.load(Ordering::Acquire) as usize;
        // One more than are published: a server may have been killed in between.
        for index in 0..count.saturating_add(1).min(SEGMENTS_MAX) {
            let removed = naming::segment_name(region.name(), index, self.identity.generation)
                .and_then(|name| Ok(Region::open(region.backend(), &name)?.unlink()?));
            match removed {
                Ok(()) => {}
                Err(e) if matches!(e.reason(), Reason::Region(RegionError::NotFound { .. })) => {}
                Err(error) => tracing::warn!(%error, "a buffer segment could not be removed"),
            }
        }
    }

    /// Takes a handle tag that no other live set of the namespace has.
    ///
    /// The segment is published when this runs, and each tag is stored before the others are looked at,
    /// so of two sets created at once at least one sees the other and moves. With more live sets than
    /// tags the last ones share.
    fn choose_tag(&self, environment: &Environment) -> Result<(), Error> {
        let word = &self.control().tag;
        let mut tag = random_u64() as u32 % TAG_MAX + 1;
        for _ in 0..8 {
            // An exchange, because it orders the store before the look.
            word.swap(tag, Ordering::SeqCst);
            let taken = self.other_tags(environment)?;
            if !taken[tag as usize] {
                return Ok(());
            }
            let start = random_u64() as u32 % TAG_MAX;
            let free = |tag: &u32| !taken[*tag as usize];
            tag = (0..TAG_MAX).map(|i| (start + i) % TAG_MAX + 1).find(free).unwrap_or(start + 1);
        }
        Ok(())
    }

    /// The tags of the namespace's other sets, as an array with one entry a tag.
    fn other_tags(&self, environment: &Environment) -> Result<[bool; TAG_MAX as usize + 1], Error> {
        let prefix = naming::object_prefix(Some(&environment.namespace));
        let mut taken = [false; TAG_MAX as usize + 1];
        for object in list_objects(environment.backend, &prefix)? {
            if naming::is_control(object.name.as_str())
                && object.name != *self.region().name()
                && let Ok(other) = ControlSegment::open_object(environment, &object.name)
                && let Some(slot) =
                    taken.get_mut(other.control().tag.load(Ordering::SeqCst) as usize)
            {
                *slot = true;
            }
        }
        Ok(taken)
    }
}

/// The error for a name behind which there is nothing.
pub(crate) fn no_such_set(environment: &Environment, name: &[u8]) -> Error {
    Reason::NoSuchSet { name: naming::display(name), namespace: environment.namespace.to_string() }
        .into()
}

fn initialize(
    region: &Region,
    lanes: usize,
    generation: u64,
    name: &[u8],
    config: &VdConfig,
) -> Result<(), RegionError> {
    let preamble = preamble(region)?;
    for (word, value) in preamble.magic.iter().zip(MAGIC) {
        word.store(value, Ordering::Relaxed);
    }
    preamble.layout_version.store(LAYOUT_VERSION, Ordering::Relaxed);
    preamble.total_len.store(Offsets::total(lanes, name.len()) as u32, Ordering::Relaxed);
    store_u64(&preamble.generation, generation);
    preamble.lane_count.store(lanes as u32, Ordering::Relaxed);
    preamble.name_len.store(name.len() as u32, Ordering::Relaxed);
    preamble.client.store(ProcessIdentity::current());
    preamble.client_config.store(config);
    region.slice(Offsets::of(lanes).name, name.len())?.copy_from(0, name)?;
    for lane in region.view_slice::<Lane>(Offsets::of(lanes).lanes, lanes)? {
        for ring in [&lane.commands, &lane.completions] {
            for (index, slot) in ring.0.iter().enumerate() {
                slot.reset(index as u32, RING_LEN as u32);
            }
        }
    }
    Ok(())
}

/// Copies the constant part out of the segment and checks the copy.
fn read_identity(region: &Region) -> Result<Identity, Error> {
    let preamble =
        preamble(region).map_err(|_| Reason::Damaged("it is too short for a control segment"))?;
    let load = |word: &AtomicU32| word.load(Ordering::Relaxed);
    if [load(&preamble.magic[0]), load(&preamble.magic[1])] != MAGIC {
        return Err(Reason::Damaged("it does not start with the mark of a control segment").into());
    }
    let found = load(&preamble.layout_version);
    if found != LAYOUT_VERSION {
        return Err(Reason::LayoutVersion { found, known: LAYOUT_VERSION }.into());
    }
    let lanes = load(&preamble.lane_count) as usize;
    let name_len = load(&preamble.name_len) as usize;
    if !(1..=LANES_MAX).contains(&lanes) || !(1..=SET_NAME_MAX).contains(&name_len) {
        return Err(Reason::Damaged("its device count or name length is out of range").into());
    }
    let total = Offsets::total(lanes, name_len);
    if load(&preamble.total_len) as usize != total || region.len() < total {
        return Err(Reason::Damaged("its length is not what its header says").into());
    }
    let mut name = vec![0; name_len];
    region.slice(Offsets::of(lanes).name, name_len)?.copy_to(0, &mut name)?;
    Ok(Identity {
        generation: load_u64(&preamble.generation),
        name,
        client: preamble.client.load(),
        client_config: preamble.client_config.load(),
        lanes,
    })
}

/// A number that two sets do not share; not a secret.
fn random_u64() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
