//! Scripts, line by line.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use super::answer::{Outcome, Printer};
use super::cancel::{Interrupt, within};
use super::directive::{Destination, Directive, Exit, HELP};
use super::error::SqlcmdError;
use super::options::{Flavour, OptionError, Options, Query, Redirect};
use super::output::Output;
use super::predefined::{self, Predefined};
use super::script::{Batch, read, separator};
use super::session::{Session, open};
use super::usage::usage;
use super::variables::{Undefined, Variables};

/// The exit code after an error.
const FAILED: u8 = 1;
/// The exit code of `:exit(query)` when the query fails, has no row, or no number; the system keeps
/// eight bits of it.
const EXIT_ERROR: i64 = -100;
const EXIT_NO_ROW: i64 = -101;
const EXIT_NO_NUMBER: i64 = -102;
/// How deep `:r` may go.
const MOST_NESTED: usize = 32;

/// How a script goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Next,
    /// With this exit code.
    End(u8),
}

/// Plays a client with this command line; returns its exit code.
///
/// # Errors
/// What it cannot go on with. The server's errors are printed as they come.
pub fn run(flavour: Flavour, words: impl IntoIterator<Item = OsString>) -> Result<u8, SqlcmdError> {
    let mut options = all_options(flavour, words, |name| std::env::var(name).ok())?;
    if options.help {
        return io::stdout()
            .write_all(usage(flavour).as_bytes())
            .map(|()| 0)
            .map_err(SqlcmdError::Output);
    }
    // Nothing is executed if one of several is missing.
    if let Some(missing) = options.inputs.iter().find(|path| !path.exists()) {
        return Err(OptionError::NoInput(missing.display().to_string()).into());
    }
    let mut variables = Variables::new();
    for (name, value) in std::mem::take(&mut options.variables) {
        match Predefined::named(&name) {
            Some(predefined) => predefined.set(&mut options, Some(&value))?,
            None => variables.set(&name, Some(value)),
        }
    }
    if options.output.is_some() {
        // As documented, -r has no effect beside -o.
        options.redirect = Redirect::Nothing;
    }
    let output = Output::new(options.output.as_deref(), options.unicode)?;
    let session = open(&options)?;
    let mut interpreter = Interpreter {
        variables,
        exit_on_error: options.stop_on_error,
        interrupt: Interrupt::install(),
        batch: Batch::default(),
        severity: 0,
        nested: 0,
        is_interactive: false,
        options,
        output,
        session,
    };
    let code = interpreter.execute()?;
    match interpreter.output.failure() {
        Some(failure) => Err(failure),
        None => Ok(code),
    }
}

/// The command line, and what the environment says where it is silent.
fn all_options(
    flavour: Flavour,
    words: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Options, OptionError> {
    let mut options = Options::new(flavour);
    match flavour {
        Flavour::Sqlcmd => predefined::from_environment(&mut options, &variable)?,
        Flavour::Osql => {
            options.server = variable("OSQLSERVER");
            options.database = variable("OSQLDBNAME");
        }
    }
    let mut options = options.with(words)?;
    if !options.trusted {
        login_from_environment(&mut options, variable);
    }
    Ok(options)
}

/// A login that the command line leaves open.
fn login_from_environment(options: &mut Options, variable: impl Fn(&str) -> Option<String>) {
    let (user, password) = match options.flavour {
        Flavour::Sqlcmd => ("SQLCMDUSER", "SQLCMDPASSWORD"),
        Flavour::Osql => ("OSQLUSER", "OSQLPASSWORD"),
    };
    options.user = options.user.take().or_else(|| variable(user));
    options.password = options.password.take().or_else(|| variable(password));
}

/// A script's text.
fn input(path: &Path) -> Result<String, SqlcmdError> {
    read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => OptionError::NoInput(path.display().to_string()).into(),
        _ => SqlcmdError::File { path: path.to_owned(), error },
    })
}

struct Interpreter {
    options: Options,
    output: Output,
    session: Box<dyn Session>,
    variables: Variables,
    batch: Batch,
    exit_on_error: bool,
    interrupt: Arc<Interrupt>,
    /// The highest severity so far that counts for the exit code.
    severity: u8,
    nested: usize,
    /// A person types the lines: what goes wrong ends nothing.
    is_interactive: bool,
}

impl Interpreter {
    fn execute(&mut self) -> Result<u8, SqlcmdError> {
        match self.everything()? {
            Flow::End(code) => Ok(code),
            Flow::Next => Ok(self.severity),
        }
    }

