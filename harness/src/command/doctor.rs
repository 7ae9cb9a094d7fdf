//! `vdisim doctor`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::output;
use crate::doctor::{Examination, Level, examine};
use crate::exit::Failure;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Remove what killed processes left in shared memory, in all namespaces unless
    /// VDISIM_NAMESPACE names one
    #[arg(long)]
    clean: bool,
    /// Also look whether this client will load the drop-in
    #[arg(long, value_name = "PATH")]
    client: Option<PathBuf>,
    /// The drop-in [default: VDISIM_SQLVDI, else beside this program]
    #[arg(long, value_name = "PATH")]
    sqlvdi: Option<PathBuf>,
    /// Print the findings for a program
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let findings = examine(&Examination {
        clean: arguments.clean,
        client: arguments.client.clone(),
        drop_in: arguments.sqlvdi.clone(),
    });
    let bad = findings.iter().filter(|finding| finding.level == Level::Bad).count();
    if arguments.json {
        output::print_json(&json!({"version": 1, "usable": bad == 0, "findings": findings}))?;
    } else {
        for finding in &findings {
            output::print(&finding.to_string())?;
        }
    }
    match bad {
        0 => Ok(()),
        1 => Err(Failure::Environment("one thing is in the way of a backup.".to_owned())),
        bad => Err(Failure::Environment(format!("{bad} things are in the way of a backup."))),
    }
}
