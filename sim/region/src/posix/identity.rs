//! Process identity from `/proc`.

use std::os::unix::fs::MetadataExt;

use crate::ProcessIdentity;

/// See [`ProcessIdentity::current`].
pub(crate) fn current() -> ProcessIdentity {
    let pid = std::process::id();
    ProcessIdentity {
        pid,
        start_time: start_time(pid).unwrap_or(0),
        pid_namespace: std::fs::metadata("/proc/self/ns/pid").map_or(0, |about| about.ino()),
    }
}

/// When a process started, in clock ticks since boot; `None` if there is none or it is hidden.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    start_time_field(&String::from_utf8_lossy(&stat))
}

/// Field 22 of a line of `/proc/PID/stat`. The second field is the program's name in parentheses,
/// which may hold anything, more parentheses and spaces included; the rest are numbers.
fn start_time_field(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: counting fields from the left.
    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_field() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20 21";
        let line = format!("42 (evil) S 1 (x y) {rest}");
        assert_eq!(start_time_field(&line), Some(777));
    }

    #[test]
    fn this_process_has_an_identity() {
        let me = ProcessIdentity::current();
        assert_eq!(me.pid, std::process::id());
        assert!(me.start_time > 0 && me.pid_namespace > 0, "{me:?}");
    }
}
