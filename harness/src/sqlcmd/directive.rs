//! Lines that are for the client and not for the server.

use std::path::PathBuf;

use super::options::Flavour;

/// How a script ends by its own wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// At once; what is collected is not executed.
    Now,
    /// After what is collected.
    AfterBatch,
    /// After what is collected and this query, whose first value is the exit code.
    WithResult(String),
}

/// Where output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// A file.
    File(PathBuf),
}

impl Destination {
    /// What stands behind `:out` and `:error`.
    pub(super) fn named(text: &str) -> Destination {
        match text.to_lowercase().as_str() {
            "stdout" => Destination::Out,
            "stderr" => Destination::Err,
            _ => Destination::File(PathBuf::from(unquoted(text))),
        }
    }
}

/// What a line tells the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Directive {
    SetVariable {
        name: String,
        value: Option<String>,
    },
    Read(PathBuf),
    Exit(Exit),
    Reset,
    OnError {
        exit: bool,
    },
    /// What [`Destination::named`] reads, once variables have their values.
    Out(String),
    Error(String),
    Connect(Vec<String>),
    List,
    ListVariables,
    Help,
    /// A command of the operating system, or an editor.
    Disabled,
    /// A colon, and behind it nothing that is known or that makes sense.
    Mistake(String),
}

/// What `:help` prints.
pub(super) const HELP: &str = "\
:connect server[\\instance] [-l timeout] [-U user [-P password]]
  - Connects to a SQL Server instance.
:error <filename> | stderr | stdout
  - Redirects messages of errors.
:exit | :exit() | :exit(query)
  - Quits, executes the batch and quits, or quits with the query's first value.
go [<n>]
  - Executes the batch, n times.
:help
:list
  - Prints the batch.
:listvar
  - Prints the variables.
:on error [exit|ignore]
:out <filename> | stderr | stdout
  - Redirects the output.
:quit
:r <filename>
  - Reads a file's lines as if they stood here.
:reset
  - Forgets the batch.
:setvar <name> [<value>]
";

impl Directive {
    /// Reads a line; none if it belongs to the batch.
    pub(super) fn parse(line: &str, flavour: Flavour) -> Option<Directive> {
        let line = line.trim();
        let colon = line.strip_prefix(':').filter(|_| flavour == Flavour::Sqlcmd);
        let text = colon.unwrap_or(line);
        if text.starts_with("!!") {
            return Some(Directive::Disabled);
        }
        let (word, rest) = text
            .split_once(|c: char| c.is_whitespace() || c == '(')
            .map_or((text, ""), |(word, _)| (word, text[word.len()..].trim()));
        let word = word.to_lowercase();
        // These need no colon, but a line of their own.
        match (word.as_str(), rest) {
            ("quit", "") => return Some(Directive::Exit(Exit::Now)),
            ("reset", "") => return Some(Directive::Reset),
            ("ed", "") => return Some(Directive::Disabled),
            ("exit", rest) => {
                if let Some(exit) = exit(rest) {
                    return Some(Directive::Exit(exit));
                }
            }
            _ => {}
        }
        colon?;
        let read = match (word.as_str(), rest) {
            ("setvar", rest) => variable(rest),
            ("r", file) if !file.is_empty() => Some(Directive::Read(PathBuf::from(unquoted(file)))),
            ("on", rest) => on_error(rest),
            ("out", to) if !to.is_empty() => Some(Directive::Out(to.to_owned())),
            ("error", to) if !to.is_empty() => Some(Directive::Error(to.to_owned())),
            ("connect", server) if !server.is_empty() => Some(Directive::Connect(
                server.split_whitespace().map(|word| unquoted(word).to_owned()).collect(),
            )),
            ("list", "") => Some(Directive::List),
            ("listvar", "") => Some(Directive::ListVariables),
            ("help", "") => Some(Directive::Help),
            _ => None,
        };
        Some(read.unwrap_or_else(|| Directive::Mistake(line.to_owned())))
    }
}

/// What stands behind `exit`: nothing, or parentheses.
fn exit(rest: &str) -> Option<Exit> {
    if rest.is_empty() {
        return Some(Exit::Now);
    }
    let query = rest.strip_prefix('(')?.strip_suffix(')')?.trim();
    Some(if query.is_empty() { Exit::AfterBatch } else { Exit::WithResult(query.to_owned()) })
}

fn variable(rest: &str) -> Option<Directive> {
    let (name, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if name.is_empty() {
        return None;
    }
    let value = value.trim();
    let value = (!value.is_empty()).then(|| unquoted(value).replace("\"\"", "\""));
    Some(Directive::SetVariable { name: name.to_owned(), value })
}

fn on_error(rest: &str) -> Option<Directive> {
    let words: Vec<_> = rest.split_whitespace().map(str::to_lowercase).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["error", "exit"] => Some(Directive::OnError { exit: true }),
        ["error", "ignore"] => Some(Directive::OnError { exit: false }),
        _ => None,
    }
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlcmd(line: &str) -> Option<Directive> {
        Directive::parse(line, Flavour::Sqlcmd)
    }

    // Catches: a command without its colon taken from the T-SQL, one with it sent to the server.
    #[test]
    fn lines_for_the_client() {
        let set = |value: Option<&str>| {
            let value = value.map(str::to_owned);
            Some(Directive::SetVariable { name: "x".to_owned(), value })
        };
        assert_eq!(sqlcmd(":setvar x pubs"), set(Some("pubs")));
        assert_eq!(sqlcmd("  :SetVar x \"a \"\"b\"\" c\" "), set(Some("a \"b\" c")));
        assert_eq!(sqlcmd(":setvar x"), set(None));
        assert_eq!(sqlcmd("setvar x pubs"), None);
        assert_eq!(sqlcmd(":r \"a b.sql\""), Some(Directive::Read("a b.sql".into())));
        assert_eq!(sqlcmd(":on error exit"), Some(Directive::OnError { exit: true }));
        assert_eq!(sqlcmd(":out stderr"), Some(Directive::Out("stderr".to_owned())));
        assert_eq!(Destination::named("StdErr"), Destination::Err);
        assert_eq!(Destination::named("\"a b\""), Destination::File("a b".into()));
        assert_eq!(sqlcmd(":foo bar"), Some(Directive::Mistake(":foo bar".to_owned())));
        assert_eq!(sqlcmd("!!dir"), Some(Directive::Disabled));
        assert_eq!(sqlcmd("select 1"), None);
    }

    // Catches: `exit` in its forms mixed up, a statement that begins with the word.
    #[test]
    fn ways_out() {
        assert_eq!(sqlcmd("EXIT"), Some(Directive::Exit(Exit::Now)));
        assert_eq!(sqlcmd(":quit"), Some(Directive::Exit(Exit::Now)));
        assert_eq!(sqlcmd("exit ( )"), Some(Directive::Exit(Exit::AfterBatch)));
        let query = Exit::WithResult("select count(*) from t".to_owned());
        assert_eq!(sqlcmd(":exit(select count(*) from t)"), Some(Directive::Exit(query)));
        assert_eq!(sqlcmd("exit_code = 1"), None);
        assert_eq!(sqlcmd("reset x"), None);
    }

    // Catches: osql with commands that it does not have, which scripts use as labels.
    #[test]
    fn osql_has_no_colon() {
        assert_eq!(Directive::parse(":r x", Flavour::Osql), None);
        let quit = Directive::parse("quit", Flavour::Osql);
        assert_eq!(quit, Some(Directive::Exit(Exit::Now)));
    }
}
