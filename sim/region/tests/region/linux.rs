//! What only the `posix` backend and Linux promise.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rstest::rstest;
use vdi_region::{
    Access, Backend, DeathWatch, ObjectName, ProcessIdentity, Region, RegionError, Removed, Wait,
    list_objects, remove_leftover, usable_cpus,
};

use crate::peer::Peer;
use crate::support::{LEN, Names, Watchdog};

const POSIX: Backend = Backend::Posix;

fn path(name: &ObjectName) -> String {
    format!("/dev/shm/{name}")
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Catches: memory that is only promised: pages that a full tmpfs could refuse later.
#[test]
fn every_page_is_there_after_creation() {
    let names = Names::new(POSIX);
    let region = names.create("a");
    let about = std::fs::metadata(path(region.name())).unwrap();
    assert_eq!(about.len(), region.len() as u64);
    assert!(about.blocks() * 512 >= region.len() as u64, "{} blocks", about.blocks());
}

/// Catches: an opener that pays for a gigabyte that nobody wrote.
#[test]
fn opening_fills_no_holes() {
    let names = Names::new(POSIX);
    let name = names.name("a");
    std::fs::File::create(path(&name)).unwrap().set_len(1 << 30).unwrap();
    let region = Region::open(POSIX, &name).unwrap();
    assert_eq!(region.len(), 1 << 30);
    assert_eq!(std::fs::metadata(path(&name)).unwrap().blocks(), 0);
}

/// Catches: access that stays, goes for the neighbours as well, or comes back without the bytes.
#[test]
fn access_is_taken_by_page_and_given_back() {
    let names = Names::new(POSIX);
    let region = names.create("a");
    let page = vdi_region::page_size();
    region.slice(0, 3 * page).unwrap().fill(7);
    region.set_access(page, page, false).unwrap();
    let file = tempfile::tempfile().unwrap();
    // The kernel tells what the processor would answer with a signal.
    let write = |at: usize| region.slice(at, 1).unwrap().write_to(0, 1, &file, Some(0));
    let refused = write(page).unwrap_err().raw_os_error();
    assert_eq!(refused, Some(nix::libc::EFAULT));
    assert_eq!(write(2 * page - 1).unwrap_err().raw_os_error(), refused);
    assert_eq!((write(page - 1).unwrap(), write(2 * page).unwrap()), (1, 1));
    region.set_access(page, page, true).unwrap();
    let mut byte = [0];
    region.slice(page, 1).unwrap().copy_to(0, &mut byte).unwrap();
    assert_eq!(byte, [7]);
    for (offset, len) in [(1, page), (page, 1)] {
        let error = region.set_access(offset, len, false).unwrap_err();
        assert!(matches!(error, RegionError::Misaligned { .. }), "{error}");
    }
    let beyond = region.set_access(1 << 30, page, false).unwrap_err();
    assert!(matches!(beyond, RegionError::OutOfBounds { .. }), "{beyond}");
}

#[test]
fn bases_are_aligned_for_every_buffer_alignment_of_vdi() {
    let names = Names::new(POSIX);
    let made = names.create("a");
    let regions: Vec<_> = (0..8).map(|_| Region::open(POSIX, made.name()).unwrap()).collect();
    assert!(regions.iter().all(|region| (region.base() as usize).is_multiple_of(65536)));
    assert_eq!(made.base_alignment(), 65536);
}

/// Catches: a mode that the umask does not mask, or a group's that it does.
#[test]
fn access_follows_the_umask_or_the_group() {
    let _watchdog = Watchdog::start();
    let names = Names::new(POSIX);
    let own = nix::unistd::getegid().as_raw();
    let group = if is_root() { 12345 } else { own };
    for (umask, mode) in [("077", "0600"), ("000", "0660"), ("022", "0640")] {
        let mut shell = Command::new("sh");
        let start = format!("umask {umask}; exec \"$0\" \"$@\"");
        shell.args(["-c", &start]).arg(std::env::current_exe().unwrap());
        let mut peer = Peer::start_by(POSIX, shell);
        let (a, b) = (names.name(&format!("a{umask}")), names.name(&format!("b{umask}")));
        peer.get(&format!("create {a} {LEN}"));
        assert!(peer.get("owner").ends_with(&format!("group {own}, mode {mode}")));
        peer.get(&format!("create-for-group {b} {LEN} {group}"));
        assert!(peer.get("owner").ends_with(&format!("group {group}, mode 0660")));
        let about = std::fs::metadata(path(&b)).unwrap();
        assert_eq!((about.gid(), about.mode() & 0o7777), (group, 0o660));
        assert_eq!(Region::open(POSIX, &b).unwrap().owner().gid, group);
    }
}

/// Catches: an error that does not say whose the object is or what to do.
#[test]
fn a_stranger_is_told_whose_it_is() {
    if !is_root() {
        eprintln!("SKIP a_stranger_is_told_whose_it_is: it needs root to become somebody else");
        return;
    }
    let _watchdog = Watchdog::start();
    let names = Names::new(POSIX);
    let region = names.create("a");
    // Somebody else may not reach this executable where it was built.
    let place = tempfile::Builder::new().prefix("vdi-region-test").tempdir_in("/tmp").unwrap();
    let copy = place.path().join("peer");
    // By another process: a copy that this one has open for writing while another test starts a
    // program could not be run ("text file busy").
    let mut install = Command::new("install");
    install.args(["-m", "755"]).arg(std::env::current_exe().unwrap()).arg(&copy);
    assert!(install.status().unwrap().success());
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.path(), everybody).unwrap();
    let mut command = Command::new(copy);
    command.uid(65534).gid(65534).current_dir("/");
    let mut stranger = Peer::start_by(POSIX, command);
    let owner = region.owner();
    let refused = stranger.ask(&format!("open {}", region.name()));
    assert!(refused.starts_with(&format!("error Denied {}", libc::EACCES)), "{refused}");
    assert!(refused.contains(&owner.to_string()), "{refused}");
    drop(region);
    let refused = stranger.ask(&format!("clean {}", names.prefix));
    assert!(refused.contains("sudo rm '/dev/shm/"), "{refused}");
    let refused = stranger.ask(&format!("create-for-group {} {LEN} 0", names.name("b")));
    assert!(refused.contains("member of group 0"), "{refused}");
    assert_eq!(list_objects(POSIX, &names.prefix).unwrap().len(), 1);
}

