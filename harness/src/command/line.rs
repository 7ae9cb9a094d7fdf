//! The command line's first word, and how the program ends.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(windows)]
use super::registration;
use super::{backup, client, doctor, explain, output, restore, run, serve, shim, test};
use crate::exit::{Exit, Failure};

/// Plays SQL Server for clients of its Virtual Device Interface (VDI).
///
/// A client of VDI is the storage of BACKUP and RESTORE. `vdisim` is the other side: it plays one
/// statement over the shared memory of a device set that the client creates through our
/// libsqlvdi.so. Exit codes: 0 all well, 1 failed, 2 usage, 3 environment, 4 the client could not
/// be started, 5 a bug of vdisim.
#[derive(Debug, Parser)]
#[command(name = "vdisim", version, max_term_width = 100)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play SQL Server for one BACKUP: wait for a client, send the streams, say what SQL Server says
    Backup(backup::Arguments),
    /// Play SQL Server for one RESTORE: wait for a client, read the streams back
    Restore(restore::Arguments),
    /// The reference client: store or return streams through the drop-in
    Client(client::Arguments),
    /// Start a client with the drop-in and our namespace in place
    Run(run::Arguments),
    /// The fake SQL Server on a TCP port: real SQL clients log in and run BACKUP and RESTORE
    Serve(serve::Arguments),
    /// Look at shared memory, permissions, leftovers, the drop-in and a client's executable
    Doctor(doctor::Arguments),
    /// Say what a code means, what usually lies behind it and what to do
    Explain(explain::Arguments),
    /// Put the drop-in where a client looks that does not heed LD_LIBRARY_PATH
    #[command(subcommand)]
    Shim(shim::Action),
    /// Tell Windows that the drop-in has the VDI classes
    #[cfg(windows)]
    Register(registration::Register),
    /// Take the registration back, and put back what it replaced
    #[cfg(windows)]
    Unregister(registration::Unregister),
    /// Self-test: a round trip of every mode through real processes and the loaded drop-in
    Test(test::Arguments),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let line = Line::parse();
    let done = std::panic::catch_unwind(|| execute(line.command));
    match done {
        Ok(Ok(())) => Exit::Success.into(),
        // Whoever reads our output has seen enough.
        Ok(Err(Failure::Output(error))) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Exit::Success.into()
        }
        Ok(Err(failure)) => {
            output::say(&failure.to_string());
            failure.exit().into()
        }
        // The panic's own message is on standard error already.
        Err(_) => Exit::Bug.into(),
    }
}

fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Backup(arguments) => backup::execute(&arguments),
        Command::Restore(arguments) => restore::execute(&arguments),
        Command::Client(arguments) => client::execute(&arguments),
        Command::Run(arguments) => run::execute(&arguments),
        Command::Serve(arguments) => serve::execute(&arguments),
        Command::Doctor(arguments) => doctor::execute(&arguments),
        Command::Explain(arguments) => explain::execute(&arguments),
        Command::Shim(action) => shim::execute(&action),
        #[cfg(windows)]
        Command::Register(arguments) => registration::register(&arguments),
        #[cfg(windows)]
        Command::Unregister(arguments) => registration::unregister(&arguments),
        Command::Test(arguments) => test::execute(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    // Catches: options that contradict each other or share a name.
    #[test]
    fn the_command_line_is_sound() {
        Line::command().debug_assert();
    }
}
