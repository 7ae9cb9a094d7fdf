//! Scripting variables: `$(name)`.

use std::collections::BTreeMap;

use super::options::Options;
use super::predefined::{Predefined, WITHOUT_OPTION};

/// Variables by name, in any case. The options lie before them, the process's environment behind.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables(BTreeMap<String, String>);

/// A variable that nobody has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Undefined(pub(super) String);

impl Variables {
    /// Those that there are before any script.
    pub(super) fn new() -> Variables {
        let known = WITHOUT_OPTION.into_iter().map(|(name, default)| {
            (name.to_owned(), std::env::var(name).unwrap_or_else(|_| default.to_owned()))
        });
        Variables(known.collect())
    }

    /// Sets a variable, or forgets it.
    pub(super) fn set(&mut self, name: &str, value: Option<String>) {
        match value {
            Some(value) => self.0.insert(name.to_uppercase(), value),
            None => self.0.remove(&name.to_uppercase()),
        };
    }

    /// A variable's value.
    fn get(&self, name: &str, options: &Options) -> Option<String> {
        if let Some(predefined) = Predefined::named(name) {
            return Some(predefined.value(options));
        }
        self.0.get(&name.to_uppercase()).cloned().or_else(|| std::env::var(name).ok())
    }

    /// Names and values, by name.
    pub(super) fn list(&self, options: &Options) -> BTreeMap<String, String> {
        let predefined = Predefined::list(options).map(|(name, value)| (name.to_owned(), value));
        self.0.clone().into_iter().chain(predefined).collect()
    }

    /// The line with the values in the place of `$(name)`; what is not closed stays as it is.
    pub(super) fn substitute(&self, line: &str, options: &Options) -> Result<String, Undefined> {
        let mut result = String::with_capacity(line.len());
        let mut rest = line;
        while let Some((before, name, after)) = next_variable(rest) {
            result.push_str(before);
            result.push_str(&self.get(name, options).ok_or_else(|| Undefined(name.to_owned()))?);
            rest = after;
        }
        result.push_str(rest);
        Ok(result)
    }
}

/// What is before the first `$(name)`, the name, and what is behind it. A name has no space in it:
/// `$( x)` is none.
fn next_variable(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let start = from + text[from..].find("$(")?;
        let inside = &text[start + 2..];
        let end = inside.find(')')?;
        let name = &inside[..end];
        if !name.is_empty() && !name.contains([' ', '\t', '\'', '"', '$', '(']) {
            return Some((&text[..start], name, &inside[end + 1..]));
        }
        from = start + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlcmd::options::Flavour;

    // Catches: a name that matters by case, several in a line, values substituted again, an
    // undefined one that passes.
    #[test]
    fn values_stand_in_for_names() {
        let mut variables = Variables::default();
        variables.set("Db", Some("pubs".to_owned()));
        variables.set("x", Some("$(Db)".to_owned()));
        let options = Options::new(Flavour::Sqlcmd);
        let substituted =
            |line| variables.substitute(line, &options).map_err(|Undefined(name)| name);
        assert_eq!(substituted("[$(DB)].'$(db)'$(x)").unwrap(), "[pubs].'pubs'$(Db)");
        assert_eq!(substituted("$(not a name) $(db").unwrap(), "$(not a name) $(db");
        assert_eq!(substituted("$(VDISIM_NO_SUCH)").unwrap_err(), "VDISIM_NO_SUCH");
    }
}
