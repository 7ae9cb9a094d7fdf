//! The command line of `sqlcmd` and `osql`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::layout::{Controls, Headings, Layout};

/// Which of the two clients is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// `sqlcmd`.
    Sqlcmd,
    /// `osql`: no variables, no commands with a colon, another margin.
    Osql,
}

/// A query of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Its text.
    pub text: String,
    /// -Q: nothing comes behind it. With -q, standard input does.
    pub then_exit: bool,
}

/// What goes to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// Nothing of what the server says.
    Nothing,
    /// -r0: errors, of class 11 and above.
    Errors,
    /// -r1: all messages.
    Messages,
}

/// A command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Which client.
    pub flavour: Flavour,
    /// -?: nothing but the usage is wanted.
    pub help: bool,
    /// -S.
    pub server: Option<String>,
    /// -U.
    pub user: Option<String>,
    /// -P.
    pub password: Option<String>,
    /// -E.
    pub trusted: bool,
    /// -d.
    pub database: Option<String>,
    /// -Q or -q.
    pub query: Option<Query>,
    /// -i: scripts, in order.
    pub inputs: Vec<PathBuf>,
    /// -o.
    pub output: Option<PathBuf>,
    /// -u: files that are written are UTF-16.
    pub unicode: bool,
    /// -b: an error ends everything, with an exit code.
    pub stop_on_error: bool,
    /// -V: the least severity that counts for the exit code, which it then is.
    pub severity: Option<u8>,
    /// -m: the least severity of errors that is shown; -1 shows the head of all messages.
    pub message_level: i32,
    /// -t: how long a batch may take.
    pub query_time: Option<Duration>,
    /// -l: how long the login may take; 0 is no limit.
    pub login_time: Duration,
    /// -h, -k, -s, -W, -w, -y and -Y.
    pub layout: Layout,
    /// -r.
    pub redirect: Redirect,
    /// -v, in order.
    pub variables: Vec<(String, String)>,
    /// -x switches it off: `$(name)` stands for a variable's value.
    pub substitute: bool,
    /// -N: encrypt everything.
    pub encrypt: bool,
    /// -C: trust the server's certificate.
    pub trust_certificate: bool,
    /// -H.
    pub workstation: Option<String>,
    /// -a, in bytes.
    pub packet_bytes: u16,
    /// -I: double quotes enclose names.
    pub quoted_identifiers: bool,
    /// -e: lines of scripts are printed, too.
    pub echo: bool,
    /// -c.
    pub terminator: String,
    /// -n switches them off: prompts have line numbers.
    pub numbering: bool,
    /// -X1: a command of the operating system, which is never executed, ends everything.
    pub stop_at_commands: bool,
}

/// A command line that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// There is no such option.
    #[error("'{0}': Unknown Option. Enter '-?' for help.")]
    Unknown(String),
    /// An option's value is missing.
    #[error("'-{0}': Missing argument. Enter '-?' for help.")]
    Missing(char),
    /// An option's value is none.
    #[error("'-{option} {value}': Unexpected argument. The value has to be {expected}.")]
    Value {
        /// The option's letter.
        option: char,
        /// What was given.
        value: String,
        /// What may be.
        expected: String,
    },
    /// -i: there is no such file.
    #[error("'{0}': Invalid filename.")]
    NoInput(String),
    /// A variable that stands for an option, with a value that is none.
    #[error("The environment variable: '{name}' has invalid value: '{value}'.")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What it was to be.
        value: String,
    },
    /// Two options contradict each other.
    #[error("The {0} and the {1} options are mutually exclusive.")]
    Exclusive(&'static str, &'static str),
}

const DEFAULT_PACKET_BYTES: u16 = 4096;
const DEFAULT_LOGIN_TIME: Duration = Duration::from_secs(8);
/// The longest of both times, in seconds.
const MOST_SECONDS: u64 = 65_534;

