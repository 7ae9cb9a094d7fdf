//! The names of shared objects.

use std::fmt;

use crate::RegionError;

/// The name of a shared object: 1 to 250 bytes, no `/`, no NUL, not `.` or `..`.
///
/// With the `posix` backend it is the file name in `/dev/shm`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(Box<str>);

impl ObjectName {
    /// The longest name in bytes. (NAME_MAX of Linux is 255; a few are left for those who derive
    /// names.)
    pub const MAX_LEN: usize = 250;

    /// Checks `name`.
    pub fn new(name: &str) -> Result<ObjectName, RegionError> {
        let why = if name.is_empty() {
            "it is empty"
        } else if name.len() > Self::MAX_LEN {
            "it is longer than 250 bytes"
        } else if name == "." || name == ".." {
            "it names a folder"
        } else if name.contains('/') {
            "it contains a '/'"
        } else if name.contains('\0') {
            "it contains a NUL"
        } else {
            return Ok(ObjectName(name.into()));
        };
        let shown: String = name.chars().take(80).collect();
        Err(RegionError::BadName { name: shown, len: name.len(), why })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ObjectName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::empty("")]
    #[case::slash("a/b")]
    #[case::nul("a\0b")]
    #[case::here(".")]
    #[case::up("..")]
    #[case::long(&"x".repeat(251))]
    fn refused(#[case] name: &str) {
        assert!(matches!(ObjectName::new(name), Err(RegionError::BadName { .. })));
    }

    #[rstest]
    #[case::plain("vdisim.default.Host_x_SQLVDIMemoryName_0")]
    #[case::dots("...")]
    #[case::emoji("\u{1f980}")]
    #[case::longest(&"x".repeat(250))]
    fn accepted(#[case] name: &str) {
        assert_eq!(ObjectName::new(name).unwrap().as_str(), name);
    }
}
