//! The options that `backup` and `restore` have in common, and how both end.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use fake_sqlserver::messages::Message;
use fake_sqlserver::transfer::{
    FaultPlan, Observer, PRESETS, Preset, Session, SetName, Statement, Summary, TransferError,
};
use serde_json::{Value, json};
use vdi_device::{Environment, Fence};
use vdi_protocol::{Direction, Profile};

use super::output;
use crate::exit::Failure;
use crate::progress::Everybody;
use crate::trace::Trace;

/// The presets of `--fault`, for the end of the help.
pub(super) fn presets_help() -> String {
    let preset = |preset: &Preset| format!("  {:22}{}", preset.name, preset.about);
    let lines: Vec<_> = PRESETS.iter().map(preset).collect();
    format!("Presets of --fault:\n{}", lines.join("\n"))
}

/// Which set, which devices, which SQL Server.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// Name of the device set, as in the first VIRTUAL_DEVICE clause; '*' takes the next set that a
    /// client creates in the namespace
    #[arg(long, value_name = "NAME")]
    set: OsString,
    /// Names of all devices in the statement's order, the first equal to --set [default: one device
    /// named as the set; with --set '*' as many as the client asks for]
    #[arg(long = "device", value_name = "NAME", num_args = 1..)]
    devices: Vec<OsString>,
    /// Something that goes wrong on purpose: a file, a preset, or YAML such as
    /// '{at: {device: 0, command: write, nth: 3}, do: abort}'
    #[arg(long, value_name = "FILE|PRESET", allow_hyphen_values = true)]
    fault: Option<String>,
    /// Put each buffer between inaccessible pages and take access to completed buffers away, so that
    /// a client which touches what is not its own ends at that instruction
    #[arg(long)]
    guard: bool,
    /// BLOCKSIZE: a power of two from 512 to 65536
    #[arg(long, value_name = "BYTES")]
    blocksize: Option<u32>,
    /// BUFFERCOUNT: buffers of MAXTRANSFERSIZE for all devices together
    #[arg(long, value_name = "N")]
    buffercount: Option<u32>,
    /// MAXTRANSFERSIZE: a multiple of 65536, at most 4194304
    #[arg(long, value_name = "BYTES")]
    maxtransfersize: Option<u32>,
    /// The SQL Server instance, if it is not the default one
    #[arg(long, value_name = "NAME")]
    instance: Option<OsString>,
    /// Which SQL Server to play: sql2008, sql2016, sql2019, sql2019-linux, sql2022, or default: sql2016
    /// that also restores newer servers' backups
    #[arg(long, value_name = "PROFILE", default_value = "default")]
    pub(super) profile: Profile,
    /// How long to wait for a client to create the set
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    wait: Duration,
    /// Append what happens to a file, as JSON lines
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Print the result for a program
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn seconds(given: &str) -> Result<Duration, String> {
    given
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("'{given}' is no number of seconds"))
}

impl Options {
    pub(super) fn statement(&self, direction: Direction) -> Statement {
        let name = |name: &OsString| name.as_encoded_bytes().to_vec();
        let set = if self.set == "*" { SetName::Any } else { SetName::Named(name(&self.set)) };
        Statement {
            devices: self.devices.iter().map(name).collect(),
            instance: self.instance.as_ref().map(name),
            wait: Some(self.wait),
            block_size: self.blocksize,
            buffer_count: self.buffercount,
            max_transfer_size: self.maxtransfersize,
            fence: if self.guard { Fence::Pages } else { Fence::None },
            ..Statement::new(direction, set, self.profile)
        }
    }

    /// How many devices there will be, if the command line alone says it.
    pub(super) fn device_count(&self) -> Option<usize> {
        match self.devices.len() {
            0 if self.set == "*" => None,
            named => Some(named.max(1)),
        }
    }

    /// The namespace and backend of this process.
    pub(super) fn environment(&self) -> Result<Environment, Failure> {
        Environment::from_process().map_err(|error| Failure::Usage(format!("{error}.")))
    }

    /// The sizes that were given, as options behind others in a WITH clause.
    pub(super) fn sizes_sql(&self) -> String {
        let given = [
            ("BLOCKSIZE", self.blocksize),
            ("BUFFERCOUNT", self.buffercount),
            ("MAXTRANSFERSIZE", self.maxtransfersize),
        ];
        let option = |(name, size): (&str, Option<u32>)| Some(format!(", {name} = {}", size?));
        given.into_iter().filter_map(option).collect()
    }

    /// The device names that the command line gives.
    pub(super) fn given_devices(&self) -> Vec<Vec<u8>> {
        let given =
            if self.devices.is_empty() { std::slice::from_ref(&self.set) } else { &self.devices };
        given.iter().map(|name| name.as_encoded_bytes().to_vec()).collect()
    }

