//! `vdisim run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use sqlvdi::caller::locate;

use crate::exit::Failure;
use crate::launch::{Launch, become_client};

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
