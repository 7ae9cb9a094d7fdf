//! Access by page, and the handler that sees it violated.
//!
//! The handler may run on any thread at any instruction: it reads two atomics, calls the witness, and
//! hands the signal on.

use std::ptr::null_mut;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::guard::chain_to;
pub(crate) use super::limits::page_size;
use crate::AccessFault;

/// What takes access away, for error texts.
pub(crate) const CALL: &str = "mprotect";

/// See [`crate::Region::set_access`]; the error is the system's number.
pub(crate) fn set(place: *mut u8, len: usize, accessible: bool) -> Result<(), i32> {
    let protection = if accessible { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_NONE };
    // SAFETY: the caller took the bytes from a slice of a region, hence they lie in its mapping, which
    // is mapped for reading and writing; nobody has a reference to them, and whoever copies them
    // faults, which is no undefined behaviour but the end of the process.
    match unsafe { libc::mprotect(place.cast(), len, protection) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)),
    }
}

/// The handler's own state: set before the handlers are.
static WITNESS: AtomicPtr<fn(&AccessFault)> = AtomicPtr::new(null_mut());
/// What SIGSEGV and SIGBUS did before.
static BEFORE: [AtomicPtr<libc::sigaction>; 2] = [const { AtomicPtr::new(null_mut()) }; 2];
const SIGNALS: [i32; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// See [`crate::install_access_witness`], whose caller keeps the witness's promise.
pub(crate) fn install(witness: fn(&AccessFault)) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        WITNESS.store(Box::leak(Box::new(witness)), Ordering::Release);
        for (signal, before) in SIGNALS.into_iter().zip(&BEFORE) {
            // SAFETY: sigaction is an integer structure for which zeroes are valid, and the calls get
            // valid pointers; the previous action is leaked on purpose, as the handler may read it at
            // any time from now on.
            unsafe {
                let previous = Box::leak(Box::new(std::mem::zeroed::<libc::sigaction>()));
                if libc::sigaction(signal, std::ptr::null(), previous) != 0 {
                    continue;
                }
                before.store(previous, Ordering::Release);
                let mut action: libc::sigaction = std::mem::zeroed();
                let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = on_fault;
                action.sa_sigaction = handler as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigemptyset(&mut action.sa_mask);
                libc::sigaction(signal, &action, null_mut());
            }
        }
    });
}

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands a valid siginfo and context to a SA_SIGINFO handler; for a fault, which
    // has a positive code, the siginfo holds the address. Errno belongs to this thread, and the
    // interrupted code must not see ours. The witness was stored before the handler was installed and
    // is never freed.
    unsafe {
        let errno = *libc::__errno_location();
        if (*info).si_code > 0
            && let Some(witness) = WITNESS.load(Ordering::Acquire).as_ref()
        {
            let (is_write, instruction) = processor(context);
            witness(&AccessFault { address: (*info).si_addr() as usize, is_write, instruction });
        }
        *libc::__errno_location() = errno;
    }
    let at = usize::from(signal == SIGNALS[1]);
    // SAFETY: stored before the handler was installed and never freed.
    if let Some(before) = unsafe { BEFORE[at].load(Ordering::Acquire).as_ref() } {
        chain_to(before, signal, info, context);
    }
}

/// Whether the access was a write, and the instruction's address.
///
/// # Safety
/// `context` is what the kernel gave a SA_SIGINFO handler.
#[cfg(target_arch = "x86_64")]
unsafe fn processor(context: *mut libc::c_void) -> (Option<bool>, usize) {
    /// The bit of a page fault's error code that says "write". Source: Intel's manual, volume 3.
    const WRITE: i64 = 2;
    // SAFETY: the caller's promise.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let error = registers[libc::REG_ERR as usize];
    (Some(error & WRITE != 0), registers[libc::REG_RIP as usize] as usize)
}

/// Elsewhere the instruction is told alone, or nothing.
///
/// # Safety
/// `context` is what the kernel gave a SA_SIGINFO handler.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn processor(_context: *mut libc::c_void) -> (Option<bool>, usize) {
    (None, 0)
}
