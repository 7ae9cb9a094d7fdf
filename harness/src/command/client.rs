//! `vdisim client`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;
use sqlvdi::caller::{DropIn, locate};
use vdi_protocol::VdConfig;

use super::output;
use super::statement::{file_per_device, seconds};
use crate::client::{
    Arrangement, ClientError, Mishaps, Operation, Plan, Step, parse_features, run, run_secondary,
    serve_moves,
};
use crate::exit::Failure;

#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    /// Store what the server sends, or return it
    operation: Verb,
    /// Name of the device set
    #[arg(long, value_name = "NAME")]
    set: OsString,
    /// Names of all devices, the first equal to --set [default: one device named as the set]
    #[arg(long = "device", value_name = "NAME", num_args = 1..)]
    devices: Vec<OsString>,
    /// The files, one for all devices or one each
    #[arg(long = "file", value_name = "FILE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// Serve each device in a secondary process of its own
    #[arg(long, conflicts_with = "by_handle")]
    processes: bool,
    /// Have the bytes of each device moved by a second process that maps the buffers' handles
    #[arg(long)]
    by_handle: bool,
    /// Features to ask for: LikeTape, LikeDisk, RequestComplete … or numbers
    #[arg(long, value_name = "NAMES", num_args = 1.., value_delimiter = ',')]
    features: Vec<String>,
    /// VDConfig.prefixZoneSize
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    prefix_zone: u32,
    /// VDConfig.alignment
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    alignment: u32,
    /// VDConfig.serverTimeOut
    #[arg(long, value_name = "MS", default_value_t = 0)]
    server_time_out: u32,
    /// How long to wait for the server's configuration
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    timeout: Duration,
    /// Die there, as a client that crashes: created, configured, opened, received:N, executed:N,
    /// completed:N, ended or closed; with --processes the first device's process does
    #[arg(long, value_name = "STEP")]
    kill_at: Option<Step>,
    /// Stop there for ever, as a client that hangs
    #[arg(long, value_name = "STEP")]
    stall_at: Option<Step>,
    /// The drop-in [default: VDISIM_SQLVDI, else beside this program]
    #[arg(long, value_name = "PATH")]
    sqlvdi: Option<PathBuf>,
    /// Print the result for a program
    #[arg(long)]
    json: bool,
    /// What this process does for another one of the same client
    #[arg(long, hide = true, value_name = "INDEX")]
    serve_device: Option<usize>,
    /// As above
    #[arg(long, hide = true, value_name = "INDEX")]
    move_bytes: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Verb {
    Backup,
    Restore,
}

impl Verb {
    fn operation(self) -> Operation {
        match self {
            Verb::Backup => Operation::Backup,
            Verb::Restore => Operation::Restore,
        }
    }
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    // As Microsoft's sample does: the server's group has to be able to open the set.
    #[cfg(unix)]
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    let plan = plan(arguments)?;
    if let Some(index) = arguments.serve_device {
        return serve_device(&plan, index);
    }
    if let Some(index) = arguments.move_bytes {
        return move_bytes(&plan, index);
    }
    let executable = std::env::current_exe()
        .map_err(|error| Failure::NotStarted { program: "vdisim".to_owned(), error })?;
    let report =
        run(&plan, &|device| helper(&executable, arguments, &plan, device)).map_err(failure)?;
    if arguments.json {
        let devices: Vec<_> = plan
            .devices
            .iter()
            .zip(&plan.files)
            .zip(&report.bytes)
            .map(|((name, file), bytes)| {
                json!({"name": String::from_utf8_lossy(name), "file": file, "bytes": bytes})
            })
            .collect();
        output::print_json(&json!({
            "version": 1,
            "features": report.config.features().to_string(),
            "blockSize": report.config.block_size,
            "maxTransferSize": report.config.max_transfer_size,
            "devices": devices,
        }))?;
    }
    Ok(())
}

