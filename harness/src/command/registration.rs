//! `vdisim register` and `vdisim unregister`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use object::Object;
use sqlvdi::caller::locate;
use sqlvdi::registration::{self, Bits, Hive, RegistrationError};

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
    /// Register nothing: print a manifest, which as sqlvdi.manifest beside sqlvdi.dll is the source of an
    /// activation context or the assembly that a program's own manifest depends on
    #[arg(long, conflicts_with_all = ["user", "force", "sqlvdi"])]
    manifest: bool,
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
    if arguments.manifest {
        output::print(registration::manifest().trim_end())?;
        return Ok(());
    }
    let path = locate(arguments.sqlvdi.as_deref())?;
    check(&path)?;
    let (hive, bits) = (hive(arguments.user), programs(&path)?);
    registration::register(hive, bits, &path, arguments.force).map_err(failure)?;
    output::print(&format!("registered {} for {}{}", path.display(), whom(hive), which(bits)))?;
    Ok(())
}

pub(super) fn unregister(arguments: &Unregister) -> Result<(), Failure> {
    let hive = hive(arguments.user);
    let mut left = Vec::new();
    for bits in Bits::ALL {
        registration::unregister(hive, bits).map_err(failure)?;
        let there = registration::registered(hive, bits).map_err(failure)?;
        left.extend(there.map(|it| (it.path, bits)));
    }
    if left.is_empty() {
        output::print(&format!("nothing is registered for {}", whom(hive)))?;
    }
    for (path, bits) in left {
        let path = path.display();
        output::print(&format!("{path} is registered for {}{}", whom(hive), which(bits)))?;
    }
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

/// The programs that can load the DLL.
fn programs(path: &Path) -> Result<Bits, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::Environment(format!("{} cannot be read: {error}.", path.display()))
    };
    let bytes = fs::read(path).map_err(|error| unreadable(&error))?;
    let file = object::File::parse(&*bytes).map_err(|error| unreadable(&error))?;
    let own = file.is_64() == cfg!(target_pointer_width = "64");
    Ok(if own { Bits::Own } else { Bits::Narrow })
}

fn which(bits: Bits) -> &'static str {
    match bits {
        Bits::Own => "",
        Bits::Narrow => ", for programs of 32 bits",
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
