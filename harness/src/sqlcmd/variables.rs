//! Scripting variables: `$(name)`.

use std::collections::HashMap;

/// Variables by name, in any case. The process's environment lies behind them.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables(HashMap<String, String>);

/// A variable that nobody has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Undefined(pub(super) String);

impl Variables {
    pub(super) fn new(given: &[(String, String)]) -> Variables {
        let mut variables = Variables::default();
        for (name, value) in given {
            variables.set(name, Some(value.clone()));
        }
        variables
    }

    /// Sets a variable, or forgets it.
    pub(super) fn set(&mut self, name: &str, value: Option<String>) {
        match value {
            Some(value) => self.0.insert(name.to_uppercase(), value),
            None => self.0.remove(&name.to_uppercase()),
        };
    }

    /// A variable's value.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.0.get(&name.to_uppercase()).cloned().or_else(|| std::env::var(name).ok())
    }

    /// Names and values, by name.
    pub(super) fn list(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<_> = self.0.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        all.sort_unstable();
        all
    }

    /// The line with the values in the place of `$(name)`; what is not closed stays as it is.
    pub(super) fn substitute(&self, line: &str) -> Result<String, Undefined> {
        let mut result = String::with_capacity(line.len());
        let mut rest = line;
        while let Some((before, name, after)) = next_variable(rest) {
            result.push_str(before);
            result.push_str(&self.get(name).ok_or_else(|| Undefined(name.to_owned()))?);
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

    // Catches: a name that matters by case, several in a line, values substituted again, an
    // undefined one that passes.
    #[test]
    fn values_stand_in_for_names() {
        let given = [("Db", "pubs"), ("x", "$(Db)")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        let variables = Variables::new(&given);
        let substituted = |line| variables.substitute(line).map_err(|Undefined(name)| name);
        assert_eq!(substituted("[$(DB)].'$(db)'$(x)").unwrap(), "[pubs].'pubs'$(Db)");
        assert_eq!(substituted("$(not a name) $(db").unwrap(), "$(not a name) $(db");
        assert_eq!(substituted("$(VDISIM_NO_SUCH)").unwrap_err(), "VDISIM_NO_SUCH");
    }
}
