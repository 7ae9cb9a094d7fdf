//! `vdisim report`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::output;
use crate::exit::{Exit, Failure};
use crate::report::{Report, ReportError, merge, schema};

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Make one report of several: partitions become one run, clients and versions a column each
    Merge(Merge),
    /// Print the JSON schema of results.json
    Schema,
}

/// Ends as the runs would have ended together: 1 if one broke a rule that it must keep.
#[derive(Args, Debug)]
pub(super) struct Merge {
    /// Folders that `vdisim test --report` wrote
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Where the report goes
    #[arg(long, value_name = "DIR", default_value = "merged-report")]
    output: PathBuf,
}

pub(super) fn execute(action: &Action) -> Result<(), Failure> {
    match action {
        Action::Merge(arguments) => merge_folders(arguments),
        Action::Schema => Ok(output::print_json(&schema())?),
    }
}

fn merge_folders(arguments: &Merge) -> Result<(), Failure> {
    let refused = |error: ReportError| Failure::Usage(error.to_string());
    let mut reports = Vec::new();
    for folder in &arguments.folders {
        let report = Report::read(folder).map_err(refused)?;
        reports.push((folder.display().to_string(), report));
    }
    let report = merge(reports).map_err(|error| Failure::Usage(error.to_string()))?;
    report.write(&arguments.output).map_err(refused)?;
    output::say(&format!("the report is {}.", arguments.output.join("index.html").display()));
    let mut gravest = Ok(());
    for run in &report.runs {
        let result = run.to_result();
        let ending = match &result {
            Ok(()) => "all that is required was kept.".to_owned(),
            Err(failure) => failure.to_string(),
        };
        output::print(&format!("{}, {} results: {ending}", run.client, run.cases.len()))?;
        let graver = result.as_ref().is_err_and(|failure| failure.exit() == Exit::Bug);
        if gravest.is_ok() || graver {
            gravest = result;
        }
    }
    gravest
}
