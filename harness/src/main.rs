//! The `vdisim` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    vdisim::command::main()
}
