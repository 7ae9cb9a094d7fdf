//! What every backend promises, seen from one process.
//!
//! Each test runs over the platform's own backend and the portable one.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use vdi_region::{
    Access, Backend, Lease, LeaseRole, ObjectName, Region, RegionError, Removed, Wait,
    list_objects, remove_leftover, wait_for_object,
};

use crate::support::{LEN, Names, Watchdog, create};

#[test]
fn the_suite_covers_every_backend() {
    let covered = [Backend::platform_default(), Backend::Portable];
    assert!(Backend::AVAILABLE.iter().all(|backend| covered.contains(backend)));
}

/// Catches: a private mapping; an offset that differs between maker and opener.
#[rstest]
fn two_mappings_are_the_same_memory(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let names = Names::new(backend);
    let made = names.create("a");
    let opened = Region::open(backend, made.name()).unwrap();
    assert_eq!((opened.backend(), opened.name()), (backend, made.name()));
    assert!(made.len() >= LEN && opened.len() >= LEN);
    assert_ne!(made.base(), opened.base());
    for offset in [0, 4, LEN / 4 * 4 - 4] {
        made.word(offset).unwrap().store(offset as u32 + 7, Ordering::Release);
        assert_eq!(opened.word(offset).unwrap().load(Ordering::Acquire), offset as u32 + 7);
    }
    for region in [&made, &opened] {
        assert_eq!(region.base() as usize % region.base_alignment(), 0);
        assert!(region.object_size().unwrap() >= LEN as u64);
        assert!(!region.is_truncated());
    }
}

#[rstest]
fn a_new_object_is_all_zeroes(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let names = Names::new(backend);
    let region = names.create("a");
    let mut bytes = vec![1; region.len()];
    region.slice(0, region.len()).unwrap().copy_to(0, &mut bytes).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 0));
}

#[rstest]
#[case::short("x")]
#[case::longest(&"n".repeat(ObjectName::MAX_LEN))]
#[case::beyond_ascii("\u{1f980} nightly\\full\n")]
fn any_valid_name_works(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[case] rest: &str,
) {
    let names = Names::new(backend);
    let whole = format!("{}{rest}", names.prefix);
    let end = (0..=ObjectName::MAX_LEN.min(whole.len())).rfind(|at| whole.is_char_boundary(*at));
    let name = ObjectName::new(&whole[..end.unwrap()]).unwrap();
    let made = create(backend, &name);
    assert!(Region::open(backend, &name).is_ok());
    let listed = list_objects(backend, &names.prefix).unwrap();
    assert_eq!(listed.iter().map(|info| &info.name).collect::<Vec<_>>(), [&name]);
    made.unlink().unwrap();
}

#[rstest]
fn a_name_is_taken_until_it_is_unlinked(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let names = Names::new(backend);
    let name = names.name("a");
    let again = || Region::create(backend, &name, LEN, Access::Creator, |_| Ok(()));
    let absent = Region::open(backend, &name).unwrap_err();
    assert!(matches!(absent, RegionError::NotFound { .. }), "{absent}");
    let first = create(backend, &name);
    assert!(matches!(again(), Err(RegionError::Exists { .. })));
    first.unlink().unwrap();
    assert!(matches!(Region::open(backend, &name), Err(RegionError::NotFound { .. })));
    assert!(again().is_ok(), "the name is free");
    first.word(0).unwrap().store(5, Ordering::Release);
    assert_eq!(first.word(0).unwrap().load(Ordering::Acquire), 5, "and the memory lives on");
}

/// Catches: dropping a region unlinks it.
#[rstest]
fn dropping_a_region_leaves_its_name(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let names = Names::new(backend);
    let made = names.create("a");
    made.word(8).unwrap().store(99, Ordering::Release);
    // A section of Windows' lives for as long as somebody has it open.
    let _somebody =
        (backend == Backend::Windows).then(|| Region::open(backend, made.name()).unwrap());
    drop(made);
    let opened = Region::open(backend, &names.name("a")).unwrap();
    assert_eq!(opened.word(8).unwrap().load(Ordering::Acquire), 99);
    drop(opened);
    assert!(Region::open(backend, &names.name("a")).is_ok());
}

/// Catches: unlinking by name alone.
#[rstest]
fn unlinking_spares_a_newer_object_of_the_same_name(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let names = Names::new(backend);
    let old = names.create("a");
    old.unlink().unwrap();
    let new = names.create("a");
    old.unlink().unwrap();
    assert!(Region::open(backend, new.name()).is_ok());
    new.unlink().unwrap();
    new.unlink().unwrap();
    assert!(list_objects(backend, &names.prefix).unwrap().is_empty());
}

