//! Which front-end a client uses.

use clap::ValueEnum;

/// Who sends the BACKUP or RESTORE, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Front {
    /// vdisim; the client is told the set's name, and meets no SQL
    Direct,
    /// The client, by a sqlcmd or osql on its PATH or by TDS
    Sqlcmd,
    /// The client, by TDS
    Tds,
}

impl Front {
    /// The front-end of a client whose command line nobody explained: who is told the set's name waits
    /// for its server, and who is not must send the statement itself.
    pub fn of(words: &[String]) -> Front {
        if names_the_set(words) { Front::Direct } else { Front::Sqlcmd }
    }

    /// Whether the client sends the statement.
    pub fn is_sql(self) -> bool {
        self != Front::Direct
    }

    /// Whether `sqlcmd` and `osql` stand on the client's PATH.
    pub fn has_commands(self) -> bool {
        self == Front::Sqlcmd
    }
}

/// Whether a command line is told which set to create.
pub(crate) fn names_the_set(words: &[String]) -> bool {
    let names = ["{set}", "{device}", "{devices}"];
    words.iter().any(|word| names.iter().any(|name| word.contains(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: a client that invents its set's name, and for whose set the server waits in vain.
    #[test]
    fn who_is_told_the_name_does_not_send_the_statement() {
        let of = |line: &str| Front::of(&shell_words::split(line).unwrap());
        assert_eq!(of("./c {op} --set={set} {file}"), Front::Direct);
        assert_eq!(of("./c {op} {devices} {files}"), Front::Direct);
        assert_eq!(of("./c {op} -S {server} {file}"), Front::Sqlcmd);
    }
}
