//! `vdisim assets`: what packages hold beside the program. Hidden, for `scripts/package`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;

use crate::exit::Failure;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The folder that gets `man/man1` and `completions`
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Writes man pages and completions of this command line.
pub(super) fn execute(arguments: &Arguments, mut line: Command) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::Usage(format!("{} cannot be written: {error}.", arguments.folder.display()))
    };
    let folder = |name: &str| -> std::io::Result<PathBuf> {
        let folder = arguments.folder.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    };
    let man = folder("man/man1").map_err(failed)?;
    clap_mangen::generate_to(line.clone(), &man).map_err(failed)?;
    let completions = folder("completions").map_err(failed)?;
    write_completions(&mut line, &completions).map_err(failed)
}

fn write_completions(line: &mut Command, folder: &Path) -> std::io::Result<()> {
    for shell in [Shell::Bash, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
        clap_complete::generate_to(shell, line, "vdisim", folder)?;
    }
    Ok(())
}
