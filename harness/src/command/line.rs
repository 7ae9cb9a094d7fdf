//! The command line's first word, and how the program ends.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

#[cfg(any(target_os = "linux", windows))]
use super::bench;
#[cfg(windows)]
use super::registration;
use super::{
    assets, backup, client, doctor, explain, list, mtf, output, play, probe, report, restore, run,
    serve, shim, sql, test, trace,
};
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
    /// Execute T-SQL as sqlcmd and osql do, on the namespace's server or one in the network
    Sql(sql::Arguments),
    /// Look into backups
    #[command(subcommand)]
    Mtf(mtf::Action),
    /// Install sqlcmd and osql, or the drop-in for a client that does not heed LD_LIBRARY_PATH
    #[command(subcommand)]
    Shim(shim::Action),
    /// Print, compare or replay what was recorded of a run
    #[command(subcommand)]
    Trace(trace::Action),
    /// Merge report folders, or print the schema of results.json
    #[command(subcommand)]
    Report(report::Action),
    /// Write man pages and completions into a folder
    #[command(hide = true)]
    Assets(assets::Arguments),
    /// Tell Windows that the drop-in has the VDI classes
    #[cfg(windows)]
    Register(registration::Register),
    /// Take the registration back, and put back what it replaced
    #[cfg(windows)]
    Unregister(registration::Unregister),
    /// Judge a client by the rules of VDI; without --client, vdisim tests itself
    Test(test::Arguments),
    /// Measure what the interface costs a client: throughput, latencies, CPU time; compare with before
    #[cfg(any(target_os = "linux", windows))]
    Bench(bench::Arguments),
    /// The client that bench brings
    #[cfg(any(target_os = "linux", windows))]
    #[command(hide = true)]
    Mover(bench::Mover),
    /// Name the rules that clients are judged by
    List(list::Arguments),
    /// The server half of a case, in a process of its own
    #[command(hide = true)]
    Play(play::Arguments),
    /// One call of the interface, in a process of its own
    #[command(hide = true)]
    Probe(probe::Arguments),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let program = std::env::args_os().next().unwrap_or_default();
    if let Some(flavour) = sql::flavour(&program) {
        let words = std::env::args_os().skip(1).collect();
        return guarded(|| sql::execute_as(flavour, words));
    }
    let line = Line::parse();
    guarded(|| execute(line.command))
}

/// A panic is a bug of ours.
fn guarded(work: impl FnOnce() -> ExitCode + std::panic::UnwindSafe) -> ExitCode {
    // The panic's own message is on standard error already.
    std::panic::catch_unwind(work).unwrap_or_else(|_| Exit::Bug.into())
}

fn ended(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => Exit::Success.into(),
        // Whoever reads our output has seen enough.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Exit::Success.into()
        }
        Err(failure) => {
            output::say(&failure.to_string());
            failure.exit().into()
        }
    }
}

fn execute(command: Command) -> ExitCode {
    ended(match command {
        Command::Backup(arguments) => backup::execute(&arguments),
        Command::Restore(arguments) => restore::execute(&arguments),
        Command::Client(arguments) => client::execute(&arguments),
        Command::Run(arguments) => run::execute(&arguments),
        Command::Serve(arguments) => serve::execute(&arguments),
        Command::Doctor(arguments) => doctor::execute(&arguments),
        Command::Explain(arguments) => explain::execute(&arguments),
        Command::Mtf(action) => mtf::execute(&action),
        Command::Shim(action) => shim::execute(&action),
        Command::Trace(action) => trace::execute(&action),
        Command::Report(action) => report::execute(&action),
        Command::Assets(arguments) => assets::execute(&arguments, Line::command()),
        Command::Sql(arguments) => return sql::execute(arguments),
        #[cfg(windows)]
        Command::Register(arguments) => registration::register(&arguments),
        #[cfg(windows)]
        Command::Unregister(arguments) => registration::unregister(&arguments),
        Command::Test(arguments) => test::execute(&arguments),
        #[cfg(any(target_os = "linux", windows))]
        Command::Bench(arguments) => bench::execute(&arguments),
        #[cfg(any(target_os = "linux", windows))]
        Command::Mover(arguments) => bench::execute_mover(&arguments),
        Command::List(arguments) => list::execute(&arguments),
        Command::Play(arguments) => play::execute(&arguments),
        Command::Probe(arguments) => probe::execute(&arguments),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: options that contradict each other or share a name.
    #[test]
    fn the_command_line_is_sound() {
        Line::command().debug_assert();
    }

    /// The commands of vdisim in a document: behind the last word of a line that names the program, up to
    /// what the shell takes for itself.
    fn commands(text: &str) -> Vec<Vec<String>> {
        let known: Vec<_> =
            Line::command().get_subcommands().map(|it| it.get_name().to_owned()).collect();
        let command = |line: &str| {
            let words = shell_words::split(line.trim_start_matches(['#', ' '])).ok()?;
            let is_program = |word: &String| word == "vdisim" || word.ends_with("/vdisim");
            let from = words.iter().rposition(is_program)?;
            let ours =
                words[from..].iter().take_while(|word| !["&", "&&", "|"].contains(&&***word));
            let ours: Vec<_> = ours.cloned().collect();
            ours.get(1).filter(|name| known.contains(name))?;
            Some(ours)
        };
        text.lines().filter_map(command).collect()
    }

    // Catches: a README, a guide or a CI snippet whose commands are no longer understood.
    #[test]
    fn the_commands_of_the_docs_are_understood() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        // A folded line of YAML goes on with an option.
        let folded = regex::Regex::new(r"\n +--").unwrap();
        for (name, at_least) in [
            ("README.md", 8),
            ("docs/bring-your-client.md", 3),
            ("docs/bench.md", 1),
            ("docs/ci/github-actions.yml", 2),
            ("docs/ci/gitlab-ci.yml", 2),
            ("docs/ci/Containerfile", 1),
        ] {
            let text = std::fs::read_to_string(root.join(name)).unwrap();
            let is_prose = name.ends_with(".md");
            // What stands between the fences of a shell's block; all of a file that is no text.
            let parts = text.split("```");
            let blocks: Vec<_> = match is_prose {
                true => parts.filter_map(|part| part.strip_prefix("sh\n")).collect(),
                false => vec![text.as_str()],
            };
            let mut text = blocks.join("\n").replace("${{ matrix.part }}", "1");
            text = text.replace("$CI_NODE_INDEX", "1").replace("$CI_NODE_TOTAL", "3");
            let commands = commands(&folded.replace_all(&text, " --"));
            assert!(commands.len() >= at_least, "{name}: {commands:?}");
            for words in commands {
                if let Err(error) = Line::try_parse_from(&words) {
                    panic!("{name}: {words:?}: {error}");
                }
            }
        }
    }
}
