//! The scripting variables that sqlcmd has by itself, which are its options under another name.
//!
//! Source: SQL Server documentation, "Use sqlcmd with scripting variables".

use super::layout::Headings;
use super::options::{OptionError, Options};
use super::target::machine_name;

/// Such a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Predefined {
    name: &'static str,
    /// The option's letter.
    letter: char,
    /// A session is opened with it, so that a script finds it as it is.
    pub(super) is_read_only: bool,
}

const fn fixed(name: &'static str, letter: char) -> Predefined {
    Predefined { name, letter, is_read_only: true }
}

const fn settable(name: &'static str, letter: char) -> Predefined {
    Predefined { name, letter, is_read_only: false }
}

const ALL: [Predefined; 13] = [
    fixed("SQLCMDUSER", 'U'),
    fixed("SQLCMDSERVER", 'S'),
    fixed("SQLCMDWORKSTATION", 'H'),
    fixed("SQLCMDDBNAME", 'd'),
    fixed("SQLCMDPACKETSIZE", 'a'),
    settable("SQLCMDLOGINTIMEOUT", 'l'),
    settable("SQLCMDSTATTIMEOUT", 't'),
    settable("SQLCMDHEADERS", 'h'),
    settable("SQLCMDCOLSEP", 's'),
    settable("SQLCMDCOLWIDTH", 'w'),
    settable("SQLCMDERRORLEVEL", 'm'),
    settable("SQLCMDMAXVARTYPEWIDTH", 'y'),
    settable("SQLCMDMAXFIXEDTYPEWIDTH", 'Y'),
];

/// Those that no option stands for, with what they are when the environment does not say. Nothing
/// here heeds them.
pub(super) const WITHOUT_OPTION: [(&str, &str); 3] =
    [("SQLCMDEDITOR", "edit.com"), ("SQLCMDINI", ""), ("SQLCMDUSEAAD", "")];

impl Predefined {
    /// The variable of this name, in any case.
    pub(super) fn named(name: &str) -> Option<Predefined> {
        ALL.into_iter().find(|variable| variable.name.eq_ignore_ascii_case(name))
    }

    /// All of them with their values.
    pub(super) fn list(options: &Options) -> impl Iterator<Item = (&'static str, String)> {
        ALL.into_iter().map(|variable| (variable.name, variable.value(options)))
    }

    /// Its value, which is what the options say.
    pub(super) fn value(self, options: &Options) -> String {
        let layout = &options.layout;
        match self.letter {
            'U' => options.user.clone().unwrap_or_default(),
            'S' => options.server.clone().unwrap_or_else(machine_name),
            'H' => options.workstation.clone().unwrap_or_else(machine_name),
            'd' => options.database.clone().unwrap_or_default(),
            'a' => options.packet_bytes.to_string(),
            'l' => options.login_time.as_secs().to_string(),
            't' => options.query_time.map_or(0, |time| time.as_secs()).to_string(),
            'h' => match layout.headings {
                Headings::Once => "0".to_owned(),
                Headings::Never => "-1".to_owned(),
                Headings::Every(rows) => rows.to_string(),
            },
            's' => layout.separator.clone(),
            'w' => layout.width.to_string(),
            'm' => options.message_level.to_string(),
            'y' => layout.most_variable.to_string(),
            _ => layout.most_fixed.to_string(),
        }
    }

    /// Sets the option that it stands for; without a value, to what it is when nobody says anything.
    ///
    /// # Errors
    /// A value that the option would not take either.
    pub(super) fn set(self, options: &mut Options, value: Option<&str>) -> Result<(), OptionError> {
        let value = match value {
            Some(value) => value.to_owned(),
            None => self.value(&Options::new(options.flavour)),
        };
        if self.letter == 'w' && value.trim() == "0" {
            // The variable's word for the default, which -w does not take.
            options.layout.width = 0;
            return Ok(());
        }
        options
            .set(self.letter, value.clone())
            .map_err(|_| OptionError::Variable { name: self.name, value })
    }
}

/// Options as the environment has them, for a command line to be read over them. The login is not
/// among them: -E decides whether it counts.
///
/// # Errors
/// A value that the option would not take either.
pub(super) fn from_environment(
    options: &mut Options,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(), OptionError> {
    for predefined in ALL.into_iter().filter(|predefined| predefined.letter != 'U') {
        if let Some(value) = variable(predefined.name).filter(|value| !value.is_empty()) {
            predefined.set(options, Some(&value))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::sqlcmd::options::Flavour;

    fn value(name: &str, options: &Options) -> String {
        Predefined::named(name).unwrap().value(options)
    }

    // Catches: a variable of the documentation's table that is missing or begins otherwise, another
    // option's value, one that its value does not set.
    #[rstest]
    #[case("SQLCMDUSER", "", "-Usa", "sa")]
    #[case("sqlcmddbname", "", "-dpubs", "pubs")]
    #[case("SQLCMDWORKSTATION", &machine_name(), "-Hdesk", "desk")]
    #[case("SQLCMDSERVER", &machine_name(), "-Stcp:x,5", "tcp:x,5")]
    #[case("SQLCMDLOGINTIMEOUT", "8", "-l0", "0")]
    #[case("SQLCMDSTATTIMEOUT", "0", "-t30", "30")]
    #[case("SQLCMDHEADERS", "0", "-h-1", "-1")]
    #[case("SQLCMDCOLSEP", " ", "-s|", "|")]
    #[case("SQLCMDCOLWIDTH", "0", "-w200", "200")]
    #[case("SQLCMDPACKETSIZE", "4096", "-a512", "512")]
    #[case("SQLCMDERRORLEVEL", "0", "-m-1", "-1")]
    #[case("SQLCMDMAXVARTYPEWIDTH", "256", "-y0", "0")]
    #[case("SqlCmdMaxFixedTypeWidth", "0", "-Y7", "7")]
    fn options_under_another_name(
        #[case] name: &str,
        #[case] default: &str,
        #[case] option: &str,
        #[case] given: &str,
    ) {
        let mut options = Options::new(Flavour::Sqlcmd);
        assert_eq!(value(name, &options), default);
        Predefined::named(name).unwrap().set(&mut options, Some(given)).unwrap();
        assert_eq!(options, Options::parse(Flavour::Sqlcmd, [option.into()]).unwrap());
        assert_eq!(value(name, &options), given);
        if name != "SQLCMDSERVER" && name != "SQLCMDWORKSTATION" {
            Predefined::named(name).unwrap().set(&mut options, None).unwrap();
            assert_eq!(value(name, &options), default);
        }
    }

    // Catches: the environment's settings not taken, or a wrong one taken for another value.
    #[test]
    fn the_environment_has_settings() {
        let mut options = Options::new(Flavour::Sqlcmd);
        let colons = |name: &str| (name == "SQLCMDCOLSEP").then(|| ":".to_owned());
        from_environment(&mut options, colons).unwrap();
        assert_eq!(options.layout.separator, ":");
        let wrong = |name: &str| (name == "SQLCMDHEADERS").then(|| "many".to_owned());
        assert_eq!(
            from_environment(&mut options, wrong).unwrap_err().to_string(),
            "The environment variable: 'SQLCMDHEADERS' has invalid value: 'many'."
        );
    }
}