/// Catches: following a link; waiting for a pipe; mapping nothing.
#[test]
fn what_is_no_object_is_refused() {
    let _watchdog = Watchdog::start();
    let names = Names::new(POSIX);
    let target = names.create("target");
    let (link, pipe, folder, empty) =
        (names.name("link"), names.name("pipe"), names.name("folder"), names.name("empty"));
    std::os::unix::fs::symlink(path(target.name()), path(&link)).unwrap();
    nix::unistd::mkfifo(path(&pipe).as_str(), nix::sys::stat::Mode::from_bits_truncate(0o600))
        .unwrap();
    std::fs::create_dir(path(&folder)).unwrap();
    std::fs::File::create(path(&empty)).unwrap();
    let opened = [&link, &pipe, &folder, &empty].map(|name| Region::open(POSIX, name));
    let listed = list_objects(POSIX, &names.prefix).unwrap();
    for name in [&link, &pipe, &empty] {
        let taken = Region::create(POSIX, name, LEN, Access::Creator, |_| Ok(()));
        assert!(matches!(taken, Err(RegionError::Exists { .. })), "{taken:?}");
        std::fs::remove_file(path(name)).unwrap();
    }
    std::fs::remove_dir(path(&folder)).unwrap();
    let [link, pipe, folder, empty] = opened.map(|result| result.map(drop));
    for refused in [link, pipe, folder] {
        assert!(matches!(refused, Err(RegionError::NotAnObject { .. })), "{refused:?}");
    }
    assert!(matches!(empty, Err(RegionError::Empty { .. })), "{empty:?}");
    let listed: Vec<_> = listed.iter().map(|info| info.name.as_str()).collect();
    assert_eq!(listed, [names.name("empty").as_str(), names.name("target").as_str()]);
}

/// Catches: descriptors that a started program inherits, and with them a lease.
#[rstest]
fn a_started_program_inherits_nothing(
    #[values(Backend::Posix, Backend::Portable)] backend: Backend,
) {
    let names = Names::new(backend);
    let region = names.create("a");
    let _watch = DeathWatch::start(ProcessIdentity::current(), || true, || ()).unwrap();
    let list = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("/proc/"), "{list}");
    for trace in ["/dev/shm", "vdi-region", "eventfd", "pidfd"] {
        assert!(!list.contains(trace), "{list}");
    }
    drop(region);
}

extern "C" fn do_nothing(_: i32) {}

