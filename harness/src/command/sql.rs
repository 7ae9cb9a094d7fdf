//! `vdisim sql`, which also answers to the names `sqlcmd` and `osql`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::output;
use crate::exit::Exit;
use crate::sqlcmd::{Flavour, SqlcmdError, run};

/// The words are sqlcmd's own; `-?` explains them.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(super) struct Arguments {
    /// Options of sqlcmd: -Q "T-SQL", -S SERVER, -i FILE, -b …; -? lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    words: Vec<OsString>,
}

/// Which client a program's path stands for.
pub(super) fn flavour(program: &OsStr) -> Option<Flavour> {
    let name = Path::new(program).file_stem()?.to_str()?.to_lowercase();
    match name.as_str() {
        "sqlcmd" => Some(Flavour::Sqlcmd),
        "osql" => Some(Flavour::Osql),
        _ => None,
    }
}

/// `vdisim sql`: with the exit codes of `vdisim` for what is not the server's word.
pub(super) fn execute(arguments: Arguments) -> ExitCode {
    match run(Flavour::Sqlcmd, arguments.words) {
        Ok(code) => code.into(),
        Err(error) if is_reader_gone(&error) => Exit::Failed.into(),
        Err(error) => {
            output::say(&error.to_string());
            let exit = match &error {
                error if error.is_usage() => Exit::Usage,
                error if error.is_environment() => Exit::Environment,
                _ => Exit::Failed,
            };
            exit.into()
        }
    }
}

/// `sqlcmd` or `osql`: everything that goes wrong is exit code 1, as theirs is.
pub(super) fn execute_as(flavour: Flavour, words: Vec<OsString>) -> ExitCode {
    match run(flavour, words) {
        Ok(code) => code.into(),
        Err(error) if is_reader_gone(&error) => Exit::Failed.into(),
        Err(error) => {
            output::say_as(
                match (flavour, &error) {
                    (Flavour::Osql, _) => "osql",
                    (Flavour::Sqlcmd, SqlcmdError::Options(_)) => "Sqlcmd",
                    (Flavour::Sqlcmd, _) => "Sqlcmd: Error",
                },
                &error.to_string(),
            );
            Exit::Failed.into()
        }
    }
}

/// Whether nobody reads the output any more: what was running was cancelled, and there is nobody to
/// be told.
fn is_reader_gone(error: &SqlcmdError) -> bool {
    matches!(error, SqlcmdError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: a shim that is not recognised by its path, and names that only begin like one.
    #[test]
    fn programs_are_known_by_their_names() {
        let of = |program: &str| flavour(OsStr::new(program));
        assert_eq!(of("/opt/x/sqlcmd"), Some(Flavour::Sqlcmd));
        assert_eq!(of("OSQL.EXE"), Some(Flavour::Osql));
        assert_eq!(of("vdisim"), None);
        assert_eq!(of("sqlcmd2"), None);
    }
}