impl Options {
    /// No options at all.
    pub fn new(flavour: Flavour) -> Options {
        Options {
            flavour,
            help: false,
            server: None,
            user: None,
            password: None,
            trusted: false,
            database: None,
            query: None,
            inputs: Vec::new(),
            output: None,
            unicode: false,
            stop_on_error: false,
            severity: None,
            message_level: 0,
            query_time: None,
            login_time: DEFAULT_LOGIN_TIME,
            layout: Layout::new(flavour),
            redirect: Redirect::Nothing,
            variables: Vec::new(),
            substitute: true,
            encrypt: false,
            trust_certificate: false,
            workstation: None,
            packet_bytes: DEFAULT_PACKET_BYTES,
            quoted_identifiers: false,
            echo: false,
            terminator: "GO".to_owned(),
            numbering: true,
            stop_at_commands: false,
        }
    }

    /// Reads the words of a command line, without the program's name.
    ///
    /// # Errors
    /// The first word that makes no sense, or options that contradict each other.
    pub fn parse(
        flavour: Flavour,
        words: impl IntoIterator<Item = OsString>,
    ) -> Result<Options, OptionError> {
        Options::new(flavour).with(words)
    }

    /// These options where the words of a command line say nothing else.
    pub(super) fn with(
        self,
        words: impl IntoIterator<Item = OsString>,
    ) -> Result<Options, OptionError> {
        let mut options = self;
        let mut words = Words { words: words.into_iter().collect(), next: 0, given: String::new() };
        while let Some(word) = words.take() {
            match word.strip_prefix('-') {
                Some("-help" | "?") => options.help = true,
                Some(letters) if !letters.is_empty() => options.read(&word, letters, &mut words)?,
                _ => return Err(OptionError::Unknown(word)),
            }
        }
        options.check(&words.given)?;
        Ok(options)
    }

    /// Whether options contradict each other, of which these letters were given.
    fn check(&self, given: &str) -> Result<(), OptionError> {
        if given.contains('W') && given.contains(['y', 'Y']) {
            return Err(OptionError::Exclusive("-W", "-y/-Y"));
        }
        if self.query.is_some() && !self.inputs.is_empty() {
            return Err(OptionError::Exclusive("-i", "-Q/-q"));
        }
        if self.trusted && (self.user.is_some() || self.password.is_some()) {
            return Err(OptionError::Exclusive("-E", "-U/-P"));
        }
        Ok(())
    }