/// Catches: naming the object before `init` ran.
#[rstest]
fn nobody_sees_an_object_before_it_is_filled(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let names = Names::new(backend);
    let name = names.name("a");
    let look = |_: &Region| {
        let early = Region::open(backend, &name).unwrap_err();
        let unseen = matches!(early, RegionError::NotFound { .. } | RegionError::NotReady { .. });
        assert!(unseen, "{early}");
        let found = wait_for_object(backend, |n| n == name.as_str(), Some(Duration::ZERO));
        assert_eq!(found.unwrap(), None);
        Ok(())
    };
    let made = Region::create(backend, &name, LEN, Access::Creator, look).unwrap();
    let found = wait_for_object(backend, |n| n == name.as_str(), Some(Duration::ZERO));
    assert_eq!(found.unwrap().as_ref(), Some(made.name()));
}

/// Catches: an error or a panic in `init` leaves a half-built object.
#[rstest]
fn a_failed_creation_leaves_nothing(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let names = Names::new(backend);
    let name = names.name("a");
    let beyond = |region: &Region| region.word(usize::MAX / 4 * 4).map(drop);
    let failed = Region::create(backend, &name, LEN, Access::Creator, beyond);
    assert!(matches!(failed, Err(RegionError::OutOfBounds { .. })));
    let panicking = || Region::create(backend, &name, LEN, Access::Creator, |_| panic!("in init"));
    assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
    assert!(list_objects(backend, &names.prefix).unwrap().is_empty());
    assert!(Region::create(backend, &name, LEN, Access::Creator, |_| Ok(())).is_ok());
}

#[rstest]
fn sizes_that_cannot_be_are_refused(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(0, 1 << 50, isize::MAX as usize, usize::MAX)] len: usize,
) {
    let names = Names::new(backend);
    let refused = Region::create(backend, &names.name("a"), len, Access::Creator, |_| Ok(()));
    match refused.unwrap_err() {
        RegionError::Empty { .. } => assert_eq!(len, 0),
        RegionError::NoSpace { wanted, free, .. } => {
            assert!(len > 0 && wanted >= len as u64 && free.is_some_and(|free| free < wanted));
        }
        other => panic!("{other}"),
    }
    assert!(list_objects(backend, &names.prefix).unwrap().is_empty());
}

/// Catches: a creation that is not exclusive.
#[rstest]
fn of_racing_creators_one_wins(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    const RACERS: u32 = 4;
    for round in 0..50 {
        let name = names.name(&round.to_string());
        let start = Barrier::new(RACERS as usize);
        let race = |mark: u32| {
            start.wait();
            Region::create(backend, &name, LEN, Access::Creator, |region| {
                region.word(0).map(|word| word.store(mark, Ordering::Release))
            })
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = (1..=RACERS).map(|mark| scope.spawn(move || race(mark))).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let winners: Vec<_> = (1..).zip(&results).filter(|(_, result)| result.is_ok()).collect();
        assert_eq!(winners.len(), 1, "round {round}");
        let opened = Region::open(backend, &name).unwrap();
        assert_eq!(opened.word(0).unwrap().load(Ordering::Acquire), winners[0].0);
        let losers = results.iter().filter_map(|result| result.as_ref().err());
        assert!(losers.clone().all(|e| matches!(e, RegionError::Exists { .. })), "round {round}");
        opened.unlink().unwrap();
    }
}

/// Catches: an unlink that takes what the next creator has just put there.
#[rstest]
fn creators_and_removers_of_one_name_do_not_mix(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let name = &names.name("a");
    let turn = |mark: u32| {
        let init = |region: &Region| region.word(0).map(|word| word.store(mark, Ordering::Release));
        for _ in 0..300 {
            match Region::create(backend, name, LEN, Access::Creator, init) {
                Ok(mine) => {
                    let opened = Region::open(backend, name).expect("nobody else may remove it");
                    assert_eq!(load(opened.word(0).unwrap()), mark);
                    mine.unlink().unwrap();
                }
                Err(error) => assert!(matches!(error, RegionError::Exists { .. }), "{error}"),
            }
        }
    };
    std::thread::scope(|scope| {
        for mark in 1..=3 {
            scope.spawn(move || turn(mark));
        }
    });
    assert!(list_objects(backend, &names.prefix).unwrap().is_empty());
}

/// Catches: leases that all regions of a process share; roles mixed up.
#[rstest]
fn a_lease_has_one_holder(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    use LeaseRole::{Attacher, Creator};
    let names = Names::new(backend);
    let made = names.create("a");
    let first = Region::open(backend, made.name()).unwrap();
    let second = Region::open(backend, made.name()).unwrap();
    assert!(!made.lease_held(Creator).unwrap(), "by nobody else");
    assert!(first.lease_held(Creator).unwrap());
    assert_eq!(first.take_lease(Creator).unwrap(), Lease::HeldByAnother);
    assert_eq!(made.take_lease(Creator).unwrap(), Lease::Taken, "again");

    assert!(!made.lease_held(Attacher).unwrap());
    assert_eq!(first.take_lease(Attacher).unwrap(), Lease::Taken);
    assert!(made.lease_held(Attacher).unwrap() && second.lease_held(Attacher).unwrap());
    assert_eq!(second.take_lease(Attacher).unwrap(), Lease::HeldByAnother);
    second.release_lease(Attacher).unwrap();
    assert!(made.lease_held(Attacher).unwrap(), "who does not hold it cannot give it back");
    first.release_lease(Attacher).unwrap();
    assert_eq!(second.take_lease(Attacher).unwrap(), Lease::Taken);
    drop(second);
    assert!(!made.lease_held(Attacher).unwrap());
    drop(made);
    assert!(!first.lease_held(Creator).unwrap());
    assert_eq!(first.take_lease(Creator).unwrap(), Lease::Taken);
}

/// Catches: leases that hang on the name.
#[rstest]
fn leases_outlive_the_name(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let names = Names::new(backend);
    let made = names.create("a");
    let opened = Region::open(backend, made.name()).unwrap();
    made.unlink().unwrap();
    let newer = names.create("a");
    assert!(opened.lease_held(LeaseRole::Creator).unwrap());
    assert_eq!(opened.take_lease(LeaseRole::Attacher).unwrap(), Lease::Taken);
    assert!(made.lease_held(LeaseRole::Attacher).unwrap());
    assert!(!newer.lease_held(LeaseRole::Attacher).unwrap());
    drop(made);
    assert!(!opened.lease_held(LeaseRole::Creator).unwrap());
}

#[rstest]
fn a_wait_on_a_word_that_differs_returns_at_once(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let region = names.create("a");
    let word = region.word(12).unwrap();
    assert_eq!(region.wait(word, 1, None).unwrap(), Wait::Woken);
}

/// Catches: a time-out that ends early, or never when it is 0.
#[rstest]
fn a_wait_ends_after_its_time_and_not_before(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(0, 1, 80)] ms: u64,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let region = names.create("a");
    let timeout = Duration::from_millis(ms);
    let start = Instant::now();
    // A wait may return for no reason; then its time is not over.
    while region.wait(region.word(0).unwrap(), 0, Some(timeout)).unwrap() == Wait::Woken {}
    assert!(start.elapsed() >= timeout);
}

