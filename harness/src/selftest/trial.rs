//! One mode's round trip.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fake_sqlserver::transfer::{Expected, SeededBytes};
use serde::Serialize;
use vdi_device::Environment;
use vdi_region::list_objects;

use super::mode::Mode;
use super::pair::{Ending, run_pair};

/// What is the same for all modes.
#[derive(Clone, Debug)]
pub struct SelfTest {
    /// This program.
    pub vdisim: PathBuf,
    /// The drop-in.
    pub drop_in: PathBuf,
    /// Which bytes are sent.
    pub seed: u64,
    /// How long one half of a round trip may take.
    pub limit: Duration,
}

/// How a mode's round trip ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Every byte came back.
    Pass,
    /// Something went wrong.
    Fail,
    /// A process did not end.
    Hang,
}

/// A row of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The mode's name.
    pub mode: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// Bytes of one direction.
    pub bytes: u64,
    /// Seconds of both directions, with starting the processes.
    pub seconds: f64,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl SelfTest {
    /// Runs a mode: backup, a look at the files, restore, a look at what is left.
    pub fn run(&self, mode: &Mode) -> io::Result<Outcome> {
        let folder = tempfile::tempdir()?;
        let namespace = format!("selftest-{}-{}", std::process::id(), mode.name);
        let begin = Instant::now();
        let mut ending = self.half("backup", mode, folder.path(), &namespace)?;
        if matches!(ending, Ending::Good) {
            ending = match self.compare(mode, folder.path())? {
                Some(why) => Ending::Failed(why),
                None => self.half("restore", mode, folder.path(), &namespace)?,
            };
        }
        if matches!(ending, Ending::Good)
            && let Some(left) = left_over(&namespace)?
        {
            ending = Ending::Failed(format!("left in shared memory: {left}"));
        }
        let (verdict, why) = match ending {
            Ending::Good => (Verdict::Pass, None),
            Ending::Failed(why) => (Verdict::Fail, Some(why)),
            Ending::Hung(why) => (Verdict::Hang, Some(why)),
        };
        Ok(Outcome {
            mode: mode.name,
            verdict,
            bytes: mode.size * mode.devices as u64,
            seconds: begin.elapsed().as_secs_f64(),
            why,
        })
    }

    fn half(&self, verb: &str, mode: &Mode, folder: &Path, namespace: &str) -> io::Result<Ending> {
        let devices: Vec<_> = (0..mode.devices)
            .map(|k| if k == 0 { "set".to_owned() } else { format!("set{k}") })
            .collect();
        let options = |command: &mut Command| {
            command.env("VDISIM_NAMESPACE", namespace).args(["--set", "set"]);
            command.args(devices.iter().flat_map(|name| ["--device", name]));
        };
        let mut server = Command::new(&self.vdisim);
        server.arg(verb).args(["--wait", "30"]);
        options(&mut server);
        server.args(["--size", &mode.size.to_string(), "--seed", &self.seed.to_string()]);
        server.args(mode.server);
        let mut client = Command::new(&self.vdisim);
        client.args(["client", verb]).arg("--sqlvdi").arg(&self.drop_in);
        options(&mut client);
        for index in 0..mode.devices {
            client.arg("--file").arg(stored(folder, index));
        }
        client.args(mode.client);
        run_pair(&mut server, &mut client, folder, self.limit)
    }

    /// Compares what the client has stored with what was sent; says where they differ.
    fn compare(&self, mode: &Mode, folder: &Path) -> io::Result<Option<String>> {
        for index in 0..mode.devices {
            let mut sent = SeededBytes::new(self.seed, index as u32, mode.size);
            let mut stored = File::open(stored(folder, index))?;
            let len = stored.metadata()?.len();
            if len != mode.size {
                return Ok(Some(format!("device {index}: {len} of {} bytes stored", mode.size)));
            }
            let (mut ours, mut theirs) = (vec![0; 1 << 16], vec![0; 1 << 16]);
            let mut at = 0;
            while at < len {
                let part = (len - at).min(ours.len() as u64) as usize;
                sent.read_at(at, &mut ours[..part])?;
                stored.read_exact(&mut theirs[..part])?;
                if let Some(i) = (0..part).find(|&i| ours[i] != theirs[i]) {
                    return Ok(Some(format!("device {index}: byte {} differs", at + i as u64)));
                }
                at += part as u64;
            }
        }
        Ok(None)
    }
}

fn stored(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("device{index}.bak"))
}

/// What the namespace still holds.
fn left_over(namespace: &str) -> io::Result<Option<String>> {
    let backend = Environment::from_process().map_err(io::Error::other)?.backend;
    let prefix = format!("vdisim.{namespace}.");
    let objects = list_objects(backend, &prefix).map_err(io::Error::other)?;
    let names: Vec<_> = objects.iter().map(|object| object.name.as_str()).collect();
    Ok((!names.is_empty()).then(|| names.join(", ")))
}