    /// Reads an option: its letter with, behind it, its value or the letters of further options.
    fn read(&mut self, word: &str, letters: &str, words: &mut Words) -> Result<(), OptionError> {
        let mut rest = letters;
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            words.given.push(letter);
            if self.flag(letter) {
                continue;
            }
            if !self.optional(letter, rest, words)? {
                let value = match rest {
                    "" => words.take(),
                    attached => Some(attached.to_owned()),
                };
                if !takes_value(letter, self.flavour) {
                    return Err(OptionError::Unknown(word.to_owned()));
                }
                let value = value.ok_or(OptionError::Missing(letter))?;
                match letter {
                    'v' => self.assign(value, words)?,
                    _ => self.set(letter, value)?,
                }
            }
            return Ok(());
        }
        Ok(())
    }

    /// An option without a value; false if the letter is none.
    fn flag(&mut self, letter: char) -> bool {
        match letter {
            'b' => self.stop_on_error = true,
            'E' => self.trusted = true,
            'e' => self.echo = true,
            'I' => self.quoted_identifiers = true,
            'n' => self.numbering = false,
            'C' => self.trust_certificate = true,
            'W' => self.layout.trim = true,
            'x' => self.substitute = false,
            'u' => self.unicode = true,
            // Regional settings, the administrators' connection, failover: all as it is here anyway.
            'R' | 'A' | 'M' => {}
            // Raw messages, encrypted columns, -S as the name of a data source: nothing to do.
            'j' | 'g' | 'D' if self.flavour == Flavour::Sqlcmd => {}
            _ => return false,
        }
        true
    }

    /// An option whose value may be missing, and if not is attached; false if the letter is none.
    fn optional(
        &mut self,
        letter: char,
        attached: &str,
        words: &mut Words,
    ) -> Result<bool, OptionError> {
        match letter {
            'r' => {
                let given = if attached.is_empty() { words.take_digit() } else { attached.into() };
                self.redirect = match given.as_str() {
                    "" | "0" => Redirect::Errors,
                    "1" => Redirect::Messages,
                    _ => return Err(unexpected('r', attached, "0 or 1")),
                };
            }
            'N' => match attached {
                "" | "m" | "s" | "true" | "mandatory" | "strict" => self.encrypt = true,
                "o" | "false" | "optional" => self.encrypt = false,
                _ => return Err(unexpected('N', attached, "o, m or s")),
            },
            'X' => match attached {
                "" => {}
                "1" => self.stop_at_commands = true,
                _ => return Err(unexpected('X', attached, "1")),
            },
            'k' => {
                self.layout.controls = match attached {
                    "" => Controls::Removed,
                    "1" => Controls::Replaced,
                    "2" => Controls::Squeezed,
                    _ => return Err(unexpected('k', attached, "1 or 2")),
                };
            }
            // There are no statistics to print.
            'p' => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Sets an option that has a value.
    pub(super) fn set(&mut self, letter: char, value: String) -> Result<(), OptionError> {
        let text = value.as_str();
        match letter {
            'S' => self.server = Some(value),
            'U' => self.user = Some(value),
            'P' => self.password = Some(value),
            'd' => self.database = Some(value),
            'Q' => self.query = Some(Query { text: value, then_exit: true }),
            'q' => self.query = Some(Query { text: value, then_exit: false }),
            'i' => self.inputs.extend(text.split(',').map(PathBuf::from)),
            'o' => self.output = Some(PathBuf::from(value)),
            'H' => self.workstation = Some(value),
            'c' => self.terminator = value,
            's' => self.layout.separator = value,
            't' => {
                let seconds = number('t', text, 0, MOST_SECONDS)?;
                self.query_time = (seconds > 0).then(|| Duration::from_secs(seconds));
            }
            'l' => self.login_time = Duration::from_secs(number('l', text, 0, MOST_SECONDS)?),
            'h' => {
                self.layout.headings = Headings::from_option(text).ok_or_else(|| {
                    unexpected('h', text, "-1, or the number of rows between headings")
                })?;
            }
            'w' => self.layout.width = number('w', text, 9, 65_535)? as usize,
            'y' => self.layout.most_variable = number('y', text, 0, 8000)? as usize,
            'Y' => self.layout.most_fixed = number('Y', text, 0, 8000)? as usize,
            'a' => self.packet_bytes = number('a', text, 512, 32_767)? as u16,
            'V' => self.severity = Some(number('V', text, 0, 25)? as u8),
            'm' => {
                let level = text.parse().ok().filter(|level| (-1..=25).contains(level));
                self.message_level = level.ok_or_else(|| unexpected('m', text, "-1 to 25"))?;
            }
            // Code page, application intent, new password, osql's data source: nothing to do.
            _ => {}
        }
        Ok(())
    }

    /// Variables, the first and those in words behind it. Name, sign and value may be words of their
    /// own: `x=1`, `x =1`, `x= 1`, `x = 1`.
    fn assign(&mut self, first: String, words: &mut Words) -> Result<(), OptionError> {
        let is_option = |word: &str| word.starts_with('-');
        let mut next = Some(first);
        while let Some(mut text) = next {
            let mut has_value_apart = false;
            if !text.contains('=')
                && let Some(sign) = words.take_if(|word| word.starts_with('='))
            {
                has_value_apart = sign == "=";
                text += &sign;
            }
            // `x= y=1` is two of them, and the first is empty.
            let is_value =
                |word: &str| !is_option(word) && (has_value_apart || !word.contains('='));
            if text.find('=') == Some(text.len() - 1)
                && let Some(value) = words.take_if(is_value)
            {
                text += &value;
            }
            self.variables.push(assignment(&text)?);
            next = words.take_if(|word| !is_option(word));
        }
        Ok(())
    }
}

fn takes_value(letter: char, flavour: Flavour) -> bool {
    match flavour {
        Flavour::Sqlcmd => "SUPdQqioHcstlhwyYaVmvfKzZ".contains(letter),
        Flavour::Osql => "SUPdQqioHcstlhwamDO".contains(letter),
    }
}

fn unexpected(option: char, value: &str, expected: &str) -> OptionError {
    OptionError::Value { option, value: value.to_owned(), expected: expected.to_owned() }
}

fn number(option: char, text: &str, least: u64, most: u64) -> Result<u64, OptionError> {
    let number = text.trim().parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| unexpected(option, text, &format!("a number from {least} to {most}")))
}

