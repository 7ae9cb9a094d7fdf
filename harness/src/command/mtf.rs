//! `vdisim mtf`.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use mtf::{Description, describe};
use serde_json::{Value, json};

use super::output;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Print the structure of native backups: media, backup sets, files, LSNs, blocks
    Show(Show),
}

#[derive(Args, Debug)]
pub(super) struct Show {
    /// Backups, one file a device
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Print them for a program
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(action: &Action) -> Result<(), Failure> {
    let Action::Show(arguments) = action;
    let mut shown = Vec::new();
    let mut failure = None;
    for path in &arguments.files {
        let description = match File::open(path) {
            Ok(file) => describe(file),
            Err(error) => {
                say_first(&mut failure, Failure::Usage(format!("{}: {error}.", path.display())));
                continue;
            }
        };
        if arguments.json {
            shown.push(as_json(path, &description)?);
        } else if !description.blocks.is_empty() {
            let title = if arguments.files.len() > 1 {
                format!("{}\n", path.display())
            } else {
                String::new()
            };
            output::print(&format!("{title}{}", description.to_string().trim_end()))?;
        }
        if let Some(bad) = judge(path, &description) {
            say_first(&mut failure, bad);
        }
    }
    if arguments.json {
        output::print_json(&json!({"version": 1, "files": shown}))?;
    }
    failure.map_or(Ok(()), Err)
}

/// Keeps the first failure for the end and says the others.
fn say_first(first: &mut Option<Failure>, failure: Failure) {
    match first {
        None => *first = Some(failure),
        Some(_) => output::say(&failure.to_string()),
    }
}

fn as_json(path: &Path, description: &Description) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(description)
        .map_err(|error| Failure::Failed(format!("{}: {error}.", path.display())))?;
    if let Value::Object(members) = &mut value {
        members.insert("file".to_owned(), json!(path.to_string_lossy()));
    }
    Ok(value)
}

/// What a description means: a file that is no such backup at all is the command line's mistake, a
/// damaged one has failed a check.
fn judge(path: &Path, description: &Description) -> Option<Failure> {
    let path = path.display();
    let Some(problem) = &description.problem else {
        return (description.damage_count > 0).then(|| {
            Failure::Failed(format!(
                "{path}: {} checksums are wrong; each is listed above.",
                description.damage_count
            ))
        });
    };
    let text = format!("{path}: {problem}.");
    let is_no_backup = description.blocks.is_empty() && problem.at.is_none();
    Some(match is_no_backup || problem.sql_message.is_none() {
        true => Failure::Usage(text),
        false => Failure::Failed(text),
    })
}
