//! `vdisim probe`: the runner starts it for one call of the interface.

use std::path::PathBuf;

use clap::Args;

use crate::conformance::probe;
use crate::exit::Failure;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The case
    id: String,
    /// Where the status of the call goes
    answer: PathBuf,
    /// Without a server half
    #[arg(long)]
    alone: bool,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    probe(&arguments.id, &arguments.answer, arguments.alone)
        .map_err(|error| Failure::Bug(error.to_string()))
}
