//! `vdisim play`: the runner starts it for the server half of a case.

use std::path::PathBuf;

use clap::Args;

use crate::conformance::play_order;
use crate::exit::Failure;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// What is to be played
    order: PathBuf,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    play_order(&arguments.order).map_err(|error| Failure::Bug(error.to_string()))
}
