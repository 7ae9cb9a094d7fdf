//! What every backend promises between two processes, one of them killed if need be.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rstest::rstest;
use vdi_region::{
    Backend, DeathWatch, Lease, LeaseRole, ProcessIdentity, Region, RegionError, Removed, Wait,
    list_objects, remove_leftover,
};

use crate::peer::Peer;
use crate::support::{LEN, Names, Watchdog};

/// Longer than any death notice may take on a busy machine; shorter than the watchdog.
const PATIENCE: Duration = Duration::from_secs(60);

/// A watch on `peer`, and where its notice arrives. The region's creator lease is the probe.
fn watch(peer: ProcessIdentity, region: Region) -> (DeathWatch, Receiver<()>) {
    let held = move || region.lease_held(LeaseRole::Creator).unwrap();
    watch_with(peer, held)
}

fn watch_with(
    peer: ProcessIdentity,
    held: impl Fn() -> bool + Send + 'static,
) -> (DeathWatch, Receiver<()>) {
    let (notify, notices) = channel();
    let watch = DeathWatch::start(peer, held, move || notify.send(()).unwrap()).unwrap();
    (watch, notices)
}

#[rstest]
fn memory_is_shared(#[values(Backend::platform_default(), Backend::Portable)] backend: Backend) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let mut peer = Peer::start(backend);
    peer.get(&format!("create {} {LEN}", names.name("a")));
    peer.get("store 400 4711");
    let region = Region::open(backend, &names.name("a")).unwrap();
    assert_eq!(region.word(400).unwrap().load(Ordering::Acquire), 4711);
    region.word(404).unwrap().store(815, Ordering::Release);
    assert_eq!(peer.get("load 404"), "815");
    assert!(peer.ask(&format!("create {} {LEN}", names.name("a"))).starts_with("error Exists"));
    peer.get("unlink");
    assert!(matches!(Region::open(backend, &names.name("a")), Err(RegionError::NotFound { .. })));
}

/// Catches: wake-ups that do not leave the process; lost wake-ups.
#[rstest]
fn wake_ups_cross_processes(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let region = names.create("a");
    let mut peer = Peer::start(backend);
    peer.get(&format!("open {}", names.name("a")));
    const ROUNDS: u32 = 200;
    peer.tell(&format!("echo {ROUNDS}"));
    let (request, reply) = (region.word(0).unwrap(), region.word(4).unwrap());
    for round in 1..=ROUNDS {
        request.store(round, Ordering::Release);
        region.wake(request, 1);
        while reply.load(Ordering::Acquire) != round {
            region.wait(reply, round - 1, None).unwrap();
        }
    }
    assert_eq!(peer.answer().unwrap(), format!("ok {ROUNDS}"));
}

/// Catches: leases that outlive a killed holder; clean-up that misses its objects.
#[rstest]
fn a_killed_holder_loses_its_lease_and_its_objects(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let mut peer = Peer::start(backend);
    peer.get(&format!("create {} {LEN}", names.name("a")));
    let region = Region::open(backend, &names.name("a")).unwrap();
    let info = list_objects(backend, &names.prefix).unwrap().remove(0);
    assert!(region.lease_held(LeaseRole::Creator).unwrap());
    assert_eq!(remove_leftover(backend, &info).unwrap(), Removed::InUse);
    peer.kill();
    assert!(!region.lease_held(LeaseRole::Creator).unwrap());
    assert_eq!(region.take_lease(LeaseRole::Creator).unwrap(), Lease::Taken);
    region.release_lease(LeaseRole::Creator).unwrap();
    let mut cleaner = Peer::start(backend);
    assert_eq!(cleaner.get(&format!("clean {}", names.prefix)), "[Removed]");
    assert!(list_objects(backend, &names.prefix).unwrap().is_empty());
    assert!(names.create("a").unlink().is_ok(), "the name is free again");
}

/// Catches: a builder killed before it published leaves what nobody can remove.
#[rstest]
fn a_builder_killed_over_its_work_leaves_nothing_for_good(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let mut peer = Peer::start(backend);
    assert_eq!(peer.get(&format!("hang-in-create {} {LEN}", names.name("a"))), "building");
    for info in list_objects(backend, &names.prefix).unwrap() {
        assert_eq!(remove_leftover(backend, &info).unwrap(), Removed::InUse);
    }
    peer.kill();
    let early = Region::open(backend, &names.name("a")).unwrap_err();
    assert!(matches!(early, RegionError::NotFound { .. } | RegionError::NotReady { .. }));
    for info in list_objects(backend, &names.prefix).unwrap() {
        assert_eq!(remove_leftover(backend, &info).unwrap(), Removed::Removed);
    }
    names.create("a");
}

