//! What a case leaves in its namespace, which is no other's: shared objects, and processes that left
//! their process group, as daemons do. Those still bear the namespace in their environment.

use std::io;

use vdi_device::Environment;
use vdi_region::{list_objects, remove_leftover};

/// How the name of the object ends by which a resident agent learns its settings.
const RENDEZVOUS: &str = ".rendezvous";

/// Ends the namespace's processes and removes its objects when it is dropped.
pub(super) struct Clearing<'n> {
    pub(super) namespace: &'n str,
    /// The next statement is for an agent in the namespace, whose processes stay.
    pub(super) agent_lives: bool,
}

impl Drop for Clearing<'_> {
    fn drop(&mut self) {
        // Where the statement ended well, nobody is left by now.
        if !self.agent_lives {
            end_strays(self.namespace);
        }
        // What can't be removed stays for `vdisim doctor`.
        let _ = clear(self.namespace);
    }
}

/// Removes what a namespace still holds; the names.
pub(super) fn clear(namespace: &str) -> io::Result<Vec<String>> {
    let environment = Environment::from_process().map_err(io::Error::other)?;
    let prefix = format!("vdisim.{namespace}.");
    let objects = list_objects(environment.backend, &prefix).map_err(io::Error::other)?;
    for object in &objects {
        // What another process still holds goes with that process.
        let _ = remove_leftover(environment.backend, object);
    }
    // What the runner itself left there for a resident agent is nobody's leftover.
    let left = objects.iter().filter(|object| !object.name.as_str().ends_with(RENDEZVOUS));
    Ok(left.map(|object| object.name.as_str().to_owned()).collect())
}

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
