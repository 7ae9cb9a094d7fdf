//! Memory that a C++ client may `delete`.
//!
//! A client deletes the device that OpenDevice gave it, so the object must come from the `operator
//! new` that belongs to the client's `operator delete`. That is looked up at run time: the client's
//! program has one, or the C++ library that it is linked with, or a sanitizer's run time, which
//! reports memory from malloc that is deleted. This library is not linked with a C++ library of its
//! own, which might be another one than the client's. If none is visible (a program that is not C++,
//! or a C++ library linked in statically), malloc does: `operator delete` of libstdc++ and libc++ is
//! `free`.

use std::ffi::{c_char, c_void};
use std::ptr::NonNull;

/// `void *operator new(std::size_t, const std::nothrow_t &)`: the one that throws nothing through
/// this library. By the standard it calls the plain one, also one that the program replaced.
const NOTHROW_NEW: &std::ffi::CStr = c"_ZnwmRKSt9nothrow_t";

type NothrowNew = unsafe extern "C" fn(usize, *const c_char) -> *mut c_void;

/// `size` bytes, uninitialised, aligned for any object; `None` if there are none.
pub(super) fn operator_new(size: usize) -> Option<NonNull<c_void>> {
    // SAFETY: the name is a C string; RTLD_DEFAULT searches what the program has loaded.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, NOTHROW_NEW.as_ptr()) };
    NonNull::new(if symbol.is_null() {
        // SAFETY: malloc has no conditions.
        unsafe { libc::malloc(size) }
    } else {
        // SAFETY: the mangled name fixes the type. std::nothrow_t is an empty class whose value
        // nobody reads, so any address stands for it.
        unsafe {
            let new = std::mem::transmute::<*mut c_void, NothrowNew>(symbol);
            new(size, c"".as_ptr())
        }
    })
}
