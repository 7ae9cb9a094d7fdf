//! `vdisim test`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use sqlvdi::caller::locate;

use super::output;
use super::statement::seconds;
use crate::exit::Failure;
use crate::selftest::{MODES, Mode, SelfTest, Verdict, print_table};
use crate::shim::{ShimError, is_ours};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Modes to run [default: all]
    #[arg(value_name = "MODE")]
    modes: Vec<String>,
    /// Which bytes are sent
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How long one half of a round trip may take before it counts as hanging
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    limit: Duration,
    /// The drop-in [default: VDISIM_SQLVDI, else beside this program]
    #[arg(long, value_name = "PATH")]
    sqlvdi: Option<PathBuf>,
    /// Print the results for a program
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let modes = chosen(&arguments.modes)?;
    let drop_in = locate(arguments.sqlvdi.as_deref())?;
    // Any other library would fail every mode in its own words.
    if !is_ours(&drop_in).unwrap_or(false) {
        return Err(Failure::Environment(ShimError::NotOurs(drop_in).to_string()));
    }
    let vdisim = std::env::current_exe()
        .map_err(|error| Failure::NotStarted { program: "vdisim".to_owned(), error })?;
    let test = SelfTest { vdisim, drop_in, seed: arguments.seed, limit: arguments.limit };
    let mut rows = Vec::new();
    for mode in modes {
        let outcome = test.run(mode).map_err(|error| {
            Failure::Environment(format!("the self-test of '{}' failed: {error}.", mode.name))
        })?;
        rows.push((mode, outcome));
    }
    if arguments.json {
        let modes: Vec<_> = rows.iter().map(|(_, outcome)| outcome).collect();
        output::print_json(&json!({"version": 1, "kind": "self-test", "modes": modes}))?;
    } else {
        output::print(&print_table(&rows))?;
    }
    match rows.iter().filter(|(_, outcome)| outcome.verdict != Verdict::Pass).count() {
        0 => Ok(()),
        failed => Err(Failure::Failed(format!("{failed} of {} modes failed.", rows.len()))),
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Mode>, Failure> {
    if names.is_empty() {
        return Ok(MODES.iter().collect());
    }
    let find = |name: &String| {
        MODES.iter().find(|mode| mode.name == name).ok_or_else(|| {
            let all: Vec<_> = MODES.iter().map(|mode| mode.name).collect();
            Failure::Usage(format!("there is no mode '{name}'; the modes are {}.", all.join(", ")))
        })
    };
    names.iter().map(find).collect()
}