fn plan(arguments: &Arguments) -> Result<Plan, Failure> {
    let name = |name: &OsString| name.as_encoded_bytes().to_vec();
    let set = name(&arguments.set);
    let devices: Vec<_> = match arguments.devices.as_slice() {
        [] => vec![set.clone()],
        names => names.iter().map(name).collect(),
    };
    if devices[0] != set {
        return Err(Failure::Usage(format!(
            "the first device must have the set's name '{}'; name it so or leave the devices out.",
            arguments.set.display()
        )));
    }
    let files = file_per_device("--file", &arguments.files, devices.len())?;
    let features =
        parse_features(&arguments.features).map_err(|error| Failure::Usage(format!("{error}.")))?;
    if arguments.operation == Verb::Backup && files.len() > 1 && arguments.files.len() == 1 {
        return Err(Failure::Usage(
            "several devices cannot be stored in one file; give one for each.".to_owned(),
        ));
    }
    Ok(Plan {
        operation: arguments.operation.operation(),
        set,
        devices,
        files: files.into_iter().map(PathBuf::from).collect(),
        config: VdConfig {
            features: features.bits(),
            prefix_zone_size: arguments.prefix_zone,
            alignment: arguments.alignment,
            server_time_out: arguments.server_time_out,
            ..VdConfig::default()
        },
        arrangement: match (arguments.processes, arguments.by_handle) {
            (true, _) => Arrangement::Processes,
            (false, true) => Arrangement::ByHandle,
            (false, false) => Arrangement::Threads,
        },
        timeout: Some(arguments.timeout),
        mishaps: Mishaps::new(arguments.kill_at, arguments.stall_at),
        drop_in: locate(arguments.sqlvdi.as_deref())?,
    })
}

/// This program as the process that serves device `index`, or moves its bytes.
fn helper(
    executable: &std::path::Path,
    arguments: &Arguments,
    plan: &Plan,
    index: usize,
) -> Command {
    let mut command = Command::new(executable);
    command.arg("client").arg(match arguments.operation {
        Verb::Backup => "backup",
        Verb::Restore => "restore",
    });
    command.arg("--set").arg(&arguments.set).arg("--sqlvdi").arg(&plan.drop_in);
    let devices = arguments.devices.iter().map(OsString::as_os_str);
    command.args(devices.flat_map(|name| [OsStr::new("--device"), name]));
    command.args(plan.files.iter().flat_map(|file| [OsStr::new("--file"), file.as_os_str()]));
    // Of several processes, the first device's has the mishap.
    let mishaps = [("--kill-at", arguments.kill_at), ("--stall-at", arguments.stall_at)];
    for (option, step) in mishaps {
        if let Some(step) = step.filter(|step| index == 0 && step.is_of_a_device()) {
            command.arg(option).arg(step.to_string());
        }
    }
    let task = if arguments.processes { "--serve-device" } else { "--move-bytes" };
    command.arg(task).arg(index.to_string());
    command
}

fn serve_device(plan: &Plan, index: usize) -> Result<(), Failure> {
    let drop_in = DropIn::load(&plan.drop_in)?;
    let device = plan.devices.get(index).map(|name| (index, name.as_slice()));
    let (Some(device), Some(file)) = (device, plan.files.get(index)) else {
        return Err(Failure::Usage(format!("there is no device {index}.")));
    };
    run_secondary(&drop_in, plan.operation, &plan.set, device, file, &plan.mishaps)
        .map(|_| ())
        .map_err(failure)
}

fn move_bytes(plan: &Plan, index: usize) -> Result<(), Failure> {
    let drop_in = DropIn::load(&plan.drop_in)?;
    let Some(path) = plan.files.get(index) else {
        return Err(Failure::Usage(format!("there is no device {index}.")));
    };
    let file = plan
        .operation
        .open(path)
        .map_err(|error| failure(ClientError::File { path: path.clone(), error }))?;
    serve_moves(&drop_in, &plan.set, &file, std::io::stdin().lock(), std::io::stdout().lock())
        .map_err(failure)
}

fn failure(error: ClientError) -> Failure {
    match error {
        ClientError::Load(error) => error.into(),
        ClientError::File { .. } => Failure::Usage(error.to_string()),
        error => Failure::Failed(error.to_string()),
    }
}