    fn everything(&mut self) -> Result<Flow, SqlcmdError> {
        if let Some(Query { text, then_exit }) = self.options.query.clone() {
            let flow = self.script(&text, "query")?;
            if then_exit || flow != Flow::Next {
                return Ok(flow);
            }
        }
        if self.options.inputs.is_empty() {
            return self.standard_input();
        }
        for path in self.options.inputs.clone() {
            let flow = self.file(&path)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    /// Executes a file, and what is left at its end, too.
    fn file(&mut self, path: &Path) -> Result<Flow, SqlcmdError> {
        let text = input(path)?;
        self.script(&text, &path.display().to_string())
    }

    fn script(&mut self, text: &str, name: &str) -> Result<Flow, SqlcmdError> {
        let flow = self.lines(text, name)?;
        if flow != Flow::Next { Ok(flow) } else { self.run_batch(1) }
    }

    fn lines(&mut self, text: &str, name: &str) -> Result<Flow, SqlcmdError> {
        for (index, line) in text.lines().enumerate() {
            if self.options.echo {
                self.output.out(&format!("{line}\n"));
            }
            let flow = self.line(line, name, index + 1)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    /// Standard input: with a prompt if a person sits there.
    fn standard_input(&mut self) -> Result<Flow, SqlcmdError> {
        let stdin = io::stdin();
        self.is_interactive = stdin.is_terminal() && io::stdout().is_terminal();
        let mut bytes = Vec::new();
        for number in 1.. {
            if self.is_interactive && self.options.numbering {
                self.output.out(&format!("{}> ", self.batch.next_line()));
            }
            bytes.clear();
            let count = stdin.lock().read_until(b'\n', &mut bytes);
            let count = count.map_err(|error| SqlcmdError::File { path: "stdin".into(), error })?;
            if count == 0 {
                break;
            }
            let line = String::from_utf8_lossy(&bytes);
            let line = line.trim_start_matches('\u{FEFF}').trim_end_matches(['\r', '\n']);
            let flow = match self.line(line, "stdin", number) {
                Err(error) if self.is_interactive && error.is_of_a_line() => {
                    self.output.err(&format!("Sqlcmd: Error: {error}\n"));
                    Flow::Next
                }
                flow => flow?,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        // A person who leaves does not mean the rest.
        if self.is_interactive { Ok(Flow::Next) } else { self.run_batch(1) }
    }

    fn line(&mut self, line: &str, file: &str, number: usize) -> Result<Flow, SqlcmdError> {
        if !self.batch.is_inside()
            && let Some(directive) = Directive::parse(line, self.options.flavour)
        {
            return self.directive(directive, file, number);
        }
        let line = self.substituted(line)?;
        if !self.batch.is_inside()
            && let Some(count) = separator(&line, &self.options.terminator)
        {
            return self.run_batch(count);
        }
        self.batch.add(&line);
        Ok(Flow::Next)
    }

    fn substituted(&self, text: &str) -> Result<String, SqlcmdError> {
        if !self.options.substitute || self.options.flavour == Flavour::Osql {
            return Ok(text.to_owned());
        }
        let undefined = |Undefined(name)| SqlcmdError::Variable(name);
        self.variables.substitute(text, &self.options).map_err(undefined)
    }

    fn directive(
        &mut self,
        directive: Directive,
        file: &str,
        number: usize,
    ) -> Result<Flow, SqlcmdError> {
        match directive {
            Directive::SetVariable { name, value } => {
                let value = value.map(|value| self.substituted(&value)).transpose()?;
                self.set_variable(&name, value)?;
            }
            Directive::Read(path) => {
                let path = self.substituted(&path.to_string_lossy())?;
                return self.nested_file(Path::new(&path));
            }
            Directive::Exit(exit) => return self.exit(exit),
            Directive::Reset => drop(self.batch.take()),
            Directive::OnError { exit } => self.exit_on_error = exit,
            Directive::Out(to) => {
                self.output.set_out(&Destination::named(&self.substituted(&to)?))?;
            }
            Directive::Error(to) => {
                self.output.set_err(&Destination::named(&self.substituted(&to)?))?;
            }
            Directive::Connect(words) => {
                // Word by word: a password may have spaces in it.
                let words: Result<Vec<_>, _> =
                    words.iter().map(|word| self.substituted(word)).collect();
                self.connect(words?)?;
            }
            Directive::List => self.output.out(self.batch.text()),
            Directive::ListVariables => {
                let list = self.variables.list(&self.options);
                let text: String =
                    list.iter().map(|(name, value)| format!("{name} = \"{value}\"\n")).collect();
                self.output.out(&text);
            }
            Directive::Help => self.output.out(HELP),
            Directive::Disabled => {
                self.output.err("ED and !!<command> commands are disabled.\n");
                if self.options.stop_at_commands {
                    return Ok(Flow::End(FAILED));
                }
            }
            Directive::Mistake(command) => {
                return Err(SqlcmdError::Syntax { line: number, command, file: file.to_owned() });
            }
        }
        Ok(Flow::Next)
    }

    /// Sets a variable; some of them are options under another name.
    fn set_variable(&mut self, name: &str, value: Option<String>) -> Result<(), SqlcmdError> {
        match Predefined::named(name) {
            Some(predefined) if predefined.is_read_only => {
                Err(SqlcmdError::ReadOnly(name.to_owned()))
            }
            Some(predefined) => Ok(predefined.set(&mut self.options, value.as_deref())?),
            None => {
                self.variables.set(name, value);
                Ok(())
            }
        }
    }

    fn nested_file(&mut self, path: &Path) -> Result<Flow, SqlcmdError> {
        if self.nested == MOST_NESTED {
            return Err(SqlcmdError::Nesting { path: path.to_owned(), limit: MOST_NESTED });
        }
        let text = input(path)?;
        self.nested += 1;
        let flow = self.lines(&text, &path.display().to_string());
        self.nested -= 1;
        flow
    }

    /// Another server, with the options of the line in the place of the login's; what the line
    /// leaves open the environment may say, and `:setvar` of the time.
    fn connect(&mut self, words: Vec<String>) -> Result<(), SqlcmdError> {
        let mut words = words.into_iter();
        let server = words.next();
        let mut login = Options::new(self.options.flavour);
        login.login_time = self.options.login_time;
        let mut login = login.with(words.map(OsString::from))?;
        login_from_environment(&mut login, |name| std::env::var(name).ok());
        self.options.server = server;
        self.options.trusted = login.user.is_none();
        self.options.user = login.user;
        self.options.password = login.password;
        self.options.login_time = login.login_time;
        self.session = open(&self.options)?;
        let server = self.options.server.as_deref().unwrap_or_default();
        self.output.out(&format!("Sqlcmd: Successfully connected to server '{server}'.\n"));
        Ok(())
    }

    fn exit(&mut self, exit: Exit) -> Result<Flow, SqlcmdError> {
        match exit {
            Exit::Now => Ok(Flow::End(self.severity)),
            Exit::AfterBatch => Ok(match self.run_batch(1)? {
                Flow::Next => Flow::End(self.severity),
                end => end,
            }),
            Exit::WithResult(query) => {
                let query = self.substituted(&query)?;
                let mut batch = self.batch.take();
                batch.push_str(&query);
                let (outcome, _) = self.answer(&batch)?;
                let code = match outcome {
                    outcome if outcome.is_error() => EXIT_ERROR,
                    Outcome { has_row: false, .. } => EXIT_NO_ROW,
                    Outcome { number, .. } => number.unwrap_or(EXIT_NO_NUMBER),
                };
                Ok(Flow::End((code & 0xFF) as u8))
            }
        }
    }

    /// Executes what is collected, `count` times.
    fn run_batch(&mut self, count: u32) -> Result<Flow, SqlcmdError> {
        let batch = self.batch.take();
        if batch.trim().is_empty() {
            return Ok(Flow::Next);
        }
        for _ in 0..count {
            let (outcome, is_interrupted) = self.answer(&batch)?;
            if let Some(number) = outcome.exit {
                return Ok(Flow::End((number & 0xFF) as u8));
            }
            let flow = self.judge(&outcome, is_interrupted);
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    /// What a batch's errors mean for the rest.
    fn judge(&mut self, outcome: &Outcome, is_interrupted: bool) -> Flow {
        if self.output.has_failed() || (is_interrupted && !self.is_interactive) {
            return Flow::End(FAILED);
        }
        let severity = outcome.severity;
        let code = match self.options.severity {
            Some(least) if severity >= least && severity > 0 => severity,
            Some(_) => 0,
            None => u8::from(outcome.is_error()),
        };
        if self.options.severity.is_some() {
            self.severity = self.severity.max(code);
        }
        if self.exit_on_error && code > 0 { Flow::End(code) } else { Flow::Next }
    }

    /// Sends a batch and prints the answer; whether a person, or the clock, put an end to it.
    fn answer(&mut self, batch: &str) -> Result<(Outcome, bool), SqlcmdError> {
        let cancel = self.session.canceller();
        let mut printer = Printer::new(&self.options, &mut self.output);
        let session = &mut self.session;
        let ((done, is_late), is_interrupted) = self.interrupt.during(&cancel, || {
            within(self.options.query_time, &cancel, || {
                session.execute(batch, &mut |event| {
                    printer.print(event);
                    if printer.has_failed() {
                        cancel();
                    }
                })
            })
        });
        let mut outcome = printer.outcome();
        done?;
        if is_late {
            self.output.err("Timeout expired\n");
            // An error, whatever the server made of it.
            outcome.severity = outcome.severity.max(16);
        }
        if is_interrupted {
            self.output.err(
                "Sqlcmd: Warning: The last operation was terminated because the user pressed \
                 CTRL+C.\n",
            );
        }
        Ok((outcome, is_interrupted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: the environment taken over the command line, or a password of it with -E.
    #[test]
    fn the_environment_fills_gaps() {
        let texts = ["SQLCMDSERVER", "SQLCMDDBNAME", "SQLCMDUSER", "SQLCMDPASSWORD"];
        let variable = |name: &str| texts.contains(&name).then(|| format!("{name}!"));
        let words = ["-Sother", "-E"].map(OsString::from);
        let options = all_options(Flavour::Sqlcmd, words, variable).unwrap();
        assert_eq!(options.server.as_deref(), Some("other"));
        assert_eq!(options.database.as_deref(), Some("SQLCMDDBNAME!"));
        assert_eq!((options.user, options.password), (None, None));
    }
}