/// Catches: futexes private to a mapping; a limit that overflows.
#[rstest]
#[case::no_limit(None)]
#[case::longest(Some(Duration::MAX))]
#[case::long(Some(Duration::from_secs(100)))]
fn a_sleeper_is_woken_through_another_mapping(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[case] timeout: Option<Duration>,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let made = names.create("a");
    let opened = Region::open(backend, made.name()).unwrap();
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let word = opened.word(64).unwrap();
            while word.load(Ordering::Acquire) == 0 {
                assert_eq!(opened.wait(word, 0, timeout).unwrap(), Wait::Woken);
            }
        });
        std::thread::sleep(Duration::from_millis(50));
        let word = made.word(64).unwrap();
        word.store(1, Ordering::Release);
        made.wake(word, 1);
        sleeper.join().unwrap();
    });
}

#[rstest]
fn one_wake_reaches_all_who_sleep(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let region = names.create("a");
    let word = region.word(0).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| while region.wait(word, 0, None).is_ok_and(|_| load(word) == 0) {});
        }
        std::thread::sleep(Duration::from_millis(50));
        word.store(1, Ordering::Release);
        region.wake(word, u32::MAX);
    });
}

fn load(word: &AtomicU32) -> u32 {
    word.load(Ordering::Acquire)
}

/// Catches: sleeping on a word whose wakers go elsewhere.
#[rstest]
fn a_word_of_another_region_is_refused(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let names = Names::new(backend);
    let (ours, other) = (names.create("a"), names.create("b"));
    let private = AtomicU32::new(0);
    for word in [other.word(0).unwrap(), &private] {
        let refused = ours.wait(word, 0, Some(Duration::ZERO)).unwrap_err();
        assert!(matches!(refused, RegionError::ForeignWord { .. }), "{refused}");
    }
}

#[rstest]
fn bytes_go_in_and_out_by_copy(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let names = Names::new(backend);
    let made = names.create("a");
    let opened = Region::open(backend, made.name()).unwrap();
    let slice = made.slice(100, 50).unwrap();
    slice.fill(0xAA);
    slice.copy_from(10, b"hello").unwrap();
    slice.subslice(20, 5).unwrap().copy_from(0, b"world").unwrap();
    let mut seen = [0; 52];
    opened.slice(99, 52).unwrap().copy_to(0, &mut seen).unwrap();
    let mut expected = [0xAA; 52];
    (expected[0], expected[51]) = (0, 0);
    expected[11..16].copy_from_slice(b"hello");
    expected[21..26].copy_from_slice(b"world");
    assert_eq!(seen, expected);
    let mut too_long = [0; 51];
    assert!(matches!(slice.copy_to(0, &mut too_long), Err(RegionError::OutOfBounds { .. })));
    assert!(matches!(slice.copy_from(50, b"x"), Err(RegionError::OutOfBounds { .. })));
    assert!(slice.copy_from(50, b"").is_ok());
}

