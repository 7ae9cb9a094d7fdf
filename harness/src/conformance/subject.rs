//! The client under test: how its command line is made for a case.

use std::ffi::OsString;
use std::path::PathBuf;

use super::capabilities::Need;
use super::front::{Desk, Front, names_the_set};
use super::script::Operation;

/// Who is tested.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A client with this command line, in words with placeholders.
    Command(Vec<String>),
    /// Our reference client: the path of `vdisim`.
    Reference(PathBuf),
}

/// A `--client` that is no command line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// It cannot be split into words.
    #[error("--client '{0}' is no command line: a quotation mark has no partner.")]
    Words(String),
    /// It has no words.
    #[error(
        "--client is empty; give the client's command line, such as './client {{op}} {{set}} {{file}}'."
    )]
    Empty,
    /// It asks for what only a front-end of SQL Server could give.
    #[error(
        "--client names {{{0}}}, but with --front direct, which a client that is told the set's \
         name gets, it meets no SQL Server; add --front sqlcmd or --front tds, or leave it out."
    )]
    Placeholder(String),
}

/// What a case tells the client.
#[derive(Clone, Debug)]
pub(crate) struct Brief {
    pub(crate) operation: Operation,
    pub(crate) devices: Vec<String>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) needs: Vec<Need>,
    /// The server that the client sends its statement to, if it does.
    pub(crate) desk: Option<Desk>,
}

/// The placeholders of a command line.
const PLACEHOLDERS: [&str; 7] = ["op", "set", "device", "devices", "file", "files", "mode"];

/// Those that a SQL Server stands behind.
const OF_SERVER: [&str; 5] = ["server", "port", "user", "password", "database"];

impl Subject {
    /// Splits a command line into words as a shell does.
    ///
    /// # Errors
    /// A line that is none.
    pub fn parse(line: &str) -> Result<Subject, SubjectError> {
        let words = shell_words::split(line).map_err(|_| SubjectError::Words(line.to_owned()))?;
        if words.is_empty() {
            return Err(SubjectError::Empty);
        }
        Ok(Subject::Command(words))
    }

    /// Which front-end it gets: what was asked for, else the one that its command line speaks of.
    ///
    /// # Errors
    /// A placeholder that the front-end has nothing for.
    pub fn front(&self, asked: Option<Front>) -> Result<Front, SubjectError> {
        let Subject::Command(words) = self else { return Ok(Front::Direct) };
        let front = asked.unwrap_or_else(|| Front::of(words));
        let names = |name: &&&str| words.iter().any(|word| word.contains(&format!("{{{name}}}")));
        match OF_SERVER.iter().find(names) {
            Some(name) if !front.is_sql() => Err(SubjectError::Placeholder((*name).to_owned())),
            _ => Ok(front),
        }
    }

    /// Whether the client learns the set's name from its command line.
    pub(crate) fn is_told_the_name(&self) -> bool {
        match self {
            Subject::Command(words) => names_the_set(words),
            Subject::Reference(_) => true,
        }
    }

    /// The words of the command for a case.
    pub(crate) fn words(&self, brief: &Brief) -> Vec<OsString> {
        match self {
            Subject::Command(words) => words.iter().flat_map(|word| expand(word, brief)).collect(),
            Subject::Reference(vdisim) => reference(vdisim, brief),
        }
    }
}

impl Brief {
    fn mode(&self) -> &'static str {
        if self.needs.contains(&Need::Tape) {
            "tape"
        } else if self.needs.contains(&Need::Disk) {
            "disk"
        } else {
            "pipe"
        }
    }

    fn files(&self) -> Vec<String> {
        self.files.iter().map(|file| file.display().to_string()).collect()
    }

    fn value(&self, name: &str) -> String {
        match name {
            "op" => self.operation.name().to_owned(),
            "set" | "device" => self.devices[0].clone(),
            "devices" => self.devices.join("\n"),
            "file" => self.files().swap_remove(0),
            "files" => self.files().join("\n"),
            _ => self.mode().to_owned(),
        }
    }

    /// The same as the placeholders, for the client's environment; lists are lines.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let variable = |name: &&str| (format!("VDISIM_{}", name.to_uppercase()), self.value(name));
        let mut all: Vec<_> = PLACEHOLDERS.iter().map(variable).collect();
        if let Some(desk) = &self.desk {
            all.extend(OF_SERVER.iter().filter_map(|name| {
                Some((format!("VDISIM_{}", name.to_uppercase()), desk.value(name)?))
            }));
            all.extend(desk.for_tools());
        }
        let features: Vec<_> = self.needs.iter().map(ToString::to_string).collect();
        all.push(("VDISIM_NEEDS".to_owned(), features.join("\n")));
        all
    }
}

