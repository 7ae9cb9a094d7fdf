//! Other ways to move bytes, each in processes of its own: a program of another workspace, so that what they need stays
//! out of the product's lock file.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// A rival: its name in reports, and what the program calls it.
pub(crate) const SOCKETS: [(&str, &str); 5] = [
    ("pipe", "pipe"),
    ("unix", "unix"),
    ("tcp", "tcp"),
    ("interprocess", "interprocess"),
    ("ipc_channel", "ipc-channel"),
];
/// Those that share memory, and the channel between threads.
pub(crate) const OTHERS: [(&str, &str); 4] = [
    ("iceoryx2_polling", "iceoryx-polling"),
    ("iceoryx2_blocking", "iceoryx-blocking"),
    ("shared_memory", "shared-memory"),
    ("crossbeam", "crossbeam"),
];

/// A rival's producer, which started its consumer.
#[derive(Debug)]
pub struct Rival {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pids: Vec<u32>,
}

impl Rival {
    /// Starts `program` for one mechanism and kind of work; it copies from `source` bytes.
    ///
    /// # Errors
    ///
    /// When it cannot be started or says something else than its processes' ids.
    pub fn start(
        program: &Path,
        (mechanism, work): (&str, &str),
        (buffers, size): (usize, usize),
        source: usize,
        cpus: (usize, usize),
    ) -> Result<Rival> {
        let options = [("--buffers", buffers), ("--size", size), ("--source", source)];
        let mut command = Command::new(program);
        command.args([mechanism, work]);
        for (option, value) in options {
            command.arg(option).arg(value.to_string());
        }
        command.arg("--cpus").arg(cpus.0.to_string()).arg(cpus.1.to_string());
        // Its threads place themselves, and may not be confined to the CPU of this one before.
        crate::process::unpin();
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        crate::process::pin(cpus.0);
        let mut process = child.with_context(|| format!("starting {}", program.display()))?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().context("a pipe")?);
        let mut rival = Rival { process, input, output, pids: Vec::new() };
        let pids = rival.answer()?;
        rival.pids = pids.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        Ok(rival)
    }

    /// Its processes.
    pub fn pids(&self) -> Vec<u32> {
        self.pids.clone()
    }

    /// The time of `count` buffers or round trips.
    ///
    /// # Errors
    ///
    /// When the rival failed.
    pub fn run(&mut self, count: usize) -> Result<Duration> {
        writeln!(self.input.as_mut().context("the rival was told to end")?, "{count}")?;
        Ok(Duration::from_secs_f64(self.answer()?.parse()?))
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the rival ended; its error is above");
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.process.wait();
    }
}
