//! A server and a client process, run together and watched.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::ProcessGroup;

/// How often the watcher looks.
const LOOK: Duration = Duration::from_millis(2);

/// How a pair ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Both have succeeded.
    Good,
    /// One has failed; what was said is in the text.
    Failed(String),
    /// One did not end in time.
    Hung(String),
}

/// Runs both until they end or the time is over. What they say goes to files of `folder`.
pub(crate) fn run_pair(
    server: &mut Command,
    client: &mut Command,
    folder: &Path,
    limit: Duration,
) -> io::Result<Ending> {
    let begin = Instant::now();
    let mut sides = Vec::new();
    for (name, command) in [("client", client), ("server", server)] {
        let said = folder.join(name).with_extension("err");
        command
            .stdin(Stdio::null())
            .stdout(File::create(folder.join(name).with_extension("out"))?)
            .stderr(File::create(&said)?);
        sides.push((name, said, ProcessGroup::spawn(command)?, None::<ExitStatus>));
    }
    while sides.iter().any(|side| side.3.is_none()) {
        for (_, _, group, status) in &mut sides {
            *status = group.try_wait()?;
        }
        if begin.elapsed() > limit {
            let hung = sides.iter().filter(|side| side.3.is_none());
            let hung = hung.map(|side| format!("the {} hangs", side.0)).collect::<Vec<_>>();
            return Ok(Ending::Hung(format!("{} after {} s", hung.join(", "), limit.as_secs())));
        }
        thread::sleep(LOOK);
    }
    let failure = |(name, said, _, status): &(&str, _, _, Option<ExitStatus>)| {
        let status = status.filter(|status| !status.success())?;
        let said = fs::read_to_string(said).unwrap_or_default();
        Some(format!("{name}: {status}; {}", said.trim().replace('\n', " ")))
    };
    let failures: Vec<_> = sides.iter().filter_map(failure).collect();
    Ok(if failures.is_empty() { Ending::Good } else { Ending::Failed(failures.join("; ")) })
}