/// A word with its placeholders replaced; `{devices}` and `{files}` alone become a word each.
fn expand(word: &str, brief: &Brief) -> Vec<OsString> {
    match word {
        "{devices}" => brief.devices.iter().map(OsString::from).collect(),
        "{files}" => brief.files.iter().map(|file| file.clone().into_os_string()).collect(),
        _ => {
            let replace = |word: String, name: &&str| {
                word.replace(&format!("{{{name}}}"), &brief.value(name))
            };
            let word = PLACEHOLDERS.iter().fold(word.to_owned(), replace);
            let served = |word: String, name: &&str| {
                let value = brief.desk.as_ref().and_then(|desk| desk.value(name));
                value.map_or_else(
                    || word.clone(),
                    |value| word.replace(&format!("{{{name}}}"), &value),
                )
            };
            vec![OF_SERVER.iter().fold(word, served).into()]
        }
    }
}

fn reference(vdisim: &std::path::Path, brief: &Brief) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec![vdisim.into(), "client".into()];
    words.push(brief.operation.name().into());
    words.extend(["--set".into(), brief.devices[0].clone().into(), "--device".into()]);
    words.extend(brief.devices.iter().map(OsString::from));
    words.push("--file".into());
    words.extend(brief.files.iter().map(|file| file.clone().into_os_string()));
    let mut features = vec![match brief.mode() {
        "tape" => "LikeTape",
        "disk" => "LikeDisk",
        _ => "LikePipe",
    }];
    for need in &brief.needs {
        match need {
            Need::Complete => features.push("RequestComplete"),
            Need::Processes => words.push("--processes".into()),
            Need::Handles => words.push("--by-handle".into()),
            _ => {}
        }
    }
    if features != ["LikePipe"] {
        words.extend(["--features".into(), features.join(",").into()]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brief() -> Brief {
        Brief {
            operation: Operation::Backup,
            devices: vec!["s".into(), "s1".into()],
            files: vec!["/m/0".into(), "/m/1".into()],
            needs: vec![Need::Tape],
            desk: None,
        }
    }

    // Catches: a list squeezed into one word, quotes kept, a placeholder inside a word missed.
    #[test]
    fn words_are_made_as_a_shell_and_the_placeholders_say() {
        let subject =
            Subject::parse("./c --mode='{mode}' {op} {devices} -f {files} 'a b'").unwrap();
        let words = subject.words(&brief());
        let expected = ["./c", "--mode=tape", "backup", "s", "s1", "-f", "/m/0", "/m/1", "a b"];
        assert_eq!(words, expected);
    }

    // Catches: starting a client with a literal {server}.
    #[test]
    fn what_cannot_be_a_client_is_said() {
        assert_eq!(Subject::parse(" ").unwrap_err(), SubjectError::Empty);
        assert!(matches!(Subject::parse("a 'b"), Err(SubjectError::Words(_))));
        let front = |line: &str, asked| Subject::parse(line).unwrap().front(asked);
        let told = "a {set} {server}";
        assert!(matches!(front(told, None), Err(SubjectError::Placeholder(_))));
        assert_eq!(front(told, Some(Front::Tds)), Ok(Front::Tds));
        assert!(front("a {op} {port}", Some(Front::Direct)).is_err());
    }

    // Catches: a server's address that stays a placeholder, or is split into words.
    #[test]
    fn the_server_is_named() {
        let mut brief = brief();
        let address = Some(([127, 0, 0, 1], 5555).into());
        brief.desk = Some(Desk { address, ..Desk::new() });
        let words = Subject::parse("c -S {server} --to={port}/{database}").unwrap().words(&brief);
        assert_eq!(words, ["c", "-S", "127.0.0.1,5555", "--to=5555/pubs"]);
        let environment = brief.environment();
        let value = |name: &str| environment.iter().find(|(key, _)| key == name).unwrap().1.clone();
        assert_eq!(value("VDISIM_SERVER"), "127.0.0.1,5555");
        assert_eq!(value("SQLCMDSERVER"), value("VDISIM_SERVER"));
        assert_eq!(value("SQLCMDPASSWORD"), value("VDISIM_PASSWORD"));
    }
}
