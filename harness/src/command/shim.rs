//! `vdisim shim`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sqlvdi::caller::locate;

use super::output;
use crate::exit::Failure;
use crate::shim::{ShimError, install, undo};

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Copy the drop-in into a folder, never over a file that is not ours
    Install(Install),
}

#[derive(Args, Debug)]
pub(super) struct Install {
    /// A folder for what stands in for SQL Server's files (so far the library alone)
    #[arg(value_name = "DIR", required_unless_present = "lib")]
    folder: Option<PathBuf>,
    /// The folder in which the client looks for libsqlvdi.so
    #[arg(long, value_name = "DIR")]
    lib: Option<PathBuf>,
    /// Take it away again
    #[arg(long)]
    undo: bool,
    /// The drop-in [default: VDISIM_SQLVDI, else beside this program]
    #[arg(long, value_name = "PATH")]
    sqlvdi: Option<PathBuf>,
}

pub(super) fn execute(action: &Action) -> Result<(), Failure> {
    let Action::Install(arguments) = action;
    let Some(folder) = arguments.lib.as_ref().or(arguments.folder.as_ref()) else {
        return Err(Failure::Usage("no folder is named.".to_owned()));
    };
    if arguments.undo {
        let removed = undo(folder).map_err(failure)?;
        output::print(&format!("removed {}", removed.display()))?;
    } else {
        let placed = install(&locate(arguments.sqlvdi.as_deref())?, folder).map_err(failure)?;
        output::print(&format!("installed {}", placed.display()))?;
    }
    Ok(())
}

fn failure(error: ShimError) -> Failure {
    match error {
        ShimError::NotOurs(_) | ShimError::Io { .. } => Failure::Environment(error.to_string()),
        ShimError::Foreign(_) | ShimError::Nothing(_) => Failure::Failed(error.to_string()),
    }
}
