//! Names: of namespaces, of sets, and of the shared-memory objects that belong to a set.
//!
//! ```text
//! vdisim.<namespace>.Host_<set>_SQLVDIMemoryName_0                        control segment
//! vdisim.<namespace>.Host_<set>_SQLVDIMemoryName_0_B<n>.<generation>      buffer segment n
//! vdisim.<namespace>.rendezvous                                           settings that a test left
//! ```
//! A set's name is any string without a backslash. `/`, `%` and what is not UTF-8 are percent-encoded,
//! and a name that would be too long for a file name ends in a hash of the whole; the control segment
//! holds the full name, so a collision is found when the set is opened.

use std::fmt;

use sha2::{Digest, Sha256};
use vdi_region::ObjectName;

use crate::{
    error::{Error, Reason},
    layout::{DEVICE_NAME_MAX, SET_NAME_MAX},
};

const PREFIX: &str = "vdisim.";
const HOST: &str = ".Host_";
const SUFFIX: &str = "_SQLVDIMemoryName_0";
/// Longest encoded name of a set; leaves room for namespace, prefix and a buffer segment's suffix
/// within the 250 bytes of an object's name.
const ENCODED_MAX: usize = 128;
/// Characters of the hash behind a shortened name.
const HASH_CHARS: usize = 32;

/// Keeps concurrent runs apart: part of every object's name. `[A-Za-z0-9_-]{1,32}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Namespace(String);

impl Namespace {
    /// A namespace of that name.
    ///
    /// # Errors
    /// The name is empty, longer than 32 characters or has other characters than `[A-Za-z0-9_-]`.
    pub fn new(name: &str) -> Result<Namespace, Error> {
        let legal = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        if (1..=32).contains(&name.len()) && name.bytes().all(legal) {
            Ok(Namespace(name.to_owned()))
        } else {
            Err(Reason::Namespace { name: name.to_owned() }.into())
        }
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Namespace {
    /// `default`, whoever and wherever the process is.
    fn default() -> Self {
        Namespace("default".to_owned())
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Refuses a set's or device's name that no set can have.
pub(crate) fn check_set_name(name: &[u8]) -> Result<(), Error> {
    check_name(name, SET_NAME_MAX)
}

/// As [`check_set_name`] for the second and further devices.
pub(crate) fn check_device_name(name: &[u8]) -> Result<(), Error> {
    check_name(name, DEVICE_NAME_MAX)
}

fn check_name(name: &[u8], max: usize) -> Result<(), Error> {
    if name.is_empty() {
        Err(Reason::NameEmpty.into())
    } else if name.contains(&b'\\') {
        Err(Reason::NameBackslash { name: display(name) }.into())
    } else if name.len() > max {
        Err(Reason::NameTooLong { len: name.len(), max }.into())
    } else {
        Ok(())
    }
}

/// A name as people read it.
pub(crate) fn display(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// `name` as a part of a file name; injective, except that what is too long ends in a hash.
///
/// Public because `--into DIR` names its files the same way.
pub fn encode_name(name: &[u8]) -> String {
    let mut encoded = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '/' || c == '%' || c.is_control() {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    push_percent(&mut encoded, byte);
                }
            } else {
                encoded.push(c);
            }
        }
        for byte in chunk.invalid() {
            push_percent(&mut encoded, *byte);
        }
    }
    if encoded.len() <= ENCODED_MAX {
        return encoded;
    }
    let digest = Sha256::digest(name);
    let mut cut = ENCODED_MAX - HASH_CHARS - 1;
    while !encoded.is_char_boundary(cut) {
        cut -= 1;
    }
    encoded.truncate(cut);
    encoded.push('~');
    for byte in &digest[..HASH_CHARS / 2] {
        encoded.push_str(&format!("{byte:02x}"));
    }
    encoded
}

fn push_percent(encoded: &mut String, byte: u8) {
    encoded.push_str(&format!("%{byte:02X}"));
}

/// The prefix of every object of a namespace, or of all namespaces.
pub(crate) fn object_prefix(namespace: Option<&Namespace>) -> String {
    match namespace {
        Some(namespace) => format!("{PREFIX}{namespace}{HOST}"),
        None => PREFIX.to_owned(),
    }
}

/// The control segment of `set`.
pub(crate) fn control_name(namespace: &Namespace, set: &[u8]) -> Result<ObjectName, Error> {
    let name = format!("{}{}{SUFFIX}", object_prefix(Some(namespace)), encode_name(set));
    ObjectName::new(&name).map_err(Error::from)
}

/// The settings that a test left in a namespace.
pub(crate) fn rendezvous_name(namespace: &Namespace) -> Result<ObjectName, Error> {
    ObjectName::new(&format!("{PREFIX}{namespace}.rendezvous")).map_err(Error::from)
}

/// Buffer segment `index` of the set whose control segment is `control`.
pub(crate) fn segment_name(
    control: &ObjectName,
    index: usize,
    generation: u64,
) -> Result<ObjectName, Error> {
    let name = format!("{control}_B{index}.{generation:016x}");
    ObjectName::new(&name).map_err(Error::from)
}

/// Whether `object` is a control segment, of any set.
pub(crate) fn is_control(object: &str) -> bool {
    object.starts_with(PREFIX) && object.ends_with(SUFFIX)
}

/// The control segment's name that a buffer segment's name starts with.
pub(crate) fn control_of_segment(object: &str) -> Option<&str> {
    let (control, rest) = object.rsplit_once("_B")?;
    let (index, generation) = rest.split_once('.')?;
    let is_segment = is_control(control)
        && !index.is_empty()
        && index.bytes().all(|b| b.is_ascii_digit())
        && generation.len() == 16
        && generation.bytes().all(|b| b.is_ascii_hexdigit());
    is_segment.then_some(control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Catches: an encoder that lets `/` through, cuts inside a character, or maps two names to one.
        #[test]
        fn encoded_names_are_legal_and_distinct(a in prop::collection::vec(any::<u8>(), 1..400), b in prop::collection::vec(any::<u8>(), 1..400)) {
            let encoded = encode_name(&a);
            prop_assert!(encoded.len() <= ENCODED_MAX);
            prop_assert!(!encoded.contains('/') && !encoded.contains('\0'));
            prop_assert_eq!(a == b, encoded == encode_name(&b));
            let control = control_name(&Namespace::default(), &a).unwrap();
            prop_assert!(is_control(control.as_str()));
            let segment = segment_name(&control, 63, u64::MAX).unwrap();
            prop_assert_eq!(control_of_segment(segment.as_str()), Some(control.as_str()));
            prop_assert!(!is_control(segment.as_str()));
        }
    }

    /// Catches: a namespace derived from input without a check.
    #[test]
    fn namespaces_are_plain_words() {
        for bad in ["", "a/b", "a.b", "ä", &"x".repeat(33)] {
            assert!(Namespace::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Namespace::new("Run-1_b").unwrap().as_str(), "Run-1_b");
    }
}
