//! `vdisim explain`.

use clap::Args;
use fake_sqlserver::transfer::{PRESETS, Preset};
use serde_json::json;
use vdi_protocol::explain::explain;

use super::list::{preset_json, to_json};
use super::output;
use crate::conformance::{Case, catalogue, unknown};
use crate::exit::Failure;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// A code by name or number: VD_E_TIMEOUT, 0x80770003, 995, VDC_Flush, VDF_RequestComplete, 18210;
    /// or the id of a rule, such as client/Flush/durable; or a preset of --fault
    #[arg(value_name = "CODE|ID", allow_negative_numbers = true)]
    code: String,
    /// Print the explanation for a program
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.code.contains('/') {
        return explain_case(arguments);
    }
    if let Some(preset) = PRESETS.iter().find(|preset| preset.name == arguments.code) {
        return explain_preset(preset, arguments.json);
    }
    let found = explain(&arguments.code).map_err(|error| Failure::Usage(error.to_string()))?;
    if arguments.json {
        output::print_json(&json!({
            "version": 1,
            "kind": found.kind.to_string(),
            "name": found.name,
            "values": found.values,
            "systemText": found.system_text,
            "text": found.text,
            "causes": found.causes,
            "remedies": found.remedies,
            "source": found.source,
            "also": found.also,
        }))?;
    } else {
        output::print(&found.to_string())?;
    }
    Ok(())
}

fn explain_case(arguments: &Arguments) -> Result<(), Failure> {
    let all = catalogue::all();
    let id = &arguments.code;
    let case = all
        .iter()
        .find(|case| case.id == *id)
        .ok_or_else(|| Failure::Usage(unknown(&all, id).to_string()))?;
    if arguments.json {
        let mut value = to_json(case);
        value["scenario"] = json!(case.scenario());
        value["judged"] = json!(case.judgements());
        value["hint"] = json!(case.hint);
        output::print_json(&value)?;
    } else {
        output::print(&in_words(case))?;
    }
    Ok(())
}

fn explain_preset(preset: &Preset, json: bool) -> Result<(), Failure> {
    if json {
        output::print_json(&preset_json(preset))?;
    } else {
        let Preset { name, about, yaml } = preset;
        output::print(&format!(
            "{name} (a preset of --fault)\nWhat a client meets: {about}.\nThe plan: {yaml}"
        ))?;
    }
    Ok(())
}

fn in_words(case: &Case) -> String {
    let mut lines = vec![
        format!("{} ({})", case.id, case.level),
        case.rule.clone(),
        format!("Source: {}.", case.source),
    ];
    if !case.needs.is_empty() {
        let needs: Vec<_> = case.needs.iter().map(ToString::to_string).collect();
        lines.push(format!("Needs: {}.", needs.join(", ")));
    }
    lines.push("Scenario:".to_owned());
    lines.extend(case.scenario().iter().map(|line| format!("  {line}")));
    lines.push(format!("Judged: {}.", case.judgements().join("; ")));
    if !case.hint.is_empty() {
        lines.push(format!("Hint: {}", case.hint));
    }
    lines.join("\n")
}
