//! `vdisim run`.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use sqlvdi::caller::locate;
use vdi_device::{Environment, Namespace};

use crate::exit::Failure;
use crate::launch::{Launch, become_client};
use crate::serve::data_folder::data_folder;
use crate::shim::install_commands;

use super::output;
use super::shim::this_program;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The drop-in [default: VDISIM_SQLVDI, else beside this program]
    #[arg(long, value_name = "PATH")]
    sqlvdi: Option<PathBuf>,
    /// The namespace that client and server meet in
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// The kind of shared memory: posix or portable
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// A file to which the drop-in appends every call, as JSON lines
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// The client and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    client: Vec<OsString>,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let launch = Launch {
        drop_in: locate(arguments.sqlvdi.as_deref())?,
        namespace: arguments.namespace.clone(),
        backend: arguments.backend.clone(),
        trace: arguments.trace.clone(),
        shims: shims(arguments.namespace.as_deref())?,
    };
    let Some((program, rest)) = arguments.client.split_first() else {
        return Err(Failure::Usage("no client is named.".to_owned()));
    };
    let mut command = Command::new(program);
    command.args(rest);
    launch.prepare(&mut command).map_err(|error| Failure::Environment(error.to_string()))?;
    match become_client(&mut command) {
        Ok(never) => match never {},
        Err(error) => {
            Err(Failure::NotStarted { program: program.to_string_lossy().into_owned(), error })
        }
    }
}

/// A folder with the commands sqlcmd and osql, in the namespace's data folder: the client takes this
/// process's place, so that nobody is left to remove one of its own. A client may do without them.
fn shims(namespace: Option<&str>) -> Result<Option<PathBuf>, Failure> {
    let usage = |error: vdi_device::Error| Failure::Usage(format!("{error}."));
    let namespace = match namespace {
        Some(name) => Namespace::new(name).map_err(usage)?,
        None => Environment::from_process().map_err(usage)?.namespace,
    };
    let placed = data_folder(&namespace).map_err(|error| format!("{error}.")).and_then(|data| {
        let folder = data.join("shims");
        fs::create_dir_all(&folder)
            .map_err(|error| format!("{} cannot be made: {error}.", folder.display()))?;
        let program = this_program().map_err(|error| error.to_string())?;
        install_commands(&program, &folder).map_err(|error| error.to_string())?;
        Ok(folder)
    });
    if let Err(reason) = &placed {
        output::say(&format!("the client will find no sqlcmd and no osql of ours: {reason}"));
    }
    Ok(placed.ok())
}
