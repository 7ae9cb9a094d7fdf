//! `vdisim register` and `vdisim unregister`.

use std::path::{Path, PathBuf};

use clap::Args;
use sqlvdi::caller::locate;
use sqlvdi::registration::{self, Hive, RegistrationError};

use super::output;
use crate::exit::Failure;
use crate::shim::is_ours;

#[derive(Args, Debug)]
pub(super) struct Register {
    /// For this user alone, which goes before the machine's registration and takes no administrator
    #[arg(long)]
    user: bool,
    /// Also where another DLL is registered, SQL Server's own for one; `unregister` puts it back
    #[arg(long)]
    force: bool,
    /// The drop-in [default: VDISIM_SQLVDI, else beside this program]
    #[arg(long, value_name = "PATH")]
    sqlvdi: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct Unregister {
    /// For this user alone
    #[arg(long)]
    user: bool,
}

pub(super) fn register(arguments: &Register) -> Result<(), Failure> {
    let path = locate(arguments.sqlvdi.as_deref())?;
    check(&path)?;
    let hive = hive(arguments.user);
    registration::register(hive, &path, arguments.force).map_err(failure)?;
    output::print(&format!("registered {} for {}", path.display(), whom(hive)))?;
    Ok(())
}

pub(super) fn unregister(arguments: &Unregister) -> Result<(), Failure> {
    let hive = hive(arguments.user);
    registration::unregister(hive).map_err(failure)?;
    output::print(&match registration::registered(hive) {
        None => format!("nothing is registered for {}", whom(hive)),
        Some(it) => format!("{} is registered for {}", it.path.display(), whom(hive)),
    })?;
    Ok(())
}

/// Refuses to register what COM would load in vain.
fn check(path: &Path) -> Result<(), Failure> {
    match is_ours(path) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let text = format!("{} is not vdisim's drop-in; build it first.", path.display());
            Err(Failure::Environment(text))
        }
        Err(error) => Err(Failure::Environment(error.to_string())),
    }
}

fn hive(user: bool) -> Hive {
    if user { Hive::User } else { Hive::Machine }
}

fn whom(hive: Hive) -> &'static str {
    match hive {
        Hive::Machine => "all users",
        Hive::User => "this user",
    }
}

fn failure(error: RegistrationError) -> Failure {
    Failure::Environment(error.to_string())
}
