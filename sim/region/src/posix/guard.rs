//! The truncation guard: a handler for SIGBUS and the table of addresses that it may touch.
//!
//! The handler may run on any thread at any instruction that reads or writes a region, so that it
//! uses nothing but the table of atomics and system calls. A slot of the table is free (base 0),
//! being written (base 1) or in use (base = address). It is given up before its addresses are
//! unmapped, hence no address is ever in two slots.

use std::ptr::null_mut;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use super::limits::page_size;

/// Mapped regions that can be guarded at a time: 64 sets with 63 areas each.
const SLOTS: usize = 4096;
const FREE: usize = 0;
const CLAIMED: usize = 1;

#[derive(Debug)]
struct Slot {
    base: AtomicUsize,
    len: AtomicUsize,
    truncated: AtomicBool,
}

static TABLE: [Slot; SLOTS] = [const {
    Slot {
        base: AtomicUsize::new(FREE),
        len: AtomicUsize::new(0),
        truncated: AtomicBool::new(false),
    }
}; SLOTS];

/// Where to look for a free slot first.
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// What SIGBUS did before; set before the handler is.
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(null_mut());
/// The size of a page, for the handler.
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// The place of a mapping in the table; `None` if the table is full and the mapping unguarded.
#[derive(Debug)]
pub(crate) struct Watched(Option<&'static Slot>);

impl Watched {
    pub(crate) fn new(base: usize, len: usize) -> Watched {
        let first = NEXT.fetch_add(1, Ordering::Relaxed);
        let slot = (0..SLOTS).map(|step| &TABLE[first.wrapping_add(step) % SLOTS]).find(|slot| {
            let free = slot.base.load(Ordering::Relaxed) == FREE;
            free && slot
                .base
                .compare_exchange(FREE, CLAIMED, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        });
        match slot {
            Some(slot) => {
                slot.len.store(len.next_multiple_of(page_size()), Ordering::Relaxed);
                slot.truncated.store(false, Ordering::Relaxed);
                slot.base.store(base, Ordering::Release);
            }
            None => tracing::warn!("more than {SLOTS} regions: this one has no truncation guard"),
        }
        Watched(slot)
    }

    #[inline]
    pub(crate) fn is_truncated(&self) -> bool {
        self.0.is_some_and(|slot| slot.truncated.load(Ordering::Relaxed))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            slot.base.store(FREE, Ordering::Release);
        }
    }
}

/// See [`crate::install_truncation_guard`].
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        PAGE.store(page_size(), Ordering::Relaxed);
        // SAFETY: sigaction is an integer structure for which zeroes are valid, and the calls get
        // valid pointers; the previous action is leaked on purpose, as the handler may read it at
        // any time from now on.
        unsafe {
            let previous = Box::leak(Box::new(std::mem::zeroed::<libc::sigaction>()));
            if libc::sigaction(libc::SIGBUS, std::ptr::null(), previous) != 0 {
                return;
            }
            PREVIOUS.store(previous, Ordering::Release);
            let mut action: libc::sigaction = std::mem::zeroed();
            let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = on_sigbus;
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(libc::SIGBUS, &action, null_mut());
        }
    });
}

extern "C" fn on_sigbus(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands a valid siginfo to a SA_SIGINFO handler; for a fault it holds the
    // address.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    if code == libc::BUS_ADRERR && replace_lost_pages(address) {
        return;
    }
    chain(signal, info, context);
}

/// Puts private zeroes from the page of `address` to the end of its region; false if it is in none
/// or that fails. What lies behind a page beyond the end of an object is beyond its end as well.
fn replace_lost_pages(address: usize) -> bool {
    let Some((slot, end)) = find(address) else { return false };
    let page = address & !(PAGE.load(Ordering::Relaxed) - 1);
    // SAFETY: errno belongs to this thread; the interrupted code must not see ours. The pages lie
    // in a live mapping of a region (the faulting instruction is just accessing it, and a region is
    // taken out of the table before it is unmapped), of which only raw copies and atomics are made,
    // to which any bytes are as good.
    let mapped = unsafe {
        let errno = *libc::__errno_location();
        let mapped = libc::mmap(
            page as *mut libc::c_void,
            end - page,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE,
            -1,
            0,
        );
        *libc::__errno_location() = errno;
        mapped
    };
    if mapped == libc::MAP_FAILED {
        return false;
    }
    slot.truncated.store(true, Ordering::Release);
    true
}

/// The slot whose addresses contain `address`, and their end.
fn find(address: usize) -> Option<(&'static Slot, usize)> {
    TABLE.iter().find_map(|slot| {
        let base = slot.base.load(Ordering::Acquire);
        if base <= CLAIMED || address < base {
            return None;
        }
        let len = slot.len.load(Ordering::Acquire);
        // The same base again: the length belongs to it and not to the slot's next user.
        let same = slot.base.load(Ordering::Acquire) == base;
        (same && address - base < len).then_some((slot, base + len))
    })
}

/// Does what would have been done without us.
fn chain(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let previous = PREVIOUS.load(Ordering::Acquire);
    // SAFETY: set before the handler was installed and never freed.
    chain_to(unsafe { &*previous }, signal, info, context);
}

/// Does what this action would have done; the other arguments are those of a handler that runs.
pub(super) fn chain_to(
    previous: &libc::sigaction,
    signal: i32,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel hands a valid siginfo to a SA_SIGINFO handler.
    let sent_by_a_process = unsafe { (*info).si_code } <= 0;
    match previous.sa_sigaction {
        // The kernel does not let a fault be ignored.
        libc::SIG_IGN if sent_by_a_process => {}
        // SAFETY: both calls are async-signal-safe; the signal is blocked here and kills on return.
        libc::SIG_DFL | libc::SIG_IGN => unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        },
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: with SA_SIGINFO the field holds a handler of three arguments.
            let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) =
                unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without SA_SIGINFO it holds a handler of one.
            let handler: extern "C" fn(i32) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}
