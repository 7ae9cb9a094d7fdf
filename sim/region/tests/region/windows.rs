//! What only Windows promises.

use std::process::Command;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rstest::rstest;
use sha2::Digest;
use vdi_region::{
    Access, AccessFault, Backend, Lease, LeaseRole, ObjectName, ProcessIdentity, Region,
    RegionError, Wait, account, install_access_witness, list_objects,
};
use windows_sys::Win32::Foundation::{
    CloseHandle, EXCEPTION_ACCESS_VIOLATION, HANDLE, LocalFree, WAIT_OBJECT_0,
};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, GetSecurityInfo, SDDL_REVISION_1,
    SE_KERNEL_OBJECT,
};
use windows_sys::Win32::Security::{DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR};
use windows_sys::Win32::Storage::FileSystem::{READ_CONTROL, SYNCHRONIZE};
use windows_sys::Win32::System::Diagnostics::Debug::{
    EXCEPTION_EXECUTE_HANDLER, EXCEPTION_POINTERS, SetUnhandledExceptionFilter,
};
use windows_sys::Win32::System::Memory::OpenFileMappingW;
use windows_sys::Win32::System::Threading::{
    GetCurrentThreadId, INFINITE, OpenEventW, OpenMutexW, OpenThread, QueueUserAPC,
    THREAD_SET_CONTEXT, WaitForSingleObject,
};

use crate::peer::Peer;
use crate::support::{LEN, Names, Watchdog};

const BACKEND: Backend = Backend::Windows;

/// How often [`count_call`] ran.
static CALLS: AtomicU32 = AtomicU32::new(0);

/// Held by the test that counts.
static ONE_COUNTS: Mutex<()> = Mutex::new(());

unsafe extern "system" fn count_call(add: usize) {
    CALLS.fetch_add(add as u32, Ordering::SeqCst);
}

/// Queues calls of [`count_call`] to the thread of that number.
fn queue_calls(thread: u32, count: u32) {
    // SAFETY: the call has no preconditions.
    let thread = unsafe { OpenThread(THREAD_SET_CONTEXT, 0, thread) };
    for _ in 0..count {
        // SAFETY: the function has the signature of such a call and may run at any time.
        assert_ne!(unsafe { QueueUserAPC(Some(count_call), thread, 1) }, 0);
    }
    // SAFETY: opened above, closed once.
    unsafe { CloseHandle(thread) };
}

/// How many places to sleep a region has, at least.
const PLACES: u32 = 256;

/// Asleep on an event, between looks because no event is left, and polling. Catches: a wait that no procedure
/// call gets through, or only at its end; one that a call ends or lengthens.
#[rstest]
#[case::by_event(BACKEND, 0)]
#[case::without_an_event(BACKEND, PLACES)]
#[case::by_polling(Backend::Portable, 0)]
fn asynchronous_procedure_calls_run_while_a_thread_sleeps(
    #[case] backend: Backend,
    #[case] others: u32,
) {
    let _watchdog = Watchdog::start();
    let _alone = ONE_COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let names = Names::new(backend);
    let region = names.create("a");
    let (word, elsewhere) = (region.word(0).unwrap(), region.word(4).unwrap());
    // Far longer than three calls take to be queued.
    let timeout = Duration::from_secs(2);
    let (announce, announced) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..others {
            scope.spawn(|| {
                while elsewhere.load(Ordering::Acquire) == 0 {
                    region.wait(elsewhere, 0, None).unwrap();
                }
            });
        }
        // For all of them to fall asleep.
        std::thread::sleep(Duration::from_millis(u64::from(others)));
        CALLS.store(0, Ordering::SeqCst);
        let sleeper = scope.spawn(|| {
            // SAFETY: the call has no preconditions.
            announce.send(unsafe { GetCurrentThreadId() }).unwrap();
            assert_eq!(region.wait(word, 0, None).unwrap(), Wait::Woken);
            let start = Instant::now();
            let ended = region.wait(word, 1, Some(timeout)).unwrap();
            (ended, start.elapsed(), CALLS.load(Ordering::SeqCst))
        });
        let thread = announced.recv().unwrap();
        // The wait has no end of its own: the call runs in it, or the watchdog has the last word.
        queue_calls(thread, 1);
        while CALLS.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        word.store(1, Ordering::Release);
        region.wake(word, 1);
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(30));
            queue_calls(thread, 1);
        }
        let (ended, elapsed, calls) = sleeper.join().unwrap();
        elsewhere.store(1, Ordering::Release);
        region.wake(elsewhere, u32::MAX);
        assert_eq!((ended, calls), (Wait::TimedOut, 4));
        assert!(elapsed >= timeout, "{elapsed:?}");
    });
}

