//! `vdisim shim`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sqlvdi::caller::locate;

use super::output;
use crate::exit::Failure;
use crate::shim::{ShimError, install, install_commands, undo, undo_commands};

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Put sqlcmd and osql, or the drop-in, into a folder, never over a file that is not ours
    Install(Install),
}

#[derive(Args, Debug)]
pub(super) struct Install {
    /// The folder for the commands sqlcmd and osql
    #[arg(value_name = "DIR", required_unless_present = "lib")]
    folder: Option<PathBuf>,
    /// The folder in which the client looks for libsqlvdi.so: the drop-in is copied there
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
    let mut paths = Vec::new();
    if let Some(folder) = &arguments.folder {
        paths.extend(if arguments.undo {
            undo_commands(folder).map_err(failure)?
        } else {
            install_commands(&this_program()?, folder).map_err(failure)?
        });
    }
    if let Some(folder) = &arguments.lib {
        paths.push(if arguments.undo {
            undo(folder).map_err(failure)?
        } else {
            install(&locate(arguments.sqlvdi.as_deref())?, folder).map_err(failure)?
        });
    }
    let word = if arguments.undo { "removed" } else { "installed" };
    for path in paths {
        output::print(&format!("{word} {}", path.display()))?;
    }
    Ok(())
}

/// The path of the program that is running.
pub(super) fn this_program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| {
        Failure::Environment(format!("the path of this program cannot be found: {error}."))
    })
}

fn failure(error: ShimError) -> Failure {
    match error {
        ShimError::NotOurs(_) | ShimError::Io { .. } => Failure::Environment(error.to_string()),
        ShimError::Foreign(_) | ShimError::Nothing { .. } => Failure::Failed(error.to_string()),
    }
}
