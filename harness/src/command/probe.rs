//! `vdisim probe`: the runner starts it for one call of the interface.

use std::path::PathBuf;

use clap::Args;

use crate::conformance::{Mistake, Server, probe};
use crate::exit::Failure;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The case
    id: String,
    /// Where the status of the call goes
    answer: PathBuf,
    /// Who serves the set
    #[arg(long, value_enum, default_value_t)]
    server: Server,
    /// What the probe does wrong on purpose
    #[arg(long, value_enum)]
    mistake: Option<Mistake>,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    probe(&arguments.id, &arguments.answer, arguments.server, arguments.mistake)
        .map_err(|error| Failure::Bug(error.to_string()))
}
