//! `vdisim explain`.

use clap::Args;
use serde_json::json;
use vdi_protocol::explain::explain;

use super::output;
use crate::exit::Failure;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// A code by name or number: VD_E_TIMEOUT, 0x80770003, 995, VDC_Flush, VDF_RequestComplete, 18210
    #[arg(value_name = "CODE", allow_negative_numbers = true)]
    code: String,
    /// Print the explanation for a program
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
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
