//! `vdisim list`.

use clap::Args;
use fake_sqlserver::transfer::{PRESETS, Preset};
use serde_json::json;

use super::output;
use crate::conformance::{Case, catalogue, select};
use crate::exit::Failure;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Ids, globs of ids, or areas [default: all]
    #[arg(value_name = "ID")]
    cases: Vec<String>,
    /// The catalogue as of an older version [default: the newest]
    #[arg(long, value_name = "N")]
    catalogue: Option<u32>,
    /// Name the presets of --fault in place of the rules
    #[arg(long, conflicts_with_all = ["cases", "catalogue"])]
    faults: bool,
    /// Print an array of objects for a program
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.faults {
        return list_faults(arguments.json);
    }
    let all = catalogue::pinned(arguments.catalogue)
        .map_err(|error| Failure::Usage(error.to_string()))?;
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

fn list_faults(json: bool) -> Result<(), Failure> {
    if json {
        let list: Vec<_> = PRESETS.iter().map(preset_json).collect();
        output::print_json(&json!(list))?;
        return Ok(());
    }
    for preset in PRESETS {
        output::print(&format!("{:24}  {}", preset.name, preset.about))?;
    }
    Ok(())
}

pub(super) fn preset_json(preset: &Preset) -> serde_json::Value {
    json!({"name": preset.name, "about": preset.about, "plan": preset.yaml})
}

pub(super) fn to_json(case: &Case) -> serde_json::Value {
    let capabilities: Vec<_> = case.needs.iter().map(ToString::to_string).collect();
    json!({
        "id": case.id,
        "level": case.level,
        "rule": case.rule,
        "source": case.source.to_string(),
        "capabilities": capabilities,
        "since": case.since,
    })
}
