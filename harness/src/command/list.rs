//! `vdisim list`.

use clap::Args;
use serde_json::json;

use super::output;
use crate::conformance::{Case, catalogue, select};
use crate::exit::Failure;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Ids, globs of ids, or areas [default: all]
    #[arg(value_name = "ID")]
    cases: Vec<String>,
    /// Print an array of objects for a program
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let all = catalogue::all();
    let cases =
        select(&all, &arguments.cases).map_err(|error| Failure::Usage(error.to_string()))?;
    if arguments.json {
        let list: Vec<_> = cases.iter().map(|case| to_json(case)).collect();
        output::print_json(&json!(list))?;
        return Ok(());
    }
    let width = cases.iter().map(|case| case.id.len()).max().unwrap_or(0);
    for case in cases {
        output::print(&format!("{:width$}  {:8}  {}", case.id, case.level, case.rule))?;
    }
    Ok(())
}

pub(super) fn to_json(case: &Case) -> serde_json::Value {
    let capabilities: Vec<_> = case.needs.iter().map(ToString::to_string).collect();
    json!({
        "id": case.id,
        "level": case.level,
        "rule": case.rule,
        "source": case.source.to_string(),
        "capabilities": capabilities,
    })
}
