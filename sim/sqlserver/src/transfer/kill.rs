//! Dying as a crashed process does.

/// Ends this process at once, without destructors, handlers or flushing.
pub fn kill_this_process() -> ! {
    #[cfg(unix)]
    {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    // Only where SIGKILL does not exist; there it is the nearest thing.
    std::process::abort()
}
