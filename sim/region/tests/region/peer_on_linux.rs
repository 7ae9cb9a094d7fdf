//! What a peer does for the Linux tests: forks, faults, races.
//!
//! The harness runs a peer on one thread (`--test-threads=1`), so that its children may do more than
//! a threaded process' children may.
#![expect(clippy::disallowed_methods, reason = "forks of a process with one thread are sound")]

use std::io::{Read, Write};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use vdi_region::{
    Access, Backend, DeathWatch, ObjectName, ProcessIdentity, Region, RegionError, process_token,
    usable_cpus,
};

const COMMANDS: [&str; 7] = [
    "cpus",
    "forked-tokens",
    "drop-in-forked-child",
    "leave-lease-to-forked-child",
    "fault-elsewhere",
    "exit-99-on-sigbus",
    "race-for-space",
];

pub(crate) fn knows(command: &str) -> bool {
    COMMANDS.contains(&command)
}

pub(crate) fn obey(backend: Backend, words: &[&str], region: &mut Option<Region>) -> String {
    match words[0] {
        "cpus" => return usable_cpus().to_string(),
        "forked-tokens" => return forked_tokens(),
        "drop-in-forked-child" => drop_in_forked_child(region),
        "leave-lease-to-forked-child" => leave_lease_to_forked_child(region),
        "fault-elsewhere" => fault_elsewhere(),
        "exit-99-on-sigbus" => exit_99_on_sigbus(),
        "race-for-space" => {
            let (len, rounds) = (words[2].parse().unwrap(), words[3].parse().unwrap());
            return race_for_space(backend, words[1], len, rounds);
        }
        other => panic!("{other:?} is no command"),
    }
    "done".to_owned()
}

/// Runs `body` in a child and expects it to end well.
fn in_child(body: impl FnOnce()) {
    // SAFETY: see the head of the file.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            body();
            // SAFETY: it ends the process at once, without the destructors of the parent's values.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
        }
    }
}

/// This process' token before and after a fork, its child's, and its grandchild's.
fn forked_tokens() -> String {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let report = |mut writer: &std::io::PipeWriter| {
        let token = process_token();
        assert_eq!(token, process_token());
        writer.write_all(&token.to_le_bytes()).unwrap();
    };
    report(&writer);
    in_child(|| {
        report(&writer);
        in_child(|| report(&writer));
    });
    let mut tokens = vec![];
    for _ in 0..3 {
        let mut token = [0; 4];
        reader.read_exact(&mut token).unwrap();
        tokens.push(u32::from_le_bytes(token));
    }
    tokens.insert(1, process_token());
    tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

fn drop_in_forked_child(region: &mut Option<Region>) {
    // A peer that cannot be watched as a process: its lease is what this says.
    static LEASE_HELD: AtomicBool = AtomicBool::new(true);
    let held = || LEASE_HELD.load(Ordering::Acquire);
    let (notify, notices) = channel();
    let on_death = move || notify.send(()).unwrap();
    let watch = DeathWatch::start(ProcessIdentity::default(), held, on_death).unwrap();
    let mut watch = Some(watch);
    let unfinished = ObjectName::new(&format!("{}u", region.as_ref().unwrap().name())).unwrap();
    let backend = region.as_ref().unwrap().backend();
    let init = |half_built: &Region| {
        in_child(|| {
            drop(region.take());
            drop(watch.take());
            // SAFETY: the child's copy is dropped instead of the parent's, which _exit skips.
            drop(unsafe { std::ptr::read(half_built) });
        });
        Ok(())
    };
    let finished = Region::create(backend, &unfinished, 4096, Access::Creator, init).unwrap();
    assert!(Region::open(backend, &unfinished).is_ok(), "the child removed it");
    finished.unlink().unwrap();
    LEASE_HELD.store(false, Ordering::Release);
    notices.recv().expect("the child cancelled the parent's watch");
}

/// Drops the region while a child that has its descriptors lives on, until this process ends.
fn leave_lease_to_forked_child(region: &mut Option<Region>) {
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: see the head of the file.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            drop(writer);
            let _ = reader.read(&mut [0]);
            // SAFETY: it ends the process at once.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { .. } => std::mem::forget(writer),
    }
    *region = None;
}

/// Touches a page of a file mapping that lies beyond the end of the file.
fn fault_elsewhere() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(8192).unwrap();
    let mapping = memmap2::MmapOptions::new().map_raw(&file).unwrap();
    file.set_len(0).unwrap();
    // SAFETY: the address is mapped; that the access faults is the purpose.
    unsafe { mapping.as_mut_ptr().add(4096).write_volatile(1) };
}

fn exit_99_on_sigbus() {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
    extern "C" fn exit_99(_: i32) {
        // SAFETY: _exit is async-signal-safe.
        unsafe { libc::_exit(99) }
    }
    let action = SigAction::new(SigHandler::Handler(exit_99), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing but end the process.
    unsafe { sigaction(Signal::SIGBUS, &action) }.unwrap();
}

/// Four threads make objects of `len` bytes at the same time, again and again, and touch every byte
/// of what they got; how many were made and how many refused.
fn race_for_space(backend: Backend, prefix: &str, len: usize, rounds: u32) -> String {
    const RACERS: usize = 4;
    let barrier = &Barrier::new(RACERS);
    let race = move |racer: usize| {
        let name = ObjectName::new(&format!("{prefix}{racer}")).unwrap();
        let mut made = 0;
        for _ in 0..rounds {
            barrier.wait();
            match Region::create(backend, &name, len, Access::Creator, |_| Ok(())) {
                Ok(region) => {
                    region.slice(0, len).unwrap().fill(1);
                    std::thread::sleep(Duration::from_micros(100));
                    region.unlink().unwrap();
                    made += 1;
                }
                Err(RegionError::NoSpace { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        made
    };
    let made: u32 = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..RACERS).map(|racer| scope.spawn(move || race(racer))).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum()
    });
    format!("{made} {}", RACERS as u32 * rounds - made)
}