#[rstest]
fn files_are_read_and_written_in_place(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let names = Names::new(backend);
    let region = names.create("a");
    let slice = region.slice(0, 4096).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"0123456789").unwrap();
    file.seek(SeekFrom::Start(2)).unwrap();
    let bytes = |at: usize, len: usize| {
        let mut bytes = vec![0; len];
        slice.copy_to(at, &mut bytes).unwrap();
        bytes
    };
    assert_eq!(slice.read_from(10, 3, &file, None).unwrap(), 3, "from where it stands");
    assert_eq!(bytes(9, 5), b"\x00234\x00");
    assert_eq!(slice.read_from(100, 50, &file, Some(7)).unwrap(), 3, "to its end");
    assert_eq!(bytes(100, 4), b"789\0");
    assert_eq!(slice.read_from(0, 9, &file, Some(10)).unwrap(), 0, "at its end");
    assert_eq!(file.stream_position().unwrap(), 5, "an offset does not move it");

    assert_eq!(slice.write_to(100, 3, &file, Some(0)).unwrap(), 3);
    assert_eq!(slice.write_to(10, 2, &file, None).unwrap(), 2);
    let mut whole = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut whole).unwrap();
    assert_eq!(whole, "7893423789");

    for refused in [slice.read_from(4000, 97, &file, None), slice.write_to(4097, 0, &file, None)] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let unwritable = File::open(std::env::current_exe().unwrap()).unwrap();
    assert!(slice.write_to(0, 1, &unwritable, None).unwrap_err().raw_os_error().is_some());
}

#[rstest]
fn a_list_has_what_the_prefix_says(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let names = Names::new(backend);
    let (one, two, _other) = (names.create("x.1"), names.create("x.2"), names.create("y.1"));
    let found = list_objects(backend, &format!("{}x.", names.prefix)).unwrap();
    let listed: Vec<_> = found.iter().map(|info| &info.name).collect();
    assert_eq!(listed, [one.name(), two.name()]);
    assert_ne!(found[0].inode, found[1].inode);
    for info in &found {
        assert!(info.len >= LEN as u64);
        let owner = one.owner();
        assert_eq!((info.uid, info.gid, info.mode), (owner.uid, owner.gid, owner.mode));
        assert_eq!(info.mode & 0o007, 0, "others have no access");
    }
}

/// Catches: removal without the lease; removal by name.
#[rstest]
fn only_what_nobody_holds_is_a_leftover(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let names = Names::new(backend);
    let made = names.create("a");
    let info = list_objects(backend, &names.prefix).unwrap().remove(0);
    assert_eq!(remove_leftover(backend, &info).unwrap(), Removed::InUse);
    assert!(Region::open(backend, made.name()).is_ok());
    let opened = Region::open(backend, made.name()).unwrap();
    drop(made);
    assert_eq!(remove_leftover(backend, &info).unwrap(), Removed::Removed);
    assert_eq!(remove_leftover(backend, &info).unwrap(), Removed::Gone);
    opened.word(0).unwrap().store(1, Ordering::Release);

    let newer = names.create("a");
    newer.release_lease(LeaseRole::Creator).unwrap();
    assert_eq!(remove_leftover(backend, &info).unwrap(), Removed::Gone, "listed was another");
    assert!(Region::open(backend, newer.name()).is_ok());
}

#[rstest]
fn waiting_for_an_object_ends_when_it_comes(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let wanted = names.name("x.2");
    let found = std::thread::scope(|scope| {
        let prefix = format!("{}x.", names.prefix);
        let waiter =
            scope.spawn(move || wait_for_object(backend, |n| n.starts_with(&prefix), None));
        std::thread::sleep(Duration::from_millis(30));
        let _other = names.create("y");
        std::thread::sleep(Duration::from_millis(30));
        let _wanted = create(backend, &wanted);
        waiter.join().unwrap().unwrap()
    });
    assert_eq!(found, Some(wanted));
}

#[rstest]
fn waiting_for_an_object_that_does_not_come_ends_in_time(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let timeout = Duration::from_millis(60);
    let start = Instant::now();
    let found = wait_for_object(backend, |n| n.starts_with(&names.prefix), Some(timeout));
    assert_eq!(found.unwrap(), None);
    assert!(start.elapsed() >= timeout);
}