    /// Device names as T-SQL can write them.
    pub(super) fn names_sql(names: &[Vec<u8>]) -> Result<Vec<String>, Failure> {
        let text = |name: &Vec<u8>| {
            String::from_utf8(name.clone()).map_err(|_| {
                Failure::Usage(format!(
                    "'{}' is no UTF-8, so no statement can name it; give the client's devices \
                     other names, or send bytes without a database (--from, --size, --raw).",
                    String::from_utf8_lossy(name)
                ))
            })
        };
        names.iter().map(text).collect()
    }

    /// Waits for the set; the observers are told of every transfer.
    pub(super) fn attach(
        &self,
        direction: Direction,
        mut observers: Vec<Arc<dyn Observer>>,
    ) -> Result<Session, Failure> {
        let environment = self.environment()?;
        let faults = match &self.fault {
            Some(given) => {
                FaultPlan::load(given).map_err(|error| Failure::Usage(error.to_string()))?
            }
            None => FaultPlan::default(),
        };
        if let Some(path) = &self.trace {
            let trace = Trace::append(path).map_err(|error| {
                Failure::Usage(format!("the trace {} cannot be written: {error}.", path.display()))
            })?;
            observers.push(Arc::new(trace));
        }
        // A peer that cuts a shared object short must not kill us.
        vdi_region::install_truncation_guard();
        let statement = self.statement(direction);
        Session::attach(&environment, statement, faults, Arc::new(Everybody(observers)))
            .map_err(|error| self.failed(error))
    }

    /// Prints what SQL Server says of a success; `streams` describes each device's stream.
    pub(super) fn succeeded(&self, summary: &Summary, streams: Vec<Value>) -> Result<(), Failure> {
        if !self.json {
            for message in &summary.messages {
                output::print(&message.to_transcript())?;
            }
            return Ok(());
        }
        let devices: Vec<_> = summary
            .devices
            .iter()
            .zip(&summary.bytes)
            .zip(streams)
            .map(|((name, bytes), stream)| {
                let mut device = json!({"name": String::from_utf8_lossy(name), "bytes": bytes});
                if let (Some(device), Value::Object(more)) = (device.as_object_mut(), stream) {
                    device.extend(more);
                }
                device
            })
            .collect();
        output::print_json(&json!({
            "version": 1,
            "succeeded": true,
            "set": String::from_utf8_lossy(&summary.set),
            "devices": devices,
            "seconds": summary.elapsed.as_secs_f64(),
            "messages": messages_json(&summary.messages),
        }))?;
        Ok(())
    }

    /// Prints what SQL Server says of a failure; the true cause is said by whoever gets the
    /// [`Failure`].
    pub(super) fn failed(&self, error: TransferError) -> Failure {
        let printed = if self.json {
            output::print_json(&json!({
                "version": 1,
                "succeeded": false,
                "cause": error.cause.to_string(),
                "messages": messages_json(&error.messages),
            }))
        } else {
            error.messages.iter().try_for_each(|message| output::print(&message.to_transcript()))
        };
        match printed {
            Ok(()) => Failure::Transfer(error),
            Err(error) => Failure::Output(error),
        }
    }
}

pub(super) fn messages_json(messages: &[Message]) -> Vec<Value> {
    let message = |message: &Message| {
        json!({
            "number": message.number,
            "level": message.severity,
            "state": message.state,
            "text": message.text,
        })
    };
    messages.iter().map(message).collect()
}

/// One file for each of `devices` devices: the one that every device carries, or one each.
pub(super) fn file_per_device<'f>(
    option: &str,
    files: &'f [PathBuf],
    devices: usize,
) -> Result<Vec<&'f Path>, Failure> {
    match files {
        [one] => Ok(vec![one; devices]),
        files if files.len() == devices => Ok(files.iter().map(PathBuf::as_path).collect()),
        files => Err(Failure::Usage(format!(
            "{option} names {} files for {devices} devices; give one for all, or one for each.",
            files.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: pairing files and devices when the counts do not fit.
    #[test]
    fn one_file_for_all_or_one_for_each() {
        let files: Vec<PathBuf> = vec!["a".into(), "b".into()];
        assert_eq!(file_per_device("--from", &files[..1], 3).unwrap(), [Path::new("a"); 3]);
        assert_eq!(file_per_device("--from", &files, 2).unwrap(), [Path::new("a"), Path::new("b")]);
        for count in [1, 3] {
            let error = file_per_device("--from", &files, count).unwrap_err();
            assert_eq!(error.exit(), crate::exit::Exit::Usage);
        }
        assert!(file_per_device("--from", &[], 1).is_err());
    }
}
