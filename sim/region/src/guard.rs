//! Surviving a peer that cuts an object while it is mapped.

use crate::native;

/// Makes this process survive the shortening of an object that it has mapped.
///
/// Without it, touching a page that is no longer there kills the process (SIGBUS). With it, the lost
/// part of that region is replaced by private zeroes, [`Region::is_truncated`] becomes true, and
/// faults at any other address go where they went before. It changes the process' signal handling,
/// so that only programs of our own call it, once, early; a library in a foreign process does not.
///
/// [`Region::is_truncated`]: crate::Region::is_truncated
pub fn install_truncation_guard() {
    native::guard::install();
}