/// Catches: EINTR ends a wait, fails it, or starts its time again.
#[test]
fn a_signal_neither_ends_nor_lengthens_a_wait() {
    let _watchdog = Watchdog::start();
    let names = Names::new(POSIX);
    let region = names.create("a");
    let handler = SigHandler::Handler(do_nothing);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing, and no other test uses this signal.
    unsafe { sigaction(Signal::SIGUSR2, &action) }.unwrap();
    let done = AtomicBool::new(false);
    let timeout = Duration::from_millis(300);
    std::thread::scope(|scope| {
        let (send, receive) = channel();
        let (region, done) = (&region, &done);
        let waiter = scope.spawn(move || {
            send.send(nix::sys::pthread::pthread_self()).unwrap();
            let start = Instant::now();
            let ended = region.wait(region.word(0).unwrap(), 0, Some(timeout));
            done.store(true, Ordering::Release);
            assert_eq!(ended, Ok(Wait::TimedOut));
            assert!(start.elapsed() >= timeout);
        });
        let thread = receive.recv().unwrap();
        // If the time began again at each signal, this would go on for ever. (The thread's number
        // is valid until it is joined.)
        while !done.load(Ordering::Acquire) {
            let _ = nix::sys::pthread::pthread_kill(thread, Signal::SIGUSR2);
            std::thread::sleep(Duration::from_millis(10));
        }
        waiter.join().unwrap();
    });
}

/// Catches: no guard; one that hides the loss; one that is not confined to regions.
#[rstest]
fn the_guard_survives_a_shortened_object(
    #[values(Backend::Posix, Backend::Portable)] backend: Backend,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let mut peer = Peer::start(backend);
    peer.get("guard");
    peer.get(&format!("create {} 1000000", names.name("a")));
    let whole = if backend == POSIX { 1_003_520 } else { 1_000_000 };
    assert_eq!(peer.get("truncated"), format!("false {whole}"));
    peer.get("store 8192 7");
    cut(&names, backend, 4096);
    peer.get("store 0 5");
    peer.get("fill 1");
    let size = if backend == POSIX { 4096 } else { whole };
    assert_eq!(peer.get("truncated"), format!("true {size}"));
    if backend == POSIX {
        assert_eq!(peer.get("load 0"), "16843009", "what is left is still shared");
    }
    assert!(peer.ask("wait 8192 16843009 50").starts_with("error Truncated"));
    peer.get("wake 8192");
    peer.get(&format!("create {} {LEN}", names.name("b")));
    assert!(peer.get("truncated").starts_with("false"), "another region is not affected");
}

/// The unguarded case, so that the test above is known to test something.
#[test]
fn without_the_guard_a_shortened_object_kills() {
    let _watchdog = Watchdog::start();
    let names = Names::new(POSIX);
    let mut peer = Peer::start(POSIX);
    peer.get(&format!("create {} 1000000", names.name("a")));
    cut(&names, POSIX, 4096);
    peer.tell("fill 1");
    assert_eq!(peer.answer(), None);
    assert_eq!(peer.wait().signal(), Some(libc::SIGBUS));
}

/// Catches: a guard that swallows faults of other memory, or that loops on them.
#[test]
fn the_guard_leaves_other_faults_alone() {
    let _watchdog = Watchdog::start();
    let mut peer = Peer::start(POSIX);
    peer.get("guard");
    peer.tell("fault-elsewhere");
    assert_eq!(peer.answer(), None);
    assert_eq!(peer.wait().signal(), Some(libc::SIGBUS));
}

/// Catches: a guard that forgets who came before.
#[test]
fn the_guard_hands_other_faults_to_the_handler_before_it() {
    let _watchdog = Watchdog::start();
    let mut peer = Peer::start(POSIX);
    peer.get("exit-99-on-sigbus");
    peer.get("guard");
    peer.tell("fault-elsewhere");
    assert_eq!(peer.answer(), None);
    assert_eq!(peer.wait().code(), Some(99));
}

/// Nobody tells a sleeper that its word is gone. Catches: a fault on the way out.
#[test]
fn a_sleeper_on_a_lost_word_ends_in_time() {
    let _watchdog = Watchdog::start();
    let names = Names::new(POSIX);
    let region = names.create("a");
    let word = region.word(8192).unwrap();
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| region.wait(word, 0, Some(Duration::from_millis(100))));
        std::thread::sleep(Duration::from_millis(20));
        cut(&names, POSIX, 4096);
        // It was asleep before: nobody tells it, its time ends.
        assert_eq!(sleeper.join().unwrap(), Ok(Wait::TimedOut));
    });
    assert_eq!(region.object_size().unwrap(), 4096);
}

