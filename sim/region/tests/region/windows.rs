//! What only Windows promises.

use std::process::Command;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use vdi_region::{
    AccessFault, Backend, ObjectName, ProcessIdentity, Region, RegionError, Wait,
    install_access_witness, list_objects,
};
use windows_sys::Win32::Foundation::{CloseHandle, EXCEPTION_ACCESS_VIOLATION, HANDLE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, GetSecurityInfo, SDDL_REVISION_1,
    SE_KERNEL_OBJECT,
};
use windows_sys::Win32::Security::{DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR};
use windows_sys::Win32::Storage::FileSystem::READ_CONTROL;
use windows_sys::Win32::System::Diagnostics::Debug::{
    EXCEPTION_EXECUTE_HANDLER, EXCEPTION_POINTERS, SetUnhandledExceptionFilter,
};
use windows_sys::Win32::System::Memory::OpenFileMappingW;
use windows_sys::Win32::System::Threading::{
    GetCurrentThreadId, OpenThread, QueueUserAPC, THREAD_SET_CONTEXT,
};

use crate::peer::Peer;
use crate::support::{LEN, Names, Watchdog};

const BACKEND: Backend = Backend::Windows;

/// How often [`count_call`] ran.
static CALLS: AtomicU32 = AtomicU32::new(0);

unsafe extern "system" fn count_call(add: usize) {
    CALLS.fetch_add(add as u32, Ordering::SeqCst);
}

/// Catches: a wait that no procedure call gets through; one that a call ends or lengthens.
#[test]
fn asynchronous_procedure_calls_run_while_a_thread_sleeps() {
    let _watchdog = Watchdog::start();
    let names = Names::new(BACKEND);
    let region = names.create("a");
    let timeout = Duration::from_millis(400);
    let (announce, announced) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            // SAFETY: the call has no preconditions.
            announce.send(unsafe { GetCurrentThreadId() }).unwrap();
            let start = Instant::now();
            let ended = region.wait(region.word(0).unwrap(), 0, Some(timeout)).unwrap();
            (ended, start.elapsed(), CALLS.load(Ordering::SeqCst))
        });
        // SAFETY: the call has no preconditions; the sleeper lives through the scope.
        let thread = unsafe { OpenThread(THREAD_SET_CONTEXT, 0, announced.recv().unwrap()) };
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(30));
            // SAFETY: the function has the signature of such a call and may run at any time.
            assert_ne!(unsafe { QueueUserAPC(Some(count_call), thread, 1) }, 0);
        }
        let (ended, elapsed, calls) = sleeper.join().unwrap();
        assert_eq!((ended, calls), (Wait::TimedOut, 3));
        assert!(elapsed >= timeout, "{elapsed:?}");
        // SAFETY: opened above, closed once.
        unsafe { CloseHandle(thread) };
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

/// Catches: the default access list, or none.
#[test]
fn others_have_no_access() {
    let names = Names::new(BACKEND);
    let region = names.create("a");
    let list = access_list(region.name());
    let accounts: Vec<_> =
        list.split("(A;;").skip(1).map(|entry| entry.rsplit(';').next().unwrap()).collect();
    assert_eq!(accounts.len(), 3, "{list}");
    assert!(accounts.contains(&"BA)") && accounts.contains(&"SY)"), "{list}");
    assert!(!accounts.contains(&"WD)") && !accounts.contains(&"AU)"), "{list}");
}

fn access_list(name: &ObjectName) -> String {
    let path: Vec<u16> = format!(r"Global\{name}").encode_utf16().chain([0]).collect();
    let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
    let mut text = null_mut();
    // SAFETY: the name ends in a zero; each call stores into a variable of ours, which the next one
    // uses after its success; what the system allocated is freed once, behind its last use.
    unsafe {
        let handle: HANDLE = OpenFileMappingW(READ_CONTROL, 0, path.as_ptr());
        assert!(!handle.is_null(), "{}", std::io::Error::last_os_error());

        let kind = DACL_SECURITY_INFORMATION;
        let error = GetSecurityInfo(
            handle,
            SE_KERNEL_OBJECT,
            kind,
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
            kind,
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
