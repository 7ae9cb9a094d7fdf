//! One contract for every backend, in one process and in two; what only Linux and only Windows promise; bounds.

mod bounds;
mod contract;
mod peer;
mod support;
mod two_processes;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod peer_on_linux;
#[cfg(windows)]
mod windows;