/// Shortens the object "a" like a hostile process.
fn cut(names: &Names, backend: Backend, len: u64) {
    let file = match backend {
        Backend::Posix => path(&names.name("a")),
        _ => {
            let plain = format!("vdip.{}", names.name("a"));
            assert!(plain.len() <= 30, "a hashed name cannot be guessed");
            format!("/dev/shm/{plain}")
        }
    };
    std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(len).unwrap();
}

/// A peer in a mount namespace of its own whose /dev/shm has 1 MiB; None where that is not allowed.
fn peer_with_a_small_shm(test: &str, backend: Backend) -> Option<Peer> {
    let mount = "mount -t tmpfs -o size=1m tmpfs /dev/shm";
    let unshare = || {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--map-root-user", "sh", "-c"]);
        unshare
    };
    let allowed = unshare().arg(mount).output().is_ok_and(|output| output.status.success());
    if !allowed {
        eprintln!("SKIP {test}: it needs unshare(1) with a mount namespace");
        return None;
    }
    let mut command = unshare();
    command.arg(format!("{mount} && exec \"$0\" \"$@\"")).arg(std::env::current_exe().unwrap());
    Some(Peer::start_by(backend, command))
}

/// Catches: SIGBUS instead of an error; an object left behind by a failed creation.
#[rstest]
fn a_small_shm_is_an_error_that_names_it(
    #[values(Backend::Posix, Backend::Portable)] backend: Backend,
) {
    let _watchdog = Watchdog::start();
    let names = Names::new(backend);
    let Some(mut peer) = peer_with_a_small_shm("a_small_shm_is_an_error_that_names_it", backend)
    else {
        return;
    };
    let (a, b) = (names.name("a"), names.name("b"));
    let refused = peer.ask(&format!("create {a} 2000000"));
    assert!(refused.starts_with(&format!("error NoSpace {}", libc::ENOSPC)), "{refused}");
    assert!(refused.contains("2000000 bytes") && refused.contains("/dev/shm"), "{refused}");
    peer.get(&format!("create {a} 600000"));
    peer.get("fill 1");
    let refused = peer.ask(&format!("create {b} 600000"));
    assert!(refused.starts_with("error NoSpace"), "{refused}");
    peer.get(&format!("create {b} 200000"));
    peer.get("fill 1");
    peer.get("drop");
    assert_eq!(peer.get(&format!("clean {}", names.prefix)), "[Removed, Removed]");
}

/// The look at what is free can be out of date when the space is taken. Catches: fallocate left out.
#[test]
fn racing_for_the_last_space_kills_nobody() {
    let _watchdog = Watchdog::start();
    let names = Names::new(POSIX);
    let Some(mut peer) = peer_with_a_small_shm("racing_for_the_last_space_kills_nobody", POSIX)
    else {
        return;
    };
    let outcome = peer.get(&format!("race-for-space {}r 400000 200", names.prefix));
    let (made, refused) = outcome.split_once(' ').unwrap();
    let [made, refused] = [made, refused].map(|count| count.parse::<u32>().unwrap());
    assert!(made > 0 && refused > 0 && made + refused == 800, "{outcome}");
}

/// Catches: a token that is computed once; one that a grandchild shares with its parent.
#[test]
fn a_forked_child_has_another_token() {
    let _watchdog = Watchdog::start();
    let mut peer = Peer::start(POSIX);
    let answer = peer.get("forked-tokens");
    let tokens: Vec<&str> = answer.split(' ').collect();
    let [before, after, child, grandchild] = tokens[..] else { panic!("{answer}") };
    assert_eq!(before, after);
    assert!(child != before && grandchild != before && grandchild != child, "{answer}");
}

/// Catches: a child that gives back its parent's lease, or removes its objects.
#[test]
fn a_forked_child_lets_go_of_nothing() {
    let _watchdog = Watchdog::start();
    for backend in Backend::AVAILABLE {
        let names = Names::new(*backend);
        let mut peer = Peer::start(*backend);
        peer.get(&format!("create {} {LEN}", names.name("a")));
        peer.get("drop-in-forked-child");
        let region = Region::open(*backend, &names.name("a")).unwrap();
        assert!(region.lease_held(vdi_region::LeaseRole::Creator).unwrap(), "{backend}");
        peer.get("leave-lease-to-forked-child");
        assert!(!region.lease_held(vdi_region::LeaseRole::Creator).unwrap(), "{backend}");
    }
}

