//! One open set as one client process sees it, from Create or OpenInSecondary to Close.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use vdi_region::{DeathWatch, LeaseRole, Region, RegionError};

use crate::{
    abort::{AbortCause, AbortKind},
    area::Area,
    client::{
        areas::AreaTable,
        guard::Guard,
        observer::{Event, Observer},
    },
    error::{Error, Reason, Timeout},
    fence::Fence,
    layout::{AREAS_MAX, SEGMENTS_MAX},
    lock::lock,
    naming,
    phase::Phase,
    sabotage::Sabotage,
    segment::ControlSegment,
    signal::Doorbell,
    waiting::{Patience, Waited, Watchful},
};

/// How the process came to the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Primary,
    Secondary,
}

/// How often a wait for the server's configuration looks whether everything still holds together.
const LOOK_AROUND: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) segment: ControlSegment,
    pub(crate) role: Role,
    pub(crate) areas: Arc<AreaTable>,
    closed: AtomicBool,
    regions: Mutex<Vec<Option<Arc<Region>>>>,
    pub(crate) guard: Guard,
    watch: Mutex<Option<DeathWatch>>,
    observer: Option<Arc<dyn Observer>>,
    /// Threads inside a wait of this session.
    waiting: AtomicU32,
    /// The news that one left after the session was closed.
    leaving: Mutex<()>,
    left: Condvar,
}