/// Catches: a place to sleep that is not given back; sleepers that get lost when there is none left.
#[test]
fn more_sleep_than_there_are_places() {
    let _watchdog = Watchdog::start();
    let names = Names::new(BACKEND);
    let region = names.create("a");
    for round in 0..2 {
        let word = region.word(round * 4).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..300 {
                scope.spawn(|| {
                    while word.load(Ordering::Acquire) == 0 {
                        region.wait(word, 0, None).unwrap();
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(200));
            word.store(1, Ordering::Release);
            region.wake(word, u32::MAX);
        });
    }
}

/// Catches: a wake-up that goes to a place that its sleeper has left.
#[test]
fn a_sleeper_is_woken_though_another_was_killed_asleep() {
    let _watchdog = Watchdog::start();
    let names = Names::new(BACKEND);
    let region = names.create("a");
    let mut peer = Peer::start(BACKEND);
    peer.get(&format!("open {}", names.name("a")));
    peer.tell("wait 0 0 100000");
    std::thread::sleep(Duration::from_millis(100));
    peer.kill();
    std::thread::scope(|scope| {
        let word = region.word(0).unwrap();
        let sleeper = scope.spawn(|| region.wait(word, 0, None).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        word.store(1, Ordering::Release);
        region.wake(word, u32::MAX);
        assert_eq!(sleeper.join().unwrap(), Wait::Woken);
    });
}

/// Catches: a handle that is forgotten somewhere.
#[test]
fn an_object_goes_with_its_last_user() {
    let names = Names::new(BACKEND);
    drop(names.create("a"));
    let gone = Region::open(BACKEND, &names.name("a"));
    assert!(matches!(gone, Err(RegionError::NotFound { .. })));
    let mut peer = Peer::start(BACKEND);
    peer.get(&format!("create {} {LEN}", names.name("b")));
    assert_eq!(list_objects(BACKEND, &names.prefix).unwrap().len(), 1);
    peer.kill();
    assert!(list_objects(BACKEND, &names.prefix).unwrap().is_empty());
    names.create("b");
}

#[test]
fn a_process_is_told_from_another_that_got_its_number() {
    let mut peer = Peer::start(BACKEND);
    let living = peer.identity();
    assert_eq!(living.is_alive(), Some(true));
    let earlier = ProcessIdentity { start_time: living.start_time - 1, ..living };
    assert_eq!(earlier.is_alive(), Some(false));
    peer.kill();
    assert_eq!(living.is_alive(), Some(false));
}

/// Every object of the kernel's that belongs to one of ours: its name, the data, the lock, a lease, a
/// sleeper's event. Catches: the default access list, or none, on any of them; an account that the object was
/// made for and that gets nothing, or less than all.
#[test]
fn others_have_no_access() {
    let names = Names::new(BACKEND);
    // NETWORK SERVICE, by its number and by its name.
    let service = account("S-1-5-20").unwrap().unwrap();
    assert_eq!(account("NT AUTHORITY\\NETWORK SERVICE").unwrap(), Some(service));
    for (rest, access) in [("a", Access::Creator), ("b", Access::Group(service))] {
        let region = Region::create(BACKEND, &names.name(rest), LEN, access, |_| Ok(())).unwrap();
        region.wait(region.word(0).unwrap(), 0, Some(Duration::from_millis(1))).unwrap();
        let about = list_objects(BACKEND, region.name().as_str()).unwrap().remove(0);
        let own = format!("vdi-region.{:016x}", about.inode);
        for (kind, name) in [
            (Kind::Section, region.name().to_string()),
            (Kind::Section, own.clone()),
            (Kind::Mutex, lock_name(region.name())),
            (Kind::Event, format!("{own}.creator")),
            (Kind::Event, format!("{own}.sleeper0")),
        ] {
            let list = access_list(kind, &name);
            let mut accounts: Vec<_> = list
                .split("(A;;")
                .skip(1)
                .map(|entry| {
                    let (_rights, account) = entry.split_once(";;;").unwrap();
                    account.trim_end_matches(')')
                })
                .collect();
            // Protected: nothing is inherited.
            assert!(list.starts_with("D:P("), "{name}: {list}");
            let named = accounts.extract_if(.., |account| *account == "NS").count();
            assert_eq!(named, usize::from(access != Access::Creator), "{name}: {list}");
            // Administrators, the system, and the user.
            assert_eq!(accounts.len(), 3, "{name}: {list}");
            assert!(accounts.contains(&"BA") && accounts.contains(&"SY"), "{name}: {list}");
            assert!(!accounts.contains(&"WD") && !accounts.contains(&"AU"), "{name}: {list}");
        }
    }
}

/// Catches: a mistyped account that is taken for none, so that the server is denied access later.
#[test]
fn an_account_that_is_none_is_named() {
    let error = account("no such account").unwrap_err();
    assert!(matches!(error, RegionError::NoAccount { .. }), "{error:?}");
    assert!(error.to_string().contains("\"no such account\""), "{error}");
}

/// The mutex over a name.
fn lock_name(name: &ObjectName) -> String {
    let hash = sha2::Sha256::digest(name.as_str());
    let hash: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("vdi-region.lock.{hash}")
}

/// Takes the lock of a name and keeps it; a command of the [`Peer`].
pub(crate) fn hold_lock(name: &ObjectName) {
    let path: Vec<u16> = format!(r"Global\{}", lock_name(name)).encode_utf16().chain([0]).collect();
    // SAFETY: the name ends in a zero; the handle is open and stays so until the process ends.
    let taken = unsafe { WaitForSingleObject(OpenMutexW(SYNCHRONIZE, 0, path.as_ptr()), INFINITE) };
    assert_eq!(taken, WAIT_OBJECT_0);
}

#[derive(Clone, Copy)]
enum Kind {
    Section,
    Mutex,
    Event,
}

/// The access list of an object of the kernel's, as a text.
fn access_list(kind: Kind, name: &str) -> String {
    let path: Vec<u16> = format!(r"Global\{name}").encode_utf16().chain([0]).collect();
    let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
    let mut text = null_mut();
    // SAFETY: the name ends in a zero; each call stores into a variable of ours, which the next one
    // uses after its success; what the system allocated is freed once, behind its last use.
    unsafe {
        let handle: HANDLE = match kind {
            Kind::Section => OpenFileMappingW(READ_CONTROL, 0, path.as_ptr()),
            Kind::Mutex => OpenMutexW(READ_CONTROL, 0, path.as_ptr()),
            Kind::Event => OpenEventW(READ_CONTROL, 0, path.as_ptr()),
        };
        assert!(!handle.is_null(), "{name}: {}", std::io::Error::last_os_error());

        let part = DACL_SECURITY_INFORMATION;
        let error = GetSecurityInfo(
            handle,
            SE_KERNEL_OBJECT,
            part,
            null_mut(),
            null_mut(),
            null_mut(),
            null_mut(),
            &mut descriptor,
        );
        assert_eq!(error, 0);
        let done = ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor,
            SDDL_REVISION_1,
            part,
            &mut text,
            null_mut(),
        );
        assert_ne!(done, 0);
        let len = (0..).find(|at| *text.add(*at) == 0).unwrap();
        let units: Vec<u16> = (0..len).map(|at| *text.add(at)).collect();
        LocalFree(text.cast());
        LocalFree(descriptor);
        CloseHandle(handle);
        String::from_utf16(&units).unwrap()
    }
}

/// Catches: a lock whose holder was killed and that is nobody's ever after, for those who wait for it
/// and for those who come later.
#[test]
fn a_lock_goes_on_behind_a_killed_holder() {
    let _watchdog = Watchdog::start();
    let names = Names::new(BACKEND);
    let region = names.create("a");
    let mut peer = Peer::start(BACKEND);
    peer.get(&format!("hold-lock {}", region.name()));
    std::thread::scope(|scope| {
        let opener = scope.spawn(|| Region::open(BACKEND, region.name()));
        std::thread::sleep(Duration::from_millis(100));
        assert!(!opener.is_finished(), "the lock is held");
        peer.kill();
        opener.join().unwrap().unwrap();
    });
    assert!(matches!(region.take_lease(LeaseRole::Attacher), Ok(Lease::Taken)));
    region.unlink().unwrap();
}

/// Names the access that [`stray`] makes.
const STRAY: &str = "VDI_REGION_TEST_STRAY";

/// Where the region of [`stray`] lies.
static BASE: AtomicUsize = AtomicUsize::new(0);

fn say_fault(fault: &AccessFault) {
    let at = fault.address.wrapping_sub(BASE.load(Ordering::SeqCst));
    println!("witness: {at} {:?} {}", fault.is_write, fault.instruction != 0);
}

/// Ends the process with the exception's code, before anybody starts a debugger.
unsafe extern "system" fn end(_: *const EXCEPTION_POINTERS) -> i32 {
    EXCEPTION_EXECUTE_HANDLER
}

/// The other process of the next test.
#[test]
#[ignore = "the other process of another test, not a test"]
fn stray() {
    let Ok(access) = std::env::var(STRAY) else { return };
    let names = Names::new(BACKEND);
    let region = names.create("a");
    let bytes = region.slice(4096, 4096).unwrap();
    BASE.store(region.base().addr(), Ordering::SeqCst);
    // SAFETY: the thread that is interrupted copies bytes and holds nothing that printing wants; the
    // filter has the signature asked for.
    unsafe {
        install_access_witness(say_fault);
        SetUnhandledExceptionFilter(Some(end));
    }
    region.set_access(4096, 4096, access == "nothing").unwrap();
    match access.as_str() {
        "write" => bytes.copy_from(0, &[1]).unwrap(),
        _ => bytes.copy_to(0, &mut [0]).unwrap(),
    }
}

/// Catches: pages that stay accessible, or do not become so again; a witness that nobody calls, a
/// read that is taken for a write, a handler after which the access is tried for ever or the process goes on.
#[rstest]
#[case("read", Some("witness: 4096 Some(false) true"))]
#[case("write", Some("witness: 4096 Some(true) true"))]
#[case("nothing", None)]
fn who_touches_what_was_taken_away_is_seen(#[case] access: &str, #[case] seen: Option<&str>) {
    let _watchdog = Watchdog::start();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "windows::stray", "--ignored", "--nocapture", "--test-threads=1"])
        .env(STRAY, access)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    let witnessed = said.lines().find_map(|line| line.find("witness: ").map(|at| &line[at..]));
    assert_eq!(witnessed, seen, "{said}");
    let code = if seen.is_some() { EXCEPTION_ACCESS_VIOLATION } else { 0 };
    assert_eq!(child.status.code(), Some(code), "{said}");
}