/// Catches: handlers of the host program running on our thread; faults blocked, which would kill.
#[test]
fn the_watching_thread_takes_no_signals() {
    let _watch = DeathWatch::start(ProcessIdentity::current(), || true, || ()).unwrap();
    let watching = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let statuses = tasks.map(|task| task.unwrap().path().join("status"));
        let mut statuses = statuses.filter_map(|status| std::fs::read_to_string(status).ok());
        statuses.find(|status| status.contains("Name:\tvdi-death-watch"))
    };
    // A thread names itself after it was started.
    let status = std::iter::repeat_with(watching).flatten().next().unwrap();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
    let blocked = u64::from_str_radix(blocked, 16).unwrap();
    let is_blocked = |signal: Signal| blocked >> (signal as u32 - 1) & 1 == 1;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGALRM, Signal::SIGCHLD] {
        assert!(is_blocked(signal), "{signal}");
    }
    for signal in [Signal::SIGBUS, Signal::SIGSEGV] {
        assert!(!is_blocked(signal), "{signal}");
    }
}

#[test]
fn an_affinity_of_one_cpu_is_one_usable_cpu() {
    assert!(usable_cpus() >= 1);
    let mut taskset = Command::new("taskset");
    taskset.args(["-c", "0"]).arg(std::env::current_exe().unwrap());
    if Command::new("taskset").arg("--version").output().is_err() {
        eprintln!("SKIP an_affinity_of_one_cpu_is_one_usable_cpu: it needs taskset(1)");
        return;
    }
    assert_eq!(Peer::start_by(POSIX, taskset).get("cpus"), "1");
}

/// A mapped object survives its name; a leftover of a real SQL Server has no lease of ours, and is
/// not removed unless asked for by its own listing.
#[test]
fn a_file_without_leases_is_a_leftover() {
    let names = Names::new(POSIX);
    std::fs::write(path(&names.name("a")), b"anything").unwrap();
    let info = list_objects(POSIX, &names.prefix).unwrap().remove(0);
    assert_eq!(info.len, 8);
    let region = Region::open(POSIX, &info.name).unwrap();
    assert_eq!(region.len(), 8);
    assert!(region.word(4).is_ok() && region.word(8).is_err());
    assert_eq!(remove_leftover(POSIX, &info).unwrap(), Removed::Removed);
}

/// What a creator leaves that was killed before it could write down what it made. Catches: an entry
/// written only when all went well.
#[test]
fn a_portable_object_that_is_in_no_registry_is_found_by_the_next_creator() {
    let names = Names::new(Backend::Portable);
    let name = names.name("a");
    // Killed between the making of the object and its size.
    std::fs::write(format!("/dev/shm/vdip.{name}"), b"").unwrap();
    assert!(matches!(Region::open(Backend::Portable, &name), Err(RegionError::NotReady { .. })));
    let create = || Region::create(Backend::Portable, &name, LEN, Access::Creator, |_| Ok(()));
    assert!(matches!(create(), Err(RegionError::Exists { .. })));
    let info = list_objects(Backend::Portable, &names.prefix).unwrap().remove(0);
    assert_eq!(remove_leftover(Backend::Portable, &info).unwrap(), Removed::Removed);
    assert!(create().is_ok());
}

/// An opener can meet an object that is being replaced. Catches: watching the wrong leases.
#[test]
fn a_portable_object_and_its_successors_leases_do_not_go_together() {
    let names = Names::new(Backend::Portable);
    let made = names.create("a");
    let user = nix::unistd::geteuid();
    let file = format!("/tmp/vdi-region.{user}/vdip.{}.entry", made.name());
    let entry = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{LEN}\n1\n{}\n", made.name())).unwrap();
    let refused = Region::open(Backend::Portable, made.name());
    assert!(matches!(refused, Err(RegionError::NotFound { .. })), "{refused:?}");
    std::fs::write(&file, entry).unwrap();
    assert!(Region::open(Backend::Portable, made.name()).is_ok());
}

#[test]
fn a_portable_object_of_another_version_is_named_as_such() {
    let names = Names::new(Backend::Portable);
    let made = names.create("a");
    let path = format!("/dev/shm/vdip.{}", made.name());
    let object = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&object, &9_u32.to_le_bytes(), 4).unwrap();
    let refused = Region::open(Backend::Portable, made.name()).unwrap_err();
    assert!(matches!(refused, RegionError::OtherLayout { found: 9, expected: 1, .. }), "{refused}");
}
