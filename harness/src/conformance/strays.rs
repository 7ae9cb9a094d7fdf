//! Processes of a client that left its process group, as daemons do: they still bear the namespace of
//! their case, which is no other's, in their environment.

/// Kills the processes that were started in this namespace; how many there were.
#[cfg(target_os = "linux")]
pub(super) fn end_strays(namespace: &str) -> usize {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let mark = format!("VDISIM_NAMESPACE={namespace}");
    let bears = |process: &i32| {
        let environment = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(bears)
        .filter(|process| kill(Pid::from_raw(*process), Signal::SIGKILL).is_ok())
        .count()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn end_strays(_: &str) -> usize {
    0
}