#[rstest]
fn a_sleeper_outlives_the_process_that_should_wake_it(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let mut peer = Peer::start(backend);
    peer.get(&format!("create {} {LEN}", names.name("a")));
    let region = Region::open(backend, &names.name("a")).unwrap();
    let word = region.word(0).unwrap();
    let ended = std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            while region.wait(word, 0, Some(Duration::from_millis(300))).unwrap() == Wait::Woken {}
            "in time"
        });
        std::thread::sleep(Duration::from_millis(30));
        peer.kill();
        sleeper.join().unwrap()
    });
    assert_eq!(ended, "in time");
    word.store(3, Ordering::Release);
    assert_eq!(word.load(Ordering::Acquire), 3);
}

#[rstest]
fn of_racing_processes_one_creates(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let mut peers = [Peer::start(backend), Peer::start(backend)];
    for round in 0..30 {
        let name = names.name(&round.to_string());
        peers.iter_mut().for_each(|peer| peer.tell(&format!("create {name} {LEN}")));
        let answers = peers.each_mut().map(|peer| peer.answer().unwrap());
        let won = answers.iter().filter(|answer| answer.starts_with("ok")).count();
        let lost = answers.iter().filter(|answer| answer.starts_with("error Exists")).count();
        assert_eq!((won, lost), (1, 1), "round {round}: {answers:?}");
        Region::open(backend, &name).unwrap().unlink().unwrap();
    }
}

/// Catches: a watch that does not see the death.
#[rstest]
fn a_killed_peer_is_noticed(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let mut peer = Peer::start(backend);
    peer.get(&format!("create {} {LEN}", names.name("a")));
    let region = Region::open(backend, &names.name("a")).unwrap();
    let (_watch, notices) = watch(peer.identity(), region);
    assert!(notices.recv_timeout(Duration::from_millis(200)).is_err(), "it lives");
    peer.kill();
    notices.recv_timeout(PATIENCE).unwrap();
}

/// Catches: giving up where the process cannot be asked; trusting a number of another namespace.
#[rstest]
fn where_the_process_cannot_be_watched_its_lease_is(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let mut peer = Peer::start(backend);
    peer.get(&format!("create {} {LEN}", names.name("a")));
    let region = Region::open(backend, &names.name("a")).unwrap();
    let elsewhere = ProcessIdentity { pid: i32::MAX as u32, start_time: 1, pid_namespace: 1 };
    let (_watch, notices) = watch(elsewhere, region);
    assert!(notices.recv_timeout(Duration::from_millis(200)).is_err(), "its lease is held");
    peer.kill();
    notices.recv_timeout(PATIENCE).unwrap();
}

/// Catches: trusting a process number alone.
#[cfg(any(target_os = "linux", windows))]
#[test]
fn a_reused_process_number_is_not_the_peer() {
    let _watchdog = Watchdog::start();
    let mut peer = Peer::start(Backend::platform_default());
    let mut earlier = peer.identity();
    earlier.start_time -= 1;
    let (_watch, notices) = watch_with(earlier, || true);
    notices.recv_timeout(PATIENCE).unwrap();
}

/// A forked child can keep the lease, and a handle of the lease's object may be in another process. Catches:
/// asking the lease where the process can be watched.
#[cfg(any(target_os = "linux", windows))]
#[test]
fn a_dead_process_outranks_a_held_lease() {
    let _watchdog = Watchdog::start();
    let mut peer = Peer::start(Backend::platform_default());
    let (_watch, notices) = watch_with(peer.identity(), || true);
    peer.kill();
    notices.recv_timeout(PATIENCE).unwrap();
}

/// Catches: a watch that only sees deaths to come.
#[test]
fn a_peer_that_is_dead_already_is_noticed() {
    let _watchdog = Watchdog::start();
    let mut peer = Peer::start(Backend::platform_default());
    let identity = peer.identity();
    peer.kill();
    let (_watch, notices) = watch_with(identity, || false);
    notices.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_dropped_watch_says_nothing_and_is_gone() {
    let _watchdog = Watchdog::start();
    let mut peer = Peer::start(Backend::platform_default());
    let alive = Arc::new(());
    let seen = Arc::clone(&alive);
    let (watch, notices) = watch_with(peer.identity(), move || Arc::strong_count(&seen) > 0);
    drop(watch);
    assert_eq!(Arc::strong_count(&alive), 1, "its thread has ended and dropped what it held");
    peer.kill();
    assert!(notices.recv().is_err(), "and will never tell");
}

/// Catches: a thread that joins itself.
#[test]
fn a_watch_may_be_dropped_by_its_own_notice() {
    let _watchdog = Watchdog::start();
    let mut peer = Peer::start(Backend::platform_default());
    let slot = Arc::new(Mutex::new(None));
    let (theirs, (notify, notices)) = (Arc::clone(&slot), channel());
    let on_death = move || {
        drop(theirs.lock().unwrap().take());
        notify.send(()).unwrap();
    };
    let lease = Arc::new(AtomicU32::new(1));
    let probe = Arc::clone(&lease);
    let held = move || probe.load(Ordering::Acquire) == 1;
    let watch = DeathWatch::start(peer.identity(), held, on_death).unwrap();
    *slot.lock().unwrap() = Some(watch);
    lease.store(0, Ordering::Release);
    peer.kill();
    notices.recv_timeout(PATIENCE).unwrap();
}