impl Session {
    pub(crate) fn new(
        segment: ControlSegment,
        role: Role,
        areas: Arc<AreaTable>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Arc<Session> {
        areas.open(segment.control().tag.load(Ordering::Acquire));
        Arc::new(Session {
            segment,
            role,
            areas,
            closed: AtomicBool::new(false),
            regions: Mutex::default(),
            guard: Guard::default(),
            watch: Mutex::default(),
            observer,
            waiting: AtomicU32::new(0),
            leaving: Mutex::default(),
            left: Condvar::new(),
        })
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        self.segment.phase()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn event(&self, event: &Event<'_>) {
        if let Some(observer) = &self.observer {
            observer.event(event);
        }
    }

    pub(crate) fn abort(&self, cause: AbortCause) {
        if self.segment.abort(cause) {
            self.event(&Event::Aborted(cause));
        }
    }

    pub(crate) fn aborted(&self) -> Error {
        Reason::Aborted(self.segment.abort_cause()).into()
    }

    /// Waits on one of the segment's doorbells; Close waits until the thread has left again.
    pub(crate) fn wait(
        &self,
        bell: &Doorbell<AtomicU32>,
        patience: &Patience,
        watch: &mut impl Watchful,
        timeout: Timeout,
    ) -> Result<Waited, Error> {
        // SYNC POINT (enter/shut): counted before the wait looks whether the session is closed; Close says
        // so before it looks at the count.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let waited = self.segment.waiting(bell, patience).wait(watch, timeout);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if self.is_closed() {
            drop(lock(&self.leaving));
            self.left.notify_all();
        }
        Ok(waited?)
    }

    /// Waits on `changes` until `ready`, looking around once a second: for the server's process, and
    /// whether the segment is whole.
    pub(crate) fn wait_for_change(
        self: &Arc<Self>,
        ready: &mut dyn FnMut() -> bool,
        timeout: Timeout,
    ) -> Result<Waited, Error> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            let mut watched = self.watch_server()?;
            let remaining = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            let slice = remaining.map_or(LOOK_AROUND, |r| r.min(LOOK_AROUND));
            let mut awake = || {
                // A server that has just attached is not watched yet: go round.
                let attached = !watched && self.segment.server().is_some();
                watched |= attached;
                attached || self.is_closed() || self.phase() == Phase::Abort || ready()
            };
            let changes = &self.segment.control().changes;
            self.wait(changes, &Patience::new(), &mut awake, Some(slice))?;
            if self.is_closed() || self.phase() == Phase::Abort || ready() {
                return Ok(Waited::Ready);
            }
            if deadline.is_some_and(|d| d <= Instant::now()) {
                return Ok(Waited::TimedOut);
            }
            if let Err(kind) = self.segment.check_integrity() {
                self.abort(AbortCause::new(kind));
                return Err(damaged(kind));
            }
        }
    }

    /// Starts to watch the server's process once it has attached; true if it is watched.
    pub(crate) fn watch_server(self: &Arc<Self>) -> Result<bool, Error> {
        let Some(server) = self.segment.server() else { return Ok(false) };
        let mut watch = lock(&self.watch);
        if watch.is_none() && !self.is_closed() {
            let (prober, mourner) = (Arc::downgrade(self), Arc::downgrade(self));
            *watch = Some(DeathWatch::start(
                server,
                move || server_lease_held(&prober),
                move || {
                    if let Some(session) = mourner.upgrade() {
                        session.server_died(server.pid);
                    }
                },
            )?);
        }
        Ok(true)
    }

    /// What the server published before it died counts: a backup whose devices it had all closed is
    /// not aborted any more, and that its process ends then is no news.
    fn server_died(&self, pid: u32) {
        if !self.segment.all_closed() {
            self.event(&Event::ServerDied { pid });
            self.abort(AbortCause::with_detail(AbortKind::ServerDied, pid));
        }
    }

    /// Maps every area that the server has made so far.
    pub(crate) fn map_areas(&self) -> Result<(), Error> {
        let count = self.segment.control().area_count.load(Ordering::Acquire) as usize;
        (0..count.min(AREAS_MAX)).try_for_each(|index| self.map_area(index))
    }

    /// Maps one area, if it is not. A failure aborts the set, as the real library does.
    pub(crate) fn map_area(&self, index: usize) -> Result<(), Error> {
        let mut regions = lock(&self.regions);
        if self.areas.is_mapped(index) || self.is_closed() {
            return Ok(());
        }
        let control = self.segment.control();
        let Some((area, len)) = Area::load(control, index) else {
            return Err(Reason::Damaged("a buffer area does not lie within its segment").into());
        };
        let segment = area.segment as usize;
        if regions.len() < SEGMENTS_MAX {
            regions.resize_with(SEGMENTS_MAX, || None);
        }
        if regions[segment].is_none() {
            match self.open_segment(segment, len) {
                Ok(region) => regions[segment] = Some(Arc::new(region)),
                Err(_) if self.is_served_out() => return Ok(()),
                Err(error) => {
                    self.segment_unmappable(area.segment, &error);
                    return Err(error);
                }
            }
        }
        if let Some(region) = &regions[segment] {
            if Fence::from_word(control.fence.load(Ordering::Acquire)) == Fence::Pages {
                self.guard_area(index, &area, region);
            }
            let first = region.slice(area.first as usize, area.span() as usize)?;
            self.areas.insert(index, &area, first.as_mut_ptr());
        }
        Ok(())
    }

    /// Whether the server has closed every device and left, which takes the buffers away: all commands
    /// were answered, so nobody needs them. A client that was slow to start may meet it so.
    fn is_served_out(&self) -> bool {
        let has_left = self.segment.control().server_closed.load(Ordering::Acquire) == 1;
        has_left && self.segment.all_closed() && self.phase() != Phase::Abort
    }

    /// Takes access to an area's buffers away; a client that cannot do so is no worse off.
    fn guard_area(&self, index: usize, area: &Area, region: &Arc<Region>) {
        let before = (0..index).filter_map(|k| Area::load(self.segment.control(), k));
        let numbers = before.fold(0u32, |sum, (area, _)| sum.saturating_add(area.slots));
        let prefix = self.segment.identity().client_config.prefix_zone_size;
        self.areas.set_guarded();
        match self.guard.enter(index, area, region, (prefix, numbers)) {
            Ok(true) => self.event(&Event::Guarded),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the buffers stay accessible"),
        }
    }

    /// The region and offset of the buffer in `slot` of area `index`, which is mapped.
    pub(crate) fn locate(&self, index: usize, slot: u32) -> Option<(Arc<Region>, usize, usize)> {
        let (area, _) = Area::load(self.segment.control(), index)?;
        let region = Arc::clone(lock(&self.regions).get(area.segment as usize)?.as_ref()?);
        let offset = area.first + u64::from(slot) * u64::from(area.stride);
        (slot < area.slots).then_some((region, offset as usize, area.size as usize))
    }

    fn open_segment(&self, index: usize, len: u64) -> Result<Region, Error> {
        let control = self.segment.region();
        let name = naming::segment_name(control.name(), index, self.segment.identity().generation)?;
        let sabotage = self.segment.control().sabotage.load(Ordering::Acquire);
        if let Some(sabotage) = Sabotage::from_word(sabotage) {
            return Err(sabotage.error("open", name.to_string(), len).into());
        }
        let region = Region::open(control.backend(), &name)?;
        if (region.len() as u64) < len {
            return Err(RegionError::Truncated { object: name.to_string() }.into());
        }
        Ok(region)
    }

    fn segment_unmappable(&self, segment: u32, error: &Error) {
        let set = &self.segment.identity().name;
        self.event(&Event::SegmentUnmappable { set, segment, error });
        let errno = error.os_error().unwrap_or(0).unsigned_abs();
        self.abort(AbortCause::with_detail(AbortKind::ClientUnmapped, errno));
    }

    /// Makes every blocked call return and every later one fail, and waits until the blocked ones have
    /// left. Mappings go with the last reference to the session.
    pub(crate) fn shut(&self, bells: &[&Doorbell<AtomicU32>]) {
        self.closed.store(true, Ordering::SeqCst);
        let mut leaving = lock(&self.leaving);
        while self.waiting.load(Ordering::SeqCst) > 0 {
            for bell in bells.iter().copied().chain([&self.segment.control().changes]) {
                bell.ring_always();
                self.segment.wake(bell);
            }
            // A thread that was about to sleep when the bell rang is rung again.
            leaving = self
                .left
                .wait_timeout(leaving, Duration::from_millis(10))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Empties the table of areas; nobody enters one afterwards, because the session is shut.
    pub(crate) fn forget_areas(&self) {
        let _regions = lock(&self.regions);
        self.areas.clear();
    }

    /// Ends the watch; its thread is gone afterwards.
    pub(crate) fn stop_watching(&self) {
        let watch = lock(&self.watch).take();
        drop(watch);
    }
}

/// The error for a segment that failed its check.
pub(crate) fn damaged(kind: AbortKind) -> Error {
    Reason::Damaged(match kind {
        AbortKind::Truncated => "it was shrunk",
        _ => "its constant part or its state word changed",
    })
    .into()
}

fn server_lease_held(session: &Weak<Session>) -> bool {
    // A session that is gone watches nobody any more.
    session
        .upgrade()
        .is_none_or(|s| s.segment.region().lease_held(LeaseRole::Attacher).unwrap_or(false))
}
