//! Which implementation carries a region.

use std::fmt;
use std::str::FromStr;

use crate::RegionError;

/// The implementation behind a [`Region`](crate::Region); both sides of a set must use the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// Linux: files of the tmpfs `/dev/shm`, built unnamed and named in one step, shared futexes,
    /// open-file-description locks as leases.
    Posix,
    /// Windows: named sections of the page file, named events, leases that are the existence of a
    /// named object.
    ///
    /// An object lives for as long as a process has it open: nothing is ever left behind, and a
    /// region that is dropped takes its name with it unless somebody else has it open. There is no
    /// group: [`Access::Group`](crate::Access::Group) takes the `gid` of another object's
    /// [`Owner`](crate::Owner), which stands for that object's account within this process.
    Windows,
    /// Every platform that the `shared_memory` crate knows.
    ///
    /// What it cannot do: objects have mode 0600 whatever [`Access`](crate::Access) says (the
    /// crate neither takes a mode nor gives its descriptor out), so that both sides must run as one
    /// user; waiting is polling, up to a millisecond late; space is looked for before it is taken
    /// but not reserved, so that a file system filled by somebody else at that moment still raises
    /// SIGBUS; [`Region::object_size`](crate::Region::object_size) cannot ask again; only objects that this user made are
    /// listed; bases are aligned to a page and no more.
    Portable,
}

impl Backend {
    /// The backends that this build can use, the platform's own first.
    #[cfg(target_os = "linux")]
    pub const AVAILABLE: &'static [Backend] = &[Backend::Posix, Backend::Portable];
    /// The backends that this build can use, the platform's own first.
    #[cfg(windows)]
    pub const AVAILABLE: &'static [Backend] = &[Backend::Windows, Backend::Portable];
    /// The backends that this build can use, the platform's own first.
    #[cfg(not(any(target_os = "linux", windows)))]
    pub const AVAILABLE: &'static [Backend] = &[Backend::Portable];

    /// The backend to use when nobody asked for another.
    pub fn platform_default() -> Backend {
        Self::AVAILABLE[0]
    }

    /// The word that selects this backend on a command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Backend::Posix => "posix",
            Backend::Windows => "windows",
            Backend::Portable => "portable",
        }
    }
}

/// The twin that carries a backend.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Twin {
    /// The platform's own.
    Native,
    /// The one for every platform.
    Portable,
}

impl Backend {
    /// The twin behind it, if this build has it.
    pub(crate) fn twin(self) -> Result<Twin, RegionError> {
        match self {
            Backend::Portable => Ok(Twin::Portable),
            native if Self::AVAILABLE.contains(&native) => Ok(Twin::Native),
            backend => Err(RegionError::Unavailable { backend }),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Backend {
    type Err = RegionError;

    fn from_str(word: &str) -> Result<Self, RegionError> {
        Self::AVAILABLE
            .iter()
            .copied()
            .find(|backend| backend.as_str() == word)
            .ok_or_else(|| RegionError::UnknownBackend { given: word.to_owned() })
    }
}

/// The words that [`Backend::from_str`] takes in this build, for error texts.
pub(crate) fn available_words() -> String {
    let words: Vec<_> = Backend::AVAILABLE.iter().map(|b| b.as_str()).collect();
    words.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_backends_agree() {
        for backend in Backend::AVAILABLE {
            assert_eq!(backend.to_string().parse::<Backend>().unwrap(), *backend);
        }
    }

    #[test]
    fn a_wrong_word_is_answered_with_the_right_ones() {
        let text = "windoze".parse::<Backend>().unwrap_err().to_string();
        assert!(text.contains("windoze") && text.contains("portable"), "{text}");
    }
}