fn assignment(text: &str) -> Result<(String, String), OptionError> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| unexpected('v', text, "NAME=VALUE"))?;
    // Quotes that the shell has left.
    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
    Ok((name.to_owned(), value.to_owned()))
}

/// The words of a command line, from the front.
struct Words {
    words: Vec<OsString>,
    next: usize,
    /// The letters of the options so far.
    given: String,
}

impl Words {
    fn peek(&self) -> Option<String> {
        self.words.get(self.next).map(|word| word.to_string_lossy().into_owned())
    }

    fn take(&mut self) -> Option<String> {
        let word = self.peek();
        self.next += 1;
        word
    }

    /// The next word if it is 0 or 1; else nothing.
    fn take_digit(&mut self) -> String {
        self.take_if(|word| matches!(word, "0" | "1")).unwrap_or_default()
    }

    /// The next word if it is such a one.
    fn take_if(&mut self, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
        let word = self.peek().filter(|word| is_wanted(word))?;
        self.next += 1;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(line: &str) -> Result<Options, OptionError> {
        Options::parse(Flavour::Sqlcmd, line.split('~').map(OsString::from))
    }

    // Catches: a value that has to be attached, or must not be; options run together.
    #[rstest]
    #[case("-S~localhost~-Q~select 1~-h~-1~-s~|~-w~200~-W~-b~-d~pubs")]
    #[case("-Slocalhost~-Qselect 1~-h-1~-s|~-w200~-W~-b~-dpubs")]
    #[case("-Wbh-1~-bSlocalhost~-s|~-dpubs~-Q~select 1~-w200")]
    fn values_are_attached_or_separate(#[case] line: &str) {
        let mut expected = Options::new(Flavour::Sqlcmd);
        expected.server = Some("localhost".to_owned());
        expected.query = Some(Query { text: "select 1".to_owned(), then_exit: true });
        expected.database = Some("pubs".to_owned());
        expected.stop_on_error = true;
        expected.layout.headings = Headings::Never;
        expected.layout.separator = "|".to_owned();
        expected.layout.width = 200;
        expected.layout.trim = true;
        assert_eq!(parse(line), Ok(expected));
    }

    // Catches: an option of the list that is refused, or that loses its value.
    #[test]
    fn every_option_is_read() {
        let options = parse(
            "-U~u~-P~p~-q~x~-t~5~-l~3~-o~out~-r1~-v~a=1~b=\"2 3\"~-V~16~-m~-1~-C~-N~-X1~-H~host\
             ~-a~512~-n~-I~-e~-x~-c~;;~-y~0~-Y~7~-k1~-f~65001~-u~-R~-p~-K~ReadOnly~-j~-g~-D~-d~pubs",
        )
        .unwrap();
        assert_eq!((options.user.as_deref(), options.password.as_deref()), (Some("u"), Some("p")));
        assert_eq!(options.query, Some(Query { text: "x".to_owned(), then_exit: false }));
        assert_eq!(options.query_time, Some(Duration::from_secs(5)));
        assert_eq!(options.login_time, Duration::from_secs(3));
        assert_eq!(options.output, Some("out".into()));
        assert_eq!(options.redirect, Redirect::Messages);
        let variables = [("a", "1"), ("b", "2 3")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(options.variables, variables);
        assert_eq!((options.severity, options.message_level), (Some(16), -1));
        assert!(options.trust_certificate && options.encrypt);
        assert_eq!((options.workstation.as_deref(), options.packet_bytes), (Some("host"), 512));
        assert!(!options.numbering && options.quoted_identifiers && options.echo);
        assert!(options.stop_at_commands && !parse("-X").unwrap().stop_at_commands);
        assert!(!options.substitute);
        assert_eq!(options.terminator, ";;");
        assert_eq!((options.layout.controls, options.unicode), (Controls::Replaced, true));
        assert_eq!(options.database.as_deref(), Some("pubs"));
        assert_eq!((options.layout.most_variable, options.layout.most_fixed), (0, 7));
        let inputs = parse("-i~a.sql,b.sql~-ic.sql~-r").unwrap();
        assert_eq!(inputs.inputs, ["a.sql", "b.sql", "c.sql"].map(PathBuf::from));
        assert_eq!(inputs.redirect, Redirect::Errors);
    }

    // Catches: an assignment whose parts are words of their own refused, one that takes the next one's
    // name or an option for its value.
    #[rstest]
    #[case("ColumnName~=FirstName", &[("ColumnName", "FirstName")])]
    #[case("x~=~1", &[("x", "1")])]
    #[case("x=~1~y~=~2 3~z=4", &[("x", "1"), ("y", "2 3"), ("z", "4")])]
    #[case("x=~y=2", &[("x", ""), ("y", "2")])]
    #[case("x~=~a=b", &[("x", "a=b")])]
    #[case("x=~-b", &[("x", "")])]
    #[case("x=YQ==~y=2", &[("x", "YQ=="), ("y", "2")])]
    #[case("a=\"1\"~b=2~-v~c=3", &[("a", "1"), ("b", "2"), ("c", "3")])]
    fn assignments(#[case] line: &str, #[case] expected: &[(&str, &str)]) {
        let options = parse(&format!("-v~{line}~-Q~q")).unwrap();
        let given: Vec<_> =
            options.variables.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(given, expected);
        assert!(options.query.is_some());
    }

    // Catches: a mistake that passes, or that is said in other words than the client's.
    #[rstest]
    #[case("-J", "'-J': Unknown Option. Enter '-?' for help.")]
    #[case("--frobnicate", "'--frobnicate': Unknown Option. Enter '-?' for help.")]
    #[case("backup", "'backup': Unknown Option. Enter '-?' for help.")]
    #[case("-b~-S", "'-S': Missing argument. Enter '-?' for help.")]
    #[case("-w~5", "'-w 5': Unexpected argument. The value has to be a number from 9 to 65535.")]
    #[case(
        "-a100",
        "'-a 100': Unexpected argument. The value has to be a number from 512 to 32767."
    )]
    #[case("-v~x", "'-v x': Unexpected argument. The value has to be NAME=VALUE.")]
    #[case("-Q~x~-i~y", "The -i and the -Q/-q options are mutually exclusive.")]
    #[case("-y~256~-W", "The -W and the -y/-Y options are mutually exclusive.")]
    #[case("-bW~-Y8", "The -W and the -y/-Y options are mutually exclusive.")]
    #[case("-E~-U~x", "The -E and the -U/-P options are mutually exclusive.")]
    fn mistakes(#[case] line: &str, #[case] said: &str) {
        assert_eq!(parse(line).unwrap_err().to_string(), said);
    }

    // Catches: options of sqlcmd that osql took for its own.
    #[test]
    fn osql_knows_fewer() {
        let osql = |word: &str| Options::parse(Flavour::Osql, [OsString::from(word)]);
        assert!(osql("-va=1").is_err());
        assert!(osql("-n").is_ok());
        assert!(osql("-h-1").is_ok());
    }
}
